"""The world breaks: the database goes away, the disk fills up or turns read-only, the server is told to leave.

Changes are refused whole with 503, verification goes on from memory, nothing is lost, and all recovers by itself.
"""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from itertools import count
from pathlib import Path
from typing import Final

import pytest

from tests.postgres import Postgres
from tests.serving import Serving

RECOVERY_SECONDS: Final = 15.0


@contextmanager
def served(folder: Path, database_url: str = "") -> Iterator[Serving]:
    server = Serving(folder=folder, database_url=database_url).start()
    try:
        yield server
    finally:
        server.kill()


def _eventually(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + RECOVERY_SECONDS
    while not holds():
        assert time.monotonic() < until, "it did not recover by itself"
        time.sleep(0.1)


def _assert_changes_refused(server: Serving, key_id: str) -> None:
    for path, body in (
        ("/v1/keys", {"name": "none"}),
        (f"/v1/keys/{key_id}/resets", {"reason": "leaked"}),
        (f"/v1/keys/{key_id}/suspend", {}),
    ):
        refused = server.call(path, body)
        assert (refused.status, refused.body["code"]) == (HTTPStatus.SERVICE_UNAVAILABLE, "store_unavailable"), path
        assert "Retry-After".lower() in {name.lower() for name in refused.headers}


def _assert_nothing_changed(server: Serving, made: dict[str, str], keys_before: int) -> None:
    assert server.verdict(made["secret"]) == "valid"
    assert server.call(f"/v1/keys/{made['id']}").body["version"] == 1
    assert len(server.call("/v1/keys?limit=200").body["items"]) == keys_before


def test_database_away_changes_are_refused_and_warm_keys_are_answered(own_postgres: Postgres, tmp_path: Path) -> None:
    database = own_postgres.create_database()
    with served(tmp_path / "data", own_postgres.url(database)) as server:
        made = server.create()
        assert server.verdict(made["secret"]) == "valid"
        before = len(server.call("/v1/keys?limit=200").body["items"])
        cold = server.create(name="never verified")
        own_postgres.stop()
        _assert_changes_refused(server, made["id"])
        assert server.verdict(made["secret"]) == "valid"
        unknown = server.call("/v1/verify", {"key": cold["secret"]})
        assert (unknown.status, unknown.body["code"]) == (HTTPStatus.SERVICE_UNAVAILABLE, "store_unavailable")
        own_postgres.start()
        _eventually(lambda: server.call(f"/v1/keys/{made['id']}/suspend", {}).status == HTTPStatus.OK)
        assert server.verdict(made["secret"]) == "suspended"
        assert server.call(f"/v1/keys/{made['id']}/resume", {}).status == HTTPStatus.OK
        assert server.verdict(cold["secret"]) == "valid"
        _assert_nothing_changed(server, made, before + 1)


def test_database_killed_during_resets_recovers(own_postgres: Postgres, tmp_path: Path) -> None:
    database = own_postgres.create_database()
    with served(tmp_path / "data", own_postgres.url(database)) as server:
        made = server.create()
        answers: list[tuple[int, str | None]] = []

        def reset() -> None:
            for _ in range(40):
                answer = server.call(f"/v1/keys/{made['id']}/resets", {"reason": "leaked"})
                answers.append((answer.status, answer.body.get("secret")))

        thread = threading.Thread(target=reset)
        thread.start()
        time.sleep(0.1)
        own_postgres.kill()
        own_postgres.start()
        thread.join()
        assert {status for status, _ in answers} <= {HTTPStatus.CREATED, HTTPStatus.SERVICE_UNAVAILABLE}
        _eventually(lambda: server.call(f"/v1/keys/{made['id']}").status == HTTPStatus.OK)
        fresh = _reset_until_minted(server, made["id"])
        codes = [server.verdict(secret) for _, secret in answers if secret]
        assert set(codes) <= {"replaced"}
        assert server.verdict(fresh) == "valid"


def _reset_until_minted(server: Serving, key_id: str) -> str:
    until = time.monotonic() + RECOVERY_SECONDS
    while True:
        answer = server.call(f"/v1/keys/{key_id}/resets", {"reason": "leaked"})
        if answer.status == HTTPStatus.CREATED:
            secret: str = answer.body["secret"]
            return secret
        assert time.monotonic() < until, answer.text
        time.sleep(0.1)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of four megabytes."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system takes root")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def _fill(filler: Path) -> None:
    with filler.open("wb", buffering=0) as out:
        try:
            while out.write(b"\0" * 4096):
                pass
        except OSError:
            return  # no space left


def test_disk_full_changes_are_refused_and_nothing_is_lost(small_disk: Path) -> None:
    with served(small_disk / "data") as server:
        made = server.create()
        assert server.verdict(made["secret"]) == "valid"
        before = len(server.call("/v1/keys?limit=200").body["items"])
        filler = small_disk / "filler"
        _fill(filler)
        _assert_changes_refused(server, made["id"])
        _assert_nothing_changed(server, made, before)
        filler.unlink()
        _eventually(lambda: server.call(f"/v1/keys/{made['id']}/suspend", {}).status == HTTPStatus.OK)
        assert server.verdict(made["secret"]) == "suspended"


def test_read_only_database_changes_are_refused(own_postgres: Postgres, tmp_path: Path) -> None:
    database = own_postgres.create_database()
    with served(tmp_path / "data", own_postgres.url(database)) as server:
        made = server.create()
        assert server.verdict(made["secret"]) == "valid"
        before = len(server.call("/v1/keys?limit=200").body["items"])
        own_postgres.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        own_postgres.execute("SELECT pg_reload_conf()")
        emails = (f"{at}@example.com" for at in count())
        _eventually(lambda: server.call("/v1/users", {"email": next(emails)}).status != HTTPStatus.CREATED)
        _assert_changes_refused(server, made["id"])
        _assert_nothing_changed(server, made, before)
        own_postgres.execute("ALTER SYSTEM RESET ALL")
        own_postgres.execute("SELECT pg_reload_conf()")
        _eventually(lambda: server.call(f"/v1/keys/{made['id']}/revoke", {}).status == HTTPStatus.OK)


def test_sigterm_answers_what_is_under_way_and_exits_0(tmp_path: Path) -> None:
    with served(tmp_path / "data") as server:
        made = server.create()
        answers: list[int] = []
        failures: list[Exception] = []

        def reset_often() -> None:
            while True:
                try:
                    answer = server.call(f"/v1/keys/{made['id']}/resets", {"reason": "routine"})
                except ConnectionError as error:
                    failures.append(error)
                    return
                answers.append(answer.status)

        threads = [threading.Thread(target=reset_often) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        assert server.stop() == 0
        for thread in threads:
            thread.join()
        # A new connection is refused; one under way was answered.  None was cut off in the middle of an answer.
        assert {type(failure) for failure in failures} <= {ConnectionRefusedError, ConnectionResetError}
        assert set(answers) <= {HTTPStatus.CREATED, HTTPStatus.CONFLICT}
        minted = answers.count(HTTPStatus.CREATED)
        server.start()
        assert server.call(f"/v1/keys/{made['id']}").body["version"] == minted + 1


def test_killed_and_started_again_it_knows_everything_it_answered(tmp_path: Path) -> None:
    with served(tmp_path / "data") as server:
        made = server.create()
        fresh = server.call(f"/v1/keys/{made['id']}/resets", {"reason": "leaked"}).body["secret"]
        server.kill()
        server.start()
        assert (server.verdict(made["secret"]), server.verdict(fresh)) == ("replaced", "valid")


def test_f13_a_second_server_on_the_same_folder_is_refused(tmp_path: Path, sqlite_url: str) -> None:
    with served(tmp_path / "data", sqlite_url):
        second = Serving(folder=tmp_path / "data", database_url=sqlite_url)
        with pytest.raises(RuntimeError, match="another keyturn server is using"):
            second.start()


def test_f5_a_second_server_on_the_same_database_confirms_what_the_first_one_stops(
    tmp_path: Path, postgres_url: str
) -> None:
    """And the other way round: what either has in memory is refused once the other one's reset has returned."""
    with served(tmp_path / "data", postgres_url) as first:
        (tmp_path / "other").mkdir()
        for one in ("peppers", "admin.key"):
            place = shutil.copytree if one == "peppers" else shutil.copy
            place(tmp_path / "data" / one, tmp_path / "other" / one)
        with served(tmp_path / "other", postgres_url) as second:
            made = first.create()
            secret = made["secret"]
            for here, there in ((first, second), (second, first)) * 5:
                assert (here.verdict(secret), there.verdict(secret)) == ("valid", "valid")
                answer = here.call(f"/v1/keys/{made['id']}/resets", {"reason": "routine", "grace": "0s"}).body
                assert answer["receipt"]["confirmed"]
                assert answer["receipt"]["verifiers"] == {"acknowledged": 2, "waited_out": [], "unleased": []}
                assert (there.verdict(secret), here.verdict(secret)) == ("replaced", "replaced")
                secret = answer["secret"]
