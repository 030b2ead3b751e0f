"""A served deployment of each kind, and `keyturn` run in this process against it."""

import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from keyturn.cli.root import run
from tests import databases
from tests.serving import Serving


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What one command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # JSON
        """Its standard output, which is one JSON document."""
        return json.loads(self.out)


class Keyturn:
    """Runs `keyturn` with these arguments; standard input is never a terminal."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *arguments: str, stdin: str = "") -> Ran:
        self._capsys.readouterr()
        with self._monkeypatch.context() as patch:
            patch.setattr("sys.stdin", io.StringIO(stdin))
            code = run(arguments)
        said = self._capsys.readouterr()
        return Ran(code=code, out=said.out, err=said.err)

    def ok(self, *arguments: str, stdin: str = "") -> Any:  # JSON
        """The JSON answer of a command that succeeds."""
        ran = self(*arguments, "--json", stdin=stdin)
        assert ran.code == 0, ran
        return ran.json


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """No setting of keyturn in the environment, and an empty folder to be in."""
    for name in [name for name in os.environ if name.startswith("KEYTURN_") and not name.startswith("KEYTURN_TEST")]:
        monkeypatch.delenv(name)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return monkeypatch


@pytest.fixture
def keyturn(bare: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Keyturn:
    """The command line without a server."""
    return Keyturn(bare, capsys)


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """One server for all tests of the command line, on each database."""
    folder = tmp_path_factory.mktemp("served") / "data"
    if request.param == "sqlite":
        server = Serving(folder=folder).start()
        yield server
        server.kill()
        return
    with databases.postgres_empty(request.getfixturevalue("postgres_server")) as url:
        server = Serving(folder=folder, database_url=url).start()
        yield server
        server.kill()


@pytest.fixture
def served_keyturn(served: Serving, bare: pytest.MonkeyPatch, keyturn: Keyturn) -> Keyturn:
    """The command line of that server's administrator."""
    bare.setenv("KEYTURN_URL", f"http://127.0.0.1:{served.port}")
    bare.setenv("KEYTURN_KEY_FILE", str(served.folder / "admin.key"))
    return keyturn
