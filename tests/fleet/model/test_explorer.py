"""The explorer itself, on worlds small enough to count by hand."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product

import pytest

from tests.fleet.model.clock import OVER, RATES, Timer, after_tick, later, shortened
from tests.fleet.model.explorer import explore, stuck


@dataclass(frozen=True)
class Corridors:
    """Two walkers, each on places 0 to `last`; they only go ahead."""

    last: int = 3
    forbidden: tuple[int, int] = (-1, -1)
    same: bool = False  # who is who says nothing
    wanted: Mapping[str, Callable[[str, tuple[int, int]], bool]] = field(default_factory=dict)

    def start(self) -> tuple[int, int]:
        return (0, 0)

    def steps(self, state: tuple[int, int]) -> Iterator[tuple[str, tuple[int, int]]]:
        one, other = state
        if one < self.last:
            yield "one goes", (one + 1, other)
        if other < self.last:
            yield "other goes", (one, other + 1)

    def alike(self, state: tuple[int, int]) -> tuple[int, int]:
        return (min(state), max(state)) if self.same else state

    def broken(self, state: tuple[int, int]) -> str:
        return "they are where they must not be" if state == self.forbidden else ""

    def signs(self) -> Mapping[str, Callable[[str, tuple[int, int]], bool]]:
        return self.wanted


def test_every_state_is_visited_once() -> None:
    outcome = explore(Corridors())
    assert (outcome.states, outcome.steps, outcome.depth) == (16, 24, 6)
    assert not outcome.wrong
    assert "nothing is wrong" in outcome.told()


def test_states_that_are_alike_count_once() -> None:
    assert explore(Corridors(same=True)).states == 10


def test_the_history_of_a_violation_is_a_shortest_one() -> None:
    outcome = explore(Corridors(forbidden=(1, 2)))
    assert outcome.wrong
    assert len(outcome.history) == 3
    assert outcome.told().splitlines()[-1] == "  => they are where they must not be"
    assert sorted(outcome.history) == ["one goes", "other goes", "other goes"]


def test_a_history_is_told_where_states_are_alike() -> None:
    assert len(explore(Corridors(forbidden=(3, 3), same=True)).history) == 6


def test_a_sign_that_was_not_met_is_named() -> None:
    signs: Mapping[str, Callable[[str, tuple[int, int]], bool]] = {
        "both are there": lambda _, state: state == (3, 3),
        "one turns back": lambda label, _: "back" in label,
    }
    assert explore(Corridors(wanted=signs)).unseen == {"one turns back"}


def test_bounds_that_are_too_wide_are_no_pass() -> None:
    with pytest.raises(RuntimeError, match="too wide"):
        explore(Corridors(last=50), most=1000)


def test_who_cannot_get_to_the_goal_is_counted() -> None:
    assert stuck(Corridors(), lambda state: state == (3, 3)) == (16, 0)
    assert stuck(Corridors(), lambda state: state[0] == 0 and state[1] == 3) == (16, 12)


@pytest.mark.parametrize("error", [1, 2])
def test_a_clock_stays_within_its_margin_and_can_use_all_of_it(error: int) -> None:
    """A reading of 4 ticks lapses no earlier than E too soon, no later than E too late, and may do either."""
    lapses = set()
    for rates in product(RATES, repeat=4 + error):
        timer = Timer(4, 0)
        for true_time, rate in enumerate(rates, 1):
            after = after_tick(timer, rate, error)
            if after is None:
                break
            timer = after
            if not timer.running:
                lapses.add(true_time)
                break
    assert lapses == set(range(4 - error, 4 + error + 1))


def test_what_has_lapsed_stays_so() -> None:
    assert after_tick(OVER, -1, 1) == OVER
    assert after_tick(Timer(0, 0), 0, 1, -2) == Timer(-1, 0)
    assert later(Timer(2, 1), Timer(1, 0)) == Timer(2, 1)
    assert shortened(Timer(2, 1), 1) == Timer(1, 1)
    assert shortened(Timer(2, 1), 5) == OVER
