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
    """On the only node everything up to `rev` is applied before the answer is written."""
    durability = node.durability
    return Receipt(
        rev=rev,
        epoch=node.verifier.epoch,
        confirmed=durability.strict and node.verifier.applied_rev >= rev,
        reason="" if durability.strict else durability.reason,
        waited_ms=0,
        acknowledged=1,
        waited_out=(),
        unleased=(),
    )
