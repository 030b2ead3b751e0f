"""The demo's server: `keyturn serve` in a process of its own, on a data folder that is marked as the demo's."""

import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from keyturn.outside import clock, folder
from keyturn.sdk.client import ApiError, Client, ServerUnreachable

HOST: Final = "127.0.0.1"
MARK: Final = ".keyturn-demo"
LOG: Final = "server.log"
_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 20.0
_PR_SET_PDEATHSIG: Final = 1
_LISTENS: Final = re.compile(r"keyturn listens on (http://\S+)")


class DemoError(Exception):
    """The demo cannot go on; the text says why and what to do."""


class House:
    """The server process.  `url` is known once `start` returns."""

    def __init__(self, data: Path, *, port: int, portal_origin: str) -> None:
        self.data = data
        self._port = port
        self._portal_origin = portal_origin
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    @property
    def admin_key_file(self) -> Path:
        return self.data / "admin.key"

    def start(self) -> float:
        """Start it and wait until it is ready; the answer is how many seconds that took.  Raises DemoError."""
        self._check_port()
        self._take_folder()
        began = clock.tick()
        words = [sys.executable, "-P", "-m", "keyturn", "serve", "--host", HOST, "--port", str(self._port)]
        with (self.data / LOG).open("wb") as log:
            (self.data / LOG).chmod(0o600)
            self._process = subprocess.Popen(
                [*words, "--data", str(self.data)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(self._portal_origin),
                # Ctrl-C goes to the foreground group: the demo alone takes it, and then ends the server in order.
                start_new_session=True,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509  # no thread runs yet
            )
        self._wait_until_ready(began)
        return clock.tick() - began

    def stop(self) -> int | None:
        """Let requests under way finish and end it; the answer is its exit code."""
        if self._process is None:
            return None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def check_alive(self) -> None:
        """Raises DemoError where the server has ended."""
        if self._process is not None and self._process.poll() is not None:
            raise DemoError(f"the server has ended with code {self._process.returncode}:\n{self._last_words()}")

    def _check_port(self) -> None:
        if self._port == 0:
            return
        try:
            socket.create_server((HOST, self._port)).close()
        except OSError as error:
            raise DemoError(
                f"port {self._port} is taken ({error.strerror}); end what listens there, or choose another:"
                " keyturn demo --port 0"
            ) from None

    def _take_folder(self) -> None:
        try:
            if self.data.exists() and any(self.data.iterdir()) and not (self.data / MARK).exists():
                raise DemoError(
                    f"{self.data} holds something that is not the demo's; choose another with --data"
                    " (the demo changes passwords and revokes keys in its folder)"
                )
            folder.make(self.data)
            (self.data / MARK).touch(mode=0o600)
        except OSError as error:
            raise DemoError(f"{self.data} cannot be used: {error.strerror}; choose another with --data") from None

    def _wait_until_ready(self, began: clock.Tick) -> None:
        while clock.tick() - began < _START_SECONDS:
            self.check_alive()
            found = _LISTENS.search((self.data / LOG).read_text("utf-8", errors="replace"))
            if found and self._is_ready(found[1]):
                self.url = found[1]
                return
            time.sleep(0.02)
        raise DemoError(f"the server was not ready after {_START_SECONDS:.0f} s:\n{self._last_words()}")

    def _is_ready(self, url: str) -> bool:
        try:
            with Client(url, retries=0, timeout=5) as client:
                return bool(client.ready()["status"] == "ready")
        except (ApiError, ServerUnreachable):
            return False

    def _last_words(self) -> str:
        lines = (self.data / LOG).read_text("utf-8", errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-6:])


def _environment(portal_origin: str) -> dict[str, str]:
    """This environment without keyturn's own settings: the demo's server is the demo's alone."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KEYTURN_")}
    ours = {"KEYTURN_CONFIG": os.devnull, "KEYTURN_SHOW_MAILS": "true", "KEYTURN_PORTAL_ORIGINS": portal_origin}
    return kept | ours


_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def _die_with_parent() -> None:
    """Where the demo is killed outright, the kernel ends its server too."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
