"""F9, F10: what a server finds that its database was put back, by its file, its rows, its process or its own lease."""

import os
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import psycopg
import pytest

from keyturn.core.lease import LONGEST_FENCE, LOST, Lease
from keyturn.outside import clock
from keyturn.outside.folder import lock_of
from keyturn.settings import Settings
from keyturn.wiring import open_node
from tests import databases
from tests.attached import attached, of, until
from tests.faults.test_epoch import credential_of, is_leased, revoked, running
from tests.faults.test_retry import in_the_background
from tests.ports import free_port
from tests.postgres import Postgres
from tests.serving import Serving


def unknown_to(settings: Settings) -> Lease | None:
    """Who stands for holders that the database does not know of, where a node starts now, and leaves."""
    with open_node(settings) as node:
        leases = node.store.read(lambda tx: tx.leases())
        return next((one for one in leases if one.instance == f"before-{node.membership.instance}"), None)


def test_f10_a_server_that_follows_one_that_ended_in_good_order_waits_for_nobody(tmp_path: Path) -> None:
    settings = Settings.load({"data": tmp_path / "data", "port": 0})
    assert [unknown_to(settings) for _ in range(3)] == [None, None, None]


@pytest.mark.parametrize("put_back", ["file", "folder"])
def test_f9_whoever_was_granted_a_lease_in_a_time_that_was_lost_is_waited_for(tmp_path: Path, put_back: str) -> None:
    """Though nobody has raised the epoch, and the backup knows of nobody."""
    settings = Settings.load({"data": tmp_path / "data", "port": 0})
    assert unknown_to(settings) is None
    shutil.copytree(tmp_path / "data", tmp_path / "backup")
    assert unknown_to(settings) is None, "in the time that is lost"
    if put_back == "file":
        shutil.copy2(tmp_path / "backup" / "keyturn.db", tmp_path / "data" / "keyturn.db")
    else:
        shutil.rmtree(tmp_path / "data")
        shutil.copytree(tmp_path / "backup", tmp_path / "data")
    everybody = unknown_to(settings)
    assert everybody is not None
    assert everybody.grants, "so that no later start takes it for one that the lock shows to be gone"
    assert everybody.lasts == (5_100_000 if put_back == "file" else LONGEST_FENCE)


def test_f9_leases_that_were_made_longer_since_the_backup_are_waited_for_as_long_as_they_last(tmp_path: Path) -> None:
    server = Serving(folder=tmp_path / "data")
    with running(server):
        server.stop()
        shutil.copy(server.folder / "keyturn.db", tmp_path / "backup.db")
        server.start().leased()
        server.kill()
    shutil.copy(tmp_path / "backup.db", server.folder / "keyturn.db")
    everybody = unknown_to(Settings.load({"data": server.folder, "port": 0}))
    assert everybody is not None
    assert everybody.lasts == 20_040_000


def test_f9_the_first_stop_after_a_restore_waits_for_a_verifier_of_the_lost_time(tmp_path: Path) -> None:
    """It is cut off when the database is put back, and goes on under its lease."""
    server = Serving(folder=tmp_path / "data", flags=("--port", str(free_port())))
    with running(server):
        key, credential = server.create(), credential_of(server, tmp_path)
        server.stop()
        shutil.copy(server.folder / "keyturn.db", tmp_path / "backup.db")
        server.start()
        with attached(server.url, credential, on_lapse="refuse") as verifier:
            until(lambda: verifier.verify(key["secret"]) == "valid")
            verifier.freeze()
            server.kill()
            shutil.copy(tmp_path / "backup.db", server.folder / "keyturn.db")
            server.start()
            receipt = server.call(f"/v1/keys/{key['id']}/revoke", {}).body["receipt"]
            verifier.thaw()
            assert receipt["confirmed"]
            assert verifier.verify(key["secret"]) in {"LeaseLapsed", "revoked"}
        waited_out = revoked(server)["verifiers"]["waited_out"]
        assert [one for one in waited_out if one.startswith(LOST)] == [], "once"


def test_f10_a_second_crash_hides_nobody_of_before_the_first(tmp_path: Path) -> None:
    """Whom the first one has left behind may still hold a lease."""
    settings = Settings.load({"data": tmp_path / "data", "port": 0})
    assert unknown_to(settings) is None
    shutil.copy(tmp_path / "data" / "keyturn.db", tmp_path / "backup.db")
    lock_of(tmp_path / "data" / "keyturn.db").unlink()  # so nothing is known of how long leases were
    for _ in range(2):
        shutil.copy(tmp_path / "backup.db", tmp_path / "data" / "keyturn.db")
        everybody = unknown_to(settings)
        assert everybody is not None
        assert everybody.lasts == LONGEST_FENCE


def test_f9_a_database_put_back_under_its_servers_without_their_leases_is_noticed_at_the_next_stop(
    tmp_path: Path, postgres_server: Postgres
) -> None:
    """It has the same changes, so nobody is ahead of it; a second server and its verifier are on record nowhere."""
    with databases.postgres_empty(postgres_server) as url:
        execute = partial(postgres_server.execute, database=url.rpartition("/")[2].partition("?")[0])
        first = Serving(folder=tmp_path / "first", database_url=url)
        (tmp_path / "second").mkdir()
        second = Serving(folder=tmp_path / "second", database_url=url)
        with running(first):
            key, credential = first.leased().create(), credential_of(first, tmp_path)
            execute("CREATE TABLE backup AS TABLE leases")
            shutil.copytree(tmp_path / "first" / "peppers", tmp_path / "second" / "peppers")
            shutil.copy(tmp_path / "first" / "admin.key", tmp_path / "second" / "admin.key")
            with running(second), attached(second.url, credential) as verifier:
                until(lambda: verifier.verify(key["secret"]) == "valid")
                first.leased()  # and it puts on record that it goes on
                os.kill(second.pid, signal.SIGSTOP)
                execute("BEGIN; DELETE FROM leases; INSERT INTO leases TABLE backup; COMMIT")
                stopping = in_the_background(partial(first.call, f"/v1/keys/{key['id']}/revoke", {}))
                (fence,) = until(lambda: first.call("/v1/fleet").body["fences"])
                (everybody,) = [one for one in fence["waiting_for"] if one.startswith(LOST)]
                assert fence["last_lease_ends_in_ms"] > 10_000, "which outlasts the lease of who is missing"
                assert of(first.call("/v1/fleet").body, everybody)["footing"] == "earlier"
                until(lambda: "the database has lost what this node had put on record there" in first.said)
                first.kill()
                stopping.join()


def test_f9_a_raised_epoch_is_another_one_also_after_a_backup_from_before_an_earlier_raise(tmp_path: Path) -> None:
    """Whoever has joined the earlier one would take it for that, and know more than it."""
    server = Serving(folder=tmp_path / "data", flags=("--port", str(free_port())))

    def raised() -> int:
        epoch = server.call("/v1/fleet").body["epoch"]
        answer = server.call("/v1/fleet/raise-epoch", {"epoch": epoch, "reason": "restored"})
        return int(answer.body["epoch"])

    with running(server):
        key, credential = server.create(), credential_of(server, tmp_path)
        server.stop()
        shutil.copy(server.folder / "keyturn.db", tmp_path / "backup.db")
        server.start()
        first = raised()
        with attached(server.url, credential, on_lapse="refuse") as verifier:
            for _ in range(3):
                server.create()
            until(lambda: verifier.verify(key["secret"]) == "valid")
            server.stop()
            shutil.copy(tmp_path / "backup.db", server.folder / "keyturn.db")
            server.start()
            until(partial(verifier.has_said, "restored backup"))
            assert raised() > first
            until(partial(is_leased, server, verifier))
            until(lambda: verifier.verify(key["secret"]) == "valid")


def has_ended(url: str) -> bool:
    """Whether PostgreSQL knows of no server any more: it finds out shortly after the session was ended."""
    with psycopg.connect(url, autocommit=True) as connection:
        held = connection.execute(
            "SELECT count(*) FROM pg_locks JOIN pg_database AS here ON here.oid = database"
            " WHERE locktype = 'advisory' AND here.datname = current_database()"
        ).fetchone()
    return held == (0,)


def test_f9_postgresql_put_back_is_noticed_by_the_first_server_that_starts(
    own_postgres: Postgres, tmp_path: Path
) -> None:
    """By whichever way: its files, a copy of the database, its rows.  A start after a plain end or a crash is none."""
    name = own_postgres.create_database()

    def unknown(database: str = name) -> int:
        url = own_postgres.url(database)
        everybody = unknown_to(Settings.load({"data": tmp_path / "data", "port": 0, "database_url": url}))
        until(partial(has_ended, url))
        return everybody.lasts if everybody else 0

    assert [unknown(), unknown()] == [0, 0]
    assert unknown(own_postgres.create_database(name)) == LONGEST_FENCE, "a copy"
    own_postgres.execute("UPDATE origin SET written = written", database=name)
    assert [unknown(), unknown()] == [LONGEST_FENCE, 0], "rows that were written anew"
    own_postgres.stop()
    own_postgres.start()
    assert [unknown(), unknown()] == [LONGEST_FENCE, 0], "another process, which may serve other files"


def test_f9_servers_that_outlive_a_restart_of_postgresql_vouch_for_it(own_postgres: Postgres, tmp_path: Path) -> None:
    """So only where it and all of them were restarted the next one to start has nobody's word for it."""
    url = own_postgres.url(own_postgres.create_database())
    settings = Settings.load({"data": tmp_path / "a", "port": 0, "database_url": url})
    with open_node(settings) as node:
        shutil.copytree(tmp_path / "a" / "peppers", tmp_path / "b" / "peppers")
        with open_node(Settings.load({"data": tmp_path / "b", "port": 0, "database_url": url})) as beside:
            own_postgres.stop(how=signal.SIGINT)
            own_postgres.start()
            for one in (node, beside):
                one.stay()
                one.membership.boot = lambda: clock.boot_micros() + LONGEST_FENCE
            with ThreadPoolExecutor(2) as both:
                for staying in [both.submit(one.stay) for one in (node, beside)]:
                    staying.result()
    until(partial(has_ended, url))
    assert unknown_to(settings) is None


def test_f9_a_server_that_began_beside_others_affirms_the_database_too(postgres_url: str, tmp_path: Path) -> None:
    settings = Settings.load({"data": tmp_path / "a", "port": 0, "database_url": postgres_url})
    with open_node(settings) as node:
        shutil.copytree(tmp_path / "a" / "peppers", tmp_path / "b" / "peppers")
        with open_node(Settings.load({"data": tmp_path / "b", "port": 0, "database_url": postgres_url})) as beside:
            with node.store._engine.begin() as connection:
                connection.exec_driver_sql("UPDATE origin SET written = written")
            beside.membership.boot = lambda: clock.boot_micros() + LONGEST_FENCE
            beside.stay()
    until(partial(has_ended, postgres_url))
    assert unknown_to(settings) is None


def test_f9_a_server_that_starts_beside_another_rests_on_what_that_has_found(postgres_url: str, tmp_path: Path) -> None:
    settings = Settings.load({"data": tmp_path / "a", "port": 0, "database_url": postgres_url})
    with open_node(settings) as node:
        shutil.copytree(tmp_path / "a" / "peppers", tmp_path / "b" / "peppers")
        beside = Settings.load({"data": tmp_path / "b", "port": 0, "database_url": postgres_url})
        with node.store._engine.begin() as connection:
            connection.exec_driver_sql("UPDATE origin SET written = written")
        assert unknown_to(beside) is None
    until(partial(has_ended, postgres_url))
    assert unknown_to(beside) is not None
