"""How soon the command answers and the server is ready."""

import http.client
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from keyturn.bench.figure import Figure, interleaved

_READY_SECONDS: Final = 30.0
_FRAMEWORKS: Final = "import fastapi, sqlalchemy, uvicorn"


def figures(*, rounds: int) -> list[Figure]:
    """`keyturn --help` beside a bare interpreter, `keyturn serve` beside importing what it is built on."""
    python = (sys.executable, "-c", "pass")
    help_seconds, bare = interleaved(lambda: _run(command("--help")), lambda: _run(python), rounds=rounds)
    ready, imports = interleaved(
        _until_ready, lambda: _run((sys.executable, "-c", _FRAMEWORKS)), rounds=max(1, rounds // 2)
    )
    return [
        Figure(
            name="keyturn --help",
            ours=help_seconds,
            floor=bare,
            unit="s",
            floor_name="python -c pass",
            reach=0.15,
            absolute=True,
        ),
        Figure(
            name="keyturn serve, ready",
            ours=ready,
            floor=imports,
            unit="s",
            floor_name="importing the frameworks",
            reach=2.0,
            absolute=True,
        ),
    ]


def command(*words: str) -> tuple[str, ...]:
    """The command line of this very installation."""
    installed = shutil.which("keyturn", path=str(Path(sys.executable).parent))
    return (installed, *words) if installed else (sys.executable, "-m", "keyturn", *words)


@contextmanager
def server(folder: Path, *flags: str, prefix: Sequence[str] = ()) -> Iterator[tuple[int, Path]]:
    """A real server on a free port of the loopback; the port, and the file with the administrator key."""
    words = (*prefix, *command("serve", "--port", "0", "--data", str(folder), *flags))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KEYTURN_")}
    process = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert process.stderr is not None  # noqa: S101  # a pipe was asked for
        said = []
        for line in process.stderr:
            said.append(line)
            if "listens on" in line:
                break
        else:
            msg = "the server did not start: " + "".join(said)
            raise RuntimeError(msg)
        port = int(line.strip().rpartition(":")[2])
        # A pipe that nobody reads would stop the server once it is full.
        threading.Thread(target=process.stderr.read, daemon=True).start()
        _await_ready(port)
        yield port, folder / "admin.key"
    finally:
        process.terminate()
        process.wait()


def _run(words: Sequence[str]) -> float:
    began = time.perf_counter()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    return time.perf_counter() - began


def _until_ready() -> float:
    with tempfile.TemporaryDirectory(prefix="keyturn-bench-") as folder:
        began = time.perf_counter()
        with server(Path(folder) / "data"):
            return time.perf_counter() - began


def _await_ready(port: int) -> None:
    began = time.perf_counter()
    while time.perf_counter() - began < _READY_SECONDS:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == http.HTTPStatus.OK:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.005)
    msg = "the server did not become ready"
    raise RuntimeError(msg)
