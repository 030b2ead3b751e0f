"""A real server in a process of its own, for tests that kill it, starve it or watch it from outside."""

import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from keyturn.core.lease import LONGEST
from tests import forked
from tests.forked import Forked
from tests.postgres import die_with_parent

_READY_SECONDS: Final = 30.0
_LEAVE_SECONDS: Final = 20.0


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def body(self) -> Any:  # JSON
        """The body, which is JSON."""
        return json.loads(self.text)


@dataclass
class Serving:
    """`keyturn serve` on a folder."""

    folder: Path
    database_url: str = ""
    flags: Sequence[str] = ()
    tls: bool = False
    """Whether the flags make it speak HTTPS."""
    program: str = "keyturn"
    """The module to run, where a test starts keyturn in a way of its own."""
    environment: Mapping[str, str] = field(default_factory=dict)
    whole: bool = False
    """Whether it is started from nothing, and spares itself no work (see `forked.py`)."""
    patience: float = 30.0
    """For how many seconds an answer is waited for."""
    port: int = 0
    log: list[str] = field(default_factory=list)
    _process: subprocess.Popen[bytes] | Forked | None = None

    def start(self) -> Self:
        """Start, and wait until it is ready."""
        words = ["serve", "--port", "0", "--data", str(self.folder), *self.flags]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("KEYTURN_")}
        environment |= self.environment
        if self.database_url:
            environment["KEYTURN_DATABASE_URL"] = self.database_url
        log = self.folder.with_suffix(".log")
        with log.open("ab") as out:
            begun = out.tell()
            if self.whole or sys.platform != "linux":
                self._process = subprocess.Popen(
                    [sys.executable, "-m", self.program, *words],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    env=environment,
                    preexec_fn=die_with_parent,  # noqa: PLW1509  # one prctl call
                )
            else:
                self._process = forked.start(self.program, words, environment=environment, out=out.fileno())
        until = time.monotonic() + _READY_SECONDS
        while time.monotonic() < until:
            said = log.read_bytes()[begun:].decode(errors="replace")
            for line in said.splitlines():
                if "listens on" in line:
                    self.port = int(line.strip().rpartition(":")[2])
                    return self._await_ready(until)
            if self._process.poll() is not None:
                break
            time.sleep(0.02)
        msg = f"the server did not start: {log.read_bytes()[begun:].decode(errors='replace')}"
        raise RuntimeError(msg)

    @property
    def url(self) -> str:
        """Where it is, without a slash at the end."""
        return self.at("127.0.0.1")

    def at(self, host: str) -> str:
        """The same server under another name of this machine."""
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def said(self) -> str:
        """Everything it has logged so far, all starts together."""
        return self.folder.with_suffix(".log").read_text(errors="replace")

    @property
    def admin_key(self) -> str:
        """The administrator key."""
        return (self.folder / "admin.key").read_text().strip()

    def stop(self) -> int:
        """SIGTERM; answers its exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(_LEAVE_SECONDS)

    def kill(self) -> None:
        """SIGKILL, where it still runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_LEAVE_SECONDS)

    def died(self, within: float) -> bool:
        """Whether it ends by itself in time."""
        assert self._process is not None
        try:
            self._process.wait(within)
        except subprocess.TimeoutExpired:
            return False
        return True

    def call(
        self,
        path: str,
        body: object = None,
        *,
        method: str = "",
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request as the administrator, or with `key`; a POST where there is a body."""
        connection = self._connection()
        sent = {"Authorization": f"Bearer {self.admin_key if key is None else key}"}
        data = None
        if body is not None:
            sent["Content-Type"] = "application/json"
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent |= dict(headers or {})
        try:
            connection.request(method or ("GET" if body is None else "POST"), path, data, sent)
            answer = connection.getresponse()
            return Answer(status=answer.status, headers=dict(answer.getheaders()), text=answer.read().decode())
        finally:
            connection.close()

    def create(self, **wish: object) -> dict[str, Any]:
        """A new key with its secret."""
        made = self.call("/v1/keys", {"name": "test"} | wish)
        assert made.status == http.HTTPStatus.CREATED, made.text
        created: dict[str, Any] = made.body
        return created

    def leased(self, length: int = LONGEST) -> Self:
        """Under leases that long; under the longest, neither it nor its verifiers are without on a slow machine."""
        terms = {"lease_ms": length // 1000, "margin_ms": length // 1_000_000}
        assert self.call("/v1/fleet/terms", terms, method="PUT").status == 200
        return self

    def verdict(self, secret: str, **asked: object) -> str:
        """The code that verifying this secret answers."""
        answer = self.call("/v1/verify", {"key": secret} | asked)
        assert answer.status == http.HTTPStatus.OK, answer.text
        code: str = answer.body["code"]
        return code

    def _connection(self) -> http.client.HTTPConnection:
        if not self.tls:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.patience)
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=self.patience)

    def _await_ready(self, until: float) -> Self:
        while time.monotonic() < until:
            try:
                if self.call("/readyz", key="none").status == http.HTTPStatus.OK:
                    return self
            except OSError:
                pass
            time.sleep(0.02)
        msg = f"the server did not become ready: {self.said}"
        raise RuntimeError(msg)
