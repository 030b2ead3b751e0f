"""Whether this is still the process in which something was made (F10).

Python need not be told of a fork: uWSGI forks in C, and runs what `os.register_at_fork` was given only on request.
Standard library only.
"""

import mmap
import os
import sys
import weakref
from typing import Final, Protocol

_WIPE_ON_FORK: Final = 18
"""Linux's `MADV_WIPEONFORK`, which Python has no name for."""


class Mark(Protocol):
    """Its first item is 1 where it was made, and 0 in every child."""

    def __getitem__(self, at: int, /) -> int: ...
    def __setitem__(self, at: int, value: int, /) -> None: ...


class Numbered:
    """By the number of the process: wherever that is all there is, for it costs a system call each time."""

    def __init__(self) -> None:
        self._process = os.getpid()

    def __getitem__(self, at: int, /) -> int:
        return int(os.getpid() == self._process)

    def __setitem__(self, at: int, value: int, /) -> None:
        self._process = os.getpid() if value else 0


def mark() -> Mark:
    """A new one: a page that the kernel empties in a child, which is read in no time."""
    made = _page() or Numbered()
    made[0] = 1
    _marks.add(made)
    return made


def _page() -> mmap.mmap | None:
    if sys.platform != "linux":
        return None
    page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    try:
        page.madvise(_WIPE_ON_FORK)
    except OSError:  # not every kernel can
        page.close()
        return None
    return page


def _forked() -> None:
    for one in list(_marks):
        one[0] = 0


# A child that Python is told of needs no kernel's word, and no number that another had before it.
_marks: weakref.WeakSet[Mark] = weakref.WeakSet()
os.register_at_fork(after_in_child=_forked)
