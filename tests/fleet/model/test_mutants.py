"""Every guard has a mutant that drops it, and each of these is caught: else a guard is there for nothing, or unseen."""

from dataclasses import fields

import pytest

from tests.fleet.model.bounds import Terms
from tests.fleet.model.explorer import explore
from tests.fleet.model.rules import RULES, Rules
from tests.fleet.model.scenario import MUTANTS
from tests.fleet.model.world import Fleet


def dropped(rules: Rules) -> list[str]:
    """The guards in which these rules are not the protocol's."""
    return [guard.name for guard in fields(Rules) if getattr(rules, guard.name) != getattr(RULES, guard.name)]


@pytest.mark.parametrize("name", MUTANTS)
def test_f0_fails_without_the_guard(name: str) -> None:
    """F0: the explorer finds a history in which it is broken, as short as can be, and can tell it."""
    mutant = MUTANTS[name]
    outcome = explore(Fleet(Terms(bounds=mutant.bounds, rules=mutant.rules)), most=500_000)
    assert outcome.wrong, f"{outcome.states} states and no violation: the guard does nothing, or the model misses it"
    assert len(outcome.history) == outcome.depth
    print(outcome.told())


def test_a_mutant_drops_one_guard() -> None:
    for name, mutant in MUTANTS.items():
        assert len(dropped(mutant.rules)) == 1, name


def test_every_guard_has_a_mutant() -> None:
    assert {guard for mutant in MUTANTS.values() for guard in dropped(mutant.rules)} == {
        guard.name for guard in fields(Rules)
    }


def test_a_mutant_that_is_caught_tells_its_history() -> None:
    """The shortest history of a reset that waits only L, word for word."""
    mutant = MUTANTS["waiting only L"]
    outcome = explore(Fleet(Terms(bounds=mutant.bounds, rules=mutant.rules)))
    assert outcome.told().splitlines() == [
        "  1. verifier 1 asks for a lease (request 1)",
        "  2. verifier 1 and its granter: records request 1",
        "  3. verifier 1 and its granter: answers request 1 from rev 0",
        "  4. verifier 1 gets the answer to request 1",
        "  5. a stop is committed: the feed is [1]",
        "  6. the reset at rev 1 scans the rows",
        "  7. a tick",
        "  8. the reset at rev 1 returns confirmed (waited out)",
        "  => verifier 1 would answer from the state before a reset that has returned confirmed",
    ]
