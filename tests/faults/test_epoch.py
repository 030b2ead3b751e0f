"""F9 on real servers with real verifiers: a raised epoch, and a backup that was restored."""

import os
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from keyturn.core.lease import LONGEST_FENCE, Lease
from keyturn.outside.folder import lock_of
from keyturn.settings import Settings
from keyturn.wiring import open_node
from tests import databases
from tests.attached import Attached, attached, of, until, verifiers
from tests.faults.test_retry import in_the_background
from tests.ports import free_port
from tests.postgres import Postgres
from tests.serving import Serving


@contextmanager
def running(server: Serving) -> Iterator[Serving]:
    server.start()
    try:
        yield server
    finally:
        server.kill()


def credential_of(server: Serving, folder: Path) -> Path:
    file = folder / "verifier.key"
    file.write_text(server.create(permissions=["keyturn.attach", "keyturn.verify"])["secret"])
    return file


def is_leased(server: Serving, verifier: Attached) -> bool:
    return of(server.call("/v1/fleet").body, verifier.instance).get("footing") == "leased"


def revoked(server: Serving) -> dict[str, Any]:
    """The receipt of a stop."""
    receipt: dict[str, Any] = server.call(f"/v1/keys/{server.create()['id']}/revoke", {}).body["receipt"]
    return receipt


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Serving]:
    if request.param == "sqlite":
        with running(Serving(folder=tmp_path / "data")) as one:
            yield one
        return
    postgres: Postgres = request.getfixturevalue("postgres_server")
    with databases.postgres_empty(postgres) as url, running(Serving(folder=tmp_path / "data", database_url=url)) as one:
        yield one


def test_f9_after_a_raised_epoch_everybody_joins_anew_and_the_first_stop_waits(server: Serving, tmp_path: Path) -> None:
    key = server.create()
    with attached(server.url, credential_of(server, tmp_path)) as verifier:
        assert verifier.verify(key["secret"]) == "valid"
        before = server.call("/v1/fleet").body
        stopped = server.create()
        raised = server.call("/v1/fleet/raise-epoch", {"epoch": before["epoch"], "reason": "restored"})
        assert (raised.status, raised.body["epoch"] > before["epoch"]) == (200, True)
        assert raised.body["nothing_confirmed_for_ms"] == 5100
        fleet = server.call("/v1/fleet").body
        first = server.call(f"/v1/keys/{stopped['id']}/revoke", {}).body["receipt"]
        assert fleet["epoch"] == raised.body["epoch"]
        earlier = f"epoch-{fleet['epoch']}"
        assert of(fleet, earlier)["footing"] == "earlier"
        second = revoked(server)
        assert (first["confirmed"], first["epoch"], first["verifiers"]["waited_out"]) == (
            True,
            fleet["epoch"],
            [earlier],
        ), "the node and the verifier have joined the new epoch; nobody speaks for those who were before it"
        assert first["waited_ms"] >= 5100
        assert (second["confirmed"], second["verifiers"]["waited_out"]) == (True, [])
        assert not of(server.call("/v1/fleet").body, earlier)
        assert verifier.verify(key["secret"]) == "valid"
        server.call(f"/v1/keys/{key['id']}/revoke", {})
        assert verifier.verify(key["secret"]) == "revoked"


def test_f9_f10_the_quiet_after_a_raised_epoch_outlasts_a_restart(tmp_path: Path) -> None:
    settings = Settings.load({"data": tmp_path / "data", "port": 0})
    with open_node(settings) as node:
        raised = node.store.change(lambda tx: tx.raise_epoch(tx.epoch))
        assert raised
        gone = node.membership.instance
    with open_node(settings) as node:
        leases = {one.instance for one in node.store.read(lambda tx: tx.leases())}
    assert f"epoch-{raised.epoch}" in leases, "nobody has waited for whoever it stands for"
    assert gone not in leases, "the lock shows that it is gone, and it granted nothing"


def test_f9_raising_the_epoch_is_explicit_and_audited(server: Serving) -> None:
    auditor = server.create(permissions=["keyturn.audit:read"])["secret"]
    body = {"epoch": 1, "reason": "restored from Tuesday"}
    assert server.call("/v1/fleet/raise-epoch", body, key=auditor).body["needed"] == "keyturn.admin"
    assert server.call("/v1/fleet/raise-epoch", {"epoch": 1}).status == 422
    raised = server.call("/v1/fleet/raise-epoch", body)
    assert raised.status == 200
    again = server.call("/v1/fleet/raise-epoch", body)
    assert (again.status, again.body["code"], again.body["field"]) == (422, "invalid_field", "epoch")
    assert server.call("/v1/fleet").body["epoch"] == raised.body["epoch"], "a call that is repeated raises it once"
    records = [one for one in server.call("/v1/audit").body["items"] if one["action"] == "fleet.epoch_raised"]
    assert [one["outcome"] for one in records] == ["invalid_field", "done", "permission_missing"]
    assert records[1]["detail"]["reason"] == "restored from Tuesday"


def test_f9_a_restored_backup_is_met_by_refusal_and_an_alarm_until_the_epoch_is_raised(tmp_path: Path) -> None:
    """What an operator does: stop, restore, start, raise the epoch."""
    server = Serving(folder=tmp_path / "data", flags=("--port", str(free_port())))
    with running(server):
        stays, stopped = server.create(), server.create()
        credential = credential_of(server, tmp_path)
        server.stop()
        shutil.copy(server.folder / "keyturn.db", tmp_path / "backup.db")
        server.start()
        with (
            attached(server.url, credential, name="asks") as asks,
            attached(server.url, credential, name="refuses", on_lapse="refuse") as refuses,
        ):
            for one in (asks, refuses):
                assert (one.verify(stays["secret"]), one.verify(stopped["secret"])) == ("valid", "valid")
            receipt = server.call(f"/v1/keys/{stopped['id']}/revoke", {}).body["receipt"]
            assert (receipt["confirmed"], receipt["verifiers"]["waited_out"]) == (True, [])
            server.stop()
            shutil.copy(tmp_path / "backup.db", server.folder / "keyturn.db")
            server.start()
            for one in (asks, refuses):
                until(partial(one.has_said, "restored backup"))
            assert f"verifier {asks.instance} knows more than the database" in server.said
            assert server.call("/v1/keys/" + stopped["id"]).body["revoked_at"] is None, "the database has come to life"
            assert refuses.verify(stays["secret"]) == refuses.verify(stopped["secret"]) == "LeaseLapsed"
            assert asks.verify(stopped["secret"]) == "revoked", "what it knows as stopped stays so"
            assert asks.verify(stays["secret"]) == "valid", "of the rest the database decides"
            footings = {one["name"]: one["footing"] for one in verifiers(server.call("/v1/fleet").body)}
            assert footings == {"asks": "ahead", "refuses": "ahead"}
            epoch = server.call("/v1/fleet").body["epoch"]
            assert server.call("/v1/fleet/raise-epoch", {"epoch": epoch, "reason": "restored"}).status == 200
            for one in (asks, refuses):
                until(partial(is_leased, server, one))
                assert one.verify(stopped["secret"]) == "valid", "the authority's past is the only one again"
            again = server.call(f"/v1/keys/{stopped['id']}/revoke", {}).body["receipt"]
            assert again["confirmed"] is True
            for one in (asks, refuses):
                assert (one.verify(stays["secret"]), one.verify(stopped["secret"])) == ("valid", "revoked")


def test_f2_terms_are_changed_by_an_administrator_and_audited(server: Serving) -> None:
    auditor = server.create(permissions=["keyturn.audit:read"])["secret"]
    body = {"lease_ms": 2000, "margin_ms": 20}
    put = partial(server.call, "/v1/fleet/terms", method="PUT")
    assert put(body, key=auditor).body["needed"] == "keyturn.admin"
    assert put({"lease_ms": 100, "margin_ms": 1}).body["field"] == "lease_ms"
    assert put({"lease_ms": "2s", "margin_ms": 20}).status == 422
    assert put(body).body == {"lease_ms": 2000, "margin_ms": 20, "fence_ms": 2040}
    assert server.call("/v1/fleet").body["terms"]["fence_ms"] == 2040
    records = [one for one in server.call("/v1/audit").body["items"] if one["action"] == "fleet.terms_set"]
    assert [one["outcome"] for one in records] == ["done", "invalid_field", "permission_missing"]
    assert records[0]["detail"] == {"lease_ms": "5000 -> 2000", "margin_ms": "50 -> 20"}


def test_f5_a_stop_waits_by_the_lease_that_was_given_and_soon_by_the_shorter_one(
    server: Serving, tmp_path: Path
) -> None:
    """A verifier with a lease of five seconds is stopped in the moment in which leases of two seconds are set."""
    first, second = server.create(), server.create()
    with attached(server.url, credential_of(server, tmp_path), name="stopped") as verifier:
        assert verifier.verify(first["secret"]) == "valid"
        verifier.freeze()
        fence = server.call("/v1/fleet/terms", {"lease_ms": 2000, "margin_ms": 20}, method="PUT").body["fence_ms"]
        receipt = server.call(f"/v1/keys/{first['id']}/revoke", {}).body["receipt"]
        assert receipt["verifiers"]["waited_out"] == [verifier.instance]
        assert receipt["waited_ms"] > fence, "it was given for five seconds and renewed within a third of that"
        verifier.thaw()
        assert verifier.verify(first["secret"]) == "revoked", "its lease was over, so it may have asked for this one"
        until(partial(is_leased, server, verifier))
        verifier.freeze()
        assert of(server.call("/v1/fleet").body, verifier.instance)["lease_ends_in_ms"] <= fence
        receipt = server.call(f"/v1/keys/{second['id']}/revoke", {}).body["receipt"]
        assert receipt["verifiers"]["waited_out"] == [verifier.instance]


def test_f9_the_quiet_after_a_raised_epoch_is_as_long_as_the_longest_lease_on_record(server: Serving) -> None:
    """Also where leases are shorter by now."""
    server.call("/v1/fleet/terms", {"lease_ms": 20_000, "margin_ms": 50}, method="PUT")
    until(lambda: server.call("/v1/fleet").body["nodes"][0]["lease_ends_in_ms"] > 10_000)
    server.call("/v1/fleet/terms", {"lease_ms": 500, "margin_ms": 5}, method="PUT")
    raised = server.call("/v1/fleet/raise-epoch", {"epoch": 1, "reason": "restored"}).body
    assert raised["epoch"] > 1
    assert 5_000 < raised["nothing_confirmed_for_ms"] <= 20_100


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
        assert revoked(server)["verifiers"]["waited_out"] == [], "once"


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
                (everybody,) = [one for one in fence["waiting_for"] if one.startswith("before-")]
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


@pytest.mark.parametrize("is_put_back", [False, True])
def test_f9_servers_that_outlive_a_restart_of_postgresql_vouch_for_it_if_it_is_as_they_left_it(
    own_postgres: Postgres, tmp_path: Path, *, is_put_back: bool
) -> None:
    """So only where it and all of them were restarted the next one to start has nobody's word for it."""
    name = own_postgres.create_database()
    url = own_postgres.url(name)
    settings = Settings.load({"data": tmp_path / "a", "port": 0, "database_url": url})
    with open_node(settings) as node:
        shutil.copytree(tmp_path / "a" / "peppers", tmp_path / "b" / "peppers")
        with open_node(Settings.load({"data": tmp_path / "b", "port": 0, "database_url": url})) as beside:
            own_postgres.stop(how=signal.SIGINT)
            own_postgres.start()
            if is_put_back:
                own_postgres.execute("UPDATE leases SET counter = 0", database=name)
            with ThreadPoolExecutor(2) as both:
                for staying in [both.submit(one.stay) for one in (node, beside)]:
                    staying.result()
            assert not has_ended(url)
            own_postgres.execute("DELETE FROM leases WHERE instance LIKE 'before-%'", database=name)
    until(partial(has_ended, url))
    everybody = unknown_to(settings)
    assert (everybody.lasts if everybody else 0) == (LONGEST_FENCE if is_put_back else 0)


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
