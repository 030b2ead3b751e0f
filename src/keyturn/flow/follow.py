"""Keeping a verifier's cache in step with the feed: in order, without gaps, also after an outage (F1, F6)."""

import threading
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Final, Protocol

from keyturn.core.feed import FeedEntry
from keyturn.core.instant import to_micros
from keyturn.ports.store import Store
from keyturn.verify.verifier import Verifier

_BATCH: Final = 1000


class FeedAfter(Protocol):
    """Entries after a revision, in order."""

    def __call__(self, rev: int, *, limit: int) -> Sequence[FeedEntry]: ...


class Unfollowed(Enum):
    """Why nothing can be said to come after an entry."""

    LOST = "lost"
    """No entry like it is known: the authority has lost it (F9)."""
    TRIMMED = "trimmed"
    """It is so old that it is no longer kept (F11)."""


def entries_beyond(applied: tuple[int, int], feed_after: FeedAfter, *, limit: int) -> Sequence[FeedEntry] | Unfollowed:
    """What comes after the entry of that revision, written at that time.

    Two pasts, one of them lost, may share a revision, but no entry (F9).
    """
    rev, at = applied
    found = feed_after(rev - 1, limit=limit + 1) if rev else feed_after(0, limit=limit)
    if found and found[0].rev > max(rev, 1):
        return Unfollowed.TRIMMED
    if not rev:
        return found
    return found[1:] if found and to_micros(found[0].at) == at else Unfollowed.LOST


class Follower:
    """Applies each feed entry once, in `rev` order, and tells `applied` of what it has applied, after it has."""

    def __init__(
        self,
        store: Store,
        verifier: Verifier,
        *,
        applied: Callable[[Sequence[FeedEntry]], None] = lambda _entries: None,
        estranged: Callable[[], None] = lambda: None,
    ) -> None:
        """`estranged` is told where the database has lost what was applied here (F9)."""
        self._store = store
        self._verifier = verifier
        self._applied = applied
        self._estranged = estranged
        self._lock = threading.Lock()

    def committed(self, entries: Sequence[FeedEntry]) -> None:
        """Entries that this process has just committed.  On return every thread decides by them.

        Or memory decides nothing: where the database has lost what was applied here, they are of another past.
        """
        with self._lock:
            if self._verifier.estranged:
                return  # nothing is put upon what is of another past
            rev, at = self._verifier.applied
            last, after = entries[-1], next((one for one in entries if one.rev > rev), None)
            before = after.follows if after is not None and after.rev == rev + 1 else None
            if before is not None and to_micros(before) == at:
                self._apply(entries)
                return
            is_foreign = before is not None or (last.rev <= rev and not self._verifier.has_applied(last))
        if is_foreign:
            self._estranged()
        elif last.rev > rev:
            self.catch_up()

    def catch_up(self) -> None:
        """Read and apply what is missing.  Raises StoreUnavailable; the next call goes on from there.

        Nothing is applied where the database does not know what was applied last (F9), or keeps it no longer (F11):
        the next renewal says so, and it begins anew.
        """
        with self._lock:
            while not self._verifier.estranged:
                entries = entries_beyond(self._verifier.applied, self._store.feed_after, limit=_BATCH)
                if isinstance(entries, Unfollowed) or not entries:
                    return
                self._apply(entries)
                if len(entries) < _BATCH:
                    return

    def _apply(self, entries: Sequence[FeedEntry]) -> None:
        self._verifier.apply(entries)
        self._applied(entries)
