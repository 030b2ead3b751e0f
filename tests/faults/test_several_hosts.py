"""One address that names a primary and its standby: keyturn finds the primary, also after a failover (F2, F13)."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from keyturn.cli.doctor import FAIL, _database
from keyturn.cli.migrate import _migrate
from keyturn.ports.store import StoreUnavailable
from keyturn.settings import Settings
from tests import postgres
from tests.attached import until
from tests.databases import migrate
from tests.fleet.chaos.test_failover import closing_standby
from tests.postgres import USER, Postgres
from tests.serving import Serving

STANDBY = "only a standby answers, and keyturn works with the primary"
OURS = "SELECT application_name, count(*) FROM pg_stat_activity WHERE application_name LIKE 'keyturn%' GROUP BY 1"
HINTS = "keyturn hints"


@pytest.fixture
def primary() -> Iterator[Postgres]:
    server = postgres.started(postgres.packaged_binaries())
    yield server
    server.remove()


@pytest.fixture
def standby(primary: Postgres) -> Iterator[Postgres]:
    server = primary.standby()
    with closing_standby(server):
        primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        primary.execute("SELECT pg_reload_conf()")
        yield server


def _sessions(server: Postgres) -> dict[str, int]:
    """By what they are for."""
    with psycopg.connect(server.url()) as connection:
        return dict(connection.execute(OURS).fetchall())


def test_f2_no_session_reaches_a_standby_and_a_failover_is_followed(
    primary: Postgres, standby: Postgres, tmp_path: Path
) -> None:
    url = primary.url(primary.create_database())
    migrate(url)
    parts = urlsplit(url)
    both = parts._replace(netloc=f"{USER}@127.0.0.1:{standby.port},127.0.0.1:{primary.port}").geturl()
    server = Serving(folder=tmp_path / "data", database_url=both)
    try:
        first, second = server.start().create(), server.create()
        revoked = server.call(f"/v1/keys/{first['id']}/revoke", {}).body
        assert (revoked["receipt"]["confirmed"], server.verdict(first["secret"])) == (True, "revoked")
        until(lambda: _sessions(primary).get(HINTS) == 2)  # one to speak, one to listen
        assert not _sessions(standby)
        primary.kill()
        standby.promote()
        until(lambda: server.call("/readyz").body.get("store") == "here")
        assert server.verdict(first["secret"]) == "revoked"
        revoked = server.call(f"/v1/keys/{second['id']}/revoke", {}).body
        assert (revoked["receipt"]["confirmed"], server.verdict(second["secret"])) == (True, "revoked")
        until(lambda: _sessions(standby).get(HINTS) == 2)
    finally:
        server.kill()


def test_f2_a_server_does_not_start_on_a_standby(primary: Postgres, standby: Postgres, tmp_path: Path) -> None:
    name = primary.create_database()
    migrate(primary.url(name))
    server = Serving(folder=tmp_path / "data", database_url=standby.url(name))
    with pytest.raises(RuntimeError, match=STANDBY):
        server.start()
    server.kill()
    settings = Settings.load({"data": tmp_path / "data", "database_url": standby.url(name)})
    with pytest.raises(StoreUnavailable, match=STANDBY):
        _migrate(settings)
    (finding,) = _database(settings)
    assert (finding.result, STANDBY in finding.found) == (FAIL, True)
