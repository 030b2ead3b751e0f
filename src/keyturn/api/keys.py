"""`/v1/keys`: issue, list, read, edit, suspend, resume, revoke."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from keyturn.api import page, shown
from keyturn.api.bringing import brought, in_its_time
from keyturn.api.call import AnyCall, OnceCall, id_in_path
from keyturn.api.placed import Placed
from keyturn.api.schemas import (
    AgedKey,
    ChangedKey,
    CreatedKey,
    CreateKey,
    EditKey,
    Id,
    KeyShown,
    Nothing,
    PageShown,
    Why,
)
from keyturn.core.instant import FOREVER, Instant
from keyturn.flow import age
from keyturn.flow import key as keys
from keyturn.flow import new_key as new_keys
from keyturn.flow.key import KeyEdit
from keyturn.flow.new_key import KeyWish

router = APIRouter(prefix="/v1/keys", tags=["keys"], route_class=Placed)
OfAccount = Annotated[Id | None, Query(description="Only those of this account.")]
OfOwner = Annotated[Id | None, Query(description="Only those of this user.")]


@router.post("", status_code=201, response_model=CreatedKey, summary="Issue a key")
async def create(call: OnceCall, body: CreateKey) -> dict[str, Any]:
    """The secret is in this answer and nowhere else, ever; what the customer brings is in no answer."""
    return await in_its_time(call, body, _create)(call, body)


def _create(call: OnceCall, body: CreateKey) -> dict[str, Any]:
    call.needs_https("key.created", body.account_id or "")
    wish = KeyWish(
        name=body.name,
        environment=body.environment,
        permissions=body.permissions,
        allowlist=body.allowlist,
        limit=body.limit,
        expires_at=None if body.expires_at is None else Instant(body.expires_at),
        policy=body.policy or "",
        account_id=body.account_id,
        owner_id=body.owner_id,
        label=body.label or "",
    )
    node, actor, brand = call.node, call.actor, call.node.settings.brand
    bring = brought(call, body, lambda own, text: own.for_new_key(text, actor=actor, wish=wish, brand=brand))
    answer, committed = call.change(
        lambda tx: new_keys.create(
            tx, actor=actor, wish=wish, brand=brand, forge=node.forge, once=call.once, bring=bring
        )
    )
    return shown.created_key(answer, committed.at)


@router.get("", response_model=PageShown[KeyShown], summary="List keys")
def listing(
    call: AnyCall,
    account_id: OfAccount = None,
    owner_id: OfOwner = None,
    limit: page.Size = page.USUAL,
    cursor: page.Cursor = None,
) -> dict[str, Any]:
    """Newest first, of every account that the caller reaches."""
    asked = page.asked(limit, cursor)
    found, now = call.read(
        lambda tx: keys.listing(tx, actor=call.actor, account_id=account_id, owner_id=owner_id, page=asked)
    )
    return shown.listing([(one.number, one) for one in found], limit, lambda one: shown.key(one, now))


@router.get("/{key_id}", response_model=AgedKey, summary="Read a key")
def show(call: AnyCall, key_id: str) -> dict[str, Any]:
    """Everything but the secret, with its age and what is coming for it."""
    key, now = call.read(lambda tx: age.show(tx, actor=call.actor, key_id=id_in_path(key_id)))
    return shown.aged_key(key, now)


@router.patch("/{key_id}", response_model=ChangedKey, summary="Edit a key")
def edit(call: AnyCall, key_id: str, body: EditKey) -> dict[str, Any]:
    """Verifiers follow at once."""
    given = body.model_fields_set
    change = KeyEdit(
        name=body.name,
        permissions=body.permissions,
        allowlist=body.allowlist,
        limit=body.limit,
        drop_limit="limit" in given and body.limit is None,
        expires_at=Instant(body.expires_at) if body.expires_at else FOREVER if "expires_at" in given else None,
        policy=(body.policy or "") if "policy" in given else None,
    )
    answer, committed = call.change(lambda tx: keys.edit(tx, actor=call.actor, key_id=id_in_path(key_id), edit=change))
    return shown.changed_key(answer, committed, call.node)


@router.post("/{key_id}/suspend", response_model=ChangedKey, summary="Stop a key for now")
def suspend(call: AnyCall, key_id: str, body: Why | None = None) -> dict[str, Any]:
    """The safe direction: never gated beyond knowing of the key."""
    reason = (body.reason if body else None) or "asked"
    answer, committed = call.change(
        lambda tx: keys.suspend(tx, actor=call.actor, key_id=id_in_path(key_id), reason=reason)
    )
    return shown.changed_key(answer, committed, call.node)


@router.post("/{key_id}/resume", response_model=ChangedKey, summary="Lift a suspension")
def resume(call: AnyCall, key_id: str, body: Nothing | None = None) -> dict[str, Any]:  # noqa: ARG001  # takes no fields
    """A false alarm, with full proof."""
    answer, committed = call.change(lambda tx: keys.resume(tx, actor=call.actor, key_id=id_in_path(key_id)))
    return shown.changed_key(answer, committed, call.node)


@router.post("/{key_id}/revoke", response_model=ChangedKey, summary="Stop a key for good")
def revoke(call: AnyCall, key_id: str, body: Nothing | None = None) -> dict[str, Any]:  # noqa: ARG001  # takes no fields
    """Nothing brings it back."""
    answer, committed = call.change(lambda tx: keys.revoke(tx, actor=call.actor, key_id=id_in_path(key_id)))
    return shown.changed_key(answer, committed, call.node)
