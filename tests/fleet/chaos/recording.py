"""What a verifier process has answered, in a file that survives its being killed.

Each thread writes its own file, through a memory map: a record is with the kernel as soon as it is written, and a
process that is killed by SIGKILL loses none.  Times are nanoseconds of CLOCK_BOOTTIME, which all processes of one
machine share, so begins and ends of different processes can be compared exactly.
"""

import mmap
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from keyturn.verify.decision import CODES

LAPSED: Final = "lapsed"
"""No lease, and nobody was asked."""
UNAVAILABLE: Final = "unavailable"
"""A node had to be asked, and none answered."""
ANSWERS: Final = (*CODES, LAPSED, UNAVAILABLE)
_NUMBER_OF: Final = {answer: number for number, answer in enumerate(ANSWERS)}

_RECORD: Final = struct.Struct("<QQIHBB")
_CHUNK: Final = 8192 * _RECORD.size
assert _CHUNK % mmap.ALLOCATIONGRANULARITY == 0


class Verified(NamedTuple):
    """One verification."""

    begin: int
    end: int
    key: int
    """The number that the test gave to the key."""
    version: int
    writes: bool
    """Whether the permission to write was asked for too."""
    answer: str


def boot_nanos() -> int:
    """The clock of all records."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Recording:
    """The file of one thread, open for writing."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        self._chunks = 0
        self._at = _CHUNK
        self._map: mmap.mmap | None = None

    def write(self, begin: int, end: int, *, key: int, version: int, writes: bool, answer: str) -> None:
        """One more verification."""
        if self._map is None or self._at == _CHUNK:
            self._map = self._next_chunk()
            self._at = 0
        _RECORD.pack_into(self._map, self._at, begin, end, key, version, writes, _NUMBER_OF[answer])
        self._at += _RECORD.size

    def _next_chunk(self) -> mmap.mmap:
        if self._map is not None:
            self._map.close()
        begin = self._chunks * _CHUNK
        self._chunks += 1
        os.ftruncate(self._file, self._chunks * _CHUNK)
        return mmap.mmap(self._file, _CHUNK, offset=begin)

    def close(self) -> None:
        """Write no more."""
        os.close(self._file)


def read(path: Path) -> Iterator[Verified]:
    """Every verification in it, in the order of their ends."""
    for begin, end, key, version, writes, answer in _RECORD.iter_unpack(path.read_bytes()):
        if not end:
            return  # not written yet
        yield Verified(begin, end, key, version, bool(writes), ANSWERS[answer])
