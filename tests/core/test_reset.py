"""The reset protocol as stories (R1 to R33, R40, R43): every reason, every step, every refusal."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.core import reset as protocol
from keyturn.core.audit import record
from keyturn.core.handover import Gap, plan
from keyturn.core.instant import Instant
from keyturn.core.key import Key, StopReason, Suspension, accepted_versions, state_for_verifiers, status, stop_by
from keyturn.core.notice import Notice
from keyturn.core.policy import Policy
from keyturn.core.proof import ADMINISTRATOR, PASSWORD, SECOND_ADMINISTRATOR, Proof
from keyturn.core.refusal import AdministratorTooNew, OutOfOrder, ProofRefused, Refusal
from keyturn.core.reset import Narrowing, Reason, Reset, Step
from keyturn.core.stage import MOVES, Event, Stage
from tests.core.keys import (
    DATED,
    DAY,
    HOUR,
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

# What is accepted, and how a key stands (R2)

ACCEPTED: dict[str, tuple[Key, timedelta, tuple[int, ...], str]] = {
    "R2 from its start": (a_key(), timedelta(0), (1,), "active"),
    "R2 not before": (a_key(a_secret(starts_at=after(HOUR))), timedelta(0), (), "not_yet_active"),
    "R2 not at its end": (a_key(a_secret(stops_at=after(HOUR))), HOUR, (), "awaiting_reset"),
    "R2 not once stopped": (a_key(a_secret(stopped_at=T0)), timedelta(0), (), "awaiting_reset"),
    "R2 not while suspended": (a_key(suspension=Suspension(at=T0, by="x", reason="x")), HOUR, (), "suspended"),
    "R2 not once revoked": (a_key(revoked_at=T0), HOUR, (), "revoked"),
    "R2 not once expired": (a_key(expires_at=after(HOUR)), HOUR, (), "expired"),
}


@pytest.mark.parametrize("story", ACCEPTED)
def test_r2_what_is_accepted_follows_from_the_rows_alone(story: str) -> None:
    key, when, versions, word = ACCEPTED[story]
    now = after(when)
    assert (accepted_versions(key, now), status(key, now)) == (versions, word)


def test_r1_a_key_keeps_its_identity_and_r3_tells_verifiers_no_digest() -> None:
    key = minted(a_key()).key
    assert (key.id, key.version, [one.version for one in key.secrets]) == ("key_1", 2, [1, 2])
    assert key.secret(3) is None
    assert "digest" not in repr(state_for_verifiers(key))


# Dates by reason (R20), with a cool-down of 24 h and a grace of 1 h

# The reason, the policy, the grace asked for; after how long the new one starts, and the old one stops.
DATES: dict[str, tuple[Reason, Policy, timedelta | None, timedelta, timedelta]] = {
    "R20 routine": (Reason.ROUTINE, DATED, HOUR, DAY, DAY + HOUR),
    "R20 policy": (Reason.POLICY, DATED, HOUR, DAY, DAY + HOUR),
    "R20 personnel": (Reason.PERSONNEL, DATED, HOUR, DAY, DAY + HOUR),
    "R20 the grace is the policy's where nobody asked": (
        Reason.ROUTINE,
        replace(DATED, grace_default=2 * HOUR),
        None,
        DAY,
        DAY + 2 * HOUR,
    ),
    "R20 lost waits for first use, at most grace_max": (Reason.LOST, DATED, HOUR, DAY, 8 * DAY),
    "R20 so does a policy that waits": (Reason.ROUTINE, replace(DATED, wait_for_first_use=True), HOUR, DAY, 8 * DAY),
    "R20 leaked stops the old one at once, whatever was requested": (Reason.LEAKED, DATED, 99 * DAY, DAY, timedelta(0)),
    "R20 suspicious too": (Reason.SUSPICIOUS, DATED, HOUR, DAY, timedelta(0)),
    "R24 a cool-down of dangerous actions starts the new one at once": (
        Reason.ROUTINE,
        replace(DATED, cool_down_scope="dangerous_only"),
        HOUR,
        timedelta(0),
        DAY + HOUR,
    ),
}


@pytest.mark.parametrize("story", DATES)
def test_r20_dates(story: str) -> None:
    reason, policy, grace, new_starts, old_stops = DATES[story]
    step = minted(a_key(), reason, policy=policy, grace=grace)
    assert (step.reset.new_starts_at, step.reset.old_stops_at) == (after(new_starts), after(old_stops))
    old, new = step.key.secrets
    assert (old.stops_at, new.starts_at) == (after(old_stops), after(new_starts))
    if "dangerous" in story:
        assert new.dangerous_starts_at == after(DAY)


def test_r20_a_reset_never_extends_the_old_secret_or_outlives_the_key() -> None:
    step = minted(a_key(a_secret(stops_at=after(HOUR))), grace=DAY)
    assert step.key.secrets[0].stops_at == after(HOUR)
    step = minted(a_key(expires_at=after(2 * HOUR)), grace=DAY)
    assert step.key.secrets[0].stops_at == after(2 * HOUR)
    assert step.key.expires_at == after(2 * HOUR)


def test_r20_dates_only_ever_move_earlier() -> None:
    secret = a_secret(stops_at=after(HOUR))
    assert stop_by(secret, after(DAY), reset_id="rst_2", now=T0) == secret
    gone = a_secret(stopped_at=T0, stop_reason=StopReason.LEAKED, stops_at=T0)
    assert stop_by(gone, after(HOUR), reset_id="rst_2", now=T0) == gone


def test_r21_a_gap_is_said_before_it_is_minted() -> None:
    dying = a_key(a_secret(stops_at=after(HOUR)))
    asked = good(ask(dying, policy=DATED))
    assert protocol.preview(asked.reset, dying, now=T0).gap == Gap(since=after(HOUR), until=after(DAY))
    assert protocol.preview(good(ask(a_key(), policy=DATED)).reset, a_key(), now=T0).gap is None
    bare = a_key(a_secret(stopped_at=T0, stops_at=T0))
    assert plan(bare, asked.reset.terms, now=T0).gap == Gap(since=T0, until=after(DAY))


spans = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=90))


@given(cool_down=spans, grace=spans, at=spans, reason=st.sampled_from([Reason.LOST, Reason.ROUTINE, Reason.POLICY]))
def test_r21_nobody_is_locked_out_unless_the_key_leaked(
    cool_down: timedelta, grace: timedelta, at: timedelta, reason: Reason
) -> None:
    policy = replace(PLAIN, cool_down=cool_down, grace_max=timedelta(days=90))
    key = minted(a_key(), reason, policy=policy, grace=grace).key
    assert accepted_versions(key, after(at))


# Proving


def test_r20_a_leaked_secret_stops_for_good_when_it_is_proven() -> None:
    step = proven(good(ask(a_key(), Reason.LEAKED)))
    assert step.event is Event.PROOF_COMPLETED
    assert (step.key.secrets[0].stopped_at, step.key.secrets[0].stop_reason) == (T0, StopReason.LEAKED)
    assert step.reset.missing(T0) == ()


def test_r11_a_proof_is_bound_to_its_session_and_wanted() -> None:
    asked = good(ask(a_key(), actor=PERSON))
    other = Proof(kind=PASSWORD, by="usr_1", at=T0, session="ses_2")
    assert isinstance(protocol.prove(asked.reset, asked.key, other, now=T0), ProofRefused)
    unwanted = Proof(kind="totp", by="usr_1", at=T0, session="ses_1")
    refusal = protocol.prove(asked.reset, asked.key, unwanted, now=T0)
    assert isinstance(refusal, Refusal)
    assert refusal.kind == "proof_not_wanted"


def test_r11_a_part_of_a_set_is_kept_and_the_reset_goes_on_waiting() -> None:
    policy = replace(PLAIN, proofs=(frozenset({PASSWORD, "captcha"}),))
    asked = good(ask(a_key(), actor=PERSON, policy=policy))
    step = good(
        protocol.prove(asked.reset, asked.key, Proof(kind=PASSWORD, by="usr_1", at=T0, session="ses_1"), now=T0)
    )
    assert (step.event, step.reset.stage, step.reset.missing(T0)) == (None, Stage.ASKED, ("captcha",))


def test_r11_a_stale_proof_mints_nothing_and_can_be_shown_again() -> None:
    step = proven(good(ask(a_key(), actor=PERSON)), actor=PERSON)
    late = after(timedelta(minutes=11))
    refusal = protocol.mint(step.reset, step.key, NEW, actor=PERSON, now=late)
    assert isinstance(refusal, Refusal)
    assert refusal.kind == "proof_required"
    again = proven(step, actor=PERSON, now=late)
    assert good(protocol.mint(again.reset, again.key, NEW, actor=PERSON, now=late)).key.version == 2


def test_r11_too_many_wrong_proofs_end_the_reset() -> None:
    reset = good(ask(a_key(), actor=PERSON, policy=replace(PLAIN, attempts=2))).reset
    assert protocol.refuse_proof(reset).attempts_left == 1
    once = protocol.count_refused_proof(reset, now=T0)
    assert (once.stage, protocol.refuse_proof(once).attempts_left) == (Stage.ASKED, 0)
    twice = protocol.count_refused_proof(once, now=T0)
    assert (twice.stage, twice.end_reason, twice.missing(T0)) == (Stage.ENDED, "too_many_attempts", ())


def test_r24_two_administrators_are_two_people() -> None:
    reset = good(ask(a_key(), policy=DATED, waive_cool_down=True)).reset
    admin = an_actor(permissions=("keyturn.admin",))
    nobody = protocol.administrator_proof(reset, MACHINE, known_since=Instant(T0 - HOUR), now=T0)
    assert isinstance(nobody, Refusal)
    first = protocol.administrator_proof(reset, admin, known_since=Instant(T0 - HOUR), now=T0)
    assert isinstance(first, Proof)
    assert first.kind == ADMINISTRATOR
    told = replace(reset, proofs=(first,))
    same = protocol.administrator_proof(told, admin, known_since=Instant(T0 - HOUR), now=T0)
    other = protocol.administrator_proof(told, replace(admin, user_id="usr_2"), known_since=Instant(T0 - HOUR), now=T0)
    assert isinstance(same, Proof)
    assert isinstance(other, Proof)
    assert (same.kind, other.kind) == (ADMINISTRATOR, SECOND_ADMINISTRATOR)
    # One person can make a second user, and a second key: neither counts that came with the reset.
    late = protocol.administrator_proof(told, replace(admin, user_id="usr_3"), known_since=reset.asked_at, now=T0)
    assert late == AdministratorTooNew(asked_at=reset.asked_at)


# Minting


def test_r13_the_new_secret_goes_to_the_asker_alone() -> None:
    step = proven(good(ask(a_key(), actor=PERSON)), actor=PERSON)
    for thief in (MACHINE, replace(PERSON, session="ses_2"), replace(PERSON, id="usr_2")):
        refusal = protocol.mint(step.reset, step.key, NEW, actor=thief, now=T0)
        assert isinstance(refusal, Refusal)
        assert refusal.kind == "not_the_asker"


def test_r13_nothing_is_minted_for_a_key_that_ended_meanwhile() -> None:
    step = proven(good(ask(a_key())))
    for ended, kind in (
        (replace(step.key, revoked_at=T0), "key_revoked"),
        (replace(step.key, expires_at=T0), "key_expired"),
    ):
        refusal = protocol.mint(step.reset, ended, NEW, actor=MACHINE, now=T0)
        assert isinstance(refusal, Refusal)
        assert refusal.kind == kind


def test_r23_a_reset_touches_the_key_only_to_narrow_it() -> None:
    key = a_key()
    plain = minted(key).key
    assert replace(plain, secrets=key.secrets) == key
    narrow = Narrowing(permissions=("fills:read",), allowlist=("192.0.2.7/32",), expires_at=after(DAY))
    step = minted(key, narrow=narrow)
    assert (step.key.permissions, step.key.allowlist, step.key.expires_at) == (
        ("fills:read",),
        ("192.0.2.7/32",),
        after(DAY),
    )
    assert minted(key, narrow=Narrowing()).key.permissions == key.permissions


def test_r15_reset_again_replaces_the_unstarted_secret_and_inherits_its_dates() -> None:
    first = minted(a_key(), policy=DATED, grace=HOUR)
    later = after(10 * HOUR)
    second = minted(first.key, policy=DATED, grace=HOUR, now=later)
    old, replaced, new = second.key.secrets
    assert (new.starts_at, old.stops_at) == (after(DAY), after(DAY + HOUR))
    assert (replaced.stop_reason, replaced.stopped_at) == (StopReason.NEVER_STARTED, later)
    leaked = minted(first.key, Reason.LEAKED, policy=DATED, now=later)
    assert leaked.key.secrets[-1].starts_at == Instant(later + DAY)


def test_l2_never_more_than_two_secrets_are_accepted() -> None:
    """Law 2 through resets one after another, each with a grace."""
    key = a_key()
    for at in range(1, 6):
        key = minted(key, grace=DAY, now=after(at * HOUR)).key
        assert len(accepted_versions(key, after(at * HOUR))) == 2


# Afterwards


def test_r20_first_use_brings_the_old_end_to_first_use_and_grace() -> None:
    step = minted(a_key(), policy=replace(PLAIN, wait_for_first_use=True), grace=HOUR)
    used = good(protocol.first_use(step.reset, step.key, used_at=after(2 * HOUR), now=after(2 * HOUR)))
    assert (used.reset.old_stops_at, used.reset.stage, used.key.secrets[1].watched) == (
        after(3 * HOUR),
        Stage.SETTLED,
        False,
    )
    again = protocol.first_use(used.reset, used.key, used_at=after(3 * HOUR), now=after(3 * HOUR))
    assert isinstance(again, OutOfOrder)
    lost = minted(a_key(), Reason.LOST)
    used = good(protocol.first_use(lost.reset, lost.key, used_at=after(HOUR), now=after(HOUR)))
    assert accepted_versions(used.key, after(HOUR)) == (2,)


def test_r43_first_use_stops_nothing_in_the_two_step_way() -> None:
    policy = replace(PLAIN, manual="two_step")
    step = minted(a_key(), actor=PERSON, policy=policy)
    used = good(protocol.first_use(step.reset, step.key, used_at=T0, now=after(HOUR)))
    assert accepted_versions(used.key, after(HOUR)) == (1, 2)


def test_r20_first_use_before_the_secret_has_started_is_somebodys_invention() -> None:
    """Whoever may attach could else end a cool-down and bring the end of the old secret forward."""
    step = minted(a_key(), policy=replace(PLAIN, cool_down=HOUR, wait_for_first_use=True), grace=HOUR)
    early = protocol.first_use(step.reset, step.key, used_at=T0, now=T0)
    assert isinstance(early, Refusal)
    assert early.kind == "reset_out_of_order"
    used = good(protocol.first_use(step.reset, step.key, used_at=T0, now=after(HOUR)))
    assert used.reset.first_used_at == after(HOUR), "never from before it started"


def test_first_use_of_what_is_not_minted_is_out_of_order() -> None:
    asked = good(ask(a_key()))
    assert isinstance(protocol.first_use(asked.reset, asked.key, used_at=T0, now=T0), OutOfOrder)


def test_r33_quiet_ends_the_grace() -> None:
    policy = replace(PLAIN, quiet_after=HOUR)
    step = minted(a_key(), policy=policy, grace=DAY)
    assert isinstance(protocol.quiet(step.reset, step.key, old_last_used_at=None, now=after(HOUR)), OutOfOrder)
    used = good(protocol.first_use(step.reset, step.key, used_at=T0, now=T0))
    early = protocol.quiet(used.reset, used.key, old_last_used_at=after(HOUR / 2), now=after(HOUR))
    assert isinstance(early, OutOfOrder)
    ended = good(protocol.quiet(used.reset, used.key, old_last_used_at=after(HOUR / 2), now=after(1.5 * HOUR)))
    assert accepted_versions(ended.key, after(1.5 * HOUR)) == (2,)
    never = good(protocol.quiet(used.reset, used.key, old_last_used_at=None, now=after(HOUR)))
    assert never.reset.old_stops_at == after(HOUR)


def test_r33_what_a_later_reset_watches_stays_watched() -> None:
    policy = replace(PLAIN, quiet_after=HOUR)
    first = minted(a_key(), policy=policy, grace=DAY)
    second = minted(first.key, policy=policy, grace=DAY, now=after(HOUR))
    assert [one.watched for one in second.key.secrets] == [False, True, True]
    used = good(protocol.first_use(first.reset, second.key, used_at=after(HOUR), now=after(HOUR)))
    assert [one.watched for one in used.key.secrets] == [False, True, True]


def test_r33_a_superseded_reset_is_never_quiet() -> None:
    policy = replace(PLAIN, quiet_after=HOUR)
    first = minted(a_key(), policy=policy, grace=DAY)
    used = good(protocol.first_use(first.reset, first.key, used_at=T0, now=T0))
    gone = used.key.with_secret(replace(used.key.secrets[1], stopped_at=after(HOUR)))
    assert isinstance(protocol.quiet(used.reset, gone, old_last_used_at=None, now=after(2 * HOUR)), OutOfOrder)


def test_the_owner_in_person_resets_a_key_with_rights_they_lack_and_nobody_else_does() -> None:
    key = a_key(permissions=("keyturn.admin",))
    assert isinstance(ask(key, actor=PERSON), Step)
    stranger = ask(key, actor=replace(PERSON, user_id="usr_2", id="usr_2"))
    assert isinstance(stranger, Refusal)
    assert stranger.kind == "wider_than_actor"


def test_r20_stop_now_ends_the_grace_once_the_new_one_has_started() -> None:
    step = minted(a_key(), grace=DAY)
    stopped = good(protocol.finish(step.reset, step.key, now=after(HOUR)))
    assert accepted_versions(stopped.key, after(HOUR)) == (2,)
    cooling = minted(a_key(), policy=DATED)
    for policy in (DATED, replace(DATED, cool_down_scope="dangerous_only")):
        cooling = minted(a_key(), policy=policy)
        refusal = protocol.finish(cooling.reset, cooling.key, now=after(HOUR))
        assert isinstance(refusal, Refusal)
        assert refusal.kind == "new_not_started"


def test_r43_in_the_two_step_way_stopping_comes_first_or_second() -> None:
    policy = replace(PLAIN, manual="two_step")
    step = proven(good(ask(a_key(), actor=PERSON, policy=policy)), actor=PERSON)
    stopped = good(protocol.finish(step.reset, step.key, now=T0))
    assert (accepted_versions(stopped.key, T0), stopped.reset.stage) == ((), Stage.PROVEN)
    assert accepted_versions(good(protocol.mint(stopped.reset, stopped.key, NEW, actor=PERSON, now=T0)).key, T0) == (2,)
    plain = proven(good(ask(a_key())))
    assert isinstance(protocol.finish(plain.reset, plain.key, now=T0), OutOfOrder)
    asked = good(ask(a_key(), actor=PERSON, policy=policy))
    assert isinstance(protocol.finish(asked.reset, asked.key, now=T0), OutOfOrder)


# Order and lapse


@given(st.sampled_from(Stage), st.sampled_from(Event))
def test_r10_only_the_moves_of_the_table_are_possible(stage: Stage, event: Event) -> None:
    starts = T0 if event is Event.STARTED else after(DAY)  # what has not started cannot have
    reset = replace(good(ask(a_key())).reset, stage=stage, new_starts_at=starts)
    moved = protocol.move(reset, event, now=T0)
    if (stage, event) in MOVES:
        assert isinstance(moved, Reset)
        assert moved.stage is MOVES[stage, event]
        assert (moved.ended_at is not None) is (moved.stage is Stage.ENDED)
    else:
        assert isinstance(moved, OutOfOrder)


def test_r12_an_open_reset_lapses_by_its_date() -> None:
    reset = good(ask(a_key())).reset
    late = reset.lapses_at
    assert (protocol.stage_at(reset, late), protocol.is_open(reset, late), protocol.is_open(reset, T0)) == (
        Stage.ENDED,
        False,
        True,
    )
    refusal = protocol.move(reset, Event.CANCELLED, now=late)
    assert isinstance(refusal, Refusal)
    assert refusal.kind == "reset_lapsed"
    lapsed = protocol.end(reset, Event.LAPSED, now=late)
    assert isinstance(lapsed, Reset)
    assert (lapsed.stage, lapsed.end_reason) == (Stage.ENDED, "lapsed")
    assert isinstance(protocol.end(reset, Event.LAPSED, now=T0), OutOfOrder)
    assert isinstance(ask(a_key(), latest=reset, now=late), Step)


def test_r10_a_minted_reset_settles_by_its_date_and_cannot_be_cancelled() -> None:
    step = minted(a_key(), policy=DATED)
    assert protocol.stage_at(step.reset, after(HOUR)) is Stage.MINTED
    assert protocol.stage_at(step.reset, after(DAY)) is Stage.SETTLED
    assert isinstance(protocol.end(step.reset, Event.CANCELLED, now=T0), OutOfOrder)
    settled = protocol.move(step.reset, Event.STARTED, now=after(DAY))
    assert isinstance(settled, Reset)


def test_r32_a_changed_policy_reaches_an_open_reset_only_where_it_is_stricter() -> None:
    reset = good(ask(a_key(), actor=PERSON, grace=DAY)).reset
    strict = replace(
        PLAIN, proofs=(frozenset({PASSWORD, "totp"}),), cool_down=HOUR, grace_max=HOUR, reset_lapses=HOUR / 4
    )
    tight = protocol.tighten(reset, replace(strict, name="floor"), now=T0)
    assert (tight.source("proofs"), tight.source("attempts")) == ("floor", "plain")
    assert (tight.missing(T0), tight.terms.cool_down, tight.terms.grace) == (("password+totp",), HOUR, HOUR)
    assert tight.lapses_at == after(HOUR / 4)
    lax = replace(PLAIN, proofs=(frozenset({"captcha"}), frozenset({PASSWORD})), grace_max=99 * DAY)
    assert protocol.tighten(reset, lax, now=T0).terms == reset.terms
    done = minted(a_key()).reset
    assert protocol.tighten(done, strict, now=T0) == done
    machine = good(ask(a_key(), policy=DATED, waive_cool_down=True)).reset
    assert protocol.tighten(machine, strict, now=T0).wanted == machine.wanted


def test_r31_a_decision_names_the_policy_that_made_it() -> None:
    reset = good(ask(a_key())).reset
    assert (reset.source("attempts"), reset.source("nonsense")) == ("plain", "plain")


def test_k30_a_record_says_who_what_and_how_it_went() -> None:
    done = record(MACHINE, "key.created", at=T0, account_id="acc_1", subject_id="key_1")
    refused = record(
        MACHINE,
        "reset.asked",
        at=T0,
        account_id="acc_1",
        subject_id="key_1",
        refusal=OutOfOrder(stage="asked", event="x"),
    )
    assert (done.outcome, refused.outcome, done.detail) == ("done", "reset_out_of_order", {})
    assert Notice(kind="x", account_id="a", owner_id="o", key_id="k", detail={}).kind == "x"


GAPS = {  # who asks, reason, cool-down: from now until
    "R21 a leaked key's gap lasts until the proofs are shown": (PERSON, Reason.LEAKED, timedelta(0), timedelta(0)),
    "R21 and through the cool-down": (PERSON, Reason.SUSPICIOUS, DAY, DAY),
    "R21 a machine proves at once": (MACHINE, Reason.LEAKED, timedelta(0), None),
    "R21 and waits all the same": (MACHINE, Reason.LEAKED, DAY, DAY),
    "R21 create first leaves none": (PERSON, Reason.ROUTINE, DAY, None),
}


@pytest.mark.parametrize("story", GAPS)
def test_a_gap_is_told_before_anything_is_asked(story: str) -> None:
    actor, reason, cool_down, until = GAPS[story]
    step = good(ask(a_key(), reason, actor=actor, policy=replace(PLAIN, cool_down=cool_down)))
    handover = protocol.preview(step.reset, step.key, now=T0)
    expected = None if until is None else Gap(since=T0, until=after(until))
    assert protocol.gap_ahead(step.reset, handover, now=T0) == expected
