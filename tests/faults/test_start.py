"""Which servers may start beside which, and with which peppers (F13, R3)."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Barrier

import psycopg
import pytest

from keyturn.flow import bootstrap
from keyturn.outside import presets
from keyturn.outside.folder import FolderInUse, alone
from keyturn.outside.forge import SystemForge
from keyturn.settings import Settings
from keyturn.store.database import connect
from keyturn.store.migrate import migrate, revisions
from keyturn.store.opening import enter
from keyturn.store.peppers import PeppersMissing
from keyturn.store.presence import Presence
from keyturn.store.store import SqlStore
from keyturn.store.transaction import SqlTransaction
from keyturn.wiring import open_node
from tests import databases
from tests.cli.conftest import Keyturn, bare, keyturn
from tests.postgres import Postgres
from tests.serving import Serving
from tests.world import PEPPER, Clock

__all__ = ["bare", "keyturn"]  # fixtures


def at(folder: Path, url: str) -> Settings:
    return Settings.load({"data": folder, "database_url": url, "port": 0})


def started(server: Serving) -> str:
    """What a server that does not start says; empty for one that does."""
    begun = len(server.said) if server.folder.with_suffix(".log").exists() else 0
    try:
        server.start()
    except RuntimeError:
        return server.said[begun:] or "nothing"
    return ""


def test_nothing_but_what_every_installation_has_is_needed_on_sqlite(tmp_path: Path) -> None:
    """The extras stand apart: each is missed by those alone who use it, with its name and the command."""
    blocked = "import sys\nsys.modules.update(dict.fromkeys(('authlib', 'psycopg', 'rich', 'webauthn')))\n"
    (tmp_path / "sitecustomize.py").write_text(blocked)
    bare = {"PYTHONPATH": str(tmp_path)}
    server = Serving(folder=tmp_path / "data", whole=True, environment=bare).start()
    try:
        assert server.verdict(server.create()["secret"]) == "valid"
    finally:
        assert server.stop() == 0
    elsewhere = Serving(folder=tmp_path / "b", database_url="postgresql://127.0.0.1:1/x", whole=True, environment=bare)
    assert "keyturn[postgres]" in started(elsewhere)
    asked = [sys.executable, "-m", "keyturn", "doctor", "--data", str(elsewhere.folder)]
    address = {"KEYTURN_DATABASE_URL": elsewhere.database_url}
    looked = subprocess.run(asked, env=os.environ | bare | address, capture_output=True, text=True, check=False)
    assert "pip install 'keyturn[postgres]'" in looked.stdout + looked.stderr


def test_f13_two_data_folders_cannot_serve_from_one_sqlite_file(tmp_path: Path) -> None:
    (tmp_path / "db").mkdir()
    (tmp_path / "other").symlink_to(tmp_path / "db")
    first = Serving(folder=tmp_path / "a", database_url=f"sqlite:///{tmp_path}/db/keyturn.db").start()
    shutil.copytree(first.folder / "peppers", tmp_path / "b" / "peppers")
    second = Serving(folder=tmp_path / "b", database_url=f"sqlite:///{tmp_path}/other/keyturn.db")
    try:
        said = started(second)
        assert f"another keyturn server is using {tmp_path}/other/keyturn.db" in said
        assert "one at a time serves from a data folder or a SQLite file" in said
        first.kill()
        assert not started(second), "the lock goes with its process"
    finally:
        first.kill()
        second.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="only there a lock is of a file and of no process")
def test_f13_one_sqlite_file_under_two_names_is_one_file(tmp_path: Path) -> None:
    """Each name has a lock of its own beside it, and a journal: SQLite itself would not know."""
    first = Serving(folder=tmp_path / "a").start()
    shutil.copytree(first.folder / "peppers", tmp_path / "b" / "peppers")
    os.link(first.folder / "keyturn.db", tmp_path / "b" / "other.db")
    second = Serving(folder=tmp_path / "b", database_url=f"sqlite:///{tmp_path}/b/other.db")
    try:
        for _ in range(2):
            assert f"another keyturn server is using {tmp_path}/b/other.db" in started(second)
            first.create()  # also after it has read and written, and closed the file somewhere
        first.kill()
        assert not started(second), "the lock goes with its process"
    finally:
        first.kill()
        second.kill()


def test_f13_a_migration_too_is_alone_on_the_sqlite_file(tmp_path: Path, keyturn: Keyturn) -> None:
    url = f"sqlite:///{tmp_path}/keyturn.db"
    with alone(tmp_path / "a", tmp_path / "keyturn.db"):
        ran = keyturn("migrate", "--data", str(tmp_path / "b"), "--database-url", url)
        assert (ran.code, "another keyturn server is using" in ran.err) == (1, True)
        with pytest.raises(FolderInUse), alone(tmp_path / "b", tmp_path / "keyturn.db"):
            pass
    with alone(tmp_path / "b", tmp_path / "keyturn.db"):
        pass


def test_f13_a_sqlite_file_in_no_folder_is_told_as_ever(tmp_path: Path, keyturn: Keyturn) -> None:
    ran = keyturn("init", "--data", str(tmp_path / "a"), "--database-url", f"sqlite:///{tmp_path}/none/keyturn.db")
    assert (ran.code, "the database cannot be opened" in ran.err) == (1, True)


def test_r3_a_server_without_the_databases_peppers_does_not_start_and_makes_none(
    empty_database_url: str, tmp_path: Path
) -> None:
    with open_node(at(tmp_path / "a", empty_database_url)):
        pass
    refused = r"lacks a pepper that the database was written with \(p0001\): copy the folder peppers/"
    with pytest.raises(PeppersMissing, match=refused), open_node(at(tmp_path / "b", empty_database_url)):
        pass
    assert not (tmp_path / "b" / "peppers").exists(), "the right ones can be copied there"
    with open_node(at(tmp_path / "c", databases.sqlite_url(tmp_path / "another.db"))):
        pass
    with pytest.raises(PeppersMissing, match=refused), open_node(at(tmp_path / "c", empty_database_url)):
        pass
    shutil.copytree(tmp_path / "a" / "peppers", tmp_path / "b" / "peppers")
    with open_node(at(tmp_path / "b", empty_database_url)) as node:
        assert not node.admin_key, "founded already"
    assert not (tmp_path / "b" / "admin.key").exists()


def test_r3_after_a_rotation_every_server_needs_the_new_pepper_too(empty_database_url: str, tmp_path: Path) -> None:
    with open_node(at(tmp_path / "a", empty_database_url)):
        pass
    shutil.copytree(tmp_path / "a" / "peppers", tmp_path / "b" / "peppers")
    (tmp_path / "a" / "peppers" / "p0002").write_text("ab" * 32)
    for _ in range(2):
        with open_node(at(tmp_path / "a", empty_database_url)):
            pass
    with pytest.raises(PeppersMissing, match=r"\(p0002\)"), open_node(at(tmp_path / "b", empty_database_url)):
        pass


def test_r3_a_database_from_before_marks_its_peppers_and_a_lost_folder_is_told(
    empty_database_url: str, tmp_path: Path
) -> None:
    """Whose marks are none yet: the first start of this version writes them, and none makes a pepper."""
    with open_node(at(tmp_path / "a", empty_database_url)) as node, node.store._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE authority SET peppers = '{}'")
    with (
        pytest.raises(PeppersMissing, match=r"written with: copy the folder"),
        open_node(at(tmp_path / "b", empty_database_url)),
    ):
        pass
    for _ in range(2):
        with open_node(at(tmp_path / "a", empty_database_url)):
            pass


def test_r3_doctor_knows_a_data_folder_of_another_database(tmp_path: Path, keyturn: Keyturn) -> None:
    for name in ("a", "b"):
        keyturn.ok("init", "--data", str(tmp_path / name))
    shutil.copy(tmp_path / "a" / "keyturn.db", tmp_path / "b" / "keyturn.db")
    ran = keyturn("doctor", "--data", str(tmp_path / "b"), "--port", "0")
    assert (ran.code, "not of this database: p0001" in ran.out) == (1, True)
    shutil.rmtree(tmp_path / "b" / "peppers")
    keyturn("doctor", "--data", str(tmp_path / "b"), "--port", "0")
    assert not (tmp_path / "b" / "peppers").exists(), "it changes nothing"


@pytest.mark.parametrize("shared", [True, False], ids=["the same peppers", "no peppers yet"])
def test_two_servers_that_start_at_once_found_a_fresh_database_once(
    postgres_server: Postgres, tmp_path: Path, *, shared: bool
) -> None:
    with databases.postgres_empty(postgres_server) as url, ExitStack() as ending:
        threads = ending.enter_context(ThreadPoolExecutor(2))  # a server ends with the thread that began it
        servers = [Serving(folder=tmp_path / name, database_url=url) for name in ("a", "b")]
        for one in servers:
            ending.callback(one.kill)
            if shared:
                (one.folder / "peppers").mkdir(parents=True)
                (one.folder / "peppers" / "p0001").write_text("ab" * 32)
        said = list(threads.map(started, servers))
        founded = [one for one in servers if (one.folder / "admin.key").exists()]
        assert len(founded) == 1, "no server keeps the key of a founding that was not the one"
        with psycopg.connect(url) as connection:
            count = connection.execute("SELECT (SELECT count(*) FROM accounts), (SELECT count(*) FROM keys)").fetchone()
        assert count == (1, 1)
        up = [one for one, what in zip(servers, said, strict=True) if not what]
        assert len(up) == (2 if shared else 1), said
        assert founded[0] in up
        for what in filter(None, said):
            assert "lacks a pepper" in what
        key = founded[0].create()["secret"]
        for one in up:
            (one.folder / "admin.key").write_text(founded[0].admin_key)
            assert one.verdict(key) == "valid"


def test_who_founds_second_has_made_nothing(postgres_url: str) -> None:
    """Not even for a while: what it would write beside the database, the administrator key, would be of no use."""
    store = SqlStore(connect(postgres_url), peppers=[PEPPER], presets=presets.load(), system_now=Clock())
    meet, tries = Barrier(2), []

    def found(_: int) -> bool:
        def flow(tx: SqlTransaction) -> bool:
            tries.append(tx.deployment_account_id)
            if len(tries) <= 2:
                meet.wait(20)
            return bootstrap.found(tx, brand="kt", forge=SystemForge(PEPPER)) is not None

        return store.change(flow)

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(found, range(2))) == [False, True]
    assert tries == ["", ""], "both began before either was done, and neither had to begin again"
    store.close()


def test_f13_a_schema_that_a_server_works_with_is_not_changed_by_one_that_starts(
    postgres_server: Postgres, tmp_path: Path
) -> None:
    """Whoever is there is named, and nothing is waited for; once it has ended the next start brings it up to date."""
    with databases.postgres_empty(postgres_server) as url:
        first, second = (Serving(folder=tmp_path / one, database_url=url) for one in ("a", "b"))
        try:
            first.start()
            shutil.copytree(first.folder / "peppers", tmp_path / "b" / "peppers")
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("CREATE TABLE was AS TABLE alembic_version")
                connection.execute("UPDATE alembic_version SET version_num = '0002'")
                said = started(second)
                assert "this database is at revision 0002 and this version works with" in said
                assert "a keyturn server is using it (127.0.0.1 since " in said
                assert "End every server that uses it first" in said
                found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
                assert found == ("0002",), "nothing was changed"
                connection.execute("UPDATE alembic_version SET version_num = was.version_num FROM was")
            assert not started(second), "beside a server of this version it serves"
        finally:
            first.kill()
            second.kill()


def test_f13_whoever_starts_while_another_migrates_waits_for_it(empty_database_url: str) -> None:
    """And the last one to begin finds nothing left to do."""
    engine = connect(empty_database_url)
    migrating, starting = Presence(engine), Presence(engine)
    try:
        assert migrating.is_alone()
        with ThreadPoolExecutor(1) as pool:
            entering = pool.submit(enter, engine, starting)
            migrate(engine)
            migrating.release()
            entering.result(60)
        assert not starting.others()
        assert revisions(engine)[0] == revisions(engine)[1]
    finally:
        migrating.release()
        starting.release()
        engine.dispose()
