"""`/v1/fleet`: who holds a lease, how far each has come, and whom a stop waits for (F5)."""

import logging
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Path

from keyturn.api import shown
from keyturn.api.call import AnyCall
from keyturn.api.schemas import EpochShown, FenceShown, FleetShown, RaiseEpoch, SetTerms, TermsShown
from keyturn.core.lease import Terms
from keyturn.flow import fleet
from keyturn.ports.store import StoreUnavailable

router = APIRouter(prefix="/v1/fleet", tags=["fleet"])
log = logging.getLogger("keyturn")
_MOST = (1 << 62) - 1
Rev = Annotated[int, Path(ge=1, le=_MOST, description="The `rev` of a receipt.")]


@router.get("", response_model=FleetShown, summary="Look at nodes and verifiers")
def look(call: AnyCall) -> dict[str, Any]:
    """As the node that answers knows it: of other nodes since their last renewal.

    Takes `keyturn.audit:read` of the operator's own account.
    """
    member = call.node.membership
    own = member.standing()  # before the database is read: what it has applied is known there
    found, _ = call.glance(lambda tx: fleet.look(tx, actor=call.actor, own=own, member=member))
    return shown.fleet(call.node, found)


@router.post("/raise-epoch", response_model=EpochShown, summary="Raise the epoch")
def raise_epoch(call: AnyCall, body: RaiseEpoch) -> dict[str, Any]:
    """After a restore, or a failover that lost commits: every node and verifier drops what it holds and joins anew.

    No stop is confirmed until the leases of those who do not hear of it are over.  Takes `keyturn.admin` of the
    operator's own account.
    """
    raised, _ = call.change(
        lambda tx: fleet.raise_epoch(tx, actor=call.actor, epoch=body.epoch, reason=body.reason),
    )
    log.warning("the epoch was raised to %d", raised.epoch)
    member = call.node.membership
    with suppress(StoreUnavailable):
        member.renew()  # this node at once; the others when they renew
    return {"epoch": raised.epoch, "nothing_confirmed_for_ms": -(-raised.lasts // 1000)}


@router.put("/terms", response_model=TermsShown, summary="Set for how long leases are given")
def set_terms(call: AnyCall, body: SetTerms) -> dict[str, Any]:
    """Nodes give leases by these from their next renewal on; what was given before lasts as long as it was given for.

    A stop waits by the longest lease in force.  Takes `keyturn.admin` of the operator's own account.
    """
    terms = Terms(length=body.lease_ms * 1000, margin=body.margin_ms * 1000)
    made, _ = call.change(lambda tx: fleet.set_terms(tx, actor=call.actor, terms=terms))
    with suppress(StoreUnavailable):
        call.node.membership.renew()  # this node at once; the others when they renew
    return shown.terms(made)


@router.get("/fences/{rev}", response_model=FenceShown, summary="Look whether a stop is final yet")
def fence(call: AnyCall, rev: Rev) -> dict[str, Any]:
    """Who decides by this revision.  The first look begins a fence, so that it is over in time."""
    call.glance(lambda tx: fleet.check_rev(tx, actor=call.actor, rev=rev))
    return shown.fence(call.node, call.node.confirming.look(rev))
