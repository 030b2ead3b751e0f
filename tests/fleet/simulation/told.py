"""The real memory, and beside it what was told to it of stops: whoever judges believes nothing that it says (F9)."""

from collections.abc import Callable, Iterable
from typing import Any

from keyturn.core.feed import FeedEntry, Predicate
from keyturn.verify.verifier import Verifier


class Told(Verifier):
    """One process's."""

    def __init__(self, stopped_together: Callable[[FeedEntry], Iterable[int]], **more: Any) -> None:
        super().__init__(**more)
        self.told: set[int] = set()
        """Keys that had stopped by what was applied in this epoch."""
        self._stopped_together = stopped_together

    def start_at(self, *, rev: int, now: int, epoch: int = 0, at: int = 0) -> None:
        if epoch != self.epoch:
            self.told.clear()
        super().start_at(rev=rev, now=now, epoch=epoch, at=at)

    def _apply(self, entry: FeedEntry) -> None:
        super()._apply(entry)
        if isinstance(entry.change, Predicate):
            self.told.update(self._stopped_together(entry))
        elif entry.change.revoked or entry.change.suspended:
            self.told.add(entry.change.number)
