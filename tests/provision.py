"""Programs from the distribution that some tests and `keyturn bench` use, and how to get them.

As root on Debian or Ubuntu, what is missing is installed and it says so.  Elsewhere nothing is changed, and the command
is named.  No service is started.

Run it as `python -m tests.provision test` or `python -m tests.provision bench`.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests import postgres

POLICY: Final = Path("/usr/sbin/policy-rc.d")
_DENY: Final = "#!/bin/sh\n# Written while the tests of keyturn install programs; no service is to start.\nexit 101\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program, the Debian package it comes in, and who uses it."""

    name: str
    package: str
    uses: frozenset[str]
    present: Callable[[], bool]
    spare: bool = False
    """Whether all goes on without it, only slower."""

    def absent(self) -> bool:
        """Whether it is not installed."""
        return not self.present()

    def missing(self) -> str:
        """What to tell whoever sees a test skipped for it."""
        return f"needs {self.name}; on Debian or Ubuntu: apt-get install {self.package}"


def _on_path(*names: str) -> Callable[[], bool]:
    places = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
    return lambda: any(shutil.which(name, path=places) for name in names)


CHROMIUM: Final = ("chromium-headless-shell", "chromium")
"""The engine without windows, whose pages cost a quarter of the time, or else the whole browser."""


BOTH: Final = frozenset({"test", "bench"})
PROGRAMS: Final = {
    program.name: program
    for program in (
        Program(name="strace", package="strace", uses=frozenset({"test"}), present=_on_path("strace")),
        Program(name="nginx", package="nginx-light", uses=BOTH, present=_on_path("nginx")),
        Program(name="caddy", package="caddy", uses=frozenset({"test"}), present=_on_path("caddy")),
        Program(name="haproxy", package="haproxy", uses=frozenset({"test"}), present=_on_path("haproxy")),
        Program(name="pgbouncer", package="pgbouncer", uses=frozenset({"test"}), present=_on_path("pgbouncer")),
        Program(name="wrk", package="wrk", uses=BOTH, present=_on_path("wrk")),
        Program(name="chromium", package="chromium", uses=frozenset({"test"}), present=_on_path(*CHROMIUM)),
        Program(
            name="chromium-headless-shell",
            package="chromium-headless-shell",
            uses=frozenset({"test"}),
            present=_on_path("chromium-headless-shell"),
            spare=True,
        ),
        Program(
            name="postgresql",
            package="postgresql",
            uses=frozenset({"test"}),
            present=lambda: postgres.distribution_binaries() is not None,
        ),
    )
}


@contextmanager
def _no_service_starts() -> Iterator[None]:
    """Debian asks this file before a package starts its service.  One that is there already is left alone."""
    ours = not POLICY.exists()
    if ours:
        POLICY.write_text(_DENY)
        POLICY.chmod(0o755)
    try:
        yield
    finally:
        if ours:
            POLICY.unlink()


def install(packages: list[str]) -> bool:
    """Install them with apt-get; says whether that worked."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    steps = (["update"], ["install", "--yes", "--no-install-recommends", *packages])
    with _no_service_starts():
        for words in steps:
            done = subprocess.run(
                ["apt-get", "-qq", *words],
                env=environment,
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            if done.returncode and words[0] == "install":
                print(done.stdout[-2000:], file=sys.stderr)
                return False
    return True


def provide(use: str) -> None:
    """See to it that the programs for `use` are there, or say what is missing."""
    may_install = os.geteuid() == 0 and shutil.which("apt-get") is not None
    for spare in (True, False):  # with the one the other may not be needed
        missing = [one for one in PROGRAMS.values() if use in one.uses and one.spare is spare and one.absent()]
        if not missing or (spare and not may_install):
            continue
        command = f"apt-get install {' '.join(one.package for one in missing)}"
        if may_install:
            print(f"installing from the distribution, no service is started: {command}", flush=True)
            if not install([one.package for one in missing]):
                print(f"that did not work; what needs them is {'slower' if spare else 'skipped'}", file=sys.stderr)
            continue
        print(f"missing: {', '.join(one.name for one in missing)}; what needs them is skipped.", file=sys.stderr)
        print(f"On Debian or Ubuntu this would install them: sudo {command}", file=sys.stderr)


if __name__ == "__main__":
    provide(sys.argv[1])
