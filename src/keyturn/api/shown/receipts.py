"""Receipts, as the API shows them."""

from keyturn.api.shown.wire import Wire, when
from keyturn.core.instant import Instant
from keyturn.edge import receipt as receipts
from keyturn.edge.node import Node


def receipt(
    node: Node,
    *,
    rev: int,
    epoch: int,
    stopped_at: Instant | None,
    key_id: str = "",
    reset_id: str = "",
    account_id: str = "",
) -> Wire:
    """R53.  Waits until there is something to say."""
    one, note = receipts.receipt(
        node,
        rev=rev,
        epoch=epoch,
        stopped_at=stopped_at,
        reset_id=reset_id,
        key_id=key_id,
        account_id=account_id,
    )
    return {
        "reset": one.reset_id or None,
        "key": one.key_id or None,
        "rev": one.rev,
        "epoch": one.epoch,
        "stopped_at": when(one.stopped_at),
        "confirmed": one.confirmed,
        "reason": one.reason or None,
        "waited_ms": one.waited_ms,
        "verifiers": {
            "acknowledged": one.acknowledged,
            "waited_out": list(one.waited_out),
            "unleased": list(one.unleased),
        },
        "note": note,
    }
