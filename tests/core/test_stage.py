"""The table is the whole order (R10).

Whatever step is tried at whatever stage, either the table has the move or nothing changes.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from keyturn.core import reset as protocol
from keyturn.core.actor import Channel
from keyturn.core.handover import stop_all, stop_old_by
from keyturn.core.key import Key, StopReason, stop_by
from keyturn.core.policy import Policy
from keyturn.core.proof import CREDENTIAL, PASSWORD, Proof
from keyturn.core.refusal import Refusal
from keyturn.core.reset import Reason, Reset, Step
from keyturn.core.stage import MOVES, OPEN, Event, Stage
from tests.core.keys import (
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
    ask,
    good,
    minted,
    proven,
)

QUIET = replace(PLAIN, quiet_after=HOUR, cool_down=HOUR, manual="two_step")


def test_r10_open_stages_are_those_from_which_a_reset_can_lapse() -> None:
    assert {stage for stage, event in MOVES if event is Event.LAPSED} == OPEN


def test_r10_nothing_leaves_the_end_and_every_stage_is_reached() -> None:
    assert all(stage is not Stage.ENDED for stage, _ in MOVES)
    assert {*MOVES.values(), Stage.ASKED} == set(Stage)


def some_reset(channel: Channel, stage: Stage, at: timedelta, reason: Reason) -> tuple[Reset, Key]:
    """A reset that has come that far, and its key."""
    actor = PERSON if channel is Channel.PERSON else MACHINE
    step = good(ask(a_key(), reason, actor=actor, policy=QUIET))
    if stage is Stage.ASKED:
        return step.reset, step.key
    step = proven(step, actor=actor)
    if stage is Stage.PROVEN:
        return step.reset, step.key
    if stage is Stage.ENDED:
        ended = protocol.end(step.reset, Event.CANCELLED, now=T0)
        assert isinstance(ended, Reset)
        return ended, step.key
    step = good(protocol.mint(step.reset, step.key, NEW, actor=actor, now=T0))
    if stage is Stage.SETTLED and at >= HOUR:
        used = protocol.first_use(step.reset, step.key, used_at=after(HOUR), now=after(max(at, HOUR)))
        step = good(used)
    return step.reset, step.key


TRIES: dict[str, tuple[Event, Callable[[Reset, Key, timedelta], Step | Reset | Refusal]]] = {
    "prove": (
        Event.PROOF_COMPLETED,
        lambda reset, key, at: protocol.prove(
            reset,
            key,
            Proof(
                kind=PASSWORD if reset.channel is Channel.PERSON else CREDENTIAL,
                by="x",
                at=after(at),
                session=reset.session,
            ),
            now=after(at),
        ),
    ),
    "mint": (
        Event.MINTED,
        lambda reset, key, at: protocol.mint(
            reset, key, NEW, actor=PERSON if reset.channel is Channel.PERSON else MACHINE, now=after(at)
        ),
    ),
    "first_use": (
        Event.FIRST_USED,
        lambda reset, key, at: protocol.first_use(reset, key, used_at=after(at), now=after(at)),
    ),
    "quiet": (Event.QUIET, lambda reset, key, at: protocol.quiet(reset, key, old_last_used_at=None, now=after(at))),
    "finish": (Event.OLD_STOPPED, lambda reset, key, at: protocol.finish(reset, key, now=after(at))),
    "cancel": (Event.CANCELLED, lambda reset, _key, at: protocol.end(reset, Event.CANCELLED, now=after(at))),
    "lapse": (Event.LAPSED, lambda reset, _key, at: protocol.end(reset, Event.LAPSED, now=after(at))),
    "end with the key": (Event.KEY_ENDED, lambda reset, _key, at: protocol.end(reset, Event.KEY_ENDED, now=after(at))),
    "start": (Event.STARTED, lambda reset, _key, at: protocol.move(reset, Event.STARTED, now=after(at))),
}


@given(
    channel=st.sampled_from([Channel.PERSON, Channel.MACHINE]),
    stage=st.sampled_from(Stage),
    name=st.sampled_from(sorted(TRIES)),
    at=st.sampled_from([timedelta(0), timedelta(minutes=29), timedelta(minutes=30), HOUR, 2 * HOUR, 9 * DAY]),
    reason=st.sampled_from(Reason),
)
def test_r10_a_step_follows_the_table_or_is_refused_and_changes_nothing(
    channel: Channel, stage: Stage, name: str, at: timedelta, reason: Reason
) -> None:
    event, attempt = TRIES[name]
    reset, key = some_reset(channel, stage, at, reason)
    by_date = protocol.stage_at(reset, after(at))
    answer = attempt(reset, key, at)
    if isinstance(answer, Refusal):
        return
    end = answer.reset if isinstance(answer, Step) else answer
    before = reset.stage if event in (Event.LAPSED, Event.STARTED) else by_date
    assert MOVES[before, event] is end.stage
    if reset.stage in OPEN and after(at) >= reset.lapses_at:
        assert event is Event.LAPSED
    kept = ("id", "key_id", "account_id", "owner_id", "asking", "channel", "asked_by", "session", "policy", "asked_at")
    assert [getattr(end, field) for field in kept] == [getattr(reset, field) for field in kept]
    if isinstance(answer, Step):
        for old in key.secrets:
            now = answer.key.secret(old.version)
            assert now is not None
            assert now.stops_at <= old.stops_at, "dates only ever move earlier (R20)"
            assert not (old.stopped_at and now.stopped_at != old.stopped_at)
            assert (now.digest, now.starts_at, now.created_at) == (old.digest, old.starts_at, old.created_at)


def test_r10_a_reset_does_not_settle_before_its_date() -> None:
    waiting = minted(a_key(), policy=replace(PLAIN, cool_down=DAY)).reset
    assert isinstance(protocol.move(waiting, Event.STARTED, now=after(DAY - timedelta(microseconds=1))), Refusal)
    settled = protocol.move(waiting, Event.STARTED, now=after(DAY))
    assert isinstance(settled, Reset)
    assert settled.stage is Stage.SETTLED


def test_r10_a_proof_comes_too_late_once_minted() -> None:
    step = minted(a_key())
    proof = Proof(kind=CREDENTIAL, by="key_robot", at=T0)
    late = protocol.prove(step.reset, step.key, proof, now=T0)
    assert isinstance(late, Refusal)
    assert late.kind == "reset_out_of_order"


def test_r20_stopping_the_old_ones_leaves_the_new_one_alone() -> None:
    key = a_key(a_secret(1), a_secret(2), a_secret(3))
    stopped = stop_all(key, reason=StopReason.LEAKED, before=3, reset_id="r", now=T0)
    assert [one.is_over(T0) for one in stopped.secrets] == [True, True, False]
    again = stop_all(stopped, reason=StopReason.REPLACED, before=3, reset_id="s", now=after(HOUR))
    assert again == stopped, "what is over stays as it was"
    brought = stop_old_by(key, after(HOUR), before=2, reset_id="r", now=T0)
    assert [one.is_over(after(HOUR)) for one in brought.secrets] == [True, False, False]


def test_r33_quiet_waits_until_the_new_secret_may_write_too() -> None:
    policy = replace(PLAIN, cool_down=DAY, cool_down_scope="dangerous_only", quiet_after=HOUR)
    step = minted(a_key(), policy=policy, grace=DAY)
    used = good(protocol.first_use(step.reset, step.key, used_at=T0, now=T0))
    early = protocol.quiet(used.reset, used.key, old_last_used_at=None, now=after(2 * HOUR))
    assert isinstance(early, Refusal)
    late = good(protocol.quiet(used.reset, used.key, old_last_used_at=None, now=after(DAY)))
    assert late.key.secrets[0].is_over(after(DAY))


def test_r33_without_quiet_after_nothing_falls_quiet() -> None:
    step = minted(a_key(), policy=Policy(name="p", proofs=PLAIN.proofs), grace=DAY)
    used = good(protocol.first_use(step.reset, step.key, used_at=T0, now=T0))
    assert isinstance(protocol.quiet(used.reset, used.key, old_last_used_at=None, now=after(HOUR)), Refusal)


def test_f8_a_stop_that_is_effective_now_is_a_flag_and_not_a_time() -> None:
    stopped = stop_by(a_secret(), T0, reset_id="r", now=T0)
    assert (stopped.stopped_at, stopped.stops_at) == (T0, T0)
    later = stop_by(a_secret(), after(HOUR), reset_id="r", now=T0)
    assert (later.stopped_at, later.stops_at) == (None, after(HOUR))


def test_r21_stop_now_leaves_something_however_often_the_new_secret_was_replaced() -> None:
    policy = replace(PLAIN, cool_down=DAY, cool_down_scope="dangerous_only")
    first = minted(a_key(), policy=policy, grace=DAY)
    key = minted(first.key, policy=policy, grace=DAY, now=after(HOUR)).key
    assert [one.is_over(after(HOUR)) for one in key.secrets] == [False, True, False]
    forgotten = replace(key, secrets=(key.secrets[0], key.secrets[2]))  # the store loads the newest only
    for known in (key, forgotten):
        early = protocol.finish(first.reset, known, now=after(HOUR))
        assert isinstance(early, Refusal)
        assert early.kind == "new_not_started"
        done = good(protocol.finish(first.reset, known, now=after(DAY)))
        assert [one.is_over(after(DAY)) for one in done.key.secrets][-2:] == [True, False]
