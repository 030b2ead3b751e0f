"""Shares of limits: borrowed, spent without asking, given back (F15, pitfalls 4 and 15)."""

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.core import limit as limits
from keyturn.core.limit import Limit, arrive
from keyturn.core.share import HOLD, PAUSE, Balance, Rest, Share, Wish, lend, take_back
from keyturn.verify.borrower import Borrower
from keyturn.verify.counters import Counters
from keyturn.verify.decision import ASK, BORROW, RATE_LIMITED, VALID, Verdict
from keyturn.verify.memory import Fill
from keyturn.verify.shares import Shares
from keyturn.verify.together import Together, _Turn
from keyturn.verify.verifier import Verifier
from tests.verify.states import NOW, SECOND, digest, entry, key, secret_text, version

LIMIT: Final = limits.parse("10/10s")
WISH: Final = Wish(key_id="key_1", waiting=1)


def share(requests: int = 5, **changes: Any) -> Share:
    plain: dict[str, Any] = {"key_id": "key_1", "loan": "loan_1", "interval": SECOND, "window": 10 * SECOND}
    return Share(**({"requests": requests, "others": 0, "wait": 0} | plain | changes))


def held(requests: int = 5, **changes: Any) -> Shares:
    shares = Shares(10)
    shares.put(1, share(requests, **changes), wish=WISH, asked=NOW)
    return shares


def take(shares: Shares, now: int = NOW, number: int = 1) -> int:
    return shares.take(number, SECOND, 10 * SECOND, now)


def test_f15_a_share_is_spent_until_its_time_is_over() -> None:
    shares = held(3)
    assert take(shares, number=2) == BORROW
    assert [take(shares), take(shares, NOW + HOLD - 1), take(shares, NOW + HOLD)] == [0, 0, BORROW]
    assert shares.overdue(NOW + HOLD) == [Rest(key_id="key_1", loan="loan_1", requests=1)]
    assert take(shares, NOW) == BORROW, "given back is given back"
    shares = held(1)
    assert [take(shares), take(shares)] == [0, BORROW]


def test_f15_a_share_of_another_limit_is_void() -> None:
    shares = held(3)
    assert shares.take(1, 2 * SECOND, 10 * SECOND, NOW) == BORROW
    assert shares.take(1, SECOND, 5 * SECOND, NOW) == BORROW
    assert shares.remaining(1, 2 * SECOND, 10 * SECOND, NOW) == 0
    assert shares.remaining(1, SECOND, 5 * SECOND, NOW) == 0


def test_f15_nothing_lent_is_remembered_for_a_moment_and_no_longer_than_ten_seconds() -> None:
    for wait, refused in ((5, PAUSE), (SECOND, SECOND), (3600 * SECOND, 10 * SECOND)):
        shares = held(0, loan="", wait=wait)
        assert take(shares) == max(wait, PAUSE)
        assert take(shares, NOW + refused - 1) == max(wait, PAUSE) - refused + 1
        assert take(shares, NOW + refused) == BORROW


def test_f15_what_remains_is_what_is_held_and_what_others_had_not_taken() -> None:
    shares = held(3, others=7)
    assert shares.remaining(1, SECOND, 10 * SECOND, NOW) == 10
    assert take(shares) == 0
    assert shares.remaining(1, SECOND, 10 * SECOND, NOW) == 9
    assert shares.remaining(1, SECOND, 10 * SECOND, NOW + HOLD) == 0
    assert shares.remaining(2, SECOND, 10 * SECOND, NOW) == 0


def test_f15_what_was_taken_and_not_used_can_be_taken_again_once() -> None:
    shares = held(1)
    shares.undo(1, SECOND)
    assert [take(shares), take(shares)] == [0, BORROW]
    shares.undo(1, 2 * SECOND)
    shares.undo(2, SECOND)
    assert take(shares) == BORROW
    shares.undo(1, SECOND)
    assert [take(shares), take(shares)] == [0, BORROW]


def test_f15_what_is_wished_for_follows_what_was_used() -> None:
    def wished(shares: Shares, now: int, spent: int = 0) -> tuple[int, Sequence[Rest]]:
        assert [take(shares) for _ in range(spent)] == [0] * spent
        wish, rests = shares.wish(1, "key_1", waiting=3, now=now)
        assert (wish.key_id, wish.waiting) == ("key_1", 3)
        assert take(shares) == BORROW
        return wish.ahead, rests

    def rest(requests: int) -> list[Rest]:
        return [Rest(key_id="key_1", loan="loan_1", requests=requests)]

    assert wished(Shares(10), NOW) == (0, ())
    assert wished(held(4), NOW + HOLD - 1, spent=4) == (8, rest(0)), "spent before its time"
    assert wished(held(4), NOW + HOLD, spent=4) == (4, rest(0))
    assert wished(held(4), NOW + 2 * HOLD - 1, spent=3) == (3, rest(1))
    assert wished(held(4), NOW + 2 * HOLD, spent=3) == (0, rest(1)), "so long ago that it says nothing"
    assert wished(held(4, loan=""), NOW, spent=1) == (1, [])
    returned = held(4)
    assert [take(returned), take(returned)] == [0, 0]
    assert returned.overdue(NOW + HOLD) == rest(2)
    assert wished(returned, NOW + HOLD) == (2, []), "given back already"
    shares = Shares(10)
    shares.put(1, share(0, loan=""), wish=Wish(key_id="key_1", waiting=1, ahead=16), asked=NOW)
    assert wished(shares, NOW + PAUSE) == (16, []), "a refusal says nothing of how much is used"


def test_f15_shares_are_bounded_and_forgotten() -> None:
    shares = Shares(2)
    for number in range(3):
        shares.put(number, share(5, loan=f"loan_{number}"), wish=WISH, asked=NOW)
    assert len(shares) == 2
    assert take(shares, number=0) == BORROW
    assert shares.overdue(NOW) == [Rest(key_id="key_1", loan="loan_0", requests=5)], "what was dropped is given back"
    assert shares.overdue(NOW) == []
    assert len(shares.overdue(NOW + HOLD)) == 2
    assert len(shares) == 2
    assert shares.overdue(NOW + 2 * HOLD) == []
    assert len(shares) == 0
    refused = held(0, loan="", wait=5 * SECOND)
    assert refused.overdue(NOW + 2 * HOLD) == []
    assert take(refused, NOW + 2 * HOLD) == 3 * SECOND
    assert refused.overdue(NOW + 5 * SECOND) == []
    assert len(refused) == 0
    leaving = held(5)
    assert [one.requests for one in leaving.drain()] == [5]
    assert len(leaving) == 0


@contextmanager
def switching() -> Iterator[None]:
    """Threads switch as often as the interpreter can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def test_pitfall_15_threads_never_spend_more_than_the_share_and_what_is_drawn_is_exact() -> None:
    """F15: what comes back and what was spent are together what was lent, whenever it is drawn."""
    with switching():
        for _ in range(30):
            shares, begin, spent = held(500), threading.Barrier(4), list[int]()

            def spend(shares: Shares = shares, begin: threading.Barrier = begin, spent: list[int] = spent) -> None:
                begin.wait()
                spent.append(sum(take(shares) == 0 for _ in range(300)))

            threads = [threading.Thread(target=spend) for _ in range(3)]
            for thread in threads:
                thread.start()
            begin.wait()
            _, rests = shares.wish(1, "key_1", waiting=1, now=NOW)
            for thread in threads:
                thread.join()
            assert sum(spent) + rests[0].requests == 500


class Lender:
    """The pure lender with a clock of its own, and a line that may lose what it carries."""

    def __init__(self, limit: Limit, *, holders: int) -> None:
        self.balance = Balance()
        self.now = NOW
        self.limit = limit
        self.holders = holders
        self.lost = ""
        self.trips = 0
        self._loans = count()

    def __call__(self, wishes: Sequence[Wish], rests: Sequence[Rest]) -> Sequence[Share]:
        self.trips += 1
        lost, self.lost = self.lost, ""
        if lost == "there":
            raise ConnectionError
        for rest in rests:
            self.balance = take_back(self.balance, rest, now=self.now)
        shares = []
        for wish in wishes:
            self.balance, one = lend(
                self.balance, wish, interval=self.limit.interval_micros, window=self.limit.window_micros,
                holders=self.holders, loan=f"loan_{next(self._loans)}", now=self.now,
            )  # fmt: skip
            shares.append(one)
        if lost == "back":
            raise ConnectionError
        return shares


class Holding:
    """A process that decides on one key by shares."""

    def __init__(self, lender: Lender, *, skew: int = 0) -> None:
        self.shares = Shares(10)
        self.verifier = Verifier(limits=self.shares)
        self.lender = lender
        self.skew = skew
        self.borrower = Borrower(self.shares, lender, now=self.now)
        state = key(limit=lender.limit)
        assert self.verifier.fill(digest(), Fill(rev=0, state=state, version=1), now=NOW)

    def now(self) -> int:
        return self.lender.now + self.skew

    def once(self) -> Verdict:
        return self.verifier.verify(secret_text(), now=self.now())

    def decide(self) -> Verdict:
        return self.borrower.decide(self.once(), self.once)

    def code(self) -> str:
        try:
            return self.decide().code
        except ConnectionError:
            return "lost"


@given(
    requests=st.integers(1, 60),
    window=st.integers(1, 100),
    skews=st.tuples(st.integers(0, HOLD), st.integers(0, HOLD)),
    steps=st.lists(
        st.tuples(
            st.booleans(),
            st.integers(1, 30),
            st.one_of(st.just(0), st.integers(0, SECOND // 10), st.integers(0, 5 * SECOND)),
            st.sampled_from(["", "", "", "there", "back", "tick"]),
        ),
        max_size=40,
    ),
)
def test_f15_two_holders_let_through_no_more_than_one_counter(
    requests: int, window: int, skews: tuple[int, int], steps: list[tuple[bool, int, int, str]]
) -> None:
    """Whatever is lost, and however far the holders' clocks are ahead: never more than n and what time has added."""
    limit = Limit(requests=requests, window=window * LIMIT.window / 10)
    lender = Lender(limit, holders=2)
    holders = [Holding(lender, skew=skew) for skew in skews]
    got = 0
    for first, times, later, what in steps:
        lender.now += later
        one = holders[first]
        lender.lost = what if what in ("there", "back") else ""
        if what == "tick":
            one.borrower.give_back()
        got += [one.code() for _ in range(times)].count(VALID)
        assert got <= requests + (lender.now - NOW) // limit.interval_micros
        assert one.code() != ASK


@given(turns=st.lists(st.integers(0, 2), min_size=10, max_size=40))
def test_f15_a_small_limit_is_exact_however_its_holders_alternate(turns: list[int]) -> None:
    lender = Lender(limits.parse("10/1m"), holders=3)
    holders = [Holding(lender) for _ in range(3)]
    codes = [holders[turn].decide() for turn in turns]
    assert [one.code for one in codes] == [VALID] * 10 + ["rate_limited"] * (len(turns) - 10)
    assert all(one.retry_after == 6 for one in codes[10:])


def test_f15_a_single_holder_gets_exactly_the_limit_in_few_trips() -> None:
    lender = Lender(limits.parse("1000/1m"), holders=1)
    one = Holding(lender)
    assert [one.decide().code for _ in range(1100)].count(VALID) == 1000
    assert lender.trips <= 12


def test_f15_what_lies_idle_comes_back() -> None:
    """And a steady use asks once for each time that a share lasts."""
    lender = Lender(limits.parse("1000/1h"), holders=2)
    one = Holding(lender)
    for _ in range(50):
        assert one.decide().valid
    assert lender.balance.arrival - NOW > 50 * LIMIT.interval_micros * 3.6
    lender.now += HOLD
    one.borrower.give_back()
    assert lender.balance.arrival == NOW + 50 * 3_600_000
    trips = lender.trips
    one.borrower.give_back()
    assert lender.trips == trips, "nothing more to give back"
    for _ in range(20):
        for _ in range(10):
            lender.now += HOLD // 10
            assert one.decide().valid
    assert lender.trips - trips <= 25


def test_f15_who_leaves_gives_everything_back() -> None:
    lender = Lender(limits.parse("1000/1h"), holders=1)
    one = Holding(lender)
    for _ in range(5):
        assert one.decide().valid
    one.borrower.give_back(everything=True)
    assert lender.balance.arrival == NOW + 5 * 3_600_000


def test_f15_a_limit_that_changes_holds_at_once() -> None:
    lender = Lender(limits.parse("1000/1s"), holders=1)
    one = Holding(lender)
    assert all(one.decide().valid for _ in range(10))
    lender.limit = limits.parse("1/1h")
    assert one.verifier.apply([entry(1, key(limit=lender.limit))])
    assert one.once().code == ASK
    assert one.decide().code == "rate_limited", "what was used under the other limit counts"
    trips = lender.trips
    assert one.decide().code == "rate_limited"
    assert lender.trips == trips
    lender.limit = limits.parse("100/1s")
    assert one.verifier.apply([entry(2, key(limit=lender.limit))])
    lender.now += SECOND
    assert one.decide().valid


def test_pitfall_4_a_reset_finds_the_share_of_the_key() -> None:
    """F15: shares are the key's, whichever of its secrets is shown."""
    lender = Lender(limits.parse("2/1m"), holders=1)
    one = Holding(lender)
    both = key(limit=lender.limit, secrets=(version(), version(2)))
    assert one.verifier.apply([entry(1, both)])
    assert one.verifier.fill(digest(2), Fill(rev=1, state=both, version=2), now=NOW)

    def second() -> Verdict:
        return one.verifier.verify(secret_text(2), now=NOW)

    assert one.decide().valid
    assert one.borrower.decide(second(), second).valid
    assert one.borrower.decide(second(), second).code == "rate_limited"
    assert one.decide().code == "rate_limited"


def test_f15_a_request_that_is_decided_once_more_uses_up_nothing() -> None:
    one = Holding(Lender(limits.parse("1/1m"), holders=1))
    verdict = one.decide()
    one.verifier.undo(verdict, (), None, "")
    assert one.decide().valid
    assert one.decide().code == "rate_limited"


@pytest.mark.parametrize("agent", ["", "bot/1", "b" * 300])
def test_r20_a_request_that_is_decided_once_more_was_no_use(agent: str) -> None:
    """Nor is it counted twice, for people or for metrics, whatever was drained since."""
    one = Verifier()
    state = key(secrets=(version(watched=True),))
    assert one.fill(digest(), Fill(rev=0, state=state, version=1), now=NOW)

    def use(now: int = NOW) -> Verdict:
        return one.verify(secret_text(), ip="192.0.2.7", user_agent=agent, now=now)

    def told() -> tuple[list[int], list[int], int]:
        tallies, callers = one.drain_uses().watched.values(), one.drain_callers()
        return [each.count for each in tallies], [each.times for each in callers], one.counts[VALID]

    one.undo(use(), (), "192.0.2.7", agent)
    assert told() == ([], [], 0)
    use()
    one.undo(use(NOW + 1), (), "192.0.2.7", agent)
    assert told() == ([1], [1], 1)
    verdict = use()
    assert told() == ([1], [1], 2)
    one.undo(verdict, (), "192.0.2.7", agent)
    assert told() == ([], [], 1)
    use()
    use()
    assert told() == ([2], [1], 3), "what was told before it was undone is told no second time"
    one.undo(use(), ("a:read",), None, agent)  # not remembered that way any more
    assert one.counts[VALID] == 3


def test_f15_an_answer_about_other_keys_is_passed_over() -> None:
    shares = Shares(10)
    asked: list[object] = []

    def lend_another(wishes: object, _rests: object) -> Sequence[Share]:
        asked.append(wishes)
        return [share(key_id="key_2")]

    borrower = Borrower(shares, lend_another, now=lambda: NOW)
    verifier = Verifier(limits=shares)
    assert verifier.fill(digest(), Fill(rev=0, state=key(limit=LIMIT), version=1), now=NOW)
    verdict = verifier.verify(secret_text(), now=NOW)
    assert borrower.decide(verdict, lambda: verifier.verify(secret_text(), now=NOW)).code == ASK
    assert len(shares) == 0
    assert len(asked) == 1, "asking again would bring nothing else"


@pytest.mark.parametrize("beyond", [0, HOLD // 2])
def test_f15_a_share_lasts_as_long_where_requests_are_decided_as_of_later(beyond: int) -> None:
    """Time that turned out to be earlier stands still here for a while, and no share with it."""
    lender = Lender(limits.parse("10/1s"), holders=1)
    one = Holding(lender, skew=beyond)
    one.borrower = Borrower(one.shares, lender, now=one.now, latest=lambda: lender.now)
    assert one.decide().valid
    assert one.shares._held[1].ends == NOW + HOLD
    while (verdict := one.decide()).valid:
        assert lender.trips < 20
    trips = lender.trips
    assert verdict.code == one.decide().code == RATE_LIMITED
    assert lender.trips == trips, "whoever is refused does not ask at once again"


def test_f15_what_would_be_over_at_once_is_not_borrowed() -> None:
    lender = Lender(limits.parse("1/1h"), holders=1)
    one = Holding(lender, skew=HOLD)
    one.borrower = Borrower(one.shares, lender, now=one.now, latest=lambda: lender.now)
    assert one.decide().code == ASK
    assert lender.trips == 0


def test_f15_where_nobody_else_decides_what_would_be_over_is_borrowed_for_those_who_wait() -> None:
    """One request at a time, and nothing of it goes on."""
    lender = Lender(limits.parse("10/1h"), holders=1)
    one = Holding(lender, skew=HOLD)
    one.borrower = Borrower(one.shares, lender, now=one.now, latest=lambda: lender.now, is_last=True)
    for turn in range(10):
        assert one.decide().valid
        assert lender.trips == turn + 1
        assert one.shares._held[1].ends == one.now() + 1
    assert [one.decide().code for _ in range(2)] == [RATE_LIMITED] * 2
    lender.now += 1
    assert one.shares.overdue(one.now()) == [], "what was lent is spent"


def test_f15_a_share_of_a_limit_that_is_not_known_here_yet_is_not_asked_for_again() -> None:
    lender = Lender(limits.parse("10/1h"), holders=1)
    one = Holding(lender)
    lender.limit = limits.parse("20/1h")
    assert one.decide().code == ASK
    assert lender.trips == 1


def test_f15_whoever_comes_late_leaves_what_was_borrowed_to_those_who_wait_for_it() -> None:
    """A thread that found nothing, and meets a share when it is its turn to borrow: nothing of it is lost."""
    lender = Lender(limits.parse("10/1h"), holders=2)
    one = Holding(lender)
    late, limit = one.once(), lender.limit
    assert late.code == ASK
    one.borrower._together((1, "key_1", limit.interval_micros, limit.window_micros))
    assert one.borrower.decide(late, lambda: late).code == ASK, "for whom others were quicker each time, it ends"
    assert one.borrower.decide(late, one.once).valid
    assert lender.trips == 1
    assert [one.decide().code for _ in range(10)].count(VALID) == 9
    held_ = held(3)
    assert held_.holds(1, SECOND, 10 * SECOND, NOW)
    for wrong in ((2, SECOND, 10 * SECOND, NOW), (1, 5, 10 * SECOND, NOW), (1, SECOND, 5, NOW)):
        assert not held_.holds(*wrong)
    assert not held_.holds(1, SECOND, 10 * SECOND, NOW + HOLD)
    assert [take(held_) for _ in range(3)] == [0] * 3
    assert not held_.holds(1, SECOND, 10 * SECOND, NOW)


def test_pitfall_15_threads_that_borrow_one_by_one_lose_nothing() -> None:
    """F15: of a limit too small to share exactly as many get through, however many ask at once."""
    with switching():
        for _ in range(20):
            one, begin, codes = Holding(Lender(limits.parse("40/1h"), holders=10)), threading.Barrier(4), list[str]()

            def ask(one: Holding = one, begin: threading.Barrier = begin, codes: list[str] = codes) -> None:
                begin.wait()
                codes.extend(one.decide().code for _ in range(15))

            threads = [threading.Thread(target=ask) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert codes.count(VALID) == 40


# Asked together


def test_f15_questions_that_come_while_one_is_under_way_are_asked_together() -> None:
    asked: list[Sequence[int]] = []
    begun, go_on, answers = threading.Event(), threading.Event(), list[int]()

    def ask(questions: Sequence[int]) -> Sequence[int]:
        asked.append(questions)
        begun.set()
        assert go_on.wait(30)
        return [10 * one for one in questions]

    together = Together(ask, most=3)
    threads = [threading.Thread(target=lambda one=one: answers.append(together(one))) for one in range(6)]
    threads[0].start()
    assert begun.wait(30)
    for thread in threads[1:]:
        thread.start()
    while len(together._waiting) < 5:
        threading.Event().wait(0.001)
    go_on.set()
    for thread in threads:
        thread.join()
    assert sorted(map(len, asked)) == [1, 2, 3]
    assert sorted(answers) == [0, 10, 20, 30, 40, 50]


def test_f15_what_breaks_breaks_for_everybody_who_waits_for_it() -> None:
    begun, go_on, broken = threading.Event(), threading.Event(), list[str]()

    def ask(questions: Sequence[int]) -> Sequence[int]:
        begun.set()
        assert go_on.wait(30)
        if len(questions) > 1:
            raise ConnectionError("away")
        return questions

    together = Together(ask)

    def call(one: int) -> None:
        try:
            assert together(one) == one
        except ConnectionError:
            broken.append("away")

    threads = [threading.Thread(target=call, args=(one,)) for one in range(3)]
    threads[0].start()
    assert begun.wait(30)
    for thread in threads[1:]:
        thread.start()
    while len(together._waiting) < 2:
        threading.Event().wait(0.001)
    go_on.set()
    for thread in threads:
        thread.join()
    assert broken == ["away", "away"]
    assert together(7) == 7


def test_f15_a_thread_whose_turn_comes_later_learns_nothing_of_what_broke_before() -> None:
    """It runs the others' turn as well as its own, and leaves nothing of itself behind."""
    asked: list[Sequence[int]] = []

    def ask(questions: Sequence[int]) -> Sequence[int]:
        asked.append(questions)
        if 1 in questions:
            raise ConnectionError("away")
        if 3 in questions:
            raise KeyboardInterrupt
        return questions

    together = Together(ask, most=1)
    others = [queued(together, 1), queued(together, 1)]
    assert together(2) == 2
    assert asked == [[1], [1], [2]]
    assert [str(one.error) for one in others] == ["away"] * 2
    assert together._waiting == []
    queued(together, 3)
    with pytest.raises(KeyboardInterrupt):
        together(4)
    assert together._waiting == [], "who was interrupted waits for nothing"


def test_f15_whoever_has_no_time_left_waits_for_no_turn() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def ask(questions: Sequence[int]) -> Sequence[int]:
        begun.set()
        assert go_on.wait(30)
        return questions

    times = {"first": iter([30.0]), "second": iter([0.001, 0.001])}

    def left() -> float:
        for seconds in times[threading.current_thread().name]:
            return seconds
        raise ConnectionError("no time left")

    together = Together(ask, left=left)
    first = threading.Thread(target=together, args=(1,), name="first")
    first.start()
    assert begun.wait(30)
    raised: list[str] = []

    def call() -> None:
        try:
            together(2)
        except ConnectionError as error:
            raised.append(str(error))

    second = threading.Thread(target=call, name="second")
    second.start()
    second.join(30)
    assert raised == ["no time left"]
    assert together._waiting == []
    go_on.set()
    first.join()


def queued(together: Together[int, int], question: int) -> _Turn[int, int]:
    """The turn of a thread that came before, and has not got the lock yet."""
    turn = _Turn[int, int](question)
    together._waiting.append(turn)
    return turn


# The lender in memory


def lent(counters: Counters, waiting: int = 1, ahead: int = 0, **changes: Any) -> Share:
    plain: dict[str, Any] = {"interval": SECOND, "window": 10 * SECOND, "holders": 1, "loan": "loan_1", "now": NOW}
    return counters.lend(1, Wish(key_id="key_1", waiting=waiting, ahead=ahead), **(plain | changes))


def rest(requests: int, loan: str = "loan_1") -> Rest:
    return Rest(key_id="key_1", loan=loan, requests=requests)


def taken(counters: Counters, now: int = NOW) -> int:
    got = 0
    while counters.take(1, SECOND, 10 * SECOND, now) == 0:
        got += 1
    return got


def test_f15_a_process_that_counts_by_itself_lends_out_of_the_same_counter() -> None:
    counters = Counters(10)
    assert counters.take(1, SECOND, 10 * SECOND, NOW) == 0
    assert lent(counters, ahead=3).requests == 4
    assert taken(counters) == 5
    assert lent(counters).requests == 0
    counters.take_back(1, rest(3, "loan_2"), now=NOW)
    counters.take_back(2, rest(3), now=NOW)
    assert taken(counters) == 0
    counters.take_back(1, rest(3), now=NOW)
    counters.take_back(1, rest(3), now=NOW)
    assert taken(counters) == 3


def test_f15_what_a_process_has_lent_is_bounded() -> None:
    counters = Counters(1)
    assert lent(counters, ahead=3).loan
    other = Wish(key_id="key_2", waiting=1, ahead=3)
    assert counters.lend(2, other, interval=SECOND, window=10 * SECOND, holders=1, loan="loan_2", now=NOW).loan
    assert len(counters) == 1
    assert len(counters._lent) == 1


def test_f15_a_shorter_window_owes_no_more_than_itself_here_either() -> None:
    counters = Counters(10)
    assert counters.take(1, 3600 * SECOND, 36_000 * SECOND, NOW) == 0
    assert lent(counters, ahead=3, interval=3600 * SECOND, window=36_000 * SECOND).requests == 4
    assert counters.take(1, SECOND, 10 * SECOND, NOW) == SECOND
    counters.take_back(1, rest(4), now=NOW)
    assert counters.take(1, SECOND, 10 * SECOND, NOW) == SECOND, "what was lent under the other one is void"
    assert taken(counters, NOW + 3 * SECOND) == 3


@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("take"), st.integers(1, 5)),
            st.tuples(st.just("lend"), st.integers(1, 8), st.integers(0, 8)),
            st.tuples(st.just("return"), st.integers(0, 9), st.integers(0, 9)),
            st.tuples(st.just("later"), st.integers(0, 4 * SECOND)),
        ),
        max_size=50,
    )
)
def test_f15_what_is_taken_and_lent_by_one_process_is_what_one_counter_would_let_through(
    steps: list[tuple[Any, ...]],
) -> None:
    counters, now = Counters(10), NOW
    events: list[list[int]] = []  # when, and how many in the end
    loans: list[tuple[str, list[int]]] = []
    for number, (what, *how) in enumerate(steps):
        if what == "later":
            now += how[0]
        elif what == "take":
            events.extend([now, 1] for _ in range(how[0]) if counters.take(1, SECOND, 10 * SECOND, now) == 0)
        elif what == "lend":
            one = lent(counters, how[0], how[1], loan=f"loan_{number}", now=now)
            events.append([now, one.requests])
            if one.loan:
                loans.append((one.loan, events[-1]))
        elif loans:
            loan, event = loans.pop(how[0] % len(loans))
            left = min(how[1], event[1])
            event[1] -= left
            counters.take_back(1, rest(left, loan), now=now)
    arrival = 0
    for at, times in events:
        for _ in range(times):
            following = arrive(arrival, interval=SECOND, window=10 * SECOND, now=at)
            assert following is not None
            arrival = following


@pytest.mark.parametrize("most", [10, 1])
def test_pitfall_15_threads_that_take_and_lend_never_give_out_more_than_there_is(most: int) -> None:
    """F15: whoever lends finds what was taken meanwhile."""
    with switching():
        for _ in range(20):
            counters, begin, got = Counters(most), threading.Barrier(4), list[int]()

            def spend(counters: Counters = counters, begin: threading.Barrier = begin, got: list[int] = got) -> None:
                begin.wait()
                got.append(sum(counters.take(1, 1000, 400_000, NOW) == 0 for _ in range(300)))

            def share_out(
                counters: Counters = counters, begin: threading.Barrier = begin, got: list[int] = got
            ) -> None:
                begin.wait()
                for number in range(100):
                    name = f"loan_{threading.get_ident()}_{number}"
                    one = lent(counters, ahead=3, interval=1000, window=400_000, loan=name)
                    left = one.requests // 2 if one.loan else 0
                    counters.take_back(1, rest(left, one.loan), now=NOW)
                    got.append(one.requests - left)

            threads = [threading.Thread(target=one) for one in (spend, spend, share_out, share_out)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            while counters.take(1, 1000, 400_000, NOW) == 0:
                got.append(1)
            assert sum(got) == 400
