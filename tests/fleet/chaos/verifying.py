"""A process that verifies without pause, as its own program: what it was answered stands in its recording.

It is told what to verify by a file that the test appends to, one line for each secret: key, version, secret.
"""

import json
import os
import sys
import threading
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from keyturn.sdk import verifier as sdk
from tests.fleet.chaos.recording import LAPSED, UNAVAILABLE, Recording, boot_nanos

VERSIONS: Final = 3
"""How many versions of a key are shown in turn: the newest, and those before it."""
WRITE: Final = "orders:write"


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
        self.newest: dict[int, deque[tuple[int, str]]] = {}
        """By key its latest versions with their secrets, the newest last."""
        self._file = os.open(path, os.O_RDONLY)
        self._at = 0

    def follow(self) -> None:
        """Read what was added."""
        if os.fstat(self._file).st_size == self._at:
            return
        added = os.pread(self._file, 1 << 20, self._at)
        whole = added[: added.rfind(b"\n") + 1]
        self._at += len(whole)
        for line in whole.decode().splitlines():
            key, version, secret = line.split()
            self.newest.setdefault(int(key), deque(maxlen=VERSIONS)).append((int(version), secret))


def main(path: str) -> None:
    """Verify until killed, or until nobody listens on standard input any more."""
    work = Work.read(path)
    with sdk.Verifier(
        work.urls,
        credential_file=work.credential_file,
        on_lapse=work.on_lapse,
        name=work.name,
        allow_plain_http=True,
    ) as verifier:
        for number in range(work.threads):
            recording = Recording(Path(f"{work.recording}.{number}"))
            threading.Thread(target=_verify, args=(work, verifier, recording), daemon=True).start()
        sys.stdin.read()


def _verify(work: Work, verifier: sdk.Verifier, recording: Recording) -> None:
    targets = Targets(work.targets)
    pausing = threading.Event()
    while not pausing.wait(work.pause):
        targets.follow()
        for key, versions in targets.newest.items():
            for version, secret in versions:
                _show(verifier, recording, key=key, version=version, secret=secret, writes=False)
            version, secret = versions[-1]
            _show(verifier, recording, key=key, version=version, secret=secret, writes=True)


def _show(verifier: sdk.Verifier, recording: Recording, *, key: int, version: int, secret: str, writes: bool) -> None:
    begin = boot_nanos()
    try:
        answer = verifier.verify(secret, permission=WRITE if writes else ()).code
    except sdk.LeaseLapsed:
        answer = LAPSED
    except sdk.NodeUnavailable:
        answer = UNAVAILABLE
    recording.write(begin, boot_nanos(), key=key, version=version, writes=writes, answer=answer)
