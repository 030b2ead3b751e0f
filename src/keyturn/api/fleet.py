"""`/v1/fleet`: who holds a lease, how far each has come, and whom a stop waits for (F5)."""

from typing import Annotated, Any

from fastapi import APIRouter, Path

from keyturn.api import shown
from keyturn.api.call import AnyCall
from keyturn.api.schemas import FenceShown, FleetShown
from keyturn.flow import fleet

router = APIRouter(prefix="/v1/fleet", tags=["fleet"])
_MOST = (1 << 62) - 1
Rev = Annotated[int, Path(ge=1, le=_MOST, description="The `rev` of a receipt.")]


@router.get("", response_model=FleetShown, summary="Look at nodes and verifiers")
def look(call: AnyCall) -> dict[str, Any]:
    """As the node that answers knows it: of other nodes since their last renewal.

    Takes `keyturn.audit:read` of the operator's own account.
    """
    member = call.node.membership
    own = member.standing()  # before the database is read: what it has applied is known there
    found, _ = call.read(lambda tx: fleet.look(tx, actor=call.actor, own=own, member=member))
    return shown.fleet(call.node, found)


@router.get("/fences/{rev}", response_model=FenceShown, summary="Look whether a stop is final yet")
def fence(call: AnyCall, rev: Rev) -> dict[str, Any]:
    """Who decides by this revision.  The first look begins a fence, so that it is over in time."""
    call.read(lambda tx: fleet.check_rev(tx, actor=call.actor, rev=rev))
    return shown.fence(call.node.confirming.look(rev))
