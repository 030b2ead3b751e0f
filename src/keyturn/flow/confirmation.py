"""What comes of confirming a stop, and how far it has come (F5)."""

from dataclasses import dataclass
from typing import Final

AWAY: Final = "the database went away while verifiers were waited for"
LOST: Final = "the database was put back or its epoch raised after the change was made"
LEFT: Final = "the server ended while verifiers were waited for"
ESTRANGED: Final = "this node knows of changes that the database has lost; raise the epoch"
UNLEASED: Final = "a verifier answers from memory without a lease"


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """Which verifiers decide by a revision, and how long that took."""

    rev: int
    epoch: int
    confirmed: bool
    reason: str = ""
    """Why it is not confirmed; empty where it is."""
    waited: int = 0
    """Microseconds."""
    acknowledged: int = 0
    waited_out: tuple[str, ...] = ()
    unleased: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A fence as it stands, for people who look at it."""

    rev: int
    acknowledged: int
    """Nodes and verifiers that decide by it."""
    of: int
    ends_in: int
    """Microseconds until the last lease is over; 0 where nobody is waited for."""
    waiting_for: tuple[str, ...]
    """Instances."""
    waited_out: tuple[str, ...]
    """Once it is over: who has not acknowledged, and has no lease of before any more."""
    unleased: tuple[str, ...]
    """Who may answer from memory without a lease (F12)."""
    reason: str
    """Why it confirms nothing, however long one waits; empty where it does."""

    @property
    def is_over(self) -> bool:
        """Whether nobody is waited for any longer."""
        return not self.ends_in
