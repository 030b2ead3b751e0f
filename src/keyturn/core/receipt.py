"""The receipt of a stop: who has confirmed it (F5, R53)."""

from dataclasses import dataclass

from keyturn.core.instant import Instant, to_text

HEADING = "keyturn receipt v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Which verifiers decide by a revision."""

    reset_id: str = ""
    """Empty where no reset stopped it."""
    key_id: str = ""
    """Empty where many were stopped at once."""
    account_id: str = ""
    """Whose keys, where many were."""
    rev: int
    epoch: int
    stopped_at: Instant | None = None
    """Since when no earlier secret is accepted; None while one goes on."""
    confirmed: bool
    reason: str = ""
    """Why it is not confirmed; empty where it is."""
    waited_ms: int = 0
    acknowledged: int = 0
    """Nodes and verifiers together."""
    waited_out: tuple[str, ...] = ()
    """Instances that did not answer, and whose lease is over."""
    unleased: tuple[str, ...] = ()
    """Instances that answer from memory without a lease: the promise does not hold for them (F12)."""


def to_note_text(one: Receipt) -> str:
    """The receipt as the text of a signed note: a line for each field, in this order, `-` for none."""
    fields = {
        "reset": one.reset_id,
        "key": one.key_id,
        "account": one.account_id,
        "rev": str(one.rev),
        "epoch": str(one.epoch),
        "stopped_at": to_text(one.stopped_at) if one.stopped_at else "",
        "confirmed": "yes" if one.confirmed else "no",
        "reason": one.reason,
        "waited_ms": str(one.waited_ms),
        "acknowledged": str(one.acknowledged),
        "waited_out": " ".join(one.waited_out),
        "unleased": " ".join(one.unleased),
    }
    return "".join(f"{line}\n" for line in (HEADING, *(f"{name} {value or '-'}" for name, value in fields.items())))
