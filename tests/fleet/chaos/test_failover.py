"""F0 and F13 across a failover: the primary dies under load, and its synchronous standby takes its place."""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Final

import pytest

from keyturn.core.lease import Terms
from keyturn.flow.confirmation import AWAY
from keyturn.verify.decision import VALID
from tests import postgres
from tests.databases import migrate
from tests.fleet.chaos.after import all_is_well_again, nothing_was_lost
from tests.fleet.chaos.fleet import Fleet, eventually
from tests.fleet.chaos.owner import Done, Owner, work
from tests.fleet.chaos.verifying import HTTP
from tests.postgres import USER, Postgres

TERMS: Final = Terms(length=1_000_000, margin=20_000)
RESETS: Final = 15
"""So many before the primary dies, and again afterwards."""


@pytest.fixture
def primary() -> Iterator[Postgres]:
    server = postgres.started(postgres.packaged_binaries())
    yield server
    server.remove()


def _take_over(fleet: Fleet, primary: Postgres, standby: Postgres) -> None:
    """What whoever runs the database does: the old primary is dead for good, the standby takes its address."""
    primary.kill()
    standby.promote()
    fleet.database_url = fleet.database_url.replace(f":{primary.port}/", f":{standby.port}/")
    for node in fleet.nodes:
        node.to_database.target = standby.port
        node.to_database.cut()


def _database(primary: Postgres) -> str:
    url = primary.url(primary.create_database())
    migrate(url)
    return url


def test_f13_a_failover_to_a_synchronous_standby_keeps_every_confirmed_stop(primary: Postgres, tmp_path: Path) -> None:
    url = _database(primary)
    standby = primary.standby()
    # On the primary only, and after the copy: the standby is alone once it is promoted.
    for setting in ("synchronous_standby_names = '*'", "synchronous_commit = 'remote_apply'"):
        primary.execute(f"ALTER SYSTEM SET {setting}")
    primary.execute("SELECT pg_reload_conf()")
    with closing_standby(standby), Fleet(tmp_path, url, terms=TERMS) as fleet, ThreadPoolExecutor(1) as pool:
        one, two = fleet.node("one"), fleet.node("two")
        fleet.verifier("asks", one, two, on_lapse="ask", pause=0.02)
        fleet.verifier("refuses", two, one, on_lapse="refuse", pause=0.02)
        fleet.verifier("http", two, on_lapse=HTTP, pause=0.1)
        done, over = Done(), Event()
        owners = [Owner(fleet, done, nodes=(one, two), seed=f"failover-{number}", keys=3) for number in range(4)]
        most = [math.inf]
        working = pool.submit(work, owners, lambda: over.is_set() and len(done.resets) >= most[0])
        eventually(lambda: working.done() or len(done.resets) >= RESETS, "resets before the primary dies")
        _take_over(fleet, primary, standby)
        most[0] = len(done.resets) + RESETS
        over.set()
        working.result()
        all_is_well_again(fleet)
        nothing_was_lost(fleet, done)
        judged = fleet.judge()
    assert not judged.violations, "\n".join(map(str, judged.violations[:10]))
    assert not judged.refusals, "\n".join(map(str, judged.refusals[:10]))
    assert judged.after_stop
    assert done.confirmed["reset"] >= 2 * RESETS
    assert set(done.unconfirmed) <= {AWAY}, "what a stop under way while the primary dies may answer"


def test_f13_what_an_asynchronous_standby_may_lose_is_not_confirmed_and_without_that_guard_it_is(
    primary: Postgres, tmp_path: Path
) -> None:
    """Two resets are lost with the primary: one at a node as it is, one at a node without the guard."""
    url = _database(primary)
    with Fleet(tmp_path, url, terms=TERMS) as fleet:
        line = fleet.line_to(primary.port)
        standby = primary.standby(settings=(f"primary_conninfo=host=127.0.0.1 port={line.port} user={USER}",))
        with closing_standby(standby):
            one, two = fleet.node("one"), fleet.node("two")
            keys = [fleet.new_key(one) for _ in range(2)]
            written = fleet.sql("SELECT pg_current_wal_lsn()::text")[0][0]
            caught_up = f"SELECT 1 FROM pg_stat_replication WHERE replay_lsn >= '{written}'"
            eventually(lambda: bool(fleet.sql(caught_up)), "the standby has the keys")
            line.stall()
            _, as_it_is = fleet.reset(keys[0][0], one, show=False)
            with two.orders.without("survives_failover"):
                fleet.reset(keys[1][0], two, show=False)
            _take_over(fleet, primary, standby)
            one.kill()
            one.start()
            for key, secret in keys:
                assert fleet.ask(one, key, secret, version=1) == VALID, "it is lost"
        found = [bool(fleet.judge(key).violations) for key, _ in keys]
    assert as_it_is.body["receipt"]["confirmed"] is False
    assert "standby" in as_it_is.body["receipt"]["reason"]
    assert found == [False, True]


@contextmanager
def closing_standby(standby: Postgres) -> Iterator[None]:
    """Before its primary is removed."""
    try:
        yield
    finally:
        standby.remove()
