from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from keyturn.core.delivery import (
    KEEPS_PLACE_FOR,
    LEASE,
    LONGEST_SAID,
    PAUSES,
    TRIED_FOR,
    Attempt,
    Delivery,
    Means,
    Result,
    State,
    leased,
    masked,
    tried,
)
from keyturn.core.instant import Instant
from keyturn.core.notice import is_personal
from keyturn.core.visible import visible

T0 = Instant(datetime(2030, 1, 1, tzinfo=UTC))
NEW = Delivery(id="dlv_1", means=Means.MAIL, to="a@example.com", made_at=T0, due_at=T0)
LATER = Attempt(result=Result.UNREACHABLE)


def at(span: timedelta) -> Instant:
    return Instant(T0 + span)


def test_r51_an_attempt_ends_a_delivery_or_leaves_it_waiting() -> None:
    taken = leased(NEW, by="w", now=T0)
    assert (taken.leased_by, taken.leased_until, taken.attempts, taken.first_tried_at) == ("w", at(LEASE), 1, T0)
    stories = {
        "the other side took it": (Result.TAKEN, State.TOLD, T0),
        "the other side never will": (Result.REFUSED, State.REFUSED, T0),
        "it was of no use any more": (Result.LAPSED, State.LAPSED, T0),
        "not now": (Result.DEFERRED, State.WAITING, at(PAUSES[0])),
        "nobody answered": (Result.UNREACHABLE, State.WAITING, at(PAUSES[0])),
    }
    for story, (result, state, due_at) in stories.items():
        after = tried(taken, Attempt(result=result, said="x" * 500), now=T0)
        assert (after.state, after.due_at, after.leased_by, after.leased_until) == (state, due_at, "", None), story
        assert (after.settled_at is None) == (state is State.WAITING), story
        assert len(after.said) == LONGEST_SAID, story


@given(results=st.lists(st.sampled_from((Result.DEFERRED, Result.UNREACHABLE)), min_size=150, max_size=150))
def test_r51_pauses_grow_and_it_is_tried_for_three_days(results: list[Result]) -> None:
    one, now, pauses = NEW, T0, []
    for result in results:
        one = tried(leased(one, by="w", now=now), Attempt(result=result), now=now)
        if one.state is not State.WAITING:
            break
        pauses.append(one.due_at - now)
        now = one.due_at
    assert (one.state, one.settled_at) == (State.GIVEN_UP, at(TRIED_FOR))
    assert pauses[:-1] == sorted(pauses[:-1])
    assert pauses[: len(PAUSES)] == list(PAUSES)


def test_r51_a_delivery_never_taken_in_hand_is_tried_however_old_it_is() -> None:
    year = timedelta(days=365)
    one = tried(leased(NEW, by="w", now=at(year)), LATER, now=at(year))
    assert (one.state, one.due_at) == (State.WAITING, at(year + PAUSES[0]))
    assert tried(NEW, LATER, now=T0).due_at == at(PAUSES[0]), "also where no lease was written"


def test_r51_a_mail_that_is_always_put_off_stops_holding_up_the_others() -> None:
    one = NEW
    for result, keeps in ((Result.UNREACHABLE, True), (Result.DEFERRED, False)):
        one = NEW
        for _ in range(KEEPS_PLACE_FOR):
            assert one.in_order
            one = tried(leased(one, by="w", now=T0), Attempt(result=result), now=T0)
        assert one.in_order is keeps
    assert not tried(leased(one, by="w", now=T0), LATER, now=T0).in_order, "a place lost stays lost"


def test_an_address_in_a_list_is_masked() -> None:
    stories = {"anna@example.com": "a…@example.com", "@x": "…@x", "whk_1": "whk_1", "a@b@c.example": "a…@c.example"}
    assert {address: masked(address) for address in stories} == stories


def test_what_happens_to_one_person_is_told_to_nobody_else() -> None:
    assert [is_personal(kind) for kind in ("key.created", "reset.minted", "member.added")] == [False] * 3
    assert [is_personal(kind) for kind in ("session.started", "user.password_changed")] == [True] * 2


def test_pitfall_27_nothing_hidden_stands_in_what_is_shown() -> None:
    stories = {
        "plain": ("Ünïcode 取", "Ünïcode 取"),
        "turned reading direction": ("a\u202egpj.exe", "a\\u202egpj.exe"),
        "isolates and marks": ("\u2066x\u2069\u200f", "\\u2066x\\u2069\\u200f"),
        "a header's end": ("a\r\nBcc: b@example.com", "a\\u000d\\u000aBcc: b@example.com"),
        "a terminal's escape": ("\x1b[2J", "\\u001b[2J"),
        "line separators": ("a\u2028b\u2029", "a\\u2028b\\u2029"),
        "half a character": ("\ud800", "\\ud800"),
        "too long": ("x" * 500, "x" * 199 + "…"),
    }
    for story, (text, shown) in stories.items():
        assert visible(text) == shown, story
