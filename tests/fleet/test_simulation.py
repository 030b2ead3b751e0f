"""The real code under a simulated network and simulated clocks (F0; `simulation/`): no promise is broken.

And with a guard taken out of it, one is: the simulation can see what it looks for.
"""

from collections import Counter
from collections.abc import Iterable

import pytest

from tests.fleet.simulation import branches
from tests.fleet.simulation.broken import BROKEN
from tests.fleet.simulation.choices import Seeded, every_way
from tests.fleet.simulation.fate import Fate
from tests.fleet.simulation.history import Answer, History
from tests.fleet.simulation.world import PLANS, Plan, World

SAMPLE = 6
MANY = 300
DEPTH, WHOLE_DEPTH = 4, 6
MOST_SEEDS = 120

SEEN_AT_ONCE = {
    "F2 a grant is paired with a later renewal": "swift",
    "F3 without a lease memory answers": "swift",
    "F4 a fill is kept whatever was applied": "swift",
    "F5 nobody is waited for": "swift",
    "F5 the wait is by the terms of now": "terms",
    "F5 a record forgets a longer lease": "terms",
    "F2 granted by terms that are not on record": "terms",
    "F5 what is applied counts": "swift",
    "F5 a row is deleted on leaving": "swift",
    "F6 acknowledged before it is applied": "swift",
    "F6 a lease before its entries": "swift",
    "F7 a node's grant outlives its own lease": "swift",
    "F7 recorded without a length": "swift",
    "F7 a record without its margins": "swift",
    "F7 a node vouches for itself alone": "swift",
    "F8 started by the latest": "swift",
    "F8 stopped by the earliest": "swift",
    "F9 stops are known by the cache alone": "losses",
    "F9 bulk stops are forgotten": "losses",
    "F10 a node keeps its name": "swift",
}
"""What a few seeds of a plan show."""
SHOWN_FIRST_BY = {
    "F2 a grant is paired with a later renewal": 200,
    "F5 a record forgets a longer lease": 18,
    "F5 the wait is by the terms of now": 16,
    "F9 a higher epoch keeps the cache": 126,
    "F9 stops are known by the cache alone": 195,
    "F9 bulk stops are forgotten": 21,
}
"""The first seed that shows it, where that is not soon: the search begins there."""
SEEN_IN_TIME = {
    "F2 the deadline counts from the receipt": "swift",
    "F2 leases are measured by the wall clock": "swift",
    "F5 the wait is L": "wild",
    "F5 the wait is L + E": "unhinted",
    "F5 a row is removed without its counter": "terms",
    "F9 a higher epoch keeps the cache": "losses",
}
"""What takes more of them."""


def _run(plan: Plan, seed: int) -> World:
    world = World(plan, Seeded(seed))
    Fate(world).run(plan.leases)
    return world


def _check(name: str, seeds: Iterable[int]) -> None:
    seen: Counter[str] = Counter()
    for seed in seeds:
        world = _run(PLANS[name], seed)
        history = world.history
        assert not history.violations, "\n".join([f"{name}, seed {seed}", *history.violations, *history.said])
        seen["confirmed"] += history.confirmed
        seen["waited out"] += history.waited_out
        seen["refused as lost"] += history.refused_as_lost
        for answer in history.answers:
            kind = "accepted" if answer.accepted else "refused"
            seen[f"{kind} from memory" if answer.from_memory else f"{kind} by the database"] += 1
    # It was a life worth looking at: stops, some of which waited in vain, and answers of every kind.
    assert seen["confirmed"] > 5
    assert seen["waited out"] > 1
    assert (seen["refused as lost"] > 5) is PLANS[name].losses
    assert min(seen["accepted from memory"], seen["refused from memory"], seen["accepted by the database"]) > 20


@pytest.mark.parametrize("name", PLANS)
def test_f0_no_verification_after_a_confirmed_stop_is_answered_from_before_it(name: str) -> None:
    """F14: also where every hint is lost."""
    _check(name, range(SAMPLE))


@pytest.mark.full
@pytest.mark.parametrize("name", PLANS)
def test_f0_nor_in_many_histories(name: str) -> None:
    _check(name, range(SAMPLE, MANY))


def _every_way(depth: int) -> None:
    confirmed = accepted = 0
    for choices in every_way(depth):
        history = branches.play(choices).history
        assert not history.violations, "\n".join([str(choices.taken), *history.violations, *history.said])
        confirmed += history.confirmed
        accepted += sum(one.accepted and one.from_memory for one in history.answers)
    assert confirmed
    assert accepted


def test_f0_in_every_way_that_one_stop_and_the_messages_after_it_can_go() -> None:
    _every_way(DEPTH)


@pytest.mark.full
def test_f0_in_every_way_further_on() -> None:
    _every_way(WHOLE_DEPTH)


def _is_noticed(guard: str, plan: str, monkeypatch: pytest.MonkeyPatch) -> bool:
    BROKEN[guard](monkeypatch)
    first = SHOWN_FIRST_BY.get(guard, 0)
    return any(_run(PLANS[plan], seed).history.violations for seed in range(first, first + MOST_SEEDS))


@pytest.mark.parametrize("guard", SEEN_AT_ONCE)
def test_f0_a_build_without_this_guard_is_noticed(guard: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _is_noticed(guard, SEEN_AT_ONCE[guard], monkeypatch)


@pytest.mark.full
@pytest.mark.parametrize("guard", SEEN_IN_TIME)
def test_f0_a_build_without_this_guard_is_noticed_in_time(guard: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _is_noticed(guard, SEEN_IN_TIME[guard], monkeypatch)


def test_every_broken_build_is_looked_for() -> None:
    assert set(BROKEN) == SEEN_AT_ONCE.keys() | SEEN_IN_TIME.keys()


def test_a_seed_is_one_history() -> None:
    """Or nobody could look at it twice."""
    first, again = (_run(PLANS["swift"], 3).history for _ in range(2))
    assert first.answers == again.answers
    assert first.said == again.said
    assert first.answers != _run(PLANS["swift"], 4).history.answers


def test_f0_the_checker_knows_a_broken_promise() -> None:
    """And lets pass what began before, what was refused, and what was lost with a backup (F13)."""
    history = History()
    history.confirm([1], rev=5, at=100)
    history.dates[2] = (10, 50)
    for began, accepted in ((100, True), (101, False)):
        history.add(Answer("v", 1, began, began + 9, accepted, True))
    history.add(Answer("v", 2, 20, 30, True, True))
    assert history.violations == []
    history.add(Answer("v", 1, 101, 102, True, True))
    history.add(Answer("v", 2, 1, 9, True, True))
    history.add(Answer("v", 2, 50, 51, True, True))
    assert [one[:2] for one in history.violations] == ["F0", "F8", "F8"]
    history.forget_after(4)
    history.add(Answer("v", 1, 101, 102, True, True))
    assert len(history.violations) == 3
    history.add(Answer("v", 1, 101, 102, False, True, is_lost=True))
    assert (len(history.violations), history.refused_as_lost) == (3, 1)
    history.add(Answer("v", 1, 101, 102, True, True, is_lost=True))
    assert history.violations[-1][:2] == "F9"


def test_every_way_is_gone_once() -> None:
    seen = []
    for choices in every_way(3):
        choices.is_open = True
        seen.append((choices.pick(2), choices.pick(3), choices.pick(1), choices.pick(9)))
    assert seen == [(one, other, 0, 0) for one in range(2) for other in range(3)]
