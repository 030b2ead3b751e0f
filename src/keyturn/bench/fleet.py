"""What a fleet costs: two nodes on one PostgreSQL database, verifiers in processes of their own."""

import http.client
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import make_url, text

from keyturn.bench.figure import Figure, interleaved
from keyturn.bench.start import server
from keyturn.core.lease import Terms
from keyturn.sdk.clock import boot_micros
from keyturn.sdk.verifier import Verifier
from keyturn.store.database import connect

VERIFIERS: Final = 8
CONFIRM_REACH: Final = 4.0
WARM_REACH: Final = 1.3
SLOWED_REACH: Final = 2.0
SLACK_MS: Final = 100.0
_PATIENCE: Final = 30.0
_BATCH: Final = 2000
_HOLD: Final = """
import sys
from keyturn.sdk import Verifier
verifier = Verifier(sys.argv[1].split(","), credential_file=sys.argv[2])
print(verifier.wait_until_leased(30), flush=True)
sys.stdin.read()
verifier.close()
"""


_RESET: Final = """
import http.client, json, sys
port, key_id, file = sys.argv[1:]
headers = {"Authorization": "Bearer " + open(file).read().strip(), "Content-Type": "application/json"}
connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=30)
while True:
    connection.request("POST", f"/v1/keys/{key_id}/resets", json.dumps({"reason": "routine", "grace": "0s"}), headers)
    connection.getresponse().read()
"""
_SETTLE: Final = 0.2


def figures(*, rounds: int, database_url: str) -> list[Figure]:
    """Every figure of a fleet; beside the PostgreSQL database of `database_url` two others are made."""
    with tempfile.TemporaryDirectory(prefix="keyturn-bench-") as folder, ExitStack() as stack:
        alone = stack.enter_context(_Deployment.opened(Path(folder) / "alone", _beside(database_url, "alone"), nodes=1))
        fleet = stack.enter_context(_Deployment.opened(Path(folder) / "fleet", _beside(database_url, "fleet"), nodes=2))
        found = [_warm(fleet, rounds=rounds)]
        held = [stack.enter_context(_attached(fleet, at)) for at in range(VERIFIERS)]
        took: list[float] = []
        confirmed, single = interleaved(
            lambda: _noted(took, fleet.reset), lambda: alone.reset()[0], rounds=max(20, rounds * 10)
        )
        found += _confirming(confirmed, single, took)
        found.append(_cut_off(fleet, held[0]))
        found += _slowed(alone, rounds=rounds)
        return found


def _confirming(confirmed: float, single: float, took: Sequence[float]) -> list[Figure]:
    name = f"reset to confirmed, {VERIFIERS} verifiers on 2 nodes"
    floor = {"floor": single * 1e3, "unit": "ms", "floor_name": "one node, no verifiers"}
    p99 = statistics.quantiles(took, n=100)[98] * 1e3
    return [
        Figure(name=f"{name}, p50", ours=confirmed * 1e3, reach=CONFIRM_REACH, **floor),  # type: ignore[arg-type]  # of one row
        Figure(name=f"{name}, p99", ours=p99, **floor),  # type: ignore[arg-type]  # as above
    ]


def _warm(fleet: "_Deployment", *, rounds: int) -> Figure:
    """A warm `Verifier.verify` beside the verifier inside it, with the clock that both need."""
    secret = fleet.key["secret"]
    with Verifier(fleet.urls, credential_file=fleet.credential) as verifier:
        verifier.wait_until_leased(_PATIENCE)
        verifier.verify(secret, permission="orders:write")
        inner, holder = verifier._memory, verifier._holder  # noqa: SLF001  # what is measured against

        def ours() -> float:
            began = time.perf_counter()
            for _ in range(_BATCH):
                verifier.verify(secret, permission="orders:write")
            return (time.perf_counter() - began) / _BATCH

        def floor() -> float:
            began = time.perf_counter()
            for _ in range(_BATCH):
                inner.verify(secret, permissions=("orders:write",), now=boot_micros() + holder.ahead)
            return (time.perf_counter() - began) / _BATCH

        mine, bare = interleaved(ours, floor, rounds=rounds * 4)
    return Figure(
        name="Verifier.verify, warm, under a lease",
        ours=mine * 1e6,
        floor=bare * 1e6,
        unit="us",
        floor_name="the same in one node's process",
        reach=WARM_REACH,
    )


def _slowed(one: "_Deployment", *, rounds: int) -> list[Figure]:
    """The 99th hundredth of verifications at a node and at its verifier, while keys are reset and while none is.

    Another process resets one key after the other as fast as the node answers, as no owner does.
    """
    steady = one.call("/v1/keys", {"name": "steady", "permissions": ["orders:write"]})["secret"]

    def over_http() -> float:
        began = time.perf_counter()
        answer = one.call("/v1/verify", {"key": steady})
        assert answer["valid"], answer  # noqa: S101  # one that is lost is not slow, but wrong
        return time.perf_counter() - began

    with Verifier(one.urls, credential_file=one.credential) as verifier, _resetting(one) as resetting:
        verifier.wait_until_leased(_PATIENCE)

        def in_process() -> float:
            began = time.perf_counter()
            assert verifier.verify(steady)  # noqa: S101  # as above
            return time.perf_counter() - began

        return [
            _during(f"{name} during resets, p99", verify, resetting, many=many, rounds=rounds)
            for name, verify, many in (
                ("verify over HTTP", over_http, 500),
                ("Verifier.verify", in_process, 100_000),
            )
        ]


def _during(
    name: str, verify: Callable[[], float], resetting: "subprocess.Popen[bytes]", *, many: int, rounds: int
) -> Figure:
    def quiet() -> float:
        return statistics.quantiles([verify() for _ in range(many)], n=100)[98]

    def busy() -> float:
        resetting.send_signal(signal.SIGCONT)
        try:
            return quiet()
        finally:
            resetting.send_signal(signal.SIGSTOP)
            time.sleep(_SETTLE)  # what it has asked for is done meanwhile

    during, without = interleaved(busy, quiet, rounds=max(5, rounds // 2))
    return Figure(
        name=name,
        ours=during * 1e6,
        floor=without * 1e6,
        unit="us",
        floor_name="the same without resets",
        reach=SLOWED_REACH,
    )


@contextmanager
def _resetting(one: "_Deployment") -> Iterator["subprocess.Popen[bytes]"]:
    """A process that resets one key over and over while it is not stopped, which it is at first."""
    words = (sys.executable, "-c", _RESET, one.urls[0].rpartition(":")[2], one.key["id"], str(one.admin_key_file))
    process = subprocess.Popen(words)
    process.send_signal(signal.SIGSTOP)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _cut_off(fleet: "_Deployment", holder: "subprocess.Popen[str]") -> Figure:
    terms = Terms()
    time.sleep(terms.renew_every / 1e6)
    holder.send_signal(signal.SIGSTOP)
    try:
        took, waited = fleet.reset()
    finally:
        holder.send_signal(signal.SIGCONT)
    bound = terms.fence / 1e3
    return Figure(
        name="reset to confirmed, one verifier stopped",
        ours=max(waited, took * 1e3),
        floor=bound,
        unit="ms",
        floor_name="L + 2E",
        reach=bound + SLACK_MS,
        absolute=True,
    )


class _Deployment:
    """Nodes on one database, one key to reset over and over, and the verifiers' credential."""

    def __init__(self, ports: Sequence[int], admin_key_file: Path, credential: Path) -> None:
        admin_key = admin_key_file.read_text("ascii").strip()
        self.admin_key_file = admin_key_file
        self.urls = [f"http://127.0.0.1:{port}" for port in ports]
        self.credential = credential
        self._ports = ports
        self._headers = {"Authorization": f"Bearer {admin_key}", "Content-Type": "application/json"}
        self._connections: dict[int, http.client.HTTPConnection] = {}
        self._turn = 0
        self.key = self.call("/v1/keys", {"name": "bench", "permissions": ["orders:write"]})
        made = self.call("/v1/keys", {"name": "verifier", "permissions": ["keyturn.attach", "keyturn.verify"]})
        descriptor = os.open(credential, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(made["secret"])

    @classmethod
    @contextmanager
    def opened(cls, folder: Path, database_url: str, *, nodes: int) -> Iterator["_Deployment"]:
        """Servers until the block ends."""
        with ExitStack() as stack:
            ports = []
            for at in range(nodes):
                data = folder / str(at)
                data.mkdir(parents=True)
                if at:
                    shutil.copytree(folder / "0" / "peppers", data / "peppers")
                port, _ = stack.enter_context(server(data, "--database-url", database_url))
                ports.append(port)
            yield cls(ports, folder / "0" / "admin.key", folder / "verifier.key")

    def call(self, path: str, body: object) -> dict[str, Any]:
        """One request to the first node, over a connection that stays."""
        connection = self._connections.setdefault(
            threading.get_ident(), http.client.HTTPConnection("127.0.0.1", self._ports[0], timeout=_PATIENCE)
        )
        connection.request("POST", path, json.dumps(body).encode(), self._headers)
        answer = connection.getresponse()
        found: dict[str, Any] = json.loads(answer.read())
        assert answer.status < 300, found  # noqa: S101  # a refusal is not what is measured
        return found

    def reset(self) -> tuple[float, float]:
        """One reset; seconds from the request to its answer, and milliseconds that the receipt tells of."""
        began = time.perf_counter()
        receipt = self.call(f"/v1/keys/{self.key['id']}/resets", {"reason": "routine", "grace": "0s"})["receipt"]
        took = time.perf_counter() - began
        assert receipt["confirmed"], receipt  # noqa: S101  # an unconfirmed one is not what is measured
        return took, receipt["waited_ms"]


def _noted(took: list[float], reset: Callable[[], tuple[float, float]]) -> float:
    seconds, _ = reset()
    took.append(seconds)
    return seconds


@contextmanager
def _attached(fleet: _Deployment, at: int) -> Iterator["subprocess.Popen[str]"]:
    """A process with a verifier at one of the nodes, in turn."""
    urls = fleet.urls[at % len(fleet.urls) :] + fleet.urls[: at % len(fleet.urls)]
    words = (sys.executable, "-c", _HOLD, ",".join(urls), str(fleet.credential))
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None  # noqa: S101  # a pipe was asked for
        assert process.stdout.readline().strip() == "True", "a verifier got no lease"  # noqa: S101  # as above
        yield process
    finally:
        process.communicate("", timeout=_PATIENCE)


def _beside(database_url: str, word: str) -> str:
    """Another database on the same server, made anew."""
    url = make_url(database_url)
    name = f"{url.database}_{word}"
    engine = connect(database_url)
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(f'DROP DATABASE IF EXISTS "{name}"'))
            connection.execute(text(f'CREATE DATABASE "{name}"'))
    finally:
        engine.dispose()
    return url.set(database=name).render_as_string(hide_password=False)
