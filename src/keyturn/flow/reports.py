"""What verifiers have counted and nobody has written down yet: bounded, for a credential may be in bad hands."""

import threading
from collections import Counter
from typing import Final

from keyturn.verify.message import Report

MOST_OF_ONE: Final = 2_000_000
"""Bytes that one verifier may have waiting, as they came; an honest one sends a fraction of that a second."""
MOST: Final = 16_000_000
"""Of all of them."""


class Reports:
    """Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Report] = []
        self._sizes: Counter[str] = Counter()

    def add(self, report: Report, *, by: str, size: int) -> bool:
        """Keep it, unless too much waits already; whether it was kept.  A lost use only delays a handover."""
        with self._lock:
            if self._sizes[by] + size > MOST_OF_ONE or self._sizes.total() + size > MOST:
                return False
            self._waiting.append(report)
            self._sizes[by] += size
        return True

    def drain(self) -> list[Report]:
        """Everything that waits, which waits no longer."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
            self._sizes.clear()
        return waiting
