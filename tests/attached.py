"""A verifier in a process of its own, for tests that stop it in the middle of something."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.postgres import die_with_parent

_PROGRAM: Final = """
import sys
from keyturn.sdk import Verifier

urls, credential, name, on_lapse = sys.argv[1:]
with Verifier(urls.split(), credential_file=credential, name=name, on_lapse=on_lapse, allow_plain_http=True) as one:
    print(one.instance if one.wait_until_leased(30) else "no lease", flush=True)
    for line in sys.stdin:
        try:
            print(one.verify(line.strip()).code, flush=True)
        except OSError as error:
            print(type(error).__name__, flush=True)
"""


@dataclass
class Attached:
    """A running verifier."""

    instance: str
    process: subprocess.Popen[str]
    log: Path

    def has_said(self, text: str) -> bool:
        """Whether it has logged this."""
        return text in self.log.read_text(errors="replace")

    def verify(self, secret: str) -> str:
        """What it says of a secret: a code, or the name of what it raised."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{secret}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def freeze(self) -> None:
        """SIGSTOP: it hears and says nothing, and its lease runs on."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)


@contextmanager
def attached(urls: str, credential_file: Path, *, name: str = "apart", on_lapse: str = "ask") -> Iterator[Attached]:
    """A verifier that holds a lease, until the block ends."""
    log = credential_file.with_name(f"{name}.log".replace("/", "-"))
    with log.open("w") as err:
        process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, urls, str(credential_file), name, on_lapse],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=err,
            text=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509  # one prctl call
        )
    try:
        assert process.stdout is not None
        instance = process.stdout.readline().strip()
        assert instance.startswith("ver_"), instance
        yield Attached(instance, process, log)
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            assert stream is not None
            stream.close()


def until(look: Callable[[], Any], *, within: float = 20.0) -> Any:
    """The first answer that says yes."""
    ends = time.monotonic() + within
    while time.monotonic() < ends:
        if found := look():
            return found
        time.sleep(0.02)
    pytest.fail("it did not come about")


def of(fleet: dict[str, Any], instance: str) -> dict[str, Any]:
    """What is shown of one verifier."""
    every = {one["instance"]: one for one in (*fleet["nodes"], *verifiers(fleet))}
    found: dict[str, Any] = every.get(instance, {})
    return found


def verifiers(fleet: dict[str, Any]) -> list[dict[str, Any]]:
    """Every verifier that may hold a lease."""
    return [one for node in fleet["nodes"] for one in node["verifiers"]]
