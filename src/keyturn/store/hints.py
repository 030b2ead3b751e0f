"""Who hears what nodes on one database tell one another quickly, and that there is nobody to tell (F14)."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from keyturn.ports.hints import Hints


class Hearer(Protocol):
    """Whom hints are for."""

    def feed_moved(self) -> None:
        """Somebody has committed entries."""
        ...

    def acknowledged(self, instance: str, *, epoch: int, rev: int, at: int) -> None:
        """Another node has come that far, to the entry that was written at that time."""
        ...


class HeardHints(Hints, Protocol):
    """Hints that this node hears as well."""

    def running(self, hearer: Hearer) -> AbstractContextManager[None]:
        """They are told and heard until the block ends."""
        ...


class NoHints:
    """On a database of one process there is nobody to tell."""

    def acknowledged(self, instance: str, *, epoch: int, rev: int, at: int) -> None:
        """Nobody hears it."""

    @contextmanager
    def running(self, hearer: Hearer) -> Iterator[None]:  # noqa: ARG002  # nobody tells it anything
        """Nothing runs."""
        yield
