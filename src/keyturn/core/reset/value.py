"""A reset, what was asked, and the one way in which it moves (R5, R10, R12)."""

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum
from typing import Final

from keyturn.core.actor import Actor, Channel
from keyturn.core.handover import Terms
from keyturn.core.instant import Instant
from keyturn.core.key import Key
from keyturn.core.policy import Effective, Policy
from keyturn.core.proof import PERSONAL, Proof, ProofSets, missing, missing_to_wire
from keyturn.core.refusal import OutOfOrder, Refusal, ResetLapsed
from keyturn.core.stage import MOVES, OPEN, Event, Stage


class Reason(Enum):
    """Why a key is reset; it decides the order (K4)."""

    LOST = "lost"
    LEAKED = "leaked"
    SUSPICIOUS = "suspicious"
    ROUTINE = "routine"
    PERSONNEL = "personnel"
    POLICY = "policy"


CLAIM_LASTS: Final = timedelta(hours=24)
"""How long a reset that the system ordered waits to be claimed; longer where the old secret goes on longer (R12)."""
CLAIM_HELD: Final = timedelta(minutes=10)
"""How long nobody else may take over a claimed reset, since it was claimed or last proved."""
REVOKE_FIRST: Final = frozenset({Reason.LEAKED, Reason.SUSPICIOUS})
"""A thief with the old key costs more than an owner without one: no grace, whatever was requested."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Narrowing:
    """What the reset takes away from the key in the same step; None leaves a field alone (R23)."""

    permissions: tuple[str, ...] | None = None
    allowlist: tuple[str, ...] | None = None
    expires_at: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What somebody asks for."""

    reason: Reason
    grace: timedelta | None = None
    expected_version: int | None = None
    narrow: Narrowing | None = None
    waive_cool_down: bool = False
    suspend_created_since: Instant | None = None
    """R25: with `leaked`, suspend what this key has created since then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """One run of the protocol on one key (R5)."""

    id: str
    key_id: str
    account_id: str
    owner_id: str
    asking: Asking
    channel: Channel
    asked_by: str
    session: str
    address: str | None
    policy: Policy
    """The policy in force, copied; a later change reaches it only where stricter (R32)."""
    sources: tuple[tuple[str, str], ...]
    """Which named policy each field came from (R31)."""
    wanted: ProofSets
    terms: Terms
    stage: Stage
    asked_at: Instant
    lapses_at: Instant
    proofs: tuple[Proof, ...] = ()
    refused_proofs: int = 0
    new_version: int | None = None
    minted_at: Instant | None = None
    new_starts_at: Instant | None = None
    old_stops_at: Instant | None = None
    first_used_at: Instant | None = None
    ended_at: Instant | None = None
    end_reason: str = ""
    ordered: Asking | None = None
    """What the system ordered; None of a reset that somebody asked for (R41)."""
    ordered_by: str = ""
    claimed_at: Instant | None = None
    """When `asked_by` took it on."""

    @property
    def waits(self) -> bool:
        """Whether it was ordered and nobody has claimed it."""
        return self.stage in OPEN and self.ordered is not None and not self.asked_by

    @property
    def in_two_steps(self) -> bool:
        """Whether stopping the old secret is a step of its own (R43); what the system ordered is done in one."""
        return self.policy.manual == "two_step" and self.channel is Channel.PERSON and self.ordered is None

    def source(self, field: str) -> str:
        """The policy that made this field what it is."""
        return dict(self.sources).get(field, self.policy.name)

    def missing(self, now: Instant) -> tuple[str, ...]:
        """R11: what is still to be proved, each entry an alternative."""
        if self.stage not in OPEN:
            return ()
        return missing_to_wire(missing(self.wanted, self._counting, now=now, lasts=self.policy.proof_lasts))

    @property
    def _counting(self) -> tuple[Proof, ...]:
        """The proofs without what somebody else vouched for, where the policy forbids that, perhaps since (R32)."""
        if self.policy.vouching == "allowed":
            return self.proofs
        return tuple(one for one in self.proofs if one.by == self.asked_by or one.kind not in PERSONAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one step made of a reset and its key."""

    event: Event | None
    """The move, or None where the reset stays where it is."""
    reset: Reset
    key: Key


def stage_at(reset: Reset, now: Instant) -> Stage:
    """The stage by the dates: right also when no job ever ran (R2, R12)."""
    if reset.stage in OPEN and now >= reset.lapses_at:
        return Stage.ENDED
    if reset.stage is Stage.MINTED and reset.new_starts_at is not None and now >= reset.new_starts_at:
        return Stage.SETTLED
    return reset.stage


def is_open(reset: Reset, now: Instant) -> bool:
    """Whether it still stands in the way of another reset (R5)."""
    return stage_at(reset, now) in OPEN


def move(reset: Reset, event: Event, *, now: Instant) -> Reset | Refusal:
    """R10: the one way a reset changes its stage."""
    if reset.stage in OPEN and now >= reset.lapses_at and event is not Event.LAPSED:
        return ResetLapsed(lapsed_at=reset.lapses_at)
    stage = stage_at(reset, now) if event is not Event.LAPSED and event is not Event.STARTED else reset.stage
    following = MOVES.get((stage, event))
    early = event is Event.STARTED and (reset.new_starts_at is None or now < reset.new_starts_at)
    if following is None or early:
        return OutOfOrder(stage=stage.value, event=event.value)
    if following is Stage.ENDED:
        return replace(reset, stage=following, ended_at=now, end_reason=event.value)
    return replace(reset, stage=following)


def owns(actor: Actor, key: Key) -> bool:
    """Whether this is the owner in person, whom the proofs show."""
    return actor.channel is Channel.PERSON and actor.user_id == key.owner_id


def effective_of(reset: Reset) -> Effective:
    """The policy in force when it was asked for, with where each field came from (R31)."""
    return Effective(policy=reset.policy, sources=dict(reset.sources))


def is_asker(reset: Reset, actor: Actor) -> bool:
    """Whether this is who asked, speaking through the same session (R11)."""
    return actor.id == reset.asked_by and actor.session == reset.session


def end(reset: Reset, event: Event, *, now: Instant) -> Reset | Refusal:
    """Cancel it, let it lapse, or end it with its key.  What R22 stopped stays stopped (R12)."""
    if event is Event.LAPSED and now < reset.lapses_at:
        return OutOfOrder(stage=reset.stage.value, event=event.value)
    return move(reset, event, now=now)
