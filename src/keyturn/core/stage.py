"""The order of a reset as one table (R10).

Only the moves in `MOVES` are possible; anything else is refused and changes nothing.
The diagram and the reference page are generated from it.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final


class Stage(Enum):
    """How far a reset has come."""

    ASKED = "asked"
    """Waiting for proof of who asks."""
    PROVEN = "proven"
    """Proof complete; no new secret yet."""
    MINTED = "minted"
    """The new secret exists; its dates are set."""
    SETTLED = "settled"
    """The new secret has started, or was used: the handover has begun."""
    ENDED = "ended"
    """Closed without a secret that will ever be accepted."""


class Event(Enum):
    """What moves a reset."""

    PROOF_COMPLETED = "proof_completed"
    OLD_STOPPED = "old_stopped"
    """Somebody stopped the old secret: "stop now", or the first step of the two-step way (R43)."""
    MINTED = "minted"
    STARTED = "started"
    """`new_starts_at` has passed."""
    FIRST_USED = "first_used"
    QUIET = "quiet"
    """The new secret has been used and the old one has not for `quiet_after` (R33)."""
    ORDERED = "ordered"
    """The system wants the reset that is open: it waits for its owner now, should whoever asked leave it (R41)."""
    CLAIMED = "claimed"
    """Somebody took on a reset that the system had ordered; what another one had proved counts no longer."""
    LET_GO = "let_go"
    """Whoever had claimed it gave it back, or their proofs count no longer: it waits again."""
    CANCELLED = "cancelled"
    LAPSED = "lapsed"
    TOO_MANY_ATTEMPTS = "too_many_attempts"
    """The last wrong proof that the policy allows (R11)."""
    KEY_ENDED = "key_ended"
    """The key was revoked, or somebody lifted the suspension as a false alarm (R22)."""
    RESET_AGAIN = "reset_again"
    """A later reset replaced the new secret before it had started (R15)."""


MOVES: Final[Mapping[tuple[Stage, Event], Stage]] = {
    (Stage.ASKED, Event.PROOF_COMPLETED): Stage.PROVEN,
    (Stage.ASKED, Event.ORDERED): Stage.ASKED,
    (Stage.ASKED, Event.CLAIMED): Stage.ASKED,
    (Stage.ASKED, Event.LET_GO): Stage.ASKED,
    (Stage.ASKED, Event.CANCELLED): Stage.ENDED,
    (Stage.ASKED, Event.LAPSED): Stage.ENDED,
    (Stage.ASKED, Event.TOO_MANY_ATTEMPTS): Stage.ENDED,
    (Stage.ASKED, Event.KEY_ENDED): Stage.ENDED,
    (Stage.PROVEN, Event.PROOF_COMPLETED): Stage.PROVEN,
    (Stage.PROVEN, Event.OLD_STOPPED): Stage.PROVEN,
    (Stage.PROVEN, Event.MINTED): Stage.MINTED,
    (Stage.PROVEN, Event.ORDERED): Stage.PROVEN,
    (Stage.PROVEN, Event.CLAIMED): Stage.ASKED,
    (Stage.PROVEN, Event.LET_GO): Stage.ASKED,
    (Stage.PROVEN, Event.CANCELLED): Stage.ENDED,
    (Stage.PROVEN, Event.LAPSED): Stage.ENDED,
    (Stage.PROVEN, Event.TOO_MANY_ATTEMPTS): Stage.ENDED,
    (Stage.PROVEN, Event.KEY_ENDED): Stage.ENDED,
    (Stage.MINTED, Event.STARTED): Stage.SETTLED,
    (Stage.MINTED, Event.FIRST_USED): Stage.SETTLED,
    (Stage.MINTED, Event.RESET_AGAIN): Stage.ENDED,
    (Stage.SETTLED, Event.FIRST_USED): Stage.SETTLED,
    (Stage.SETTLED, Event.OLD_STOPPED): Stage.SETTLED,
    (Stage.SETTLED, Event.QUIET): Stage.SETTLED,
}

OPEN: Final = frozenset({Stage.ASKED, Stage.PROVEN})
"""The stages in which a reset is open: a key has at most one such (R5), and it can lapse (R12)."""
