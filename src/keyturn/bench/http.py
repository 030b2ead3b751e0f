"""Verifications a second over HTTP, one core for the server and one for wrk, beside nginx and beside a FastAPI route.

The rate told is that of one core given wholly to the server: requests by the processor time that the server took for
them.  On an idle machine it is what wrk says; on a shared one wrk also tells of whoever else wanted the core.
Where wrk or nginx is missing there is nothing to hold the figure against, so none is told.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from keyturn.bench.figure import Figure, interleaved
from keyturn.bench.start import server

NGINX_REACH: Final = 0.5
FASTAPI_REACH: Final = 8.0
_SECONDS: Final = 3
_CONNECTIONS: Final = 16
_READY_SECONDS: Final = 20.0
_RATE: Final = re.compile(r"Requests/sec:\s+([0-9.]+)")
_COUNT: Final = re.compile(r"([0-9]+) requests in")
_NGINX: Final = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
    access_log off;
    keepalive_requests 100000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{ default_type application/json; return 200 '{answer}'; }}
    }}
}}
"""


def figures(*, rounds: int, say: Callable[[str], None]) -> list[Figure]:
    """`POST /v1/verify` of a warm key with permission and limit, over keep-alive."""
    if missing := [name for name in ("wrk", "nginx") if not _program(name)]:
        say(f"HTTP is not measured: {' and '.join(missing)} not installed")
        return []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="keyturn-bench-")))
        folder.chmod(0o755)  # nginx's worker is another user where we are root
        port, admin_key = stack.enter_context(server(folder / "data", prefix=_pinned(0)))
        script, answer = _prepare(folder, port, admin_key.read_text("ascii").strip())
        nginx = stack.enter_context(_nginx(folder, answer))
        fastapi = stack.enter_context(_fastapi())
        ours, floor, plain = interleaved(
            *(partial(_load, at, script) for at in (port, nginx, fastapi)),
            rounds=rounds,
        )
    return [
        Figure(
            name="verify over HTTP, warm",
            ours=ours,
            floor=floor,
            unit="req/s",
            floor_name="nginx return 200",
            reach=NGINX_REACH,
            at_least=True,
        ),
        Figure(
            name="verify over HTTP, warm",
            ours=ours,
            floor=plain,
            unit="req/s",
            floor_name="a FastAPI route doing the same",
            reach=FASTAPI_REACH,
            at_least=True,
        ),
    ]


def _prepare(folder: Path, port: int, admin_key: str) -> tuple[Path, str]:
    """A key to ask about, the script that has wrk ask, and the answer to it."""
    headers = {"Authorization": f"Bearer {admin_key}", "Content-Type": "application/json"}
    wish = {"name": "bench", "permissions": ["orders:write"], "limit": "1000000000/1h"}
    secret = json.loads(_post(port, "/v1/keys", wish, headers))["secret"]
    question = {"key": secret, "permissions": ["orders:read"], "ip": "198.51.100.7"}
    _post(port, "/v1/verify", question, headers)  # cold
    answer = _post(port, "/v1/verify", question, headers)
    if not json.loads(answer)["valid"]:
        msg = f"the key to measure with is not accepted: {json.loads(answer)['code']}"
        raise RuntimeError(msg)
    lines = ['wrk.method = "POST"', f"wrk.body = [==[{json.dumps(question)}]==]"]
    lines += [f'wrk.headers["{name}"] = "{value}"' for name, value in headers.items()]
    script = folder / "verify.lua"
    script.touch(mode=0o600)
    script.write_text("\n".join(lines), "utf-8")
    return script, answer


def _post(port: int, path: str, body: object, headers: dict[str, str]) -> str:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  # as above
        return str(answer.read().decode())


def _load(port: int, script: Path) -> float:
    words = [
        "wrk",
        "-t1",
        f"-c{_CONNECTIONS}",
        f"-d{_SECONDS}s",
        "-s",
        str(script),
        f"http://127.0.0.1:{port}/v1/verify",
    ]
    before = _processor_seconds(os.getpid())
    ran = subprocess.run((*_pinned(1), *words), check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    spent = _processor_seconds(os.getpid()) - before
    found, count = _RATE.search(ran.stdout), _COUNT.search(ran.stdout)
    if found is None or count is None or "Non-2xx" in ran.stdout:
        msg = f"wrk met something else than answers: {ran.stdout[-500:]}"
        raise RuntimeError(msg)
    return int(count[1]) / spent if spent else float(found[1])


def _processor_seconds(parent: int) -> float:
    """What the processes below this one that still run have used: the servers, of which two are idle.  0: unknown."""
    seconds = 0.0
    try:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            for child in children.read_text("ascii").split():
                stat = Path(f"/proc/{child}/stat").read_text("utf-8").rpartition(")")[2].split()
                seconds += (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
                seconds += _processor_seconds(int(child))
    except OSError:
        return 0.0
    return seconds


@contextmanager
def _nginx(folder: Path, answer: str) -> Iterator[int]:
    port = _free_port()
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(folder=folder, port=port, answer=answer), "utf-8")
    program = _program("nginx")
    with _running((program, "-p", str(folder), "-e", f"{folder}/error.log", "-c", str(config)), port):
        yield port


@contextmanager
def _fastapi() -> Iterator[int]:
    port = _free_port()
    with _running((sys.executable, "-m", "keyturn.bench.plain_route", str(port)), port):
        yield port


@contextmanager
def _running(words: Sequence[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(
        (*_pinned(0), *words), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _await(port, process)
        yield
    finally:
        process.terminate()
        process.wait()


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    began = time.perf_counter()
    while time.perf_counter() - began < _READY_SECONDS and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    msg = "what keyturn is measured against did not start"
    raise RuntimeError(msg)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _pinned(core: int) -> tuple[str, ...]:
    """One core each, where there are two and the system can say so."""
    if not shutil.which("taskset") or not hasattr(os, "sched_getaffinity"):
        return ()
    cores = sorted(os.sched_getaffinity(0))
    return ("taskset", "-c", str(cores[core])) if len(cores) > 1 else ()


def _program(name: str) -> str:
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))) or ""
