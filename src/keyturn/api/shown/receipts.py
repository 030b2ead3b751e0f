"""Receipts, as the API shows them."""

from keyturn.api.shown.wire import Wire, when
from keyturn.core.instant import Instant
from keyturn.edge import receipt as receipts
from keyturn.edge.node import Node


def receipt(
    node: Node, *, rev: int, stopped_at: Instant | None, key_id: str | None = None, reset_id: str | None = None
) -> Wire:
    """R53."""
    one = receipts.receipt(node, rev=rev)
    return {
        "reset": reset_id,
        "key": key_id,
        "rev": one.rev,
        "epoch": one.epoch,
        "stopped_at": when(stopped_at),
        "confirmed": one.confirmed,
        "reason": one.reason or None,
        "waited_ms": one.waited_ms,
        "verifiers": {
            "acknowledged": one.acknowledged,
            "waited_out": list(one.waited_out),
            "unleased": list(one.unleased),
        },
    }
