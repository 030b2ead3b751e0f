"""Limits per key (R23, pitfalls 4 and 15)."""

import sys
import threading
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.core import limit as limits
from keyturn.core.feed import KeyState
from keyturn.core.limit import Limit, arrive
from keyturn.verify.counters import Counters
from keyturn.verify.memory import Fill
from tests.verify.states import NOW, SECOND, digest, entry, holding, key, secret_text, version


@given(
    requests=st.integers(1, 5),
    window=st.integers(1, 4),
    steps=st.lists(st.integers(0, 3 * SECOND), max_size=40),
)
def test_r23_the_counter_is_the_core_s_reckoning(requests: int, window: int, steps: list[int]) -> None:
    limit = Limit(requests=requests, window=timedelta(seconds=window))
    interval, micros = limit.interval_micros, limit.window_micros
    counters, arrival, now = Counters(10), 0, NOW
    for step in steps:
        now += step
        following = arrive(arrival, interval=interval, window=micros, now=now)
        wait = counters.take(1, interval, micros, now)
        assert (wait == 0) == (following is not None)
        if wait:
            # As long as it says, and not a microsecond less.
            assert arrive(arrival, interval=interval, window=micros, now=now + wait) is not None
            assert arrive(arrival, interval=interval, window=micros, now=now + wait - 1) is None
        arrival = arrival if following is None else following


def test_pitfall_15_whoever_meant_to_count_first_and_comes_second_counts_second() -> None:
    """What a thread does that found no counter, and meets one when it is its turn to make it."""
    counters = Counters(10)
    assert counters.take(1, SECOND, SECOND, NOW) == 0
    assert counters._take_first(1, SECOND, SECOND, NOW) == SECOND
    assert len(counters) == 1


@pytest.mark.parametrize("most", [10, 1])
def test_pitfall_15_threads_never_take_more_than_there_is(most: int) -> None:
    """Switching threads as often as the interpreter can: a lost update would admit one too many."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for number in range(20):
            counters = Counters(most)
            taken: list[int] = []
            begin = threading.Barrier(4)

            def take(counters: Counters = counters, number: int = number) -> None:
                begin.wait()  # noqa: B023  # joined within the same turn
                taken.append(sum(counters.take(number, 1000, 400_000, NOW) == 0 for _ in range(300)))  # noqa: B023  # as above

            threads = [threading.Thread(target=take) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert sum(taken) == 400
    finally:
        sys.setswitchinterval(before)


def _limited(**changes: Any) -> KeyState:
    return key(limit=limits.parse("2/1m"), **changes)


def test_pitfall_4_all_secrets_of_a_key_share_its_limit() -> None:
    """R23: a reset multiplies nothing."""
    verifier = holding(_limited())
    assert verifier.verify(secret_text(), now=NOW).valid
    both = _limited(secrets=(version(), version(2)))
    assert verifier.apply([entry(1, both)])
    assert verifier.fill(digest(2), Fill(rev=1, state=both, version=2), now=NOW)
    assert verifier.verify(secret_text(2), now=NOW).valid
    assert verifier.verify(secret_text(2), now=NOW).code == "rate_limited"
    assert verifier.verify(secret_text(1), now=NOW).code == "rate_limited"


def test_what_remains_is_told_without_using_it_up() -> None:
    verifier = holding(_limited())
    verdict = verifier.verify(secret_text(), now=NOW)
    for _ in range(3):
        assert verifier.remaining(verdict, now=NOW) == 1
    assert verifier.remaining(verdict, now=NOW + 60 * SECOND) == 2


def test_a_limit_that_changes_counts_on() -> None:
    verifier = holding(_limited())
    assert [verifier.verify(secret_text(), now=NOW).code for _ in range(3)] == ["valid", "valid", "rate_limited"]
    assert verifier.apply([entry(1, key(limit=limits.parse("1/1m")))])
    assert verifier.verify(secret_text(), now=NOW + 30 * SECOND).code == "rate_limited"
    assert verifier.apply([entry(2, key())])
    assert verifier.verify(secret_text(), now=NOW + 30 * SECOND).valid


def test_counters_are_bounded_and_the_empty_ones_go_first() -> None:
    counters = Counters(100)
    for number in range(100):
        assert counters.take(number, SECOND, 10 * SECOND, NOW) == 0
    for _ in range(10):
        assert counters.take(7, SECOND, 10 * SECOND, NOW + 2 * SECOND) == 0
    assert counters.take(1000, SECOND, 10 * SECOND, NOW + 2 * SECOND) == 0  # all but number 7 have run empty
    assert len(counters) == 2
    assert counters.take(7, SECOND, 10 * SECOND, NOW + 2 * SECOND) == SECOND


def test_counters_are_bounded_even_where_none_is_empty() -> None:
    counters = Counters(2)
    for number in range(50):
        assert counters.take(number, SECOND, SECOND, NOW) == 0
        assert len(counters) <= 2
    assert counters.take(49, SECOND, SECOND, NOW) == SECOND


def test_what_is_left_is_reckoned_as_of_the_time_that_was_decided_by() -> None:
    """F8: a clock that lags behind what the feed has told shows no fewer requests than there are."""
    limited = key(limit=Limit(requests=2, window=timedelta(hours=1)))
    verifier = holding(limited)
    verifier.hear(earliest=NOW + 1000, latest=NOW + 1000)
    verdict = verifier.verify(secret_text(limited.number), now=NOW)
    assert verdict.valid
    assert verifier.remaining(verdict, now=NOW) == 1
