"""A reset ordered by the system, and who takes it on (R12, R41): revoke now, mint on claim.

No secret is ever held waiting.  An order may set an end for the old secrets; whoever claims it proves as in any reset,
and the new secret is minted then, to the claimer alone.
"""

from dataclasses import replace

from keyturn.core.actor import Actor, Channel
from keyturn.core.instant import FOREVER, Instant, later
from keyturn.core.key import Key, StopReason, stop_all_by
from keyturn.core.policy import Effective
from keyturn.core.refusal import NothingToClaim, Refusal, SelfResetForbidden
from keyturn.core.reset import (
    CLAIM_LASTS,
    REVOKE_FIRST,
    Asking,
    Reset,
    Step,
    check_ended,
    check_held,
    check_origin,
    effective_of,
    is_asker,
    is_open,
    move,
    suspend_first,
    terms_of,
    wanted_of,
)
from keyturn.core.stage import Event, Stage


def order(
    key: Key,
    asking: Asking,
    *,
    by: Actor,
    effective: Effective,
    latest: Reset | None,
    reset_id: str,
    now: Instant,
) -> Step | Refusal:
    """Order a reset of the key, to be claimed by its owner.

    A grace that was named is counted from now: by its end the old secrets stop, claimed or not.  A reset that is open
    already becomes the claim of whoever asked for it.
    """
    if refusal := check_ended(key, now):
        return refusal
    policy = effective.policy
    ends = FOREVER if asking.grace is None or asking.reason in REVOKE_FIRST else later(now, asking.grace)
    # To waive a cool-down takes proofs (R24), and whoever gives them asks for it.
    asking = replace(asking, waive_cool_down=False, expected_version=None)
    bounded = asking if asking.grace is None else replace(asking, grace=min(asking.grace, policy.grace_max))
    reset = Reset(
        id=reset_id,
        key_id=key.id,
        account_id=key.account_id,
        owner_id=key.owner_id,
        asking=bounded,
        channel=Channel.TRIGGER,
        asked_by="",
        session="",
        address=None,
        policy=policy,
        sources=tuple(sorted(effective.sources.items())),
        wanted=policy.proofs,
        terms=terms_of(bounded, policy, Channel.TRIGGER),
        stage=Stage.ASKED,
        asked_at=now,
        lapses_at=later(now, CLAIM_LASTS) if ends == FOREVER else max(later(now, CLAIM_LASTS), ends),
        ordered=bounded,
        ordered_by=by.id,
    )
    event = None
    if latest is not None and is_open(latest, now):
        reset, event = _in_place_of(latest, reset)
    key = suspend_first(key, reset, by=by.id, now=now)
    if ends < FOREVER:
        key = stop_all_by(key, ends, reason=StopReason.ORDERED, reset_id=reset.id, now=now)
    return Step(event=event, reset=reset, key=key)


def _in_place_of(earlier: Reset, ordered: Reset) -> tuple[Reset, Event]:
    """The order as the reset that is open, whose asker goes on: only a leak that nobody knew of begins anew (R22)."""
    is_leak, was_leak = ordered.terms.revoke_first, earlier.terms.revoke_first
    wanted = earlier.asking if was_leak and not is_leak else ordered.asking
    lapses_at = max(earlier.lapses_at, ordered.lapses_at)
    if earlier.waits or (is_leak and not was_leak):
        waiting = replace(
            ordered,
            id=earlier.id,
            asked_at=earlier.asked_at,
            lapses_at=lapses_at,
            refused_proofs=earlier.refused_proofs,
            asking=wanted,
            ordered=wanted,
            terms=terms_of(wanted, ordered.policy, Channel.TRIGGER),
        )
        return waiting, Event.ORDERED if earlier.waits else Event.LET_GO
    in_one_step = terms_of(earlier.asking, earlier.policy, Channel.TRIGGER)
    going_on = replace(
        earlier,
        terms=replace(earlier.terms, longest=min(earlier.terms.longest, in_one_step.longest)),
        ordered=wanted,
        ordered_by=ordered.ordered_by,
        lapses_at=lapses_at,
        claimed_at=earlier.claimed_at or earlier.asked_at,
    )
    return going_on, Event.ORDERED


def claim(
    reset: Reset,
    *,
    actor: Actor,
    enrolled: frozenset[str],
    reset_allowlist: tuple[str, ...],
    holder_gone: bool,
    now: Instant,
) -> Reset | Refusal:
    """Take on an ordered reset: from now on it is the claimer's, in this session (R11).

    `holder_gone` tells that the session of whoever claimed it before has ended.
    """
    if reset.ordered is None:
        return NothingToClaim()
    claimed = move(reset, Event.CLAIMED, now=now)
    if isinstance(claimed, Refusal):
        return claimed
    if actor.channel is Channel.KEY and reset.policy.self_reset == "forbidden":
        return SelfResetForbidden(policy=reset.source("self_reset"))
    effective = effective_of(reset)
    refusal = check_held(reset, actor, holder_gone=holder_gone, now=now) or check_origin(
        actor, effective, reset_allowlist
    )
    if refusal is not None:
        return refusal
    if is_asker(reset, actor):
        return reset  # claimed by the same session already: what it has proved stands
    waiting = _as_ordered(claimed)
    wanted = wanted_of(actor, waiting.asking, effective, enrolled=enrolled, reset_allowlist=reset_allowlist)
    if isinstance(wanted, Refusal):
        return wanted
    return replace(
        waiting,
        channel=actor.channel,
        asked_by=actor.id,
        session=actor.session,
        address=actor.address,
        claimed_at=now,
        wanted=wanted,
    )


def let_go(reset: Reset, *, now: Instant) -> Reset | Refusal:
    """Give a claim back, or take it: it waits again, for whoever claims it next."""
    released = move(reset, Event.LET_GO, now=now)
    return released if isinstance(released, Refusal) else _as_ordered(released)


def _as_ordered(reset: Reset) -> Reset:
    """Without what its last claimer wished and proved; a leak that they told of stays one (R22)."""
    assert reset.ordered is not None  # noqa: S101  # the callers have asked
    asking = reset.asking if reset.terms.revoke_first else reset.ordered
    return replace(
        reset,
        asking=asking,
        terms=terms_of(asking, reset.policy, Channel.TRIGGER),
        wanted=reset.policy.proofs,
        channel=Channel.TRIGGER,
        asked_by="",
        session="",
        address=None,
        claimed_at=None,
        proofs=(),
    )
