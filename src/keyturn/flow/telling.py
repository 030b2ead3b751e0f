"""Emptying the outbox: deliveries are worked out, leased, made outside any transaction, and written down (R51).

At least once: a crash between the other side's "taken" and our writing it down makes one more attempt, after the lease,
under the same id.  The lease keeps two workers from making one delivery at the same time.
"""

import json
import logging
import threading
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Final

from keyturn.core.delivery import Attempt, Backlog, Delivery, Means, Result
from keyturn.core.notice import Notice
from keyturn.flow import notice as flow
from keyturn.ports.forge import Forge
from keyturn.ports.sender import Consignment, Sender
from keyturn.ports.store import Store, StoreUnavailable

_BATCH: Final = 200
log = logging.getLogger("keyturn")


class Turn(Enum):
    """What came of one turn of a worker."""

    IDLE = "idle"
    """Nothing was due."""
    MADE = "made"
    """One delivery was tried."""
    AWAY = "away"
    """The other side could not be reached."""


class Teller:
    """Its methods may be called from several threads."""

    def __init__(self, store: Store, forge: Forge, senders: Mapping[Means, Sender]) -> None:
        self._store = store
        self._forge = forge
        self._senders = senders
        self._lock = threading.Lock()
        self._late: list[tuple[str, Attempt, str]] = []
        self.counts: Counter[tuple[Means, str]] = Counter()
        """Attempts by means and result, for the metrics."""
        self.backlog: Sequence[Backlog] = ()
        """What waited when it was last looked at, for the metrics."""

    @property
    def means(self) -> frozenset[Means]:
        """Those there is a sender for."""
        return frozenset(self._senders)

    def look(self) -> frozenset[Means]:
        """Address what is new; answers by which means something is due.  Raises StoreUnavailable."""
        self._settle_late()
        is_new, due = self._store.read(lambda tx: tx.to_be_told())
        if not is_new:
            return due
        for notice in self._store.change(lambda tx: flow.address(tx, forge=self._forge, limit=_BATCH)):
            _log(notice)
        return self._store.read(lambda tx: tx.to_be_told())[1]

    def measure(self) -> None:
        """Look at what waits.  Raises StoreUnavailable."""
        self.backlog = self._store.read(lambda tx: tx.backlog())

    def tell(self, means: Means) -> Turn:
        """Make one delivery, where one is due.  Raises StoreUnavailable; what it came to is then written down later."""
        by = self._forge.id("wrk")
        consignment = self._store.change(lambda tx: flow.take(tx, means, by=by, forge=self._forge))
        if consignment is None:
            return Turn.IDLE
        delivery = consignment.parcel.delivery
        attempt = self._try(self._senders[means], consignment)
        with self._lock:
            self.counts[means, attempt.result.value] += 1
        try:
            settled = self._settle(delivery.id, attempt, by)
        except StoreUnavailable:
            with self._lock:
                self._late.append((delivery.id, attempt, by))
            raise
        if attempt.result is not Result.TAKEN:
            _log_trouble(settled or delivery, attempt)
        return Turn.AWAY if attempt.result is Result.UNREACHABLE else Turn.MADE

    def _try(self, sender: Sender, consignment: Consignment) -> Attempt:
        try:
            return sender.send(consignment)
        except Exception as error:  # noqa: BLE001  # a bug in one delivery must not keep the others from being made
            # Where it happened, and never its text, which may hold an address.
            frame = traceback.extract_tb(error.__traceback__)[-1]
            log.error("%s at %s:%s", type(error).__name__, frame.filename, frame.lineno)  # noqa: TRY400  # as said above
            return Attempt(result=Result.DEFERRED, said=type(error).__name__)

    def _settle(self, delivery_id: str, attempt: Attempt, by: str) -> Delivery | None:
        return self._store.change(lambda tx: flow.settle(tx, delivery_id, attempt, by=by))

    def _settle_late(self) -> None:
        """Write down what an outage kept from being written, before anything is taken in hand again."""
        while self._late:
            self._settle(*self._late[0])
            with self._lock:
                self._late.pop(0)


def _log(notice: Notice) -> None:
    """One line of JSON for each thing told of."""
    told = {"event": notice.kind, "account": notice.account_id, "owner": notice.owner_id, "key": notice.key_id}
    log.info("%s", json.dumps(told | {"detail": dict(notice.detail)}, sort_keys=True))


def _log_trouble(delivery: Delivery, attempt: Attempt) -> None:
    """What went wrong, without the address."""
    what = f"{delivery.means.value} {delivery.id}: {attempt.result.value} ({attempt.said})"
    log.warning("%s, attempt %d, now %s", what, delivery.attempts, delivery.state.value)
