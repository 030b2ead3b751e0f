"""Resets that the system orders, and who may take them on (R12, R41)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from keyturn.core import claim as claims
from keyturn.core import reset as protocol
from keyturn.core.actor import SYSTEM, Actor, Channel
from keyturn.core.instant import FOREVER, Instant
from keyturn.core.key import Key, StopReason, accepted_versions
from keyturn.core.policy import Policy, resolve
from keyturn.core.proof import PASSWORD, Proof
from keyturn.core.refusal import Refusal, SecondFactorNotEnrolled
from keyturn.core.reset import Asking, Narrowing, Reason, Reset, Step
from keyturn.core.stage import Event, Stage
from tests.core.keys import (
    DAY,
    HOUR,
    ITSELF,
    MACHINE,
    NEW,
    PERSON,
    PLAIN,
    T0,
    a_key,
    a_secret,
    after,
    an_actor,
    ask,
    good,
    minted,
    proven,
)

MINUTE = timedelta(minutes=1)
COLLEAGUE = an_actor(Channel.PERSON, id="usr_2", user_id="usr_2", session="ses_2")
ELSEWHERE = replace(PERSON, session="ses_9")


def order(
    key: Key,
    reason: Reason = Reason.POLICY,
    *,
    policy: Policy = PLAIN,
    latest: Reset | None = None,
    now: Instant = T0,
    **wishes: object,
) -> Step | Refusal:
    return claims.order(
        key,
        Asking(reason=reason, **wishes),  # type: ignore[arg-type]  # as the story names them
        by=SYSTEM,
        effective=resolve(key=policy, account=None, deployment=policy, floors=()),
        latest=latest,
        reset_id="rst_9",
        now=now,
    )


def claim(
    reset: Reset,
    actor: Actor = PERSON,
    *,
    now: Instant = T0,
    holder_gone: bool = False,
    enrolled: frozenset[str] = frozenset(),
    reset_allowlist: tuple[str, ...] = (),
) -> Reset | Refusal:
    return claims.claim(
        reset, actor=actor, enrolled=enrolled, reset_allowlist=reset_allowlist, holder_gone=holder_gone, now=now
    )


def held(answer: Reset | Refusal) -> Reset:
    assert isinstance(answer, Reset), answer
    return answer


def kind(answer: object) -> str:
    return answer.kind if isinstance(answer, Refusal) else "done"


LAPSES = {  # grace: how long it waits
    "R12 a claim waits for a day": (None, DAY),
    "R12 as long where the old secret ends before": (HOUR, DAY),
    "R12 until the old secret's own end where that is later": (7 * DAY, 7 * DAY),
}


@pytest.mark.parametrize("story", LAPSES)
def test_how_long_a_claim_waits(story: str) -> None:
    grace, lasts = LAPSES[story]
    step = good(order(a_key(), grace=grace))
    assert step.reset.lapses_at == after(lasts)
    assert (step.event, step.reset.stage, step.reset.waits, step.reset.channel) == (
        None,
        Stage.ASKED,
        True,
        Channel.TRIGGER,
    )
    assert protocol.is_open(step.reset, Instant(after(lasts) - MINUTE))
    assert not protocol.is_open(step.reset, after(lasts))


def test_r41_an_order_ends_the_old_secrets_at_the_latest_and_never_later_than_they_would() -> None:
    key = a_key(a_secret(stops_at=after(DAY)), a_secret(2))
    step = good(order(key, grace=7 * DAY))
    assert [(one.stops_at, one.stop_reason, one.replaced_by) for one in step.key.secrets] == [
        (after(DAY), None, ""),
        (after(7 * DAY), StopReason.ORDERED, "rst_9"),
    ]
    plain = good(order(key))
    assert plain.key == key, "without an end nothing changes until it is claimed"
    at_once = good(order(key, grace=timedelta(0)))
    assert accepted_versions(at_once.key, T0) == ()


def test_r22_r41_an_ordered_reset_of_a_leaked_key_suspends_at_once_and_sets_no_end() -> None:
    step = good(order(a_key(), Reason.LEAKED, grace=7 * DAY))
    assert step.key.suspension is not None
    assert (step.key.suspension.by, step.key.suspension.reset_id) == ("system", "rst_9")
    assert step.key.secrets[0].stops_at == FOREVER
    assert step.reset.lapses_at == after(DAY)
    mine = held(claim(step.reset))
    done = proven(Step(event=None, reset=mine, key=step.key), actor=PERSON)
    assert done.key.secrets[0].stop_reason is StopReason.LEAKED
    new = good(protocol.mint(done.reset, done.key, NEW, actor=PERSON, now=T0))
    assert (new.key.suspension, accepted_versions(new.key, T0)) == (None, (2,))


@pytest.mark.parametrize("ended", [{"revoked_at": T0}, {"expires_at": T0}])
def test_an_order_revives_nothing(ended: dict[str, Instant]) -> None:
    assert kind(order(a_key(**ended))) in ("key_revoked", "key_expired")


def test_r41_what_nobody_has_claimed_takes_no_proof_and_makes_no_secret() -> None:
    step = good(order(a_key()))
    proof = Proof(kind=PASSWORD, by="usr_1", at=T0, session="")
    assert kind(protocol.prove(step.reset, step.key, proof, now=T0)) == "claim_waits"
    assert kind(protocol.mint(step.reset, step.key, NEW, actor=PERSON, now=T0)) == "claim_waits"
    nobody = replace(SYSTEM, id="", session="")
    assert kind(protocol.mint(step.reset, step.key, NEW, actor=nobody, now=T0)) == "claim_waits"


def test_r41_r11_a_claim_is_the_claimer_s_in_this_session_alone() -> None:
    step = good(order(a_key(), grace=7 * DAY))
    mine = held(claim(step.reset, now=after(HOUR)))
    assert (mine.asked_by, mine.session, mine.channel, mine.claimed_at, mine.waits) == (
        "usr_1",
        "ses_1",
        Channel.PERSON,
        after(HOUR),
        False,
    )
    assert mine.missing(after(HOUR)) == ("password",)
    foreign = Proof(kind=PASSWORD, by="usr_1", at=after(HOUR), session="ses_9")
    assert kind(protocol.prove(mine, step.key, foreign, now=after(HOUR))) == "proof_refused"
    done = proven(Step(event=None, reset=mine, key=step.key), actor=PERSON, now=after(HOUR))
    for other in (COLLEAGUE, ELSEWHERE, SYSTEM):
        assert kind(protocol.mint(done.reset, done.key, NEW, actor=other, now=after(HOUR))) == "not_the_asker"
    new = good(protocol.mint(done.reset, done.key, NEW, actor=PERSON, now=after(HOUR)))
    assert accepted_versions(new.key, after(HOUR)) == (1, 2)
    assert new.reset.old_stops_at == after(7 * DAY), "the end that the order set is the latest"


def test_a_claim_keeps_the_end_that_is_sooner() -> None:
    step = good(order(a_key(), grace=7 * DAY, policy=replace(PLAIN, grace_max=HOUR)))
    mine = held(claim(step.reset))
    done = proven(Step(event=None, reset=mine, key=step.key), actor=PERSON)
    new = good(protocol.mint(done.reset, done.key, NEW, actor=PERSON, now=T0))
    assert new.reset.old_stops_at == after(HOUR), "no grace is longer than the policy's"


TAKE_OVER = {  # who, after what, the first one's session gone: outcome
    "R41 not while the first one is proving": (COLLEAGUE, 9 * MINUTE, False, "claim_taken"),
    "R41 after ten minutes": (COLLEAGUE, 10 * MINUTE, False, "done"),
    "R41 once the first one's session has ended": (COLLEAGUE, MINUTE, True, "done"),
    "R41 the same person from another session": (ELSEWHERE, MINUTE, False, "done"),
    "R41 a program must wait too": (MACHINE, MINUTE, False, "claim_taken"),
}


@pytest.mark.parametrize("story", TAKE_OVER)
def test_who_may_take_a_claim_over(story: str) -> None:
    actor, later, gone, outcome = TAKE_OVER[story]
    mine = held(claim(good(order(a_key())).reset))
    answer = claim(mine, actor, now=after(later), holder_gone=gone)
    assert kind(answer) == outcome
    if isinstance(answer, Reset):
        assert (answer.asked_by, answer.session) == (actor.id, actor.session)


def test_r11_whoever_takes_a_claim_over_proves_anew() -> None:
    step = good(order(a_key()))
    mine = held(claim(step.reset))
    done = proven(Step(event=None, reset=mine, key=step.key), actor=PERSON, now=after(9 * MINUTE)).reset
    assert done.stage is Stage.PROVEN
    assert kind(claim(done, COLLEAGUE, now=after(18 * MINUTE))) == "claim_taken", "a proof was shown since"
    theirs = held(claim(done, COLLEAGUE, now=after(19 * MINUTE)))
    assert (theirs.stage, theirs.proofs, theirs.missing(after(19 * MINUTE))) == (Stage.ASKED, (), ("password",))
    assert held(claim(done, PERSON, now=after(18 * MINUTE))) == done, "claiming again takes nothing back"


def test_a_claim_given_back_waits_again() -> None:
    step = good(order(a_key()))
    mine = held(claim(step.reset))
    done = proven(Step(event=None, reset=mine, key=step.key), actor=PERSON).reset
    assert held(claims.let_go(done, now=after(MINUTE))) == step.reset
    assert kind(claims.let_go(done, now=after(DAY))) == "reset_lapsed"


REFUSED = {
    "nobody ordered it": ("ordinary", MACHINE, {}, "nothing_to_claim"),
    "R12 it has lapsed": ("late", PERSON, {}, "reset_lapsed"),
    "R40 the key may not reset itself": ("claim", ITSELF, {}, "self_reset_forbidden"),
    "K9 off the account's allowlist": ("claim", PERSON, {"reset_allowlist": ("192.0.2.0/24",)}, "reset_origin_refused"),
}


@pytest.mark.parametrize("story", REFUSED)
def test_a_claim_may_be_refused(story: str) -> None:
    what, actor, around, outcome = REFUSED[story]
    policy = replace(PLAIN, reset_origin="allowlist_only")
    reset = good(ask(a_key()) if what == "ordinary" else order(a_key(), policy=policy)).reset
    answer = claim(reset, actor, now=after(2 * DAY) if what == "late" else T0, **around)  # type: ignore[arg-type]  # as named
    assert kind(answer) == outcome


def test_r40_r43_where_people_may_start_none_they_may_still_claim_one_and_in_one_step() -> None:
    forbidden = replace(PLAIN, manual="forbidden")
    step = good(order(a_key(), policy=forbidden))
    done = proven(Step(event=None, reset=held(claim(step.reset)), key=step.key), actor=PERSON)
    assert isinstance(protocol.mint(done.reset, done.key, NEW, actor=PERSON, now=T0), Step)
    assert kind(ask(a_key(), actor=PERSON, policy=forbidden, latest=step.reset)) == "manual_reset_forbidden"
    two = replace(PLAIN, manual="two_step")
    step = good(order(a_key(), policy=two, grace=HOUR))
    done = proven(Step(event=None, reset=held(claim(step.reset)), key=step.key), actor=PERSON)
    assert kind(protocol.finish(done.reset, done.key, now=T0)) == "reset_out_of_order"
    new = good(protocol.mint(done.reset, done.key, NEW, actor=PERSON, now=T0))
    used = good(protocol.first_use(new.reset, new.key, used_at=T0, now=T0))
    assert used.reset.old_stops_at == after(HOUR)


def test_r11_a_second_factor_is_wanted_of_the_claimer_who_has_one() -> None:
    reset = good(order(a_key())).reset
    assert held(claim(reset, enrolled=frozenset({"totp"}))).missing(T0) == ("password+totp",)


def test_r11_a_claimer_who_has_no_second_factor_that_is_wanted_is_told_so() -> None:
    reset = good(order(a_key(), policy=replace(PLAIN, step_up="required"))).reset
    refusal = SecondFactorNotEnrolled(wanted=("totp", "passkey"), policy="plain", field="step_up")
    assert claim(reset) == refusal


# An ordinary reset while one waits


def test_an_ordinary_reset_takes_the_place_of_a_claim_and_leaves_it_waiting_where_it_comes_to_nothing() -> None:
    step = good(order(a_key(), grace=7 * DAY))
    asked = good(ask(step.key, Reason.LOST, actor=PERSON, latest=step.reset, now=after(HOUR)))
    assert (asked.event, asked.reset.id, asked.reset.ordered, asked.reset.lapses_at) == (
        Event.CLAIMED,
        "rst_9",
        step.reset.ordered,
        step.reset.lapses_at,
    )
    assert (asked.reset.asking.reason, asked.reset.claimed_at, asked.reset.waits) == (Reason.LOST, after(HOUR), False)
    assert kind(ask(step.key, actor=COLLEAGUE, latest=asked.reset, now=after(HOUR))) == "claim_taken"
    assert held(claims.let_go(asked.reset, now=after(2 * HOUR))) == step.reset
    taken = good(ask(step.key, actor=COLLEAGUE, latest=asked.reset, now=after(HOUR), holder_gone=True))
    assert taken.reset.asked_by == "usr_2"


def test_r43_what_was_ordered_before_or_after_it_was_asked_for_is_done_in_one_step_with_the_dates_of_one() -> None:
    policy = replace(PLAIN, manual="two_step", grace_default=HOUR, grace_max=7 * DAY)
    step = good(order(a_key(), policy=policy))
    asked = good(ask(step.key, actor=PERSON, policy=policy, latest=step.reset))
    assert (asked.reset.in_two_steps, asked.reset.terms) == (False, held(claim(step.reset)).terms)
    alone = good(ask(a_key(), actor=PERSON, policy=policy))
    assert alone.reset.terms.longest == 7 * DAY
    overtaken = good(order(alone.key, policy=policy, latest=alone.reset)).reset
    assert (overtaken.asked_by, overtaken.in_two_steps, overtaken.terms.longest) == ("usr_1", False, HOUR)


def test_r22_a_leak_told_while_a_claim_waits_stays_a_leak_whoever_completes_it() -> None:
    step = good(order(a_key()))
    asked = good(ask(step.key, Reason.LEAKED, actor=PERSON, latest=step.reset))
    assert asked.key.suspension is not None
    assert asked.key.suspension.reset_id == "rst_9"
    theirs = held(claim(asked.reset, COLLEAGUE, now=after(HOUR)))
    assert theirs.terms.revoke_first
    done = proven(Step(event=None, reset=theirs, key=asked.key), actor=COLLEAGUE, now=after(HOUR))
    assert accepted_versions(done.key, after(HOUR)) == ()
    again = good(order(asked.key, Reason.POLICY, latest=asked.reset, grace=HOUR))
    assert (again.event, again.reset.asking.reason, again.reset.asked_by) == (Event.ORDERED, Reason.LEAKED, "usr_1")
    waiting = claims.let_go(again.reset, now=T0)
    assert good(order(asked.key, Reason.POLICY, latest=held(waiting))).reset.terms.revoke_first


def test_r22_what_was_ordered_for_a_leak_stays_one_whatever_reason_its_claimer_gives() -> None:
    step = good(order(a_key(), Reason.LEAKED, suspend_created_since=T0))
    asked = good(ask(step.key, Reason.ROUTINE, actor=PERSON, latest=step.reset, grace=HOUR))
    assert (asked.reset.asking.reason, asked.reset.asking.suspend_created_since) == (Reason.LEAKED, T0)
    done = proven(asked, actor=PERSON)
    assert accepted_versions(done.key, T0) == ()
    assert done.key.secrets[0].stop_reason is StopReason.LEAKED
    told = good(ask(step.key, Reason.SUSPICIOUS, actor=PERSON, latest=step.reset))
    assert told.reset.asking.reason is Reason.SUSPICIOUS


def test_an_order_makes_a_claim_of_the_reset_that_is_open_and_whoever_asked_goes_on() -> None:
    asked = good(ask(a_key(), actor=PERSON, narrow=Narrowing(permissions=("fills:read",))))
    done = proven(asked, actor=PERSON)
    step = good(order(done.key, latest=done.reset, grace=HOUR, now=after(MINUTE)))
    assert (step.event, step.reset.id, step.reset.proofs) == (Event.ORDERED, "rst_1", done.reset.proofs)
    assert kind(claim(step.reset, COLLEAGUE, now=after(MINUTE))) == "claim_taken"
    new = good(protocol.mint(step.reset, step.key, NEW, actor=PERSON, now=after(MINUTE)))
    assert (new.key.permissions, new.reset.old_stops_at) == (("fills:read",), after(MINUTE))
    theirs = held(claim(step.reset, COLLEAGUE, now=after(HOUR)))
    assert theirs.asking == Asking(reason=Reason.POLICY, grace=HOUR), "what the asker wished is not the order's"
    later = good(order(step.key, latest=theirs, grace=7 * DAY, now=after(2 * MINUTE)))
    assert later.key.secrets[0].stops_at == after(MINUTE + HOUR), "dates only move earlier"
    assert later.reset.lapses_at == after(2 * MINUTE + 7 * DAY)
    lapsed = good(order(a_key(), latest=done.reset, now=after(HOUR)))
    assert (lapsed.event, lapsed.reset.id) == (None, "rst_9")


def test_r22_an_order_for_a_leak_takes_the_reset_from_whoever_proves_it_and_suspends() -> None:
    done = proven(good(ask(a_key(), actor=PERSON)), actor=PERSON)
    step = good(order(done.key, Reason.LEAKED, latest=done.reset))
    assert (step.event, step.reset.waits, step.reset.id) == (Event.LET_GO, True, "rst_1")
    assert step.key.suspension is not None


def test_r24_no_order_waives_a_cool_down() -> None:
    step = good(order(a_key(), policy=replace(PLAIN, cool_down=DAY), waive_cool_down=True))
    assert step.reset.terms.cool_down == DAY


def test_r32_a_stricter_policy_reaches_a_claim_but_not_how_long_it_waits() -> None:
    step = good(order(a_key(), grace=7 * DAY))
    strict = replace(PLAIN, reset_lapses=MINUTE, proofs=(frozenset({PASSWORD, "totp"}),))
    tightened = protocol.tighten(step.reset, strict, now=T0)
    assert (tightened.lapses_at, tightened.missing(T0)) == (after(7 * DAY), ("password+totp",))


def test_r15_behind_a_claim_an_unstarted_secret_is_replaced_like_any() -> None:
    cooling = replace(PLAIN, cool_down=DAY)
    first = minted(a_key(), policy=cooling)
    step = good(order(first.key, latest=first.reset, policy=cooling))
    assert (step.event, step.reset.id) == (None, "rst_9")


MAY_ORDER: dict[str, tuple[Actor, dict[str, object], dict[str, object], str]] = {
    "R40 a machine with the right": (MACHINE, {}, {}, "none"),
    "R40 a person with it": (PERSON, {}, {}, "none"),
    "pitfall 19: none without it": (an_actor(permissions=("keyturn.keys:write",)), {}, {}, "permission_missing"),
    "R41 no key orders its own, for nobody would claim it": (ITSELF, {}, {}, "permission_missing"),
    "R43 nor a person where people may not": (PERSON, {"manual": "forbidden"}, {}, "manual_reset_forbidden"),
    "R43 which is not said to programs": (MACHINE, {"manual": "forbidden"}, {}, "none"),
    "R20 a grace within the policy's": (MACHINE, {}, {"grace": 99 * DAY}, "grace_too_long"),
    "R23 nor is a key widened": (MACHINE, {}, {"narrow": Narrowing(permissions=("*:admin",))}, "widening_refused"),
}


@pytest.mark.parametrize("story", MAY_ORDER)
def test_r41_who_may_order(story: str) -> None:
    actor, fields, wishes, answer = MAY_ORDER[story]
    policy = replace(PLAIN, **fields)  # type: ignore[arg-type]  # as the story names them
    asking = Asking(reason=Reason.POLICY, **wishes)  # type: ignore[arg-type]  # as the story names them
    effective = resolve(key=policy, account=None, deployment=policy, floors=())
    refusal = protocol.check_order(a_key(), asking, actor, effective, now=T0)
    assert (refusal.kind if refusal else "none") == answer
