"""PostgreSQL behind a real pooler: what a session holds and has set is its own, or the server does not start (F13)."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest

from keyturn.cli.doctor import FAIL, _database
from keyturn.cli.migrate import _migrate
from keyturn.settings import Settings
from keyturn.store.presence import SessionsShared
from keyturn.wiring import open_node
from tests import databases
from tests.attached import until
from tests.ports import free_port
from tests.postgres import Postgres, die_with_parent
from tests.serving import Serving

pytestmark = pytest.mark.needs("pgbouncer")

_SETTINGS: Final = """
[databases]
* = host=127.0.0.1 port={postgres}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = {mode}
"""


@contextmanager
def pooled(url: str, folder: Path, *, mode: str) -> Iterator[str]:
    """The same database behind PgBouncer."""
    parts = urlsplit(url)
    port = free_port()
    folder.chmod(0o755)  # it gives up being root
    users, settings = folder / "users.txt", folder / "pgbouncer.ini"
    users.write_text(f'"{parts.username}" ""\n')
    settings.write_text(_SETTINGS.format(postgres=parts.port, port=port, users=users, mode=mode))
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program is not None
    words = [program, *(("-u", "nobody") if os.geteuid() == 0 else ()), str(settings)]
    with (folder / "pgbouncer.log").open("wb") as log:
        process = subprocess.Popen(words, stderr=log, preexec_fn=die_with_parent)  # noqa: PLW1509  # one prctl call

    def listens() -> bool:
        assert process.poll() is None, (folder / "pgbouncer.log").read_text()
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        return False

    try:
        until(listens)
        yield parts._replace(netloc=f"{parts.username}@127.0.0.1:{port}").geturl()
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def url(postgres_server: Postgres) -> Iterator[str]:
    with databases.postgres_empty(postgres_server) as made:
        yield made


def test_f13_a_server_does_not_start_where_sessions_are_shared(url: str, tmp_path: Path) -> None:
    with pooled(url, tmp_path, mode="transaction") as shared:
        settings = Settings.load({"data": tmp_path / "data", "port": 0, "database_url": shared})
        with pytest.raises(SessionsShared, match="have it pool by session"), open_node(settings):
            pass
        with pytest.raises(SessionsShared):
            _migrate(settings)
        (finding,) = _database(settings)
        assert (finding.result, "shares sessions" in finding.found) == (FAIL, True)


def test_f13_a_server_works_where_each_has_a_session_of_its_own(url: str, tmp_path: Path) -> None:
    with pooled(url, tmp_path, mode="session") as own:
        server = Serving(folder=tmp_path / "data", database_url=own)
        try:
            key = server.start().create()
            assert server.verdict(key["secret"]) == "valid"
            assert server.call(f"/v1/keys/{key['id']}/revoke", {}).body["receipt"]["confirmed"] is True
            assert server.verdict(key["secret"]) == "revoked"
        finally:
            server.kill()
