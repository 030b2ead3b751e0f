"""The authority: what it does for a flow, and how it says that it cannot."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from keyturn.core.feed import FeedEntry
from keyturn.core.lease import Scan
from keyturn.ports.transaction import Transaction

T = TypeVar("T")


class StoreUnavailable(Exception):  # noqa: N818  # the world broke; not an error of ours
    """The database cannot be reached or written.  Closed for changes; answers from memory go on."""


class StoreBusy(StoreUnavailable):
    """The database answers, but the change could not get its turn.  Nothing was changed."""


class StoreUnsure(StoreUnavailable):
    """The database was lost while a change was committed, and cannot tell what became of it: it may stand."""


class CounterHeld(StoreBusy):
    """Somebody else holds a key's counter, and for longer than it is waited for."""


class Store(Protocol):
    """The authority.  Its outage: closed for changes (`StoreUnavailable`), open for answers from memory."""

    def change(self, flow: Callable[[Transaction], T]) -> T:
        """Run `flow` in one write transaction, commit, and let the node's cache follow before returning.

        The flow is run again, whole, after a conflict.  Raises StoreUnavailable, whereupon nothing was changed; but
        StoreUnsure where nobody knows, and a retry under the same Idempotency-Key will tell.
        """
        ...

    def read(self, query: Callable[[Transaction], T]) -> T:
        """Run `query` on one snapshot.  Raises StoreUnavailable."""
        ...

    def scan(self, rev: int) -> Scan:
        """Every lease on record, and where the authority stands, in one snapshot.  Raises StoreUnavailable.

        With when the entry `rev` was written: two pasts may share a revision, but not that (F9).
        """
        ...

    def feed_after(self, rev: int, *, limit: int) -> Sequence[FeedEntry]:
        """Feed entries after `rev`, in order.  Raises StoreUnavailable."""
        ...
