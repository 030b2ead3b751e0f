"""Programs of keyturn that begin as a fork of a process which has imported keyturn: most of a start is imports.

From there on each is the program itself: a process with arguments, environment, folder, signals and an end of its own.
What the kernel shows of its beginning (`/proc/…/cmdline`, `…/environ`) is the other's, and its Argon2id has little work
to do (most requests of tests bring a password); a test that is about one of these starts it whole.

    process = forked.start("keyturn", ["serve"], environment=…, out=log.fileno())

This module, run as a program, is the process that is forked: one for each process of a run, which it ends with.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

from keyturn import wiring
from keyturn.outside.passwords import Argon2Passwords
from keyturn.outside.stretcher import Argon2Stretcher
from tests.postgres import die_with_parent

_PROGRAM: Final = "tests.forked"
_IMPORTED: Final = ("keyturn.server", "keyturn.cli.serve")
_LITTLE_WORK: Final = {"time_cost": 1, "memory_cost": 64}
_LONGEST: Final = 1 << 17
_HIGHEST_FILE: Final = 4096


class Forked:
    """A running program, as `subprocess.Popen` has it; several threads may wait for its end."""

    def __init__(self, pid: int, told: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._told = told
        self._hearing = threading.Lock()

    def __del__(self) -> None:
        os.close(self._told)  # not before: others may be about to look whether it says something

    def poll(self) -> int | None:
        """Its exit status, once it has ended."""
        return self.returncode if self.returncode is not None or not self._hears(0) else self._hear()

    def wait(self, timeout: float | None = None) -> int:
        """The same, waited for.  Raises TimeoutExpired."""
        if self.returncode is not None:
            return self.returncode
        if not self._hears(timeout):
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        return self._hear()

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, where it still runs."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _hears(self, timeout: float | None) -> bool:
        return bool(select.select([self._told], [], [], timeout)[0])

    def _hear(self) -> int:
        with self._hearing:
            if self.returncode is None:
                self.returncode = int(os.read(self._told, _LONGEST))
            return self.returncode


def start(program: str, arguments: Sequence[str], *, environment: Mapping[str, str], out: int) -> Forked:
    """`python -m PROGRAM ARGUMENTS…` in this environment and folder; what it says goes to that file."""
    wish = {"words": [program, *arguments], "environment": dict(environment), "folder": str(Path.cwd())}
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        socket.send_fds(_asking(), [json.dumps(wish).encode()], [theirs.fileno(), out])
    # A plain file: of a socket in a cycle with others nobody knows whether it is closed before it is collected.
    return Forked(int(ours.recv(_LONGEST)), ours.detach())


# -- the process that is forked, as it is asked

_first = threading.Lock()
_running: list[tuple[socket.socket, "subprocess.Popen[bytes]"]] = []


def _asking() -> socket.socket:
    with _first:
        if not _running:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                words = [sys.executable, "-m", _PROGRAM]
                folder = Path(__file__).parents[1]
                process = subprocess.Popen(words, cwd=folder, stdin=theirs.fileno(), stdout=subprocess.DEVNULL)
            _running.append((ours, process))
            atexit.register(_end)
        return _running[0][0]


def _end() -> None:
    asked, process = _running.pop()
    asked.close()
    process.wait()


# -- and as it runs


def _serve(asking: socket.socket) -> dict[str, Any]:
    """Fork as often as is asked; in each fork, answer what it is to be."""
    running: dict[int, tuple[int, int]] = {}
    looking = selectors.DefaultSelector()
    looking.register(asking, selectors.EVENT_READ)
    while True:
        for found, _ in looking.select():
            if found.fd != asking.fileno():
                pid, told = running.pop(found.fd)
                looking.unregister(found.fd)
                os.close(found.fd)
                with suppress(OSError):  # nobody may want to know any more
                    os.write(told, json.dumps(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())
                os.close(told)
                continue
            wish, files, _, _ = socket.recv_fds(asking, _LONGEST, 2)
            if not wish:
                sys.exit()  # the run is over; whatever was forked and still runs ends with its parent
            pid = os.fork()
            told, out = files
            if not pid:
                looking.close()
                os.dup2(out, 1)
                os.dup2(out, 2)
                return dict(json.loads(wish))
            os.close(out)
            os.write(told, json.dumps(pid).encode())
            watched = os.pidfd_open(pid)
            running[watched] = (pid, told)
            looking.register(watched, selectors.EVENT_READ)


def _become(wish: Mapping[str, Any]) -> None:
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)  # whoever runs tests in the background may ignore it
    die_with_parent()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.closerange(3, _HIGHEST_FILE)
    os.environ.clear()
    os.environ.update(wish["environment"])
    os.chdir(wish["folder"])
    sys.path[0] = wish["folder"]
    sys.argv = wish["words"]
    runpy.run_module(wish["words"][0], run_name="__main__", alter_sys=True)


def _save_work() -> None:
    for name, made in (("Argon2Passwords", Argon2Passwords), ("Argon2Stretcher", Argon2Stretcher)):
        assert getattr(wiring, name) is made
        setattr(wiring, name, partial(made, **_LITTLE_WORK))


def main() -> None:
    """Import what is asked for most, and wait."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for module in _IMPORTED:
        importlib.import_module(module)
    _save_work()
    gc.collect()
    gc.freeze()
    asking = socket.socket(fileno=0)
    wish = _serve(asking)
    asking.detach()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    _become(wish)


if __name__ == "__main__":
    main()
