"""Refused for the order of the protocol."""

from dataclasses import dataclass
from typing import ClassVar

from keyturn.core.instant import Instant
from keyturn.core.refusal.refusal import Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class NotTheAsker(Refusal):
    """The new secret goes to whoever asked and proved it, in the same session, and to nobody else."""

    kind: ClassVar[str] = "not_the_asker"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "Only whoever asked for this reset may take the next step."


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetAlreadyOpen(Refusal):
    kind: ClassVar[str] = "reset_already_open"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "A reset of this key is open already."
    reset_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimWaits(Refusal):
    """R41: whoever claims it proves, and receives."""

    kind: ClassVar[str] = "claim_waits"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "This reset was ordered and waits to be claimed; claim it first."
    reset_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimTaken(Refusal):
    kind: ClassVar[str] = "claim_taken"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "Somebody else has claimed this reset and is proving who they are."
    until: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class NothingToClaim(Refusal):
    kind: ClassVar[str] = "nothing_to_claim"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "Nobody ordered this reset; whoever asked for it goes on with it."


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfOrder(Refusal):
    kind: ClassVar[str] = "reset_out_of_order"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "That step is not possible at this stage of the reset."
    stage: str
    event: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewNotStarted(Refusal):
    """Stopping the old secret now would leave none that is accepted (R21)."""

    kind: ClassVar[str] = "new_not_started"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The new secret is not accepted yet, so the old one cannot be stopped without a gap."
    new_starts_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetLapsed(Refusal):
    kind: ClassVar[str] = "reset_lapsed"
    status: ClassVar[int] = 410
    title: ClassVar[str] = "The reset was left open too long and has lapsed; ask again."
    lapsed_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class TooManyAttempts(Refusal):
    kind: ClassVar[str] = "too_many_attempts"
    status: ClassVar[int] = 429
    title: ClassVar[str] = "Too many proofs were refused; the reset has ended."
    policy: str
    field: str = "attempts"
