"""The latest feed entries, kept so that a node can hand them on to its verifiers without asking the database (F7)."""

from collections import deque
from itertools import islice
from threading import Lock
from typing import Final

from keyturn.core.feed import FeedEntry
from keyturn.core.instant import to_micros

MOST: Final = 10_000


class Recent:
    """In `rev` order without gaps.  Safe to share between threads."""

    def __init__(self, *, most: int = MOST) -> None:
        self.rev = self._begin = 0
        """The last one that is here.  A verifier adds an entry before it decides by it, never after."""
        self._begun_at = 0
        self._entries: deque[FeedEntry] = deque(maxlen=most)
        self._lock = Lock()

    def start_at(self, rev: int, *, at: int) -> None:
        """Forget everything, and go on from `rev`, whose entry was written at `at`."""
        with self._lock:
            self._entries.clear()
            self.rev = self._begin = rev
            self._begun_at = at

    def add(self, entry: FeedEntry) -> None:
        """The entry after the last one."""
        with self._lock:
            self._entries.append(entry)
            self.rev = entry.rev

    def after(self, rev: int) -> tuple[int, tuple[FeedEntry, ...] | None]:
        """The last `rev` that is here, and every entry after that one; None where some are no longer here."""
        with self._lock:
            missing = max(0, self.rev - rev)
            if missing > len(self._entries):
                return self.rev, None
            return self.rev, tuple(islice(self._entries, len(self._entries) - missing, None))

    def at(self, rev: int) -> int | None:
        """When the entry `rev` was written, in microseconds; None where it is not here."""
        with self._lock:
            place = len(self._entries) - 1 - (self.rev - rev)
            if 0 <= place < len(self._entries):
                return to_micros(self._entries[place].at)
            return self._begun_at if rev == self._begin else None
