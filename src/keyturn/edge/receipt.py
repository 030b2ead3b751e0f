"""The receipt of a stop, for whichever face shows it: waited for, signed and logged (F5, R53)."""

import json
import logging

from keyturn.core.instant import Instant
from keyturn.core.receipt import Receipt, to_note_text
from keyturn.edge.node import Node

log = logging.getLogger("keyturn")


def receipt(
    node: Node,
    *,
    rev: int,
    stopped_at: Instant | None = None,
    reset_id: str = "",
    key_id: str = "",
    account_id: str = "",
) -> tuple[Receipt, str]:
    """Wait until every verifier decides by `rev`, or can decide by nothing else; with the signed note of it."""
    durability = node.durability
    made = node.confirming.confirm(rev)
    one = Receipt(
        reset_id=reset_id,
        key_id=key_id,
        account_id=account_id,
        rev=rev,
        epoch=made.epoch,
        stopped_at=stopped_at,
        confirmed=durability.strict and made.confirmed,
        reason=made.reason if durability.strict else durability.reason,
        waited_ms=made.waited // 1000,
        acknowledged=made.acknowledged,
        waited_out=made.waited_out,
        unleased=made.unleased,
    )
    note = node.notary.sign(to_note_text(one))
    log.info("%s", json.dumps({"event": "receipt", "note": note}, ensure_ascii=False))
    return one, note
