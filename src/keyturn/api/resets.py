"""`/v1/keys/{id}/resets`, `/v1/resets`: the protocol step by step (R10 to R25)."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from keyturn.api import page, shown
from keyturn.api.bringing import brought, in_its_time
from keyturn.api.call import AnyCall, OnceCall, id_in_path
from keyturn.api.keys import OfAccount
from keyturn.api.placed import Placed
from keyturn.api.schemas import (
    AskReset,
    Brings,
    Id,
    MintedReset,
    Narrow,
    Nothing,
    PageShown,
    PreviewShown,
    ReasonGiven,
    ResetShown,
    ShowProof,
    Span,
)
from keyturn.core.actor import Channel
from keyturn.core.instant import Instant
from keyturn.core.refusal import InvalidField
from keyturn.core.reset import Asking, Narrowing, Reason
from keyturn.edge.proving import Sent, prove_reset
from keyturn.edge.refused import Refused
from keyturn.edge.visit import Call
from keyturn.flow import claim as claims
from keyturn.flow import preview as previews
from keyturn.flow import proof as proofs
from keyturn.flow import reset as resets
from keyturn.flow.bring import Bring

router = APIRouter(tags=["resets"], route_class=Placed)


@router.post(
    "/v1/keys/{key_id}/resets", status_code=201, response_model=MintedReset, summary="Ask for a reset of a key"
)
async def ask(call: OnceCall, key_id: str, body: AskReset) -> dict[str, Any]:
    """A credential that proves enough gets it minted in the same answer; `missing` tells what else is to be proved.

    A key whose secrets are brought is minted only with the next one; without it, its reset waits at `proven`.
    """
    return await in_its_time(call, body, _ask)(call, key_id, body)


def _ask(call: OnceCall, key_id: str, body: AskReset) -> dict[str, Any]:
    key_id = id_in_path(key_id)
    if call.actor.channel is not Channel.PERSON and not body.claim:
        call.needs_https("reset.asked", key_id)
    asking = Asking(
        reason=Reason(body.reason),
        grace=body.grace,
        expected_version=body.expected_version,
        narrow=None if body.narrow is None else _narrowing(body.narrow),
        waive_cool_down=body.waive_cool_down,
        suspend_created_since=Instant(body.suspend_created_since) if body.suspend_created_since else None,
    )
    if body.claim:
        if body.public_key is not None or body.own_secret is not None:
            raise Refused(InvalidField(field="claim", reason="whoever claims the reset brings what is minted"))
        return _ordered(call, key_id, asking)
    bring = brought(call, body, lambda own, text: own.for_reset(text, actor=call.actor, key_id=key_id))
    return asked(call, key_id, asking, bring)


def _ordered(call: Call, key_id: str, asking: Asking) -> dict[str, Any]:
    answer, committed = call.change(
        lambda tx: claims.ask_for_claim(
            tx, actor=call.actor, key_id=key_id, asking=asking, forge=call.node.forge, once=call.once
        )
    )
    return shown.moved_reset(answer, committed, call.node)


def _narrowing(narrow: Narrow) -> Narrowing:
    return Narrowing(
        permissions=narrow.permissions,
        allowlist=narrow.allowlist,
        expires_at=Instant(narrow.expires_at) if narrow.expires_at else None,
    )


def asked(call: Call, key_id: str, asking: Asking, bring: Bring | None = None) -> dict[str, Any]:
    """Ask, whoever does, and show what came of it."""
    answer, committed = call.change(
        lambda tx: resets.ask(
            tx,
            actor=call.actor,
            key_id=key_id,
            asking=asking,
            forge=call.node.forge,
            once=call.once,
            arrived_rev=call.arrived_rev,
            bring=bring,
        )
    )
    call.note_minted(answer)
    return shown.moved_reset(answer, committed, call.node)


@router.get(
    "/v1/keys/{key_id}/resets/preview", response_model=PreviewShown, summary="What a reset would do, before it is asked"
)
def preview(
    *,
    call: AnyCall,
    key_id: str,
    reason: ReasonGiven,
    grace: Annotated[Span | None, Query(description="As it would be asked for.")] = None,
    waive_cool_down: Annotated[bool, Query(description="As it would be asked for.")] = False,
) -> dict[str, Any]:
    """Who called within the last 24 hours, the dates, any gap, the proofs that would be missing; changes nothing."""
    asking = Asking(reason=Reason(reason), grace=grace, waive_cool_down=waive_cool_down)
    found, now = call.read(lambda tx: previews.preview(tx, actor=call.actor, key_id=id_in_path(key_id), asking=asking))
    return shown.preview(found, now)


@router.get("/v1/resets", response_model=PageShown[ResetShown], summary="List resets")
def listing(
    call: AnyCall,
    account_id: OfAccount = None,
    key_id: Annotated[Id | None, Query(description="Only those of this key.")] = None,
    waiting: Annotated[
        Literal["mine", "any"] | None,
        Query(description="Only those that were ordered and are not minted yet: of your own keys, or of any you see."),
    ] = None,
    limit: page.Size = page.USUAL,
    cursor: page.Cursor = None,
) -> dict[str, Any]:
    """Newest first."""
    wanted = page.asked(limit, cursor)
    if waiting is not None:
        if key_id is not None:
            raise Refused(InvalidField(field="waiting", reason="takes no key_id"))
        mine = waiting == "mine"
        found, now = call.read(
            lambda tx: claims.waiting(tx, actor=call.actor, account_id=account_id, mine=mine, page=wanted)
        )
    else:
        found, now = call.read(
            lambda tx: resets.listing(tx, actor=call.actor, account_id=account_id, key_id=key_id, page=wanted)
        )
    return shown.listing(found, limit, lambda one: shown.listed_reset(one, now))


@router.get("/v1/resets/{reset_id}", response_model=ResetShown, summary="Read a reset")
def show(call: AnyCall, reset_id: str) -> dict[str, Any]:
    """Its stage, what is missing, its dates, and who still uses the old secret."""
    answer, now = call.read(lambda tx: resets.show(tx, actor=call.actor, reset_id=id_in_path(reset_id)))
    return shown.reset(answer, now)


@router.post("/v1/resets/{reset_id}/claim", response_model=MintedReset, summary="Claim a reset that was ordered")
def claim(call: OnceCall, reset_id: str, body: Nothing | None = None) -> dict[str, Any]:  # noqa: ARG001  # takes no fields
    """From now on it is the claimer's, in this session.  A credential that proves enough gets the secret at once."""
    reset_id = id_in_path(reset_id)
    if call.actor.channel is not Channel.PERSON:
        call.needs_https("reset.claimed", reset_id)
    answer, committed = call.change(
        lambda tx: claims.claim(tx, actor=call.actor, reset_id=reset_id, forge=call.node.forge, once=call.once)
    )
    call.note_minted(answer)
    return shown.moved_reset(answer, committed, call.node)


@router.post("/v1/resets/{reset_id}/proofs", response_model=ResetShown, summary="Show a proof")
async def prove(call: OnceCall, reset_id: str, body: ShowProof) -> dict[str, Any]:
    """Wrong ones are counted; too many end the reset."""
    return await call.slowly(_prove)(call, id_in_path(reset_id), body)


def _prove(call: OnceCall, reset_id: str, body: ShowProof) -> dict[str, Any]:
    answer, committed = prove_reset(call, reset_id, Sent(**body.model_dump()))
    return shown.reset(answer, committed.at) | {"stage": answer.reset.stage.value}


@router.post("/v1/resets/{reset_id}/proofs/passkey", summary="What a browser asks of a passkey for this reset")
def ask_passkey(call: AnyCall, reset_id: str, body: Nothing | None = None) -> dict[str, Any]:  # noqa: ARG001  # takes no fields
    """For `navigator.credentials.get()`, in the JSON form of WebAuthn; good once, for five minutes, in this session."""
    reset_id = id_in_path(reset_id)
    asked, _ = call.change(
        lambda tx: proofs.ask_passkey(tx, actor=call.actor, reset_id=reset_id, authenticators=call.node.authenticators)
    )
    return dict(asked)


@router.post("/v1/resets/{reset_id}/mint", response_model=MintedReset, summary="Make the new secret")
async def mint(call: OnceCall, reset_id: str, body: Brings | None = None) -> dict[str, Any]:
    """For whoever asked, in the same session.  The secret is in this answer and nowhere else, ever.

    A key whose secrets are brought takes the next one here.
    """
    return await in_its_time(call, body, _mint)(call, reset_id, body)


def _mint(call: OnceCall, reset_id: str, body: Brings | None) -> dict[str, Any]:
    reset_id = id_in_path(reset_id)
    call.needs_https("reset.minted", reset_id)
    bring = brought(call, body, lambda own, text: own.for_reset(text, actor=call.actor, reset_id=reset_id))
    answer, committed = call.change(
        lambda tx: resets.mint(
            tx, actor=call.actor, reset_id=reset_id, forge=call.node.forge, once=call.once, bring=bring
        )
    )
    call.note_minted(answer)
    return shown.moved_reset(answer, committed, call.node)


@router.post("/v1/resets/{reset_id}/cancel", response_model=ResetShown, summary="Call a reset off")
def cancel(call: AnyCall, reset_id: str, body: Nothing | None = None) -> dict[str, Any]:  # noqa: ARG001  # takes no fields
    """What a leak suspended stays suspended."""
    answer, committed = call.change(lambda tx: resets.cancel(tx, actor=call.actor, reset_id=id_in_path(reset_id)))
    return shown.reset(answer, committed.at)


@router.post("/v1/resets/{reset_id}/finish", response_model=MintedReset, summary="Stop the old secret now")
def finish(call: AnyCall, reset_id: str, body: Nothing | None = None) -> dict[str, Any]:  # noqa: ARG001  # takes no fields
    """Ends the grace; in the two-step way, the first step."""
    answer, committed = call.change(lambda tx: resets.finish(tx, actor=call.actor, reset_id=id_in_path(reset_id)))
    return shown.moved_reset(answer, committed, call.node)
