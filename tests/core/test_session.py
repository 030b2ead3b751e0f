"""When a session is on, and what changes with each step of signing in."""

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from keyturn.core.account import Role
from keyturn.core.instant import Instant
from keyturn.core.session import (
    LONGEST_SHOWN,
    SECOND_FACTOR_TRIES,
    SECOND_FACTOR_WITHIN,
    SEEN_EVERY,
    Session,
    SessionStage,
    Spans,
    Visitor,
    awaits_second_factor,
    begin,
    count_refused_step,
    is_due,
    is_on,
    is_open,
    opened,
    rotated,
    seen,
    shown_text,
)

T0 = Instant(datetime.fromisoformat("2030-01-01T00:00:00+00:00"))
SPANS = Spans(idle=timedelta(minutes=30), longest=timedelta(hours=12))
A_SECOND = timedelta(seconds=1)


def at(span: timedelta) -> Instant:
    return Instant(T0 + span)


def new(*, second_factor: bool = False, spans: Spans = SPANS) -> Session:
    return begin(
        "ses_1",
        user_id="usr_1",
        account_id="acc_1",
        role=Role.OWNER,
        how=("password",),
        second_factor=second_factor,
        visitor=Visitor(address="192.0.2.1", user_agent="Browser/1 \u202e\n(x)"),
        spans=spans,
        now=T0,
    )


def test_a_session_ends_when_it_is_idle_and_at_the_latest_after_its_longest() -> None:
    session = new()
    assert (session.address, session.user_agent, session.version) == ("192.0.2.1", "Browser/1 (x)", 1)
    assert is_open(session, at(SPANS.idle - A_SECOND))
    assert not is_open(session, at(SPANS.idle))
    used = seen(session, spans=SPANS, now=at(timedelta(minutes=20)))
    assert is_open(used, at(timedelta(minutes=49)))
    assert not is_on(used, at(timedelta(minutes=50)))
    late = seen(used, spans=SPANS, now=at(SPANS.longest - A_SECOND))
    assert is_on(late, at(SPANS.longest - A_SECOND))
    assert not is_on(late, at(SPANS.longest))


def test_its_use_is_written_down_at_most_once_a_minute() -> None:
    session = new()
    assert not is_due(session, at(SEEN_EVERY - A_SECOND))
    assert is_due(session, at(SEEN_EVERY))
    assert not is_due(seen(session, spans=SPANS, now=at(SEEN_EVERY)), at(SEEN_EVERY))


def test_before_the_second_factor_it_is_not_open_and_does_not_last() -> None:
    waiting = new(second_factor=True)
    assert not is_open(waiting, T0)
    assert not awaits_second_factor(new(), T0)
    assert awaits_second_factor(waiting, at(SECOND_FACTOR_WITHIN - A_SECOND))
    assert not awaits_second_factor(waiting, at(SECOND_FACTOR_WITHIN))
    now = at(timedelta(minutes=5))
    done = opened(waiting, how="totp", spans=SPANS, now=now)
    assert is_open(done, at(timedelta(minutes=34)))
    assert (done.stage, done.version, done.how) == (SessionStage.OPEN, 2, ("password", "totp"))
    assert done.ends_at == now + SPANS.longest


def test_wrong_second_factors_are_counted_and_the_last_one_ends_it() -> None:
    session: Session | None = new(second_factor=True)
    left = []
    while session is not None:
        session, tries = count_refused_step(session)
        left.append(tries)
    assert left == list(range(SECOND_FACTOR_TRIES - 1, -1, -1))


@given(st.timedeltas(timedelta(0), timedelta(days=2)), st.timedeltas(timedelta(0), timedelta(days=2)))
def test_another_token_never_makes_it_last_longer(idle: timedelta, longest: timedelta) -> None:
    session = new(spans=Spans(idle=idle, longest=longest))
    moved = rotated(session)
    assert moved == replace(session, version=session.version + 1)
    assert session.idle_ends_at <= session.ends_at
    assert seen(session, spans=Spans(idle=longest, longest=longest), now=T0).idle_ends_at <= session.ends_at


@given(st.text())
def test_pitfall_27_what_a_program_calls_itself_is_safe_to_show(text: str) -> None:
    shown = shown_text(text)
    assert shown == "" or shown.isprintable()
    assert len(shown) <= LONGEST_SHOWN
    assert shown_text("a\u202eb\x00\n  c") == "a b c"
