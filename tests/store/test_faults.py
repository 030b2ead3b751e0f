"""The database away, full, read-only or locked: nothing is changed, it is told, and it mends by itself (F13)."""

import resource
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, event
from sqlalchemy.exc import IntegrityError, ProgrammingError

from keyturn.core.refusal import Refusal
from keyturn.flow.step import ResetAnswer
from keyturn.ports.store import StoreBusy, StoreUnavailable
from keyturn.store import database
from keyturn.store import store as store_module
from keyturn.store.database import connect, has_wal_fix
from keyturn.store.durability import durability
from keyturn.store.opening import enter
from keyturn.store.presence import NotAlone, Presence
from keyturn.store.store import SqlStore
from keyturn.store.tables import metadata
from tests import databases
from tests.attached import until
from tests.postgres import Postgres
from tests.world import PEPPER, Clock, World, entries_of, sure, unseen, world


def everything(engine: Engine) -> dict[str, list[Any]]:
    """The whole database."""
    with engine.connect() as connection:
        return {
            name: sorted(map(repr, connection.execute(table.select()).all())) for name, table in metadata.tables.items()
        }


def test_change_and_read_are_unavailable_while_postgresql_is_stopped(own_postgres: Postgres) -> None:
    with databases.postgres_copy(own_postgres) as url, world(url) as here:
        made = here.key()
        before = here.code(unseen(made))
        own_postgres.stop()
        calls: list[Callable[[], object]] = [here.key, partial(here.get, made.key.id)]
        calls += [here.store.durability, here.store.rev, here.store.serve]
        for call in calls:
            with pytest.raises(StoreUnavailable) as told:
                call()
            assert "127.0.0.1" not in str(told.value), "an address may hold a password"
        assert before == here.code(unseen(made)) == "valid", "answers from memory go on"
        own_postgres.start()
        after = sure(here.ask(here.root, here.key().key))
        assert here.code(unseen(after)) == "valid"
        assert [entry.rev for entry in entries_of(here.store)] == [1, 2, 3, 4]


def test_f13_a_commit_survives_a_killed_postgresql(own_postgres: Postgres) -> None:
    with databases.postgres_copy(own_postgres) as url, world(url) as here:
        made = here.key()
        revoked = sure(here.on_key("revoke", here.root, made.key.id))
        own_postgres.kill()
        own_postgres.start()
        assert here.get(made.key.id) == revoked.key, "the pool's connections are gone; the call makes another"
        assert here.cold_code(unseen(made)) == "revoked"


def cut_off(postgres_url: str) -> None:
    """End every connection to this database but the one that does it."""
    with psycopg.connect(postgres_url, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'keyturn' AND datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.mark.parametrize("cuts", [1, 2])
def test_a_connection_cut_in_the_middle_of_a_change_changes_nothing_and_is_made_anew_once(
    postgres_url: str, cuts: int
) -> None:
    with world(postgres_url) as here:
        before = everything(here.store._engine)
        tries: list[int] = []

        def flow(tx: Any) -> int:
            tries.append(tx.rev)
            tx.suspend_account(here.operator.id, by="x", reason="")
            if len(tries) <= cuts:
                cut_off(postgres_url)
            tx.rev_of("x")
            tx.account("x")
            return len(tries)

        if cuts == 1:
            assert here.store.change(flow) == 2
            assert [entry.rev for entry in entries_of(here.store)] == [1, 2], "once"
        else:
            with pytest.raises(StoreUnavailable):
                here.store.change(flow)
            assert everything(here.store._engine) == before
        assert tries == [1, 1]


def test_a_connection_cut_in_the_middle_of_a_look_is_made_anew_once(postgres_url: str) -> None:
    with world(postgres_url) as here:
        cuts = [True, False, True, True]

        def query(tx: Any) -> int:
            if cuts.pop(0):
                cut_off(postgres_url)
            return sum(1 for _ in tx.feed_after(0, limit=10))

        assert here.store.read(query) == 1
        with pytest.raises(StoreUnavailable):
            here.store.read(query)


def test_a_connection_cut_at_the_commit_may_have_changed_it_and_is_not_tried_again(postgres_url: str) -> None:
    with world(postgres_url) as here:
        tries: list[int] = []

        def flow(tx: Any) -> None:
            tries.append(tx.rev)
            tx.suspend_account(here.operator.id, by="x", reason="")

        def at_commit(_connection: object) -> None:
            cut_off(postgres_url)

        event.listen(here.store._engine, "commit", at_commit)
        with pytest.raises(StoreUnavailable):
            here.store.change(flow)
        event.remove(here.store._engine, "commit", at_commit)
        assert tries == [1]


def test_sqlite_read_only_refuses_changes_and_answers_reads(sqlite_url: str) -> None:
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    with world(sqlite_url) as here:
        made = here.key().key
    locked = connect(f"sqlite:///file:{path}?mode=ro&uri=true")
    with world_on(locked) as store:
        with pytest.raises(StoreUnavailable):
            store.change(lambda tx: tx.suspend_account("x", by="", reason=""))
        assert store.read(lambda tx: tx.key(made.id)) == made


@contextmanager
def world_on(engine: Engine) -> Iterator[SqlStore]:
    store = SqlStore(engine, peppers=[PEPPER], presets={}, system_now=Clock())
    yield store
    store.close()


def test_postgresql_read_only_refuses_changes_and_mends(postgres_url: str) -> None:
    with world(postgres_url) as here:
        made = here.key().key
        name = postgres_url.rpartition("/")[2]
        with psycopg.connect(postgres_url, autocommit=True) as other:
            other.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on'.encode())
        here.store._engine.dispose()
        with pytest.raises(StoreUnavailable):
            here.key()
        assert here.get(made.id) == made
        with psycopg.connect(postgres_url) as other:
            other.execute("SET TRANSACTION READ WRITE")
            other.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only'.encode())
        here.store._engine.dispose()
        assert here.code(unseen(here.key())) == "valid"


def test_sqlite_full_refuses_changes_and_mends(sqlite_url: str) -> None:
    with world(sqlite_url) as here:
        made = here.key()
        with limited_pages(here.store._engine):
            refused = fill_up(lambda: here.key(name="x" * 190))
            assert refused == "OperationalError"
            after = everything(here.store._engine)
            with pytest.raises(StoreUnavailable):
                here.key(name="x" * 190)
            assert everything(here.store._engine) == after, "a refused change changes nothing"
        assert here.code(unseen(made)) == "valid"
        here.store._engine.dispose()
        assert here.code(unseen(here.key())) == "valid"
        revs = [entry.rev for entry in entries_of(here.store)]
        assert revs == list(range(1, len(revs) + 1)), "no gap where a change was refused"
        assert here.verifier.applied_rev == revs[-1]


@contextmanager
def limited_pages(engine: Engine) -> Iterator[None]:
    """Every new connection may use hardly more pages than there are now."""

    def limit(connection: Any, _record: object) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages + 2}")

    engine.dispose()
    event.listen(engine, "connect", limit)
    yield
    event.remove(engine, "connect", limit)


def fill_up(change: Callable[[], object]) -> str:
    for _ in range(500):
        try:
            change()
        except StoreUnavailable as told:
            return str(told)
    return "never full"


def test_sqlite_on_a_disk_that_takes_no_more_refuses_changes_and_mends(sqlite_url: str) -> None:
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    with world(sqlite_url) as here:
        here.key()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, hard))
        try:
            assert fill_up(lambda: here.key(name="x" * 190)) == "OperationalError"
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, ignored)
        assert here.code(unseen(here.key())) == "valid"
        revs = [entry.rev for entry in entries_of(here.store)]
        assert revs == list(range(1, len(revs) + 1))


def test_sqlite_locked_by_another_program_is_busy_and_mends(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    with world(sqlite_url) as here:
        other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusy):
            here.key()
        with pytest.raises(StoreBusy):
            here.store.change(lambda tx: tx.now)  # nobody decides on what another is about to change
        other.execute("ROLLBACK")
        other.close()
        assert here.code(unseen(here.key())) == "valid"


def test_a_change_waits_for_its_turn_only_so_long(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "BUSY_SECONDS", 0.05)
    with world(sqlite_url) as here:
        assert here.store._turn is not None
        with here.store._turn, pytest.raises(StoreBusy):
            here.key()
        here.key()


def test_a_change_that_met_another_is_run_again_whole(database_url: str) -> None:
    with world(database_url) as here:
        tries = []

        def flow(tx: Any) -> int:
            tries.append(tx.suspend_account(here.operator.id, by="x", reason=""))
            if len(tries) < 3:
                raise IntegrityError(None, None, Exception("two met"))
            return len(tries)

        assert here.store.change(flow) == 3
        assert tries[0][0] == tries[2][0] == 1, "each try began anew"
        assert [entry.rev for entry in entries_of(here.store)] == [1, 2]


def test_a_deadlock_is_resolved_by_running_one_of_them_again(postgres_url: str) -> None:
    with world(postgres_url) as here:
        first, second = here.key().key.id, here.key().key.id
        meet = threading.Barrier(2)
        tries: list[str] = []
        failed: list[BaseException] = []

        def lock_both(one: str, other: str) -> None:
            def flow(tx: Any) -> None:
                tries.append(one)
                tx.key(one, lock=True)
                if len(tries) <= 2:
                    meet.wait(10)
                tx.key(other, lock=True)

            try:
                here.store.change(flow)
            except BaseException as error:  # noqa: BLE001  # told below
                failed.append(error)

        threads = [threading.Thread(target=lock_both, args=pair) for pair in ((first, second), (second, first))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failed
        assert len(tries) == 3


def test_a_bug_is_not_taken_for_an_outage(database_url: str) -> None:
    with world(database_url) as here:
        with pytest.raises((ProgrammingError, Exception)) as told:
            here.store.read(lambda tx: tx._connection.exec_driver_sql("SELECT nothing FROM feed"))
        assert here.store.rev() == 1
        if database_url.startswith("postgresql"):
            assert not isinstance(told.value, StoreUnavailable)


def test_an_error_of_the_database_never_shows_what_was_written(database_url: str) -> None:
    with world(database_url) as here, pytest.raises(Exception) as told:  # noqa: PT011  # any of them
        here.store.change(lambda tx: tx.insert_key(_broken(here, "kt_live_marked")))
    assert "kt_live_marked" not in str(told.value)


def _broken(here: World, hint: str) -> Any:
    plain = here.admin_key
    broken: Any = {"hint": hint, "starts_at": None}
    return replace(plain, id="key_x", secrets=(replace(plain.secrets[0], **broken),))


# Durability


def test_f13_sqlite_writes_through_and_uses_wal_only_where_that_is_safe(sqlite_url: str) -> None:
    engine = connect(sqlite_url)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2  # FULL
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1
        journal = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
    fixed = has_wal_fix(sqlite3.sqlite_version_info)
    assert journal == ("wal" if fixed else "delete")
    found = durability(engine)
    assert found.strict
    assert bool(found.notes) is not fixed
    engine.dispose()


VERSIONS = {
    (3, 40, 1): False,
    (3, 44, 5): False,
    (3, 44, 6): True,
    (3, 45, 0): False,
    (3, 50, 6): False,
    (3, 50, 7): True,
    (3, 51, 2): False,
    (3, 51, 3): True,
    (3, 52, 0): True,
    (4, 0, 0): True,
}


def test_f13_which_sqlite_has_the_wal_fix(monkeypatch: pytest.MonkeyPatch, sqlite_url: str) -> None:
    assert {version: has_wal_fix(version) for version in VERSIONS} == VERSIONS
    for version, journal in (((3, 51, 3), "wal"), ((3, 40, 1), "delete")):
        monkeypatch.setattr(sqlite3, "sqlite_version_info", version)
        engine = connect(sqlite_url)
        with engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == journal
        assert bool(durability(engine).notes) is (journal == "delete")
        engine.dispose()


COMMITS = {
    "off": "on",
    "local": "on",
    "remote_write": "on",
    "on": "on",
    "remote_apply": "remote_apply",
}


@pytest.mark.parametrize("default", COMMITS)
def test_f13_postgresql_commits_are_on_disk_whatever_the_servers_default(postgres_url: str, default: str) -> None:
    name = postgres_url.rpartition("/")[2]
    with psycopg.connect(postgres_url, autocommit=True) as other:
        other.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = {default}'.encode())
    engine = connect(postgres_url)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == COMMITS[default]
        assert connection.exec_driver_sql("SHOW TimeZone").scalar_one() == "UTC"
    found = durability(engine)
    assert (found.strict, found.notes) == (True, (f"synchronous_commit = {COMMITS[default]}",))
    engine.dispose()


def test_f13_postgresql_without_fsync_promises_nothing(own_postgres: Postgres) -> None:
    own_postgres.execute("ALTER SYSTEM SET fsync = off")
    own_postgres.execute("SELECT pg_reload_conf()")
    engine = connect(own_postgres.url())
    until = time.monotonic() + 10
    while durability(engine).strict and time.monotonic() < until:
        time.sleep(0.05)
    found = durability(engine)
    assert (found.strict, found.reason) == (False, "PostgreSQL runs with fsync off")
    engine.dispose()


def test_f13_a_schema_is_changed_while_no_server_uses_it(postgres_url: str) -> None:
    """Several servers may; who migrates is alone."""
    engine = connect(postgres_url)
    first, second, migrating = Presence(engine), Presence(engine), Presence(engine)
    first.serve()
    second.serve()
    with pytest.raises(NotAlone):
        migrating.alone()
    first.release()
    with pytest.raises(NotAlone):
        migrating.alone()
    second.release()
    migrating.alone()
    migrating.release()
    engine.dispose()


def test_f9_who_waited_for_somebody_who_was_alone_and_is_gone_is_alone_itself(postgres_url: str) -> None:
    """Nobody has looked whether the database was put back."""
    engine = connect(postgres_url)
    first, second = Presence(engine), Presence(engine)
    first.alone()
    with ThreadPoolExecutor(1) as pool, psycopg.connect(postgres_url, autocommit=True) as other:
        entering = pool.submit(enter, engine, second)
        waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        until(lambda: other.execute(waits).fetchone() == (1,))
        first.release()
        assert entering.result(60)
    second.release()
    engine.dispose()


def test_f13_a_server_whose_session_was_ended_is_known_again(postgres_url: str) -> None:
    def held() -> int:
        with psycopg.connect(postgres_url) as other:
            row = other.execute(
                "SELECT count(*) FROM pg_locks JOIN pg_database AS here ON here.oid = database"
                " WHERE locktype = 'advisory' AND here.datname = current_database()"
            ).fetchone()
            assert row is not None
            return int(row[0])

    engine = connect(postgres_url)
    serving, migrating = Presence(engine), Presence(engine)
    try:
        known: list[object] = []

        def look() -> None:
            known.append(held())

        assert not serving.stay(look)
        assert held() == 0, "who does not serve is not known to"
        serving.serve()
        assert serving.stay(look)
        assert (held(), known) == (1, [])
        cut_off(postgres_url)
        until(lambda: held() == 0)
        migrating.alone()
        assert not serving.stay(lambda: None)
        migrating.release()
        until(lambda: held() == 0)  # not while the schema was being changed
        assert serving.stay(look)
        assert known == [0], "whoever starts is to find it known only once it has looked at the database"
        assert serving._holder is not None
        serving._holder.exec_driver_sql("SELECT pg_advisory_unlock_all()")  # as behind a pooler: the session goes on
        assert serving.stay(look)
        assert (held(), known) == (1, [0, 0])
        with pytest.raises(NotAlone):
            migrating.alone()
    finally:
        serving.release()
        migrating.release()
        engine.dispose()


def test_where_every_connection_is_taken_that_is_an_outage_as_any_other(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"_POOL": 1, "_OVERFLOW": 0, "BUSY_SECONDS": 0.01}.items():
        monkeypatch.setattr(database, name, value)
    engine = connect(postgres_url)
    store = SqlStore(engine, peppers=[PEPPER], presets={}, system_now=Clock())
    with engine.connect():
        for ask in (store.serve, store.durability, store.rev):
            with pytest.raises(StoreBusy):
                ask()
    store.close()


def test_any_other_database_is_refused() -> None:
    with pytest.raises(ValueError, match="sqlite:///PATH or postgresql://"):
        connect("mysql://nobody@localhost/x")


# Many at once


def test_f1_revisions_have_no_gap_and_come_in_order_under_many_writers(database_url: str) -> None:
    with world(database_url) as here:
        ids = [here.key().key.id for _ in range(4)]
        heard: list[int] = []
        follow = here.store.follow

        def listening(entries: Any) -> None:
            follow(entries)
            heard.extend(entry.rev for entry in entries)

        here.store.follow = listening
        gaps: list[list[int]] = []
        done = threading.Event()

        def watch() -> None:
            while not done.is_set():
                revs = [entry.rev for entry in entries_of(here.store)]
                if revs != list(range(1, len(revs) + 1)):
                    gaps.append(revs)

        answers: list[ResetAnswer | Refusal] = []
        watcher = threading.Thread(target=watch)

        def reset_in_turn(first: int) -> None:
            answers.extend(here.ask(here.root, ids[(first + i) % 4]) for i in range(8))

        writers = [threading.Thread(target=reset_in_turn, args=(n,)) for n in range(8)]
        watcher.start()
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        done.set()
        watcher.join()
        assert gaps == []
        assert len(answers) == 64
        assert here.verifier.applied_rev == here.store.rev()
        assert sorted(heard) == list(range(6, here.store.rev() + 1))
        applied = {entry.rev: entry.at for entry in entries_of(here.store)}
        assert list(applied.values()) == sorted(applied.values())
