"""The receipt of a stop, for whichever face shows it: waited for, signed and logged (F5, R53)."""

import json
import logging

from keyturn.core.instant import Instant
from keyturn.core.receipt import Receipt, to_note_text
from keyturn.edge.node import Node
from keyturn.flow.step import ResetAnswer

log = logging.getLogger("keyturn")


def stopped_at(answer: ResetAnswer, now: Instant) -> Instant | None:
    """Since when every earlier secret is refused; None while one goes on."""
    key, new = answer.key, answer.reset.new_version
    old = [one for one in key.secrets if new is None or one.version < new]
    if old and all(one.is_over(now) for one in old):
        return max(one.stops_at for one in old)
    return key.suspension.at if key.suspension else None


def receipt(
    node: Node,
    *,
    rev: int,
    epoch: int,
    stopped_at: Instant | None = None,
    reset_id: str = "",
    key_id: str = "",
    account_id: str = "",
) -> tuple[Receipt, str]:
    """Wait until every verifier decides by `rev`, or can decide by nothing else; with the signed note of it.

    `epoch` is the one it was committed in.
    """
    committed = node.durability
    made = node.confirming.confirm(rev, epoch=epoch)
    durability = node.durability if committed.strict else committed
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
