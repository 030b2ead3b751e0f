"""Receipts, as the API shows them."""

from keyturn.api.shown.wire import Wire, when
from keyturn.core.receipt import Receipt


def receipt(one: Receipt, note: str) -> Wire:
    """R53."""
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
