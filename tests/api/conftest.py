"""One server for all tests of the API on each database: they make their own accounts and keys."""

from collections.abc import Iterator

import pytest

from tests import databases
from tests.conftest import BOTH
from tests.postgres import Postgres
from tests.serving import Serving


@pytest.fixture(scope="session", params=BOTH)
def api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A running server."""
    yield from _on(request, Serving(folder=tmp_path_factory.mktemp("api") / "data"))


@pytest.fixture(scope="session", params=BOTH)
def laborious(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Another, which spares itself no work: requests with a password wait for their turn."""
    yield from _on(request, Serving(folder=tmp_path_factory.mktemp("laborious") / "data", whole=True))


def _on(request: pytest.FixtureRequest, server: Serving) -> Iterator[Serving]:
    if request.param == "sqlite":
        yield from _serve(server)
        return
    postgres: Postgres = request.getfixturevalue("postgres_server")
    with databases.postgres_empty(postgres) as url:
        server.database_url = url
        yield from _serve(server)


def _serve(server: Serving) -> Iterator[Serving]:
    server.start()
    try:
        lift = server.call("/v1/accounts").body["items"][-1]["id"]
        server.call(f"/v1/accounts/{lift}", {"max_keys_per_user": 100_000}, method="PATCH")
        yield server
    finally:
        server.kill()


NAMED = "https://keys.example.com"


@pytest.fixture(scope="session")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A running server that knows by which address it is reached: passkeys and links need one."""
    yield from _serve(Serving(folder=tmp_path_factory.mktemp("named") / "data", flags=("--base-url", NAMED)))


@pytest.fixture(scope="session")
def hot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server with nothing else to do."""
    for server in _serve(Serving(folder=tmp_path_factory.mktemp("hot") / "data")):
        yield server.leased()
