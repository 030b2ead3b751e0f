"""What a stop can be shown with (R53): who has confirmed it, for whichever face shows it."""

from dataclasses import dataclass

from keyturn.edge.node import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Which verifiers decide by a revision."""

    rev: int
    epoch: int
    confirmed: bool
    reason: str
    """Why it is not confirmed; empty where it is."""
    waited_ms: int
    acknowledged: int
    waited_out: tuple[str, ...]
    unleased: tuple[str, ...]


def receipt(node: Node, *, rev: int) -> Receipt:
    """Wait until every verifier decides by `rev`, or can decide by nothing else any more (F5)."""
    durability = node.durability
    made = node.confirming.confirm(rev)
    return Receipt(
        rev=rev,
        epoch=made.epoch,
        confirmed=durability.strict and made.confirmed,
        reason=made.reason if durability.strict else durability.reason,
        waited_ms=made.waited // 1000,
        acknowledged=made.acknowledged,
        waited_out=made.waited_out,
        unleased=made.unleased,
    )
