"""The rules, explored: F0 holds in every state of every scenario, and each scenario gets somewhere."""

from dataclasses import replace

import pytest

from tests.fleet.model.bounds import Bounds, Terms
from tests.fleet.model.explorer import explore, stuck
from tests.fleet.model.scenario import CLOCKS, FAILOVER, MUTANTS, NODE, NODE_ENDS, QUICK, THOROUGH, Scenario
from tests.fleet.model.world import Fleet


def passes(scenario: Scenario) -> None:
    outcome = explore(scenario.world(), most=scenario.at_most)
    assert not outcome.wrong, "a rule is violated:\n" + outcome.told()
    assert not outcome.unseen, f"it never happened: {sorted(outcome.unseen)}"
    assert outcome.states > scenario.more_than


@pytest.mark.parametrize("name", QUICK)
def test_f0_no_answer_from_before_a_confirmed_reset(name: str) -> None:
    """F1, F2, F3, F4, F5, F6, F7, F9, F10, F13, F14: the rules hold, with bounds that are explored in seconds."""
    passes(QUICK[name])


@pytest.mark.full
@pytest.mark.parametrize("name", THOROUGH)
def test_f0_with_wider_bounds(name: str) -> None:
    """F0, with what the quick bounds leave out put back."""
    passes(THOROUGH[name])


@pytest.mark.full
@pytest.mark.parametrize("name", [name for name, mutant in MUTANTS.items() if not mutant.bounds.forgets])
def test_f0_where_nothing_is_left_out_for_being_useless(name: str) -> None:
    """The bounds that some mutants are caught in, without the reductions that rest on the rules: the rules pass."""
    outcome = explore(Fleet(Terms(bounds=MUTANTS[name].bounds)))
    assert not outcome.wrong, outcome.told()


@pytest.mark.parametrize(
    "bounds",
    [CLOCKS, FAILOVER, NODE, replace(NODE_ENDS, pauses=False)],
    ids=["direct", "failover", "node", "node that ends"],
)
def test_f5_from_every_state_each_reset_can_be_confirmed(bounds: Bounds) -> None:
    """No state, whatever died or was lost on the way to it, keeps a reset from being confirmed in the end."""
    everything = (1 << bounds.changes) - 1
    states, lost = stuck(Fleet(Terms(bounds=bounds)), lambda state: state.confirmed == everything)
    assert states > 500
    assert not lost
