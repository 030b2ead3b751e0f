"""What reason, policy and channel make of a reset: its dates and the proofs it wants (R11, R20, R24, R32)."""

from dataclasses import replace
from datetime import timedelta

from keyturn.core.actor import Actor, Channel
from keyturn.core.handover import Terms
from keyturn.core.instant import Instant, later
from keyturn.core.policy import Effective, Policy, differences, stricter_policy
from keyturn.core.proof import (
    CREDENTIAL,
    KEY_ITSELF,
    SECOND_FACTORS,
    ProofSets,
    attainable,
    not_enrolled,
    stricter_sets,
    with_second_factor,
    with_waiver,
)
from keyturn.core.refusal import SecondFactorNotEnrolled
from keyturn.core.reset.origin import steps_up
from keyturn.core.reset.value import REVOKE_FIRST, Asking, Reason, Reset, is_open


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
        new_origin = steps_up(actor, policy, reset_allowlist)
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
