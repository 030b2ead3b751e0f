"""F0 with real processes under faults drawn by a seed: a checker goes over all that was answered meanwhile.

A sample runs always.  `make test-full` resets 10 000 times; `docs/reference/fleet-evidence.md` has the last such run.
"""

import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from keyturn.core.lease import Terms
from keyturn.verify.decision import VALID
from tests import postgres
from tests.databases import postgres_copy
from tests.fleet.chaos.after import all_is_well_again, nothing_was_lost
from tests.fleet.chaos.fleet import Fleet
from tests.fleet.chaos.history import Judged
from tests.fleet.chaos.owner import Done, Owner, work
from tests.fleet.chaos.storm import Storm
from tests.fleet.chaos.verifying import HTTP
from tests.postgres import Postgres

TERMS: Final = Terms(length=1_000_000, margin=20_000)
SEED: Final = os.environ.get("KEYTURN_TEST_SEED", "keyturn")
MANY: Final = int(os.environ.get("KEYTURN_TEST_RESETS", "10000"))
"""How many resets the full run makes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run comes to."""

    done: Done
    storm: Storm
    judged: Judged
    seconds: float
    fence: int

    def __str__(self) -> str:
        done, judged = self.done, self.judged
        waits = sorted(waited for _, waited in done.resets)
        lines = {
            "seconds": f"{self.seconds:.0f}",
            "resets answered": len(waits),
            "confirmed": _told(done.confirmed),
            "not confirmed": _told(done.unconfirmed),
            "waited somebody out": done.waited_out,
            "waited, by the receipts": f"median {waits[len(waits) // 2]} ms, p99 {waits[len(waits) * 99 // 100]} ms,"
            f" longest {waits[-1]} ms; L + 2E is {self.fence // 1000} ms",
            "asked again": _told(done.again),
            "verifications": f"{sum(judged.answers.values()):,}: {_told(judged.answers)}",
            "of these begun after a confirmed stop of what they showed": f"{judged.after_stop:,}",
            "violations of F0": len(judged.violations),
            "refused although nothing had stopped it": len(judged.refusals),
            "faults": f"{sum(self.storm.faults.values())}: {_told(self.storm.faults)}",
        }
        return "\n".join(f"{name}: {value}" for name, value in lines.items())


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.most_common()) or "none"


def _run(
    folder: Path, database: Postgres, *, resets: int, seconds: float, owners: int, calm: float, pause: float
) -> Run:
    """Until both are reached; each verifier pauses so long between two rounds."""
    with postgres_copy(database) as url, Fleet(folder, url, terms=TERMS) as fleet:
        one, two = fleet.node("one"), fleet.node("two")
        fleet.verifier("asks", one, two, on_lapse="ask", pause=pause)
        fleet.verifier("asks-too", two, one, on_lapse="ask", pause=pause)
        fleet.verifier("refuses", one, on_lapse="refuse", pause=pause)
        fleet.verifier("refuses-too", two, one, on_lapse="refuse", pause=pause)
        fleet.verifier("http-one", one, on_lapse=HTTP, pause=10 * pause)
        fleet.verifier("http-two", two, on_lapse=HTTP, pause=10 * pause)
        done, storm = Done(), Storm(fleet, database, seed=SEED, calm=calm)
        working = [Owner(fleet, done, nodes=(one, two), seed=f"{SEED}-{number}", keys=5) for number in range(owners)]
        began = time.monotonic()
        with storm.raging():
            work(
                working,
                lambda: bool(storm.failures) or (len(done.resets) >= resets and time.monotonic() >= began + seconds),
            )
        lasted = time.monotonic() - began
        for failure in storm.failures:
            raise failure
        all_is_well_again(fleet)
        nothing_was_lost(fleet, done)
        return Run(done=done, storm=storm, judged=fleet.judge(), seconds=lasted, fence=TERMS.fence)


def _check(run: Run) -> None:
    print(run)
    assert not run.judged.violations, "\n".join(map(str, run.judged.violations[:10]))
    assert not run.judged.refusals, "\n".join(map(str, run.judged.refusals[:10]))
    assert run.judged.after_stop > 10 * len(run.done.resets)
    assert run.judged.answers[VALID]
    assert run.done.waited_out
    assert run.storm.faults


@pytest.fixture
def database() -> Iterator[Postgres]:
    """A PostgreSQL to stop, kill and freeze, which is back quickly after a crash."""
    server = postgres.started(postgres.packaged_binaries(), settings=("recovery_init_sync_method=syncfs",))
    yield server
    server.thaw()
    server.remove()


def test_f0_under_faults(database: Postgres, tmp_path: Path) -> None:
    _check(_run(tmp_path, database, resets=50, seconds=20, owners=6, calm=2, pause=0.02))


@pytest.mark.full
def test_f0_over_ten_thousand_resets_under_faults(database: Postgres, tmp_path: Path) -> None:
    _check(_run(tmp_path, database, resets=MANY, seconds=0, owners=12, calm=4, pause=0.1))
