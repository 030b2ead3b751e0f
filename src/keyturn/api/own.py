"""`/v1/self`: what a key may do with itself (R40)."""

from typing import Any

from fastapi import APIRouter

from keyturn.api import shown
from keyturn.api.call import AnyCall, OnceCall
from keyturn.api.placed import Placed
from keyturn.api.resets import asked
from keyturn.api.schemas import AgedKey, AskOwnReset, ChangedKey, MintedReset, Nothing
from keyturn.core.reset import Asking, Reason
from keyturn.flow import age
from keyturn.flow import key as keys

router = APIRouter(prefix="/v1/self", tags=["self"], route_class=Placed)


@router.get("", response_model=AgedKey, summary="Read the key that asks")
def show(call: AnyCall) -> dict[str, Any]:
    """The key whose secret this request shows."""
    key, now = call.read(lambda tx: age.show(tx, actor=call.actor, key_id=call.actor.id))
    return shown.aged_key(key, now)


@router.post("/reset", status_code=201, response_model=MintedReset, summary="Reset the key that asks")
def reset(call: OnceCall, body: AskOwnReset | None = None) -> dict[str, Any]:
    """Only where the policy allows it: whoever holds a stolen key could take its successor."""
    call.needs_https("reset.asked", call.actor.id)
    body = body or AskOwnReset()
    asking = Asking(reason=Reason(body.reason), grace=body.grace, expected_version=body.expected_version)
    return asked(call, call.actor.id, asking)


@router.post("/revoke", response_model=ChangedKey, summary="Revoke the key that asks")
def revoke(call: AnyCall, body: Nothing | None = None) -> dict[str, Any]:  # noqa: ARG001  # takes no fields
    """Always possible."""
    answer, committed = call.change(lambda tx: keys.revoke(tx, actor=call.actor, key_id=call.actor.id))
    return shown.changed_key(answer, committed, call.node)
