"""F15, explored: whatever becomes of loans, no more is let through than one server would let through."""

from dataclasses import fields

import pytest

from tests.fleet.model.explorer import explore, stuck
from tests.fleet.model.lending.rules import RULES, TICKS, Bounds, Rules
from tests.fleet.model.lending.scenario import MUTANTS, QUICK, THOROUGH, Scenario
from tests.fleet.model.lending.state import State
from tests.fleet.model.lending.world import Lending


def dropped(rules: Rules) -> list[str]:
    """The guards in which these rules are not the protocol's."""
    return [guard.name for guard in fields(Rules) if getattr(rules, guard.name) != getattr(RULES, guard.name)]


def passes(scenario: Scenario) -> None:
    outcome = explore(scenario.world(), most=1_000_000)
    assert not outcome.wrong, "a rule is violated:\n" + outcome.told()
    assert not outcome.unseen, f"it never happened: {sorted(outcome.unseen)}"
    assert outcome.states > scenario.more_than


@pytest.mark.parametrize("name", QUICK)
def test_f15_no_more_is_let_through_than_one_server_would(name: str) -> None:
    """The rules hold, with bounds that are explored in seconds."""
    passes(QUICK[name])


@pytest.mark.full
@pytest.mark.parametrize("name", THOROUGH)
def test_f15_with_wider_bounds(name: str) -> None:
    """More of it at once."""
    passes(THOROUGH[name])


@pytest.mark.parametrize("name", MUTANTS)
def test_f15_fails_without_the_guard(name: str) -> None:
    """The explorer finds a history in which too much is let through, as short as can be, and can tell it."""
    mutant = MUTANTS[name]
    outcome = explore(Lending(mutant.bounds, mutant.rules), most=100_000)
    assert outcome.wrong, f"{outcome.states} states and no violation: the guard does nothing, or the model misses it"
    assert len(outcome.history) == outcome.depth
    print(outcome.told())


def test_each_guard_has_a_mutant_and_a_mutant_drops_one() -> None:
    """Else a guard is there for nothing, or unseen."""
    assert {name: len(dropped(mutant.rules)) for name, mutant in MUTANTS.items()} == dict.fromkeys(MUTANTS, 1)
    assert {guard for mutant in MUTANTS.values() for guard in dropped(mutant.rules)} == {
        guard.name for guard in fields(Rules)
    }


def test_f15_from_every_state_a_request_can_be_let_through_again() -> None:
    """No loan, whatever was lost or died with it, uses a limit up for good."""

    def can_let_through(state: State) -> bool:
        return any(one.held and one.held.left and one.held.age < TICKS for one in state.holders)

    states, lost = stuck(Lending(Bounds(ends=True)), can_let_through)
    assert states > 4_000
    assert not lost


def test_a_mutant_that_is_caught_tells_its_history() -> None:
    """The shortest history of a share that is given back whole, word for word; who is the first holder says nothing."""
    mutant = MUTANTS["a spent share is given back whole"]
    assert explore(Lending(mutant.bounds, mutant.rules)).told().splitlines() == [
        "  1. holder 1 asks for a share",
        "  2. holder 2 has a request: it is answered: 2",
        "  3. holder 2 gets its answer",
        "  4. holder 2 lets a request through",
        "  5. holder 2 lets a request through",
        "  6. holder 2 asks for a share and gives back",
        "  7. holder 2 has a request: it is answered: 2",
        "  8. holder 2 gets its answer",
        "  9. holder 2 lets a request through",
        "  => more was let through than one server would have let through",
    ]
