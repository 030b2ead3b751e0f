"""The table of `docs/explanation/topology.md` is what the simulation says."""

from dataclasses import replace
from pathlib import Path

import pytest

from keyturn.bench import topology
from keyturn.bench.topology import FLEETS, Assumed, Outcome
from keyturn.core.lease import Terms

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "topology.md"


def simulated(verifiers: int, regions: int, assumed: Assumed = Assumed(), seed: int = 1) -> Outcome:  # noqa: B008  # frozen
    return topology.simulate(verifiers=verifiers, regions=regions, assumed=assumed, terms=Terms(), seed=seed)


@pytest.mark.parametrize(("verifiers", "regions"), [one for one in FLEETS if one[0] <= 1000])
def test_the_page_shows_what_was_simulated(verifiers: int, regions: int) -> None:
    """The largest fleets take too long for every run; their rows are of the same program."""
    assert topology.table([simulated(verifiers, regions)]).splitlines()[-1] in PAGE.read_text("utf-8").splitlines()


def test_what_is_assumed_decides() -> None:
    """F5: a fleet is as quick as its slowest way, and a silent verifier costs a fence whatever else is quick."""
    near = simulated(100, 1)
    assert near == simulated(100, 1)
    assert near != simulated(100, 1, seed=2)
    slow = simulated(100, 1, replace(Assumed(), near=50.0))
    assert slow.p50 > near.p50 + 2 * 45.0
    assert simulated(100, 5).p50 > 2 * Assumed().far > near.p99
    for one in (near, slow):
        assert one.cut_off == pytest.approx(Terms().fence / 1e3 + Assumed().commit + Assumed().scan)
    busy = simulated(2000, 1, replace(Assumed(), push=0.2))
    assert busy.p50 > 2000 / 2 * 0.2
