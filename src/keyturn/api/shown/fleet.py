"""The fleet, as the API shows it."""

from keyturn.api.shown.wire import Wire
from keyturn.core.lease import Terms
from keyturn.edge.node import Node
from keyturn.flow.confirmation import ESTRANGED, UNLEASED, Progress
from keyturn.flow.fleet import Fleet, Standing


def fleet(node: Node, found: Fleet) -> Wire:
    """Everything there is to see."""
    reason = (
        node.durability.reason
        or (ESTRANGED if node.membership.estranged else "")
        or (UNLEASED if found.has_unleased else "")
    )
    return {
        "epoch": found.epoch,
        "rev": found.rev,
        "terms": terms(found.terms),
        "receipt_key": node.notary.key.to_text(),
        "confirms": not reason,
        "reason": reason or None,
        "answered_by": node.membership.instance,
        "nodes": [_standing(one) | {"verifiers": [_standing(each) for each in one.verifiers]} for one in found.nodes],
        "fences": [fence(node, one) for one in node.confirming.running()],
    }


def fence(node: Node, one: Progress) -> Wire:
    """How far a stop has come."""
    reason = node.durability.reason or one.reason
    return {
        "rev": one.rev,
        "acknowledged": one.acknowledged,
        "of": one.of,
        "waiting_for": list(one.waiting_for),
        "waited_out": list(one.waited_out),
        "unleased": list(one.unleased),
        "last_lease_ends_in_ms": _up(one.ends_in),
        "final": one.is_over and not reason,
        "reason": reason or None,
    }


def terms(one: Terms) -> Wire:
    """For how long leases are given."""
    return {"lease_ms": one.length // 1000, "margin_ms": one.margin // 1000, "fence_ms": one.fence // 1000}


def _standing(one: Standing) -> Wire:
    return {
        "instance": one.instance,
        "name": one.name,
        "footing": one.footing.value,
        "lease_ends_in_ms": _up(one.ends_in),
        "applied_rev": one.applied_rev,
        "acknowledged_rev": one.acked_rev,
        "lag": one.lag,
    }


def _up(micros: int) -> int:
    """Whole milliseconds, never too few."""
    return -(-micros // 1000)
