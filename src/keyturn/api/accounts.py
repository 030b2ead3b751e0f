"""`/v1/accounts`: whom keys belong to."""

from typing import Any

from fastapi import APIRouter

from keyturn.api import page, shown
from keyturn.api.call import AnyCall, id_in_path
from keyturn.api.placed import Placed
from keyturn.api.schemas import AccountShown, CreateAccount, EditAccount, PageShown, SuspendedAccount, Why
from keyturn.edge.receipt import ReceiptDue
from keyturn.flow import account as accounts
from keyturn.flow import key as keys
from keyturn.flow.account import AccountEdit

router = APIRouter(prefix="/v1/accounts", tags=["accounts"], route_class=Placed)


@router.post("", status_code=201, response_model=AccountShown, summary="Add an account")
def create(call: AnyCall, body: CreateAccount) -> dict[str, Any]:
    """For the operator."""
    wish = AccountEdit(
        name=body.name,
        policy=body.policy,
        floor=body.floor,
        reset_allowlist=body.reset_allowlist,
        max_keys_per_user=body.max_keys_per_user,
    )
    account, _ = call.change(lambda tx: accounts.create(tx, actor=call.actor, wish=wish, forge=call.node.forge))
    return shown.account(account)


@router.get("", response_model=PageShown[AccountShown], summary="List accounts")
def listing(call: AnyCall, limit: page.Size = page.USUAL, cursor: page.Cursor = None) -> dict[str, Any]:
    """Newest first."""
    asked = page.asked(limit, cursor)
    found, _ = call.read(lambda tx: accounts.listing(tx, actor=call.actor, page=asked))
    return shown.listing(found, limit, shown.account)


@router.get("/{account_id}", response_model=AccountShown, summary="Read an account")
def show(call: AnyCall, account_id: str) -> dict[str, Any]:
    """Its policy, floor and limits."""
    account, _ = call.read(lambda tx: accounts.show(tx, actor=call.actor, account_id=id_in_path(account_id)))
    return shown.account(account)


@router.patch("/{account_id}", response_model=AccountShown, summary="Edit an account")
def edit(call: AnyCall, account_id: str, body: EditAccount) -> dict[str, Any]:
    """Policy, floor and limits are the operator's to set."""
    given = body.model_fields_set
    change = AccountEdit(
        name=body.name,
        policy=(body.policy or "") if "policy" in given else None,
        floor=(body.floor or "") if "floor" in given else None,
        reset_allowlist=body.reset_allowlist,
        max_keys_per_user=body.max_keys_per_user,
        drop_max_keys_per_user="max_keys_per_user" in given and body.max_keys_per_user is None,
    )
    account, _ = call.change(
        lambda tx: accounts.edit(tx, actor=call.actor, account_id=id_in_path(account_id), edit=change)
    )
    return shown.account(account)


@router.post("/{account_id}/suspend", response_model=SuspendedAccount, summary="Suspend every key of an account")
def suspend(call: AnyCall, account_id: str, body: Why | None = None) -> dict[str, Any]:
    """One step for however many keys."""
    reason = (body.reason if body else None) or "account"
    (count, rev), committed = call.change(
        lambda tx: keys.suspend_account(tx, actor=call.actor, account_id=id_in_path(account_id), reason=reason)
    )
    due = ReceiptDue(
        account_id=account_id,
        rev=rev,
        epoch=committed.epoch,
        durability=call.node.durability,
        stopped_at=committed.at,
    )
    return {"account_id": account_id, "keys": count, "receipt": due}
