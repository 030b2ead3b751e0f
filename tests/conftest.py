"""Fixtures and manners of the whole test-suite.

Databases, each fresh, migrated and of the test's own:
    database_url            the test runs twice: on SQLite and on PostgreSQL
    conformance_url         three times: also on the distribution's PostgreSQL
    sqlite_url, postgres_url
    empty_database_url      both, without any table
    own_postgres            a server of the test's own, to stop, kill, freeze and start again

The browser (tests/browser.py), one for the whole run:
    chromium                `with chromium.visit(url) as visit`

Marks:
    @pytest.mark.needs("strace")   skipped, loudly, where the program is missing
    @pytest.mark.full              runs in `make test-full` only

`KEYTURN_TEST_ALL=1` makes every skip a failure.
`KEYTURN_TEST_AGAIN=1` has a test that failed run once more, and names it loudly; but none of those in EXACT, unless it
has only waited in vain.
"""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import hypothesis
import pytest

from tests import browser, databases, memory, postgres, provision

hypothesis.settings.register_profile("keyturn", deadline=None, print_blob=True)  # a shared machine: no time limits
hypothesis.settings.load_profile("keyturn")

BOTH = ("sqlite", "postgresql")
ALL_THREE = (*BOTH, "postgresql-distribution")
PURE = ("tests/core/", "tests/verify/")
EXACT = (*PURE, "tests/fleet/", "tests/flow/test_laws.py", "tests/flow/test_races.py", "tests/api/test_schema.py")
"""What runs by no clock of the machine, or looks for what happens rarely: whatever is found wrong there is wrong."""
IN_VAIN = "WaitedInVainError"
"""What a test of these fails with where the machine has not come to what is to be judged (`tests/fleet/chaos`)."""
LONGEST = (
    *("tests/flow/test_laws.py", "tests/fleet/", "tests/faults/", "tests/web/", "tests/cli/test_demo.py"),
    *("tests/api/test_schema.py", "tests/api/test_lockout.py", "tests/core/test_claim_histories.py"),
    *("tests/sdk/test_verifier.py", "tests/store/test_keys.py", "tests/store/test_durability.py"),
    *("tests/gateways/", "tests/middleware/"),
)


# -- databases


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> databases.SqliteTemplate:
    """The migrated file that every SQLite test gets a copy of."""
    return databases.SqliteTemplate(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Postgres]:
    """The PostgreSQL that all tests share.  Do not stop it; take `own_postgres` for that."""
    server = postgres.started(postgres.packaged_binaries())
    yield server
    server.remove()


@pytest.fixture(scope="session")
def distribution_postgres_server() -> Iterator[postgres.Postgres]:
    """The distribution's PostgreSQL, where it is installed."""
    binaries = postgres.distribution_binaries()
    if binaries is None:
        pytest.skip(provision.PROGRAMS["postgresql"].missing())
    server = postgres.started(binaries)
    yield server
    server.remove()


@pytest.fixture
def own_postgres() -> Iterator[postgres.Postgres]:
    """A PostgreSQL of the test's own, started: stop, kill, freeze and start it at will."""
    server = postgres.started(postgres.packaged_binaries())
    yield server
    server.thaw()
    server.remove()


@pytest.fixture
def sqlite_url(sqlite_template: databases.SqliteTemplate, tmp_path: Path) -> str:
    """A fresh migrated SQLite database."""
    return sqlite_template.copy(tmp_path)


@pytest.fixture
def postgres_url(postgres_server: postgres.Postgres) -> Iterator[str]:
    """A fresh migrated PostgreSQL database."""
    with databases.postgres_copy(postgres_server) as url:
        yield url


@pytest.fixture
def distribution_postgres_url(distribution_postgres_server: postgres.Postgres) -> Iterator[str]:
    """A fresh migrated database on the distribution's PostgreSQL."""
    with databases.postgres_copy(distribution_postgres_server) as url:
        yield url


_FIXTURE = {
    "sqlite": "sqlite_url",
    "postgresql": "postgres_url",
    "postgresql-distribution": "distribution_postgres_url",
}


@pytest.fixture(params=BOTH)
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh migrated database; the test runs on both kinds."""
    url: str = request.getfixturevalue(_FIXTURE[request.param])
    return url


@pytest.fixture(params=ALL_THREE)
def conformance_url(request: pytest.FixtureRequest) -> str:
    """As `database_url`, and on the distribution's PostgreSQL too."""
    url: str = request.getfixturevalue(_FIXTURE[request.param])
    return url


@pytest.fixture(params=BOTH)
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without any table, of both kinds."""
    if request.param == "sqlite":
        yield databases.sqlite_url(tmp_path / "empty.db")
        return
    with databases.postgres_empty(request.getfixturevalue("postgres_server")) as url:
        yield url


# -- the browser


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Chromium]:
    """The distribution's Chromium, where it is installed."""
    if provision.PROGRAMS["chromium"].absent():
        pytest.skip(provision.PROGRAMS["chromium"].missing())
    started = browser.Chromium(tmp_path_factory.mktemp("home"))
    yield started
    started.close()


# -- manners


def pytest_configure() -> None:
    """Files of tests lie in memory where that has room."""
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory.place()))


@pytest.fixture(autouse=True)
def _pure_tests_open_no_socket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests of the core and of the verifier do no I/O."""
    if request.node.nodeid.startswith(PURE):

        def refuse(*_: Any, **__: Any) -> NoReturn:
            msg = "a unit test opened a socket"
            raise AssertionError(msg)

        monkeypatch.setattr(socket.socket, "connect", refuse)
        monkeypatch.setattr(socket.socket, "bind", refuse)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Two more than there are cores, but for pure tests: many others wait for a lease to end or a server to stop."""
    return (os.cpu_count() or 1) + (0 if config.option.numprocesses == "logical" else 2)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only `make test-full` runs; it is not a skip, it is another suite.

    The longest files go first: a process that has one of them left at the end would keep the others waiting.
    """
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))
    if os.environ.get("KEYTURN_TEST_AGAIN") == "1":
        for item in items:
            only = IN_VAIN if item.nodeid.startswith(EXACT) else None
            item.add_marker(pytest.mark.flaky(reruns=1, only_rerun=only))
    if os.environ.get("KEYTURN_TEST_FULL") == "1":
        return
    left_out = [item for item in items if item.get_closest_marker("full")]
    if left_out:
        items[:] = [item for item in items if not item.get_closest_marker("full")]
        config.hook.pytest_deselected(items=left_out)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose program is missing, naming the command that installs it."""
    for mark in item.iter_markers("needs"):
        for name in mark.args:
            program = provision.PROGRAMS[name]
            if program.absent():
                pytest.skip(program.missing())


def _reported(config: pytest.Config, outcome: str) -> list[pytest.TestReport | pytest.CollectReport]:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    reports: list[pytest.TestReport | pytest.CollectReport] = (
        [] if reporter is None else reporter.stats.get(outcome, [])
    )
    return reports


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Under KEYTURN_TEST_ALL=1 a run with a skip has failed."""
    if (
        exitstatus == pytest.ExitCode.OK
        and os.environ.get("KEYTURN_TEST_ALL") == "1"
        and _reported(session.config, "skipped")
    ):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say loudly what passed at its second try only, and what did not run and would make it run."""
    if unsteady := _reported(config, "rerun"):
        terminalreporter.section("FAILED ONCE: A FAULT, HERE OR IN THE TEST", sep="!", yellow=True, bold=True)
        for report in unsteady:
            terminalreporter.line(f"{report.nodeid}\n{report.longreprtext}")
    reports = _reported(config, "skipped")
    if not reports:
        return
    must_run = os.environ.get("KEYTURN_TEST_ALL") == "1"
    title = "SKIPPED, AND EVERY SKIP IS A FAILURE HERE" if must_run else "NOT RUN"
    terminalreporter.section(title, sep="!", red=must_run, yellow=not must_run, bold=True)
    for report in reports:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        terminalreporter.line(f"{report.nodeid}: {reason.removeprefix('Skipped: ')}")


def pytest_report_header() -> str:
    """Name what this run stands on."""
    found = ", ".join(
        f"{name} {'missing' if program.absent() else 'found'}" for name, program in provision.PROGRAMS.items()
    )
    return f"programs: {found}"
