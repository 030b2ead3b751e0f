"""A process that verifies without pause, as its own program: what it was answered stands in its recording.

It is told what to verify by a file that the test appends to, one line for each secret: key, version, secret.
"""

import json
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from keyturn.sdk import verifier as sdk
from keyturn.sdk.nodes import Nodes
from tests.fleet.chaos.recording import LAPSED, UNAVAILABLE, Recording, boot_nanos

VERSIONS: Final = 3
"""How many versions of a key are shown in turn: the newest, and those before it."""
LATEST: Final = 12
"""So many of the keys that were changed last are looked at in every round, and as many of the others in turn."""
AGAIN_SECONDS: Final = 0.1
"""How long whoever has been told that no node answers waits before the next question."""
WRITE: Final = "orders:write"
HTTP: Final = "http"


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one process is to do, as a file of JSON."""

    urls: tuple[str, ...]
    credential_file: str
    targets: str
    """The file that says what to verify."""
    recording: str
    """The path of its recordings; each thread adds its number."""
    on_lapse: str = "ask"
    """As the SDK takes it; or `http`, for a program that has no memory and asks a node each time."""
    threads: int = 2
    pause: float = 0.002
    """Seconds between two rounds."""
    name: str = ""

    def write(self, path: Path) -> Path:
        """As a file."""
        path.write_text(json.dumps(asdict(self)))
        return path

    @classmethod
    def read(cls, path: str) -> "Work":
        """From a file."""
        return cls(**json.loads(Path(path).read_text()))


class Targets:
    """What there is to verify, followed as the test appends to it."""

    def __init__(self, path: str) -> None:
        self._newest: dict[int, deque[tuple[int, str]]] = {}
        # By key its latest versions with their secrets; keys and versions in the order in which they changed.
        self._file = os.open(path, os.O_RDONLY)
        self._at = 0
        self._turn = 0

    def round(self) -> Iterator[tuple[int, int, str, str]]:
        """Key, version, secret and permission: of the keys that changed last, then of some others."""
        self._follow()
        keys = list(reversed(self._newest))
        latest, others = keys[:LATEST], keys[LATEST:]
        begin = self._turn % max(1, len(others))
        self._turn = begin + LATEST
        for key in (*latest, *others[begin : self._turn]):
            versions = self._newest[key]
            for version, secret in reversed(versions):
                yield key, version, secret, ""
            yield key, *versions[-1], WRITE

    def _follow(self) -> None:
        if os.fstat(self._file).st_size == self._at:
            return
        added = os.pread(self._file, 1 << 20, self._at)
        whole = added[: added.rfind(b"\n") + 1]
        self._at += len(whole)
        for line in whole.decode().splitlines():
            key, version, secret = line.split()
            versions = self._newest.pop(int(key), deque[tuple[int, str]](maxlen=VERSIONS))
            versions.append((int(version), secret))
            self._newest[int(key)] = versions


Verify = Callable[[str, str], str]
"""Shows a secret, for a permission or an empty text, and says what was answered."""


def main(path: str) -> None:
    """Verify until killed, or until nobody listens on standard input any more."""
    work = Work.read(path)
    with _asking(work) if work.on_lapse == HTTP else _attached(work) as verify:
        for number in range(work.threads):
            recording = Recording(Path(f"{work.recording}.{number}"))
            threading.Thread(target=_work, args=(work, verify, recording), daemon=True).start()
        sys.stdin.read()


@contextmanager
def _attached(work: Work) -> Iterator[Verify]:
    verifier = sdk.Verifier(
        work.urls, credential_file=work.credential_file, on_lapse=work.on_lapse, name=work.name, allow_plain_http=True
    )

    def verify(secret: str, permission: str) -> str:
        return verifier.verify(secret, permission=permission or ()).code

    with verifier:
        yield verify


@contextmanager
def _asking(work: Work) -> Iterator[Verify]:
    nodes = Nodes(work.urls, Path(work.credential_file).read_text(), allow_plain_http=True)

    def verify(secret: str, permission: str) -> str:
        asked = {"key": secret, "permissions": [permission] if permission else []}
        return nodes.ask("/v1/verify", asked, lambda answer: str(answer["code"]))

    yield verify


def _work(work: Work, verify: Verify, recording: Recording) -> None:
    targets = Targets(work.targets)
    pausing = threading.Event()
    while not pausing.wait(work.pause):
        for key, version, secret, permission in targets.round():
            begin = boot_nanos()
            answer = _answer(verify, secret, permission)
            end = boot_nanos()
            recording.write(begin, end, key=key, version=version, writes=bool(permission), answer=answer)
            if answer == UNAVAILABLE and pausing.wait(AGAIN_SECONDS):
                return


def _answer(verify: Verify, secret: str, permission: str) -> str:
    try:
        return verify(secret, permission)
    except sdk.LeaseLapsed:
        return LAPSED
    except sdk.NodeUnavailable:
        return UNAVAILABLE
