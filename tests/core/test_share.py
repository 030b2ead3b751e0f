"""Limits shared out (F15): what is spent is never more than one counter would have let through."""

from dataclasses import dataclass
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.core.limit import arrive
from keyturn.core.share import HOLD, KEPT, PAUSE, Balance, Loan, Rest, Share, Wish, lend, take_back

SECOND: Final = 1_000_000
NOW: Final = 1_900_000_000 * SECOND


def wish(waiting: int = 1, ahead: int = 0) -> Wish:
    return Wish(key_id="key_1", waiting=waiting, ahead=ahead)


def rest(loan: str, requests: int) -> Rest:
    return Rest(key_id="key_1", loan=loan, requests=requests)


def borrow(balance: Balance, one: Wish, **changes: Any) -> tuple[Balance, Share]:
    """Of 10 requests each 10 seconds, as one of two holders."""
    plain: dict[str, Any] = {"interval": SECOND, "window": 10 * SECOND, "holders": 2, "loan": "loan_1", "now": NOW}
    return lend(balance, one, **(plain | changes))


@dataclass
class Lent:
    """A loan as the one who tells the story knows it."""

    share: Share
    at: int
    spent: int = 0
    returned: bool = False
    lost: bool = False


steps = st.lists(
    st.one_of(
        st.tuples(st.just("later"), st.integers(0, 3 * SECOND)),
        st.tuples(st.just("borrow"), st.integers(1, 5), st.integers(0, 20), st.integers(1, 3)),
        st.tuples(st.just("spend"), st.integers(0, 9), st.integers(1, 10)),
        st.tuples(st.just("return"), st.integers(0, 9)),
        st.tuples(st.just("lose"), st.integers(0, 9)),
        st.tuples(st.just("forge"), st.integers(0, 9)),
    ),
    max_size=60,
)


@given(requests=st.integers(1, 40), interval=st.sampled_from([1000, 30_000, SECOND, 30 * SECOND]), steps=steps)
def test_f15_whatever_is_lent_spent_returned_or_lost_one_counter_would_have_let_it_through(
    requests: int, interval: int, steps: list[tuple[Any, ...]]
) -> None:
    balance, now, loans, window = Balance(), NOW, list[Lent](), requests * interval
    for number, (what, *how) in enumerate(steps):
        if what == "later":
            now += how[0]
        elif what == "borrow":
            waiting, ahead, holders = how
            balance, share = borrow(
                balance, wish(waiting, ahead), interval=interval, window=window, holders=holders,
                loan=f"loan_{number}", now=now,
            )  # fmt: skip
            assert bool(share.requests) == (share.wait == 0)
            loans.append(Lent(share, now))
        elif loans:
            one = loans[-1 - how[0] % len(loans)]
            left = 0 if one.returned or one.lost else one.share.requests - one.spent
            if what == "spend":
                one.spent += min(left, how[1])
            elif what == "return" and not one.lost:  # a second time it says nothing new
                before, one.returned = one.returned, True
                after = take_back(balance, rest(one.share.loan, left or one.share.requests * before), now=now)
                assert not before or after.arrival == balance.arrival, "taken back twice"
                balance = after
            elif what == "lose":
                one.lost = not one.returned
            elif what == "forge":
                balance = take_back(balance, rest(f"{one.share.loan}0", 1000), now=now)
    arrival = 0
    for one in loans:
        for _ in range(one.spent):
            following = arrive(arrival, interval=interval, window=window, now=one.at)
            assert following is not None, "one too many"
            arrival = following


@given(requests=st.integers(1, 1000), waiting=st.integers(1, 1000), ahead=st.integers(0, 1000))
def test_f15_a_single_holder_may_have_all_that_fits(requests: int, waiting: int, ahead: int) -> None:
    _, share = borrow(Balance(), wish(waiting, ahead), window=requests * SECOND, holders=1)
    assert share.requests == min(requests, waiting + ahead)
    assert share.others == requests - share.requests


@given(turns=st.lists(st.booleans(), min_size=12, max_size=40), holders=st.integers(2, 50))
def test_f15_a_limit_too_small_to_share_is_lent_one_by_one(turns: list[bool], holders: int) -> None:
    """However the holders take turns and whatever they hope for, exactly as many get through as the limit says."""
    balance, got = Balance(), 0
    for first in turns:
        balance, share = borrow(balance, wish(ahead=20 if first else 0), holders=holders)
        assert share.requests <= 1
        assert not share.loan
        got += share.requests
    assert got == 10


def test_f15_of_several_each_gets_a_small_part_beyond_the_requests_that_wait() -> None:
    big = {"interval": 1000, "window": 100 * SECOND}
    _, share = borrow(Balance(), wish(ahead=10**9), **big)
    assert share.requests == 100_000 // 8
    _, share = borrow(Balance(), wish(waiting=50_000, ahead=10**9), **big)
    assert share.requests == 50_000
    _, share = borrow(Balance(), wish(ahead=10), **big)
    assert (share.requests, share.loan) == (11, "loan_1")
    _, share = borrow(Balance(), wish(ahead=10**9), **big, holders=10_000)
    assert share.requests == PAUSE // 1000, "what a limit gains in a moment is not worth dividing"


def test_f15_who_gets_nothing_is_told_how_long_to_wait() -> None:
    full, share = borrow(Balance(), wish(waiting=10))
    assert (share.requests, share.wait, share.others) == (10, 0, 0)
    after, none = borrow(full, wish(), now=NOW + 300_000)
    assert (none.requests, none.loan, none.wait) == (0, "", 700_000)
    assert after.arrival == full.arrival
    assert borrow(full, wish(), now=NOW + SECOND)[1].requests == 1
    # Where something is out that may come back, sooner.
    lent, share = borrow(Balance(), wish(ahead=9), interval=60 * SECOND, window=600 * SECOND, holders=1)
    assert share.requests == 10
    again = {"interval": 60 * SECOND, "window": 600 * SECOND}
    assert borrow(lent, wish(), **again)[1].wait == HOLD
    assert borrow(lent, wish(), **again, now=NOW + KEPT)[1].wait == 60 * SECOND - KEPT


def test_f15_what_comes_back_can_be_lent_again_once_and_no_more_than_was_lent() -> None:
    used, _ = borrow(Balance(), wish(waiting=5), holders=1)
    lent, share = borrow(used, wish(ahead=9), holders=1)
    assert share.requests == 5
    for said, left in ((4, 4), (5, 5), (6, 5), (10**12, 5), (0, 0), (-5, 0)):
        back = take_back(lent, rest("loan_1", said), now=NOW)
        assert borrow(back, wish(waiting=99))[1].requests == left, said
        assert take_back(back, rest("loan_1", said), now=NOW) == back
    assert take_back(lent, rest("loan_2", 10), now=NOW) == lent
    assert take_back(Balance(), rest("loan_1", 10), now=NOW) == Balance()


def test_f15_what_time_has_given_back_already_does_not_come_back_once_more() -> None:
    """A counter that nobody had taken from would have been full, and not more than full."""
    lent, _ = borrow(Balance(), wish(ahead=1), holders=1)
    later = NOW + 2 * SECOND
    others, share = borrow(lent, wish(waiting=10), now=later)
    assert share.requests == 10
    assert take_back(others, rest("loan_1", 2), now=later).arrival == others.arrival


def test_f15_a_loan_is_known_for_a_while_only() -> None:
    lent, _ = borrow(Balance(), wish(ahead=9), holders=1)
    assert take_back(lent, rest("loan_1", 10), now=NOW + KEPT - 1).arrival == lent.arrival - 5 * SECOND - 1
    assert take_back(lent, rest("loan_1", 10), now=NOW + KEPT) == lent
    assert borrow(lent, wish(), now=NOW + KEPT, loan="loan_2")[0].loans == ()


def test_f15_of_two_loans_neither_brings_back_what_the_other_has() -> None:
    first, _ = borrow(Balance(), wish(ahead=3), holders=1)
    both, _ = borrow(first, wish(ahead=3), holders=1, loan="loan_2", now=NOW + SECOND)
    now = NOW + 2 * SECOND
    assert both.arrival == NOW + 8 * SECOND
    back = take_back(both, rest("loan_1", 4), now=now)
    assert back.arrival == NOW + 6 * SECOND, "two of the four have come back with time"
    assert [one.arrival for one in back.loans] == [NOW + 6 * SECOND]
    assert take_back(back, rest("loan_2", 4), now=now).arrival == now


def test_f15_a_shorter_window_owes_no_more_than_itself() -> None:
    """Else a key whose limit was made larger would stay refused for as long as the one before had said."""
    lent, _ = borrow(Balance(), wish(ahead=9), interval=86_400 * SECOND, window=864_000 * SECOND, holders=1)
    after, share = borrow(lent, wish())
    assert (share.requests, share.wait) == (0, SECOND)
    assert after == Balance(arrival=NOW + 10 * SECOND, at=NOW)
    assert take_back(after, rest("loan_1", 10), now=NOW) == after
    assert borrow(after, wish(), now=NOW + SECOND)[1].requests == 1


@pytest.mark.parametrize("step", ["lend", "take back"])
def test_f15_time_never_runs_back_here(step: str) -> None:
    loan = Loan(id="loan_1", requests=5, interval=SECOND, arrival=NOW + 5 * SECOND, at=NOW)
    balance = Balance(arrival=NOW + 5 * SECOND, loans=(loan,), at=NOW + 3 * SECOND)
    if step == "lend":
        assert borrow(balance, wish(), now=NOW) == borrow(balance, wish(), now=NOW + 3 * SECOND)
    else:
        assert take_back(balance, rest("loan_1", 5), now=NOW).arrival == NOW + 3 * SECOND
