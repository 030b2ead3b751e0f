"""Keeping a verifier's cache in step with the feed: in order, without gaps, also after an outage (F1, F6)."""

import threading
from collections.abc import Callable, Sequence
from typing import Final

from keyturn.core.feed import FeedEntry
from keyturn.ports import Store
from keyturn.verify.verifier import Verifier

_BATCH: Final = 1000


class Follower:
    """Applies each feed entry once, in `rev` order, and tells `applied` of what it has applied, after it has."""

    def __init__(
        self,
        store: Store,
        verifier: Verifier,
        *,
        applied: Callable[[Sequence[FeedEntry]], None] = lambda _entries: None,
    ) -> None:
        self._store = store
        self._verifier = verifier
        self._applied = applied
        self._lock = threading.Lock()

    def committed(self, entries: Sequence[FeedEntry]) -> None:
        """Entries that this process has just committed.  On return every thread decides by them."""
        with self._lock:
            missing = entries[0].rev > self._verifier.applied_rev + 1
            if not missing:
                self._apply(entries)
        if missing:
            self.catch_up()

    def catch_up(self) -> None:
        """Read and apply what is missing.  Raises StoreUnavailable; the next call goes on from there."""
        with self._lock:
            while entries := self._store.feed_after(self._verifier.applied_rev, limit=_BATCH):
                self._apply(entries)
                if len(entries) < _BATCH:
                    return

    def _apply(self, entries: Sequence[FeedEntry]) -> None:
        self._verifier.apply(entries)
        self._applied(entries)
