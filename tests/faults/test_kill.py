"""R13: a reset killed at any write is fully before or fully after, on both databases.

`strace` kills the real server at the n-th system call by which a reset reaches its database: for SQLite the writes and
syncs of its files, for PostgreSQL the messages to the server.  A sample runs always, every point with `make test-full`.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Final

import pytest

from tests.serving import Serving

pytestmark = pytest.mark.needs("strace")

CALLS: Final = {
    "sqlite": "pwrite64,fdatasync,fsync,unlink,unlinkat,ftruncate",
    "postgresql": "sendto,sendmsg",
}
FULL: Final = bool(os.environ.get("KEYTURN_TEST_FULL"))
SAMPLE: Final = {"sqlite": (1, 3, 6, 9), "postgresql": (1, 8, 36)}
MOST: Final = 100


@pytest.fixture
def serving(tmp_path: Path, database_url: str) -> Iterator[Serving]:
    server = Serving(folder=tmp_path / "data", database_url=database_url)
    yield server
    server.kill()


def test_r13_killed_at_a_write_a_reset_is_fully_before_or_fully_after(serving: Serving, database_url: str) -> None:
    kind = "sqlite" if database_url.startswith("sqlite") else "postgresql"
    seen: set[str] = set()
    points = iter(range(1, MOST)) if FULL else iter(SAMPLE[kind])
    serving.start()
    assert serving.call("/v1/fleet/terms", {"lease_ms": 1000, "margin_ms": 50}, method="PUT").status == HTTPStatus.OK
    serving.stop()
    for point in points:
        serving.start()
        made = serving.create(name=f"killed at {point}")
        assert serving.verdict(made["secret"]) == "valid"
        if not _reset_killed_at(serving, made["id"], calls=CALLS[kind], point=point):
            seen.add("survived")
            break  # there is no such call any more: every earlier one was tried
        serving.start()
        seen.add(_judge(serving, made["id"], made["secret"]))
        # A person may have so many live ones; and it is waited for the server that was killed, so that the next reset
        # need not be: meanwhile another of its threads would come to that call.
        serving.call(f"/v1/keys/{made['id']}/revoke", {})
        serving.stop()
    # The sample must have met the first side, or it shows nothing; where the commit lies changes with the code.
    assert "before" in seen
    if FULL:
        # The last thing that a reset writes to SQLite's files is its commit.
        assert seen == {"before", "survived"} | ({"after"} if kind == "postgresql" else set())


def _reset_killed_at(serving: Serving, key_id: str, *, calls: str, point: int) -> bool:
    """Ask for a reset while strace waits for the n-th of those calls; whether the server was killed by it."""
    strace = shutil.which("strace")
    assert strace is not None
    words = [strace, "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}"]
    words += ["-e", f"inject={calls}:signal=SIGKILL:when={point}", "-p", str(serving.pid)]
    tracer = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    try:
        _await_tracer(serving.pid)
        try:
            answer = serving.call(f"/v1/keys/{key_id}/resets", {"reason": "leaked"})
        except OSError:
            assert serving.died(within=10)
            return True
        assert answer.status == HTTPStatus.CREATED, answer.text
        return False
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(10)


def _await_tracer(pid: int) -> None:
    """Until every thread of the server is traced, or a write of its own has killed it already."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            states = [(task / "status").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
        except (FileNotFoundError, ProcessLookupError):
            return
        if all("TracerPid:\t0" not in state for state in states):
            return
        time.sleep(0.02)
    pytest.fail("strace did not attach")


def _judge(serving: Serving, key_id: str, old: str) -> str:
    """`before` or `after`; anything in between fails."""
    key = serving.call(f"/v1/keys/{key_id}").body
    resets = serving.call(f"/v1/resets?key_id={key_id}").body["items"]
    trail = [one["action"] for one in serving.call(f"/v1/audit?account_id={key['account_id']}").body["items"]]
    told = [action for action in trail if action.startswith("reset.")]
    code = serving.verdict(old)
    if key["version"] == 1:
        assert (code, resets, key["status"]) == ("valid", [], "active")
        return "before"
    assert (key["version"], code, key["status"]) == (2, "replaced", "active")
    assert [one["stage"] for one in resets] == ["settled"]
    assert {"reset.asked", "reset.proven", "reset.minted"} <= set(told)
    return "after"
