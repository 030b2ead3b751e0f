"""How nodes hurry one another."""

from typing import Protocol


class Hints(Protocol):
    """How nodes on one database tell one another quickly.  Only hints: safety comes from leases alone (F14)."""

    def acknowledged(self, instance: str, *, epoch: int, rev: int, at: int) -> None:
        """Tell every node; `at` is when that entry was written.  Never raises, and never waits for long."""
        ...
