"""The reset protocol (R5, R10 to R25): what each step makes of a reset and its key.

Pure decisions over values; `stage.py` holds the order, `handover.py` the dates, `proof.py` what proves whom.
Every function returns the changed values or a refusal and touches nothing else.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum
from typing import Final

from keyturn.core import allowlist, duration, permission
from keyturn.core.actor import Actor, Channel
from keyturn.core.handover import Gap, Handover, Terms, hand_over, old_stops_at, plan, stop_all, stop_old_by
from keyturn.core.instant import FOREVER, Instant, later
from keyturn.core.key import Key, StopReason, Suspension, secret_of
from keyturn.core.permission import RIGHT_KEYS_RESET
from keyturn.core.policy import Effective, Policy, allows_own_secret, differences, stricter_policy
from keyturn.core.proof import (
    ADMINISTRATOR,
    CREDENTIAL,
    KEY_ITSELF,
    PERSONAL,
    SECOND_ADMINISTRATOR,
    SECOND_FACTORS,
    Proof,
    ProofSets,
    attainable,
    missing,
    missing_to_wire,
    not_enrolled,
    stricter_sets,
    wants,
    with_second_factor,
    with_waiver,
)
from keyturn.core.refusal import (
    AdministratorTooNew,
    AllowlistTooLong,
    ClaimTaken,
    ClaimWaits,
    GraceTooLong,
    InvalidField,
    KeyChanged,
    KeyExpired,
    KeyRevoked,
    ManualResetForbidden,
    NewNotStarted,
    NotTheAsker,
    OriginRefused,
    OutOfOrder,
    OwnSecretForbidden,
    PermissionMissing,
    ProofNotWanted,
    ProofRefused,
    ProofRequired,
    Refusal,
    ResetAlreadyOpen,
    ResetLapsed,
    SecondFactorNotEnrolled,
    SelfResetForbidden,
    Widening,
    WiderThanActor,
)
from keyturn.core.secret import Kept, SecretKind
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


# Asking


def ask(
    key: Key,
    asking: Asking,
    *,
    actor: Actor,
    effective: Effective,
    enrolled: frozenset[str],
    reset_allowlist: tuple[str, ...],
    latest: Reset | None,
    reset_id: str,
    arrived_rev: int,
    now: Instant,
    holder_gone: bool = False,
) -> Step | Refusal:
    """Open a reset, or say why not.  With a leaked or suspicious key, suspend it at once (R22).

    `latest` is the key's newest reset; one that the system ordered becomes this one, unless another is proving it.
    `arrived_rev` is the feed revision this node had applied when the request arrived: a secret minted at a later one
    was minted meanwhile, so this request has lost the race (R14).
    """
    open_one = latest if latest is not None and is_open(latest, now) else None
    asking = _still_leaked(open_one, asking)
    refusal = (
        _check_actor(key, actor, effective)
        or _check_key(key, asking, arrived_rev=arrived_rev, now=now)
        or (open_one and _check_open(open_one, actor, holder_gone=holder_gone, now=now))
        or check_origin(actor, effective, reset_allowlist)
        or _check_wishes(key, asking, effective, now=now)
    )
    if refusal is not None:
        return refusal
    policy = effective.policy
    wanted = wanted_of(actor, asking, effective, enrolled=enrolled, reset_allowlist=reset_allowlist)
    if isinstance(wanted, Refusal):
        return wanted
    terms = terms_of(asking, policy, actor.channel)
    reset = Reset(
        id=reset_id,
        key_id=key.id,
        account_id=key.account_id,
        owner_id=key.owner_id,
        asking=asking,
        channel=actor.channel,
        asked_by=actor.id,
        session=actor.session,
        address=actor.address,
        policy=policy,
        sources=tuple(sorted(effective.sources.items())),
        wanted=wanted,
        terms=terms,
        stage=Stage.ASKED,
        asked_at=now,
        lapses_at=later(now, policy.reset_lapses),
    )
    event = None
    if open_one is not None:
        reset, event = _in_place_of(open_one, reset, now=now), Event.CLAIMED
    return Step(event=event, reset=reset, key=suspend_first(key, reset, by=actor.id, now=now))


def _still_leaked(claim: Reset | None, asking: Asking) -> Asking:
    """What was ordered for a leak stays a leak, whatever reason its claimer gives: the old secret stops (R22)."""
    if claim is None or claim.ordered is None or not claim.terms.revoke_first or asking.reason in REVOKE_FIRST:
        return asking
    since = asking.suspend_created_since or claim.asking.suspend_created_since
    return replace(asking, reason=claim.asking.reason, suspend_created_since=since)


def suspend_first(key: Key, reset: Reset, *, by: str, now: Instant) -> Key:
    """R22: a leaked or suspicious key is suspended as soon as its reset is asked for."""
    if not reset.terms.revoke_first or key.suspension is not None:
        return key
    suspension = Suspension(at=now, by=by, reason=reset.asking.reason.value, reset_id=reset.id)
    return replace(key, suspension=suspension)


def _in_place_of(claim: Reset, asked: Reset, *, now: Instant) -> Reset:
    """What was asked for, as the claim that waited: it goes on waiting where the asker leaves it."""
    return replace(
        asked,
        id=claim.id,
        asked_at=claim.asked_at,
        lapses_at=claim.lapses_at,
        refused_proofs=claim.refused_proofs,
        ordered=claim.ordered,
        ordered_by=claim.ordered_by,
        claimed_at=now,
    )


def _check_open(reset: Reset, actor: Actor, *, holder_gone: bool, now: Instant) -> Refusal | None:
    if reset.ordered is None:
        return ResetAlreadyOpen(reset_id=reset.id)
    return check_held(reset, actor, holder_gone=holder_gone, now=now)


def check_held(reset: Reset, actor: Actor, *, holder_gone: bool, now: Instant) -> Refusal | None:
    """Whether another one has claimed it and may still be proving."""
    if not reset.asked_by or reset.asked_by == actor.id or holder_gone:
        return None
    until = later(max((reset.claimed_at or reset.asked_at, *(one.at for one in reset.proofs))), CLAIM_HELD)
    return ClaimTaken(until=until) if now < until else None


def _check_actor(key: Key, actor: Actor, effective: Effective) -> Refusal | None:
    policy = effective.policy
    if actor.channel is Channel.KEY:
        if policy.self_reset == "forbidden":
            return SelfResetForbidden(policy=effective.source("self_reset"))
        return None
    if not actor.may(RIGHT_KEYS_RESET, key.account_id):
        return PermissionMissing(needed=RIGHT_KEYS_RESET)
    if actor.channel is Channel.PERSON and policy.manual == "forbidden":
        return ManualResetForbidden(policy=effective.source("manual"))
    if not owns(actor, key) and (beyond := actor.rights_beyond(key.permissions)):
        return WiderThanActor(beyond=beyond)
    return None


def check_order(key: Key, asking: Asking, actor: Actor, effective: Effective, *, now: Instant) -> Refusal | None:
    """Whether somebody may order a reset of the key for another to claim: less is asked, for they get no secret."""
    rights = (RIGHT_KEYS_RESET, permission.RIGHT_STAFF_STOP)
    if actor.id == key.id or not any(actor.may(right, key.account_id) for right in rights):
        return PermissionMissing(needed=RIGHT_KEYS_RESET)
    if actor.channel is Channel.PERSON and effective.policy.manual == "forbidden":
        return ManualResetForbidden(policy=effective.source("manual"))
    return _check_wishes(key, asking, effective, now=now)


def owns(actor: Actor, key: Key) -> bool:
    """Whether this is the owner in person, whom the proofs show."""
    return actor.channel is Channel.PERSON and actor.user_id == key.owner_id


def check_ended(key: Key, now: Instant) -> Refusal | None:
    """A reset never revives a key."""
    if key.revoked_at is not None:
        return KeyRevoked(revoked_at=key.revoked_at)
    return KeyExpired(expired_at=key.expires_at) if now >= key.expires_at else None


def _check_key(key: Key, asking: Asking, *, arrived_rev: int, now: Instant) -> Refusal | None:
    if refusal := check_ended(key, now):
        return refusal
    moved_on = asking.expected_version is not None and asking.expected_version != key.version
    if moved_on or key.secrets[-1].rev > arrived_rev:
        return KeyChanged(version=key.version)
    return None


def check_origin(actor: Actor, effective: Effective, reset_allowlist: tuple[str, ...]) -> Refusal | None:
    """K9: who is off the account's allowlist may suspend, and no more, where the policy says so."""
    if effective.policy.reset_origin == "allowlist_only" and _is_new_origin(actor, reset_allowlist):
        return OriginRefused(policy=effective.source("reset_origin"))
    return None


def from_here(
    reset: Reset, actor: Actor, *, enrolled: frozenset[str], reset_allowlist: tuple[str, ...]
) -> Reset | Refusal:
    """K9: an open reset as it stands for somebody at this address, which need not be the one it was asked from.

    Where the policy wants a second factor from new addresses, it is wanted from here on.
    """
    effective = effective_of(reset)
    if refusal := check_origin(actor, effective, reset_allowlist):
        return refusal
    if not _steps_up(actor, reset.policy, reset_allowlist):
        return reset
    sets = with_second_factor(reset.wanted)
    wanted = attainable(sets, enrolled)
    if wanted:
        return replace(reset, wanted=wanted)
    source = effective.source("reset_origin")
    return SecondFactorNotEnrolled(wanted=not_enrolled(sets, enrolled), policy=source, field="reset_origin")


def effective_of(reset: Reset) -> Effective:
    """The policy in force when it was asked for, with where each field came from (R31)."""
    return Effective(policy=reset.policy, sources=dict(reset.sources))


def _steps_up(actor: Actor, policy: Policy, reset_allowlist: tuple[str, ...]) -> bool:
    """Whether a second factor is wanted of this person for where they are.  A program's credential has no second."""
    asked = actor.channel is Channel.PERSON and policy.reset_origin == "step_up_if_new"
    return asked and _is_new_origin(actor, reset_allowlist)


def _is_new_origin(actor: Actor, reset_allowlist: tuple[str, ...]) -> bool:
    if not reset_allowlist:
        return False  # nothing set: every address may start a reset
    return actor.address is None or not allowlist.Matcher(reset_allowlist).admits(actor.address)


def _check_wishes(key: Key, asking: Asking, effective: Effective, *, now: Instant) -> Refusal | None:
    policy = effective.policy
    revoke_first = asking.reason in REVOKE_FIRST
    if asking.grace is not None and asking.grace > policy.grace_max and not revoke_first:
        return GraceTooLong(grace_max=duration.to_text(policy.grace_max), policy=effective.source("grace_max"))
    narrow = asking.narrow or Narrowing()
    if narrow.permissions is not None and not permission.covers(key.permissions, narrow.permissions):
        return Widening(field="permissions")
    if narrow.allowlist is not None and not allowlist.covers(key.allowlist, narrow.allowlist):
        return Widening(field="allowlist")
    if narrow.allowlist is not None and len(narrow.allowlist) > max(policy.allowlist_max, len(key.allowlist)):
        return AllowlistTooLong(limit=policy.allowlist_max, policy=effective.source("allowlist_max"))
    if narrow.expires_at is not None and narrow.expires_at > key.expires_at:
        return Widening(field="expires_at")
    if narrow.expires_at is not None and narrow.expires_at <= now:
        return InvalidField(field="narrow.expires_at", reason="lies in the past; revoke the key instead")
    return None


def terms_of(asking: Asking, policy: Policy, channel: Channel) -> Terms:
    """What reason and policy make of a reset (R20, R43)."""
    grace = policy.grace_default if asking.grace is None else asking.grace
    longest = policy.grace_max if policy.wait_for_first_use else grace
    if asking.reason is Reason.LOST:
        grace, longest = timedelta(0), policy.grace_max
    if policy.manual == "two_step" and channel is Channel.PERSON:
        longest = policy.grace_max  # minting stops nothing: "stop the old" is a step of its own (R43)
    return Terms(
        revoke_first=asking.reason in REVOKE_FIRST,
        cool_down=timedelta(0) if asking.waive_cool_down else policy.cool_down,
        dangerous_only=policy.cool_down_scope == "dangerous_only",
        grace=grace,
        longest=longest,
    )


def wanted_of(
    actor: Actor, asking: Asking, effective: Effective, *, enrolled: frozenset[str], reset_allowlist: tuple[str, ...]
) -> ProofSets | SecondFactorNotEnrolled:
    """R11, R24, R40: the sets of proofs that are enough for this actor, and that they can give."""
    policy = effective.policy
    by_channel = {Channel.PERSON: policy.proofs, Channel.KEY: (frozenset({KEY_ITSELF}),)}
    sets = by_channel.get(actor.channel, (frozenset({CREDENTIAL}),))
    field = "proofs"
    if actor.channel is Channel.PERSON:
        new_origin = _steps_up(actor, policy, reset_allowlist)
        by_enrolment = policy.step_up == "enrolled" and bool(enrolled & SECOND_FACTORS)
        if policy.step_up == "required" or by_enrolment or new_origin:
            sets, field = with_second_factor(sets), "reset_origin" if new_origin else "step_up"
    if asking.waive_cool_down and policy.cool_down:
        sets = with_waiver(sets)
    can_give = attainable(sets, enrolled)
    if can_give:
        return can_give
    if not attainable(policy.proofs, enrolled):
        field = "proofs"
    return SecondFactorNotEnrolled(wanted=not_enrolled(sets, enrolled), policy=effective.source(field), field=field)


# Proving


def prove(reset: Reset, key: Key, proof: Proof, *, now: Instant) -> Step | Refusal:
    """R11: add one accepted proof; when it completes a set, the reset is proven.

    With a leaked or suspicious key that stops the old secret for good (R20).
    """
    if reset.waits:
        return ClaimWaits(reset_id=reset.id)
    if not wants(reset.wanted, proof.kind):
        return ProofNotWanted(missing=reset.missing(now))
    proven = move(reset, Event.PROOF_COMPLETED, now=now)
    if isinstance(proven, Refusal):
        return proven
    if proof.session != reset.session:
        return refuse_proof(reset)
    proofs = (*(one for one in reset.proofs if one.kind != proof.kind), proof)
    with_proof = replace(reset, proofs=proofs)
    if with_proof.missing(now):
        return Step(event=None, reset=with_proof, key=key)
    if reset.terms.revoke_first:
        key = stop_all(key, reason=StopReason.LEAKED, before=key.version + 1, reset_id=reset.id, now=now)
    return Step(event=Event.PROOF_COMPLETED, reset=replace(proven, proofs=proofs), key=key)


def vouch(asked: Step, said: tuple[Proof, ...], *, now: Instant) -> Step:
    """Add what an operator vouches for to a reset that was just asked, as far as it helps, is fresh and allowed.

    It never waives a cool-down: that takes a second factor shown here (R24).
    """
    step = asked
    if asked.reset.policy.vouching == "forbidden":
        return step
    for proof in said:
        waives = asked.reset.asking.waive_cool_down and proof.kind in SECOND_FACTORS
        if waives or not proof.is_fresh(now, asked.reset.policy.proof_lasts):
            continue
        proven = prove(step.reset, step.key, proof, now=now)
        step = proven if isinstance(proven, Step) else step
    return step


def administrator_proof(reset: Reset, actor: Actor, *, known_since: Instant, now: Instant) -> Proof | Refusal:
    """R24: an administrator's word for waiving the cool-down; the second one is another person's.

    `known_since` is when both the person and the credential were there.  Whoever came after the reset was asked for
    may have been made for it, by the one person who is to be one of two.
    """
    if not actor.may(permission.RIGHT_ADMIN, reset.account_id):
        return PermissionMissing(needed=permission.RIGHT_ADMIN)
    if known_since >= reset.asked_at:
        return AdministratorTooNew(asked_at=reset.asked_at)
    first = next((one for one in reset.proofs if one.kind == ADMINISTRATOR), None)
    second = first is not None and first.is_fresh(now, reset.policy.proof_lasts) and first.by != actor.user_id
    kind = SECOND_ADMINISTRATOR if second else ADMINISTRATOR
    return Proof(kind=kind, by=actor.user_id, at=now, session=reset.session)


def refuse_proof(reset: Reset) -> ProofRefused:
    """The answer to a wrong proof, with the number of tries that remain once this one is counted."""
    return ProofRefused(attempts_left=max(0, reset.policy.attempts - reset.refused_proofs - 1))


def count_refused_proof(reset: Reset, *, now: Instant) -> Reset:
    """One more wrong proof; the last one the policy allows ends the reset."""
    counted = replace(reset, refused_proofs=reset.refused_proofs + 1)
    if counted.refused_proofs < reset.policy.attempts:
        return counted
    ended = move(counted, Event.TOO_MANY_ATTEMPTS, now=now)
    assert isinstance(ended, Reset)  # noqa: S101  # only an open reset is proved
    return ended


# Minting


def is_asker(reset: Reset, actor: Actor) -> bool:
    """Whether this is who asked, speaking through the same session (R11)."""
    return actor.id == reset.asked_by and actor.session == reset.session


def may_mint(reset: Reset, key: Key, *, actor: Actor, now: Instant) -> Reset | Refusal:
    """The reset moved on to minted, or why this actor may not mint now, whatever it brings."""
    if reset.waits:
        return ClaimWaits(reset_id=reset.id)
    if not is_asker(reset, actor):
        return NotTheAsker()
    minted = move(reset, Event.MINTED, now=now)
    if isinstance(minted, Refusal):
        return minted
    if refusal := _forbidden_since(reset, key):
        return refusal
    if key.revoked_at is not None:
        return KeyRevoked(revoked_at=key.revoked_at)
    if now >= _narrow(key, reset.asking.narrow).expires_at:
        return KeyExpired(expired_at=key.expires_at)
    if stale := reset.missing(now):
        return ProofRequired(missing=stale)
    return minted


def mint(
    reset: Reset, key: Key, new_secret: Kept, *, actor: Actor, now: Instant, held_until: Instant | None = None
) -> Step | Refusal:
    """R13: the new secret, the old one's end, the narrowing: one step, for the asker alone."""
    minted = may_mint(reset, key, actor=actor, now=now)
    if isinstance(minted, Refusal):
        return minted
    key = _narrow(key, reset.asking.narrow)
    handover = plan(key, reset.terms, now=now, held_until=held_until)
    new = secret_of(
        new_secret,
        version=key.version + 1,
        now=now,
        starts_at=handover.new_starts,
        dangerous_starts_at=handover.dangerous_starts,
        watched=True,
    )
    key = hand_over(key, handover, new=new, reset_id=reset.id, now=now)
    if reset.terms.revoke_first:
        key = replace(key, suspension=None)
    minted = replace(
        minted,
        new_version=new.version,
        minted_at=now,
        new_starts_at=handover.new_starts,
        old_stops_at=old_stops_at(key, before=new.version),
    )
    return Step(event=Event.MINTED, reset=minted, key=key)


def _forbidden_since(reset: Reset, key: Key) -> Refusal | None:
    """R32: a policy that has become stricter may forbid what was allowed when the reset was asked."""
    if reset.channel is Channel.PERSON and reset.policy.manual == "forbidden" and reset.ordered is None:
        return ManualResetForbidden(policy=reset.source("manual"))
    if reset.channel is Channel.KEY and reset.policy.self_reset == "forbidden":
        return SelfResetForbidden(policy=reset.source("self_reset"))
    if key.kind is SecretKind.OWN and not allows_own_secret(reset.policy):
        return OwnSecretForbidden(policy=reset.source("own_secret"))
    return None


def _narrow(key: Key, narrow: Narrowing | None) -> Key:
    """The key without what the reset takes away.  An edit since may have narrowed it further: that stands (R23)."""
    if narrow is None:
        return key
    permissions = key.permissions if narrow.permissions is None else narrow.permissions
    networks = key.allowlist if narrow.allowlist is None else narrow.allowlist
    return replace(
        key,
        permissions=_common(permission.covers, permissions, key.permissions),
        # Nothing in common would be an empty allowlist, which admits everybody.
        allowlist=_common(allowlist.covers, networks, key.allowlist) or key.allowlist,
        expires_at=min(narrow.expires_at or key.expires_at, key.expires_at),
    )


def _common(
    covers: Callable[[tuple[str, ...], tuple[str, ...]], bool], wanted: tuple[str, ...], held: tuple[str, ...]
) -> tuple[str, ...]:
    """What both sets hold; `wanted` as it stands where it is the narrower one."""
    if covers(held, wanted):
        return wanted
    ours = [one for one in wanted if covers(held, (one,))]
    return (*ours, *(one for one in held if covers(wanted, (one,)) and one not in ours))


def preview(reset: Reset, key: Key, *, now: Instant, held_until: Instant | None = None) -> Handover:
    """The dates as they would be if it were minted now; the gap is told before it is minted (R21)."""
    return plan(_narrow(key, reset.asking.narrow), reset.terms, now=now, held_until=held_until)


def gap_ahead(reset: Reset, handover: Handover, *, now: Instant) -> Gap | None:
    """R21: the stretch without an accepted secret, as it can be told before anything is asked.

    A leaked key stops at once, and for a person the gap lasts at least until the proofs are shown: it ends at `now`
    where nothing but that is known of its end.
    """
    if not reset.terms.revoke_first:
        return handover.gap
    proving = reset.channel is Channel.PERSON
    return Gap(since=now, until=handover.dangerous_starts) if proving or handover.dangerous_starts > now else None


UNTOUCHED: Final = (
    "name",
    "owner",
    "permissions",
    "allowlist",
    "limit",
    "expires_at",
    "sessions",
    "other_keys",
    "other_users",
)
"""What no reset touches unless it was asked to narrow it (R23, R26)."""


# After minting


def first_use(reset: Reset, key: Key, *, used_at: Instant, now: Instant) -> Step | Refusal:
    """R20: the first use of the new secret brings the old one's end to first use + grace (`lost`: to first use)."""
    settled = move(reset, Event.FIRST_USED, now=now)
    if isinstance(settled, Refusal):
        return settled
    new = key.secret(reset.new_version or 0)
    if new is None or reset.first_used_at is not None:
        return OutOfOrder(stage=reset.stage.value, event=Event.FIRST_USED.value)
    end = later(max(used_at, new.dangerous_starts_at), reset.terms.grace)
    if reset.in_two_steps:
        end = FOREVER
    if new.version == key.version:  # else a later reset watches it as its old one
        key = key.with_secret(replace(new, watched=False))
    return _ended_by(replace(settled, first_used_at=used_at), key, end, event=Event.FIRST_USED, now=now)


def quiet(reset: Reset, key: Key, *, old_last_used_at: Instant | None, now: Instant) -> Step | Refusal:
    """R33: with the new secret in use and the old one unused for `quiet_after`, the grace ends now."""
    stopped = move(reset, Event.QUIET, now=now)
    if isinstance(stopped, Refusal):
        return stopped
    new = key.secret(reset.new_version or 0)
    started = new is not None and new.has_started(now) and not new.is_over(now)
    if not started or not is_quiet(reset, old_last_used_at=old_last_used_at, now=now):
        return OutOfOrder(stage=reset.stage.value, event=Event.QUIET.value)
    return _ended_by(stopped, key, now, event=Event.QUIET, now=now)


def is_quiet(reset: Reset, *, old_last_used_at: Instant | None, now: Instant) -> bool:
    """R33, as a question."""
    if reset.policy.quiet_after is None or reset.first_used_at is None or reset.minted_at is None:
        return False
    return now - max(old_last_used_at or reset.minted_at, reset.minted_at) >= reset.policy.quiet_after


def finish(reset: Reset, key: Key, *, now: Instant) -> Step | Refusal:
    """End the grace ("stop now"), or take the first of the two steps (R43)."""
    stopped = move(reset, Event.OLD_STOPPED, now=now)
    if isinstance(stopped, Refusal):
        if reset.stage is Stage.MINTED and reset.new_starts_at is not None:
            return NewNotStarted(new_starts_at=reset.new_starts_at)
        return stopped
    if reset.new_version is None:
        if not reset.in_two_steps:
            return OutOfOrder(stage=reset.stage.value, event=Event.OLD_STOPPED.value)
        key = stop_all(key, reason=StopReason.REPLACED, before=key.version + 1, reset_id=reset.id, now=now)
        return Step(event=Event.OLD_STOPPED, reset=stopped, key=key)
    new = key.secret(reset.new_version)
    if new is not None and not new.has_started(now):
        return NewNotStarted(new_starts_at=new.dangerous_starts_at)
    if _leaves_nothing(key, reset.new_version, now):
        return NewNotStarted(new_starts_at=key.secrets[-1].dangerous_starts_at)
    return _ended_by(stopped, key, now, event=Event.OLD_STOPPED, now=now)


def _leaves_nothing(key: Key, version: int, now: Instant) -> bool:
    """R21: whether an older secret than that version still goes on, and none since has started that is not over."""
    going = [one for one in key.secrets if not one.is_over(now)]
    since = [one for one in going if one.version >= version and one.has_started(now)]
    return bool(going) and going[0].version < version and not since


def _ended_by(reset: Reset, key: Key, end: Instant, *, event: Event, now: Instant) -> Step:
    before = reset.new_version or 0
    key = stop_old_by(key, end, before=before, reset_id=reset.id, now=now)
    return Step(event=event, reset=replace(reset, old_stops_at=old_stops_at(key, before=before)), key=key)


# Ending without a secret


def end(reset: Reset, event: Event, *, now: Instant) -> Reset | Refusal:
    """Cancel it, let it lapse, or end it with its key.  What R22 stopped stays stopped (R12)."""
    if event is Event.LAPSED and now < reset.lapses_at:
        return OutOfOrder(stage=reset.stage.value, event=event.value)
    return move(reset, event, now=now)


def tighten(reset: Reset, policy: Policy, *, now: Instant, enrolled: frozenset[str] = frozenset()) -> Reset:
    """R32: a changed policy reaches an open reset only where it is stricter; `enrolled` is what its asker can show."""
    if not is_open(reset, now):
        return reset
    strict = stricter_policy(reset.policy, policy)
    terms = replace(
        reset.terms,
        cool_down=reset.terms.cool_down if reset.asking.waive_cool_down else strict.cool_down,
        dangerous_only=strict.cool_down_scope == "dangerous_only",
        grace=min(reset.terms.grace, strict.grace_max),
        longest=min(reset.terms.longest, strict.grace_max),
    )
    if reset.policy.wait_for_first_use and not strict.wait_for_first_use and reset.asking.reason is not Reason.LOST:
        terms = replace(terms, longest=min(terms.longest, terms.grace))
    wanted = reset.wanted
    if reset.channel is Channel.PERSON or reset.waits:
        wanted = stricter_sets(wanted, strict.proofs)
        if strict.step_up == "required" or (strict.step_up == "enrolled" and enrolled & SECOND_FACTORS):
            wanted = with_second_factor(wanted)
        wanted = attainable(wanted, enrolled) or wanted
    lapses_at = reset.lapses_at
    if reset.ordered is None:
        lapses_at = min(lapses_at, later(reset.asked_at, strict.reset_lapses))
    changed = dict.fromkeys(differences(reset.policy, strict), policy.name)
    sources = tuple(sorted((dict(reset.sources) | changed).items()))
    return replace(reset, policy=strict, sources=sources, terms=terms, wanted=wanted, lapses_at=lapses_at)
