"""F13: whether a commit survives the loss of its server, asked of real PostgreSQL servers with real standbys."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine

from keyturn.store.database import connect
from keyturn.store.durability import Durability, Durable, durability
from tests import postgres
from tests.attached import until
from tests.postgres import Postgres
from tests.serving import Serving

LOSES: str = "PostgreSQL has standbys, and synchronous_standby_names is empty: a failover could lose a stop"


@pytest.fixture
def primary() -> Iterator[Postgres]:
    server = postgres.started(postgres.packaged_binaries(), settings=("wal_level=logical",))
    yield server
    server.remove()


@pytest.fixture
def engine(primary: Postgres) -> Iterator[Engine]:
    made = connect(primary.url())
    yield made
    made.dispose()


@contextmanager
def standby_of(primary: Postgres) -> Iterator[Postgres]:
    server = primary.standby()
    try:
        yield server
    finally:
        server.remove()


def name_standbys(primary: Postgres, names: str) -> None:
    primary.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
    primary.execute("SELECT pg_reload_conf()")


def becomes(engine: Engine, wanted: Callable[[Durability], Any]) -> Durability:
    """As soon as the server has seen what was changed."""
    found: Durability = until(lambda: one if wanted(one := durability(engine)) else None)
    return found


def test_f13_asynchronous_standbys_make_no_promise_and_synchronous_ones_do(primary: Postgres, engine: Engine) -> None:
    assert durability(engine) == Durability(strict=True, notes=("synchronous_commit = on",))
    with standby_of(primary):
        assert becomes(engine, lambda one: not one.strict) == Durability(strict=False, reason=LOSES)
        name_standbys(primary, "FIRST 1 (*)")
        # The setting is seen before the standby's sender has read it: until then the standby counts as asynchronous.
        found = becomes(engine, lambda one: one.strict and len(one.notes) == 1)
        assert found.notes == ("synchronous_commit = on, synchronous_standby_names = FIRST 1 (*)",)
        name_standbys(primary, "ANY 1 (elsewhere)")
        told = becomes(engine, lambda one: len(one.notes) > 1)
        assert (told.strict, told.notes[1]) == (True, "1 standbys are asynchronous; never promote one of them")
        name_standbys(primary, "")
        becomes(engine, lambda one: not one.strict)
    assert becomes(engine, lambda one: one.strict).notes == ("synchronous_commit = on",), "nobody is left to promote"


def test_f13_a_standby_that_is_away_is_known_by_its_slot(primary: Postgres, engine: Engine) -> None:
    primary.execute("SELECT pg_create_physical_replication_slot('away')")
    assert durability(engine) == Durability(strict=False, reason=LOSES)


def test_f13_who_takes_a_backup_or_reads_changes_is_no_standby(primary: Postgres, engine: Engine) -> None:
    backup = psycopg.connect(f"{primary.url()}?replication=true&application_name=pg_basebackup", autocommit=True)
    primary.execute("SELECT pg_create_logical_replication_slot('reader', 'pgoutput')")
    primary.execute("CREATE PUBLICATION everything FOR ALL TABLES")
    reader = subprocess.Popen(
        [
            postgres.packaged_binaries() / "pg_recvlogical",
            *("-d", primary.url(), "--slot", "reader", "--start", "-f", "-", "-n"),
            *("-o", "proto_version=1", "-o", "publication_names=everything"),
        ],
        stdout=subprocess.DEVNULL,
        preexec_fn=postgres.die_with_parent,  # noqa: PLW1509  # one prctl call
    )
    try:
        until(lambda: senders(primary) == 2)
        becomes(engine, lambda one: one.strict)  # the reader counts as a standby until it has taken its slot
        backup.close()
        with standby_of(primary):
            becomes(engine, lambda one: not one.strict)
    finally:
        backup.close()
        reader.kill()
        reader.wait()


def senders(primary: Postgres) -> int:
    with psycopg.connect(primary.url()) as connection:
        row = connection.execute("SELECT count(*) FROM pg_stat_replication").fetchone()
    assert row is not None
    return int(row[0])


def test_f13_a_role_without_privileges_sees_that_there_is_a_standby(primary: Postgres) -> None:
    primary.execute("CREATE ROLE app LOGIN")
    engine = connect(primary.url().replace("keyturn@", "app@"))
    try:
        assert durability(engine).strict
        with standby_of(primary):
            assert becomes(engine, lambda one: not one.strict).reason == LOSES
        primary.execute("REVOKE SELECT ON pg_replication_slots FROM PUBLIC")
        found = durability(engine)
        assert (found.strict, found.reason) == (False, "this role may not see whether the database has standbys")
    finally:
        engine.dispose()


def test_f13_it_is_looked_at_again() -> None:
    seen = [Durability(strict=True), Durability(strict=True), Durability(strict=False, reason="a standby")]
    durable = Durable(iter(seen).__next__)
    assert durable.now.strict
    assert not durable.look()
    assert durable.look()
    assert durable.now == seen[2]


def test_f13_a_server_confirms_nothing_while_a_failover_could_lose_it_and_says_so(
    primary: Postgres, tmp_path: Path
) -> None:
    with standby_of(primary):
        server = Serving(folder=tmp_path / "data", database_url=primary.url()).start()
        try:
            assert f"resets will not be confirmed: {LOSES}" in server.said
            receipt = revoked(server)
            assert (receipt["confirmed"], receipt["reason"]) == (False, LOSES)
            assert server.call("/v1/fleet").body["reason"] == LOSES
            name_standbys(primary, "ANY 1 (*)")
            until(lambda: server.call("/v1/fleet").body["confirms"])
            assert revoked(server)["confirmed"] is True
            assert "synchronous_standby_names = ANY 1 (*)" in server.said
        finally:
            server.kill()


def revoked(server: Serving) -> dict[str, Any]:
    receipt: dict[str, Any] = server.call(f"/v1/keys/{server.create()['id']}/revoke", {}).body["receipt"]
    return receipt


def test_f13_a_confirmed_stop_survives_the_loss_of_the_primary(primary: Postgres, tmp_path: Path) -> None:
    with standby_of(primary) as standby:
        name_standbys(primary, "FIRST 1 (*)")
        server = Serving(folder=tmp_path / "data", database_url=primary.url()).start()
        try:
            until(lambda: server.call("/v1/fleet").body["confirms"])
            key = server.create()
            assert server.call(f"/v1/keys/{key['id']}/revoke", {}).body["receipt"]["confirmed"] is True
            primary.kill()
        finally:
            server.kill()
        standby.promote()
        name_standbys(standby, "")
        after = Serving(folder=server.folder, database_url=standby.url()).start()
        try:
            assert after.verdict(key["secret"]) == "revoked"
        finally:
            after.kill()
