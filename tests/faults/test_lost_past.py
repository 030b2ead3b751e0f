"""F9 on real servers and verifiers that know more than the database: what has stopped stays stopped there."""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest

from keyturn.sdk import NodeUnavailable, Verifier
from tests import databases
from tests.attached import attached, until, verifiers
from tests.faults.test_epoch import credential_of, is_leased, running
from tests.ports import free_port
from tests.postgres import Postgres
from tests.sdk.verifying import lapse
from tests.serving import Serving

LONG: Final = 60.0
"""Seconds for what is done within two on a machine that does nothing else."""


class Past:
    """A database on a server that others use as well, which can be put back as it was once."""

    def __init__(self, postgres: Postgres, url: str) -> None:
        self.url = url
        self._postgres = postgres
        self._name = url.rpartition("/")[2]
        self._kept = f"{self._name}_kept"

    def keep(self) -> None:
        """Remember what is there now."""
        self._alone(f'CREATE DATABASE "{self._kept}" TEMPLATE "{self._name}"')

    def bring_back(self) -> None:
        """What was remembered is there again, under whoever works with it."""
        self._alone(f'ALTER DATABASE "{self._name}" RENAME TO "{self._name}_lost"')
        self._postgres.execute(f'ALTER DATABASE "{self._kept}" RENAME TO "{self._name}"')

    def drop(self) -> None:
        """Leave nothing of it."""
        for name in (self._kept, f"{self._name}_lost"):
            self._postgres.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _alone(self, statement: str) -> None:
        """Do what needs the database for itself: everybody's sessions are ended, and nobody begins another."""
        self._postgres.execute(f'ALTER DATABASE "{self._name}" ALLOW_CONNECTIONS false')
        sessions = f"SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = '{self._name}'"
        until(partial(self._done, sessions, statement), within=LONG)
        with suppress(psycopg.errors.InvalidCatalogName):  # it has another name now
            self._postgres.execute(f'ALTER DATABASE "{self._name}" ALLOW_CONNECTIONS true')

    def _done(self, *statements: str) -> bool:
        try:
            for one in statements:
                self._postgres.execute(one)
        except psycopg.errors.ObjectInUse:
            return False  # somebody had just been let in
        return True


@pytest.fixture
def past(postgres_server: Postgres) -> Iterator[Past]:
    with databases.postgres_empty(postgres_server) as url:
        one = Past(postgres_server, url)
        yield one
        one.drop()


@pytest.fixture
def server(past: Past, tmp_path: Path) -> Iterator[Serving]:
    with running(Serving(folder=tmp_path / "data", database_url=past.url)) as one:
        yield one.leased()


def sure(server: Serving, path: str, body: object = None) -> Any:
    """The answer of a server whose connections have just been cut, as soon as it has one."""

    def asked() -> Any:
        answer = server.call(path, body)
        return answer.body if answer.status == 200 else None

    return until(asked, within=LONG)


def stopped(server: Serving, path: str) -> None:
    """What is to be stopped is, and everybody has applied it."""
    sure(server, "/v1/keys")
    receipt = sure(server, path, {})["receipt"]
    assert (receipt["confirmed"], receipt["verifiers"]["waited_out"]) == (True, [])


def code(server: Serving, key: dict[str, Any]) -> str:
    """The server's first answer."""
    said: str = sure(server, "/v1/verify", {"key": key["secret"]})["code"]
    return said


def raise_epoch(server: Serving) -> None:
    epoch = sure(server, "/v1/fleet")["epoch"]
    assert sure(server, "/v1/fleet/raise-epoch", {"epoch": epoch, "reason": "restored"})["epoch"] > epoch


def test_f9_the_verifier_of_a_node_whose_past_is_lost_goes_on_refusing(
    server: Serving, past: Past, tmp_path: Path
) -> None:
    key = server.create()
    with attached(server.url, credential_of(server, tmp_path)) as verifier:
        assert verifier.verify(key["secret"]) == "valid"
        past.keep()
        stopped(server, f"/v1/keys/{key['id']}/revoke")
        assert verifier.verify(key["secret"]) == "revoked"
        past.bring_back()
        until(partial(verifier.has_said, "restored backup"), within=LONG)
        assert sure(server, f"/v1/keys/{key['id']}")["revoked_at"] is None, "the database has come to life"
        assert verifier.verify(key["secret"]) == "revoked"
        until(lambda: [one["footing"] for one in verifiers(sure(server, "/v1/fleet"))] == ["ahead"], within=LONG)
        raise_epoch(server)
        until(partial(is_leased, server, verifier), within=LONG)
        assert verifier.verify(key["secret"]) == "valid", "the authority's past is the only one again"


def test_f9_a_server_that_has_never_held_the_secret_refuses_it(server: Serving, past: Past) -> None:
    """From its first reading on, which shows what it does not know yet: that its past is lost."""
    revoked, suspended, other = (server.create() for _ in range(3))
    past.keep()
    stopped(server, f"/v1/keys/{revoked['id']}/revoke")
    stopped(server, f"/v1/keys/{suspended['id']}/suspend")
    past.bring_back()
    said = [code(server, one) for one in (suspended, revoked, other)]
    assert said == ["suspended", "revoked", "valid"], "of what it was told nothing about the database decides"
    until(lambda: sure(server, "/v1/fleet")["confirms"] is False, within=LONG)
    assert [code(server, one) for one in (suspended, revoked, other)] == said
    raise_epoch(server)
    until(lambda: sure(server, "/v1/fleet")["confirms"], within=LONG)
    assert [code(server, one) for one in (suspended, revoked, other)] == ["valid"] * 3


def test_f9_f11_a_restored_backup_is_met_by_no_answer_about_what_was_stopped_together(tmp_path: Path) -> None:
    """Most of what the verifier holds is of the account that is suspended: it drops everything."""
    server = Serving(folder=tmp_path / "data", flags=("--port", str(free_port())))
    with running(server):
        server.leased()
        account = server.call("/v1/accounts", {"name": "customer"}).body["id"]
        user = {"email": "one@example.com", "name": "One", "account_id": account}
        owner = server.call("/v1/users", user).body["id"]
        single, other = server.create(), server.create()
        together = [server.create(account_id=account, owner_id=owner) for _ in range(5)]
        credential = credential_of(server, tmp_path)
        server.stop()
        shutil.copy(server.folder / "keyturn.db", tmp_path / "backup.db")
        server.start()
        with attached(server.url, credential) as verifier:

            def said() -> list[str]:
                return [verifier.verify(one["secret"]) for one in (single, other, *together)]

            assert said() == ["valid"] * 7
            stopped(server, f"/v1/keys/{single['id']}/revoke")
            stopped(server, f"/v1/accounts/{account}/suspend")
            assert verifier.verify(together[0]["secret"]) == "suspended"
            server.stop()
            shutil.copy(tmp_path / "backup.db", server.folder / "keyturn.db")
            server.start()
            until(partial(verifier.has_said, "restored backup"), within=LONG)
            assert said() == ["revoked", "valid", "suspended", *["LeaseLapsed"] * 4]
            raise_epoch(server)
            until(partial(is_leased, server, verifier), within=LONG)
            assert said() == ["valid"] * 7


def test_f9_a_verifier_that_nobody_has_told_is_told_by_whoever_it_asks(tmp_path: Path) -> None:
    """Its lease was over before the server that now knows nothing of it came up, and it has no stream yet."""
    server = Serving(folder=tmp_path / "data", flags=("--port", str(free_port())))
    with running(server):
        server.leased()
        key = server.create()
        credential = server.create(permissions=["keyturn.attach", "keyturn.verify"])["secret"]
        server.stop()
        shutil.copy(server.folder / "keyturn.db", tmp_path / "backup.db")
        server.start()
        with Verifier(server.url, credential) as verifier:
            assert verifier.wait_until_leased(LONG)
            stopped(server, f"/v1/keys/{key['id']}/suspend")
            lapse(verifier)
            assert verifier.verify(key["secret"]).code == "suspended"
            server.stop()
            shutil.copy(tmp_path / "backup.db", server.folder / "keyturn.db")
            server.start()
            assert code(server, key) == "valid", "the database has come to life"
            with pytest.raises(NodeUnavailable, match="lease_lapsed"):
                verifier.verify(key["secret"])
            raise_epoch(server)
            until(lambda: verifier.verify(key["secret"]), within=LONG)
