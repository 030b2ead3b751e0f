"""How nodes on one PostgreSQL database tell one another quickly: its NOTIFY (F14).

Nothing depends on it but speed.  Where it fails, leases and a look at the database every now and then are enough.
Whoever may connect to the database may notify, also without a right to a single table: so what a node says of itself
is sealed with a key of the pepper's, and anything else is no hint.  The driver is imported with this.
"""

import contextlib
import json
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from hmac import compare_digest
from hmac import digest as hmac_digest
from typing import Any, Final

import psycopg

from keyturn.store.database import LIBPQ
from keyturn.store.hints import Hearer
from keyturn.store.transaction import CHANNEL

_LISTEN_SECONDS: Final = 0.5
_RETRY_SECONDS: Final = 0.5
log = logging.getLogger("keyturn")


class PostgresHints:
    """Speaks on one connection and listens on another; each is opened again when it breaks."""

    def __init__(self, address: str, seals: Sequence[bytes]) -> None:
        """`address` as libpq takes it; sealed with the first of `seals`, believed by any of them."""
        self._address = address
        self._seals = tuple(seals)
        self._due: tuple[str, int, int, int] | None = None
        self._wake = threading.Event()
        self._stopping = threading.Event()

    def acknowledged(self, instance: str, *, epoch: int, rev: int, at: int) -> None:
        """Tell the others, from a thread of its own: who acknowledges must not wait for the database."""
        self._due = (instance, epoch, rev, at)  # a later one says all that an earlier one did
        self._wake.set()

    @contextlib.contextmanager
    def running(self, hearer: Hearer) -> Iterator[None]:
        """Threads that speak and listen until the block ends."""
        hears = partial(self._listen, hearer=hearer)
        threads = [
            threading.Thread(target=self._keep, args=(self._speak,), name="hints out", daemon=True),
            threading.Thread(target=self._keep, args=(hears,), name="hints in", daemon=True),
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            self._wake.set()
            for thread in threads:
                thread.join()

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self._address, autocommit=True, application_name="keyturn hints", **LIBPQ)

    def _speak(self, connection: psycopg.Connection[Any]) -> None:
        while not self._stopping.is_set():
            self._wake.wait()
            self._wake.clear()
            due, self._due = self._due, None
            if due is not None:
                said = json.dumps(due)
                payload = f"{_seal(self._seals[0], said).hex()} {said}"
                connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, payload))

    def _listen(self, connection: psycopg.Connection[Any], hearer: Hearer) -> None:
        connection.execute(f"LISTEN {CHANNEL}".encode())
        hearer.feed_moved()  # what was told before nobody listened
        while not self._stopping.is_set():
            for told in connection.notifies(timeout=_LISTEN_SECONDS):
                self._pass_on(hearer, told.payload)

    def _keep(self, work: Callable[[psycopg.Connection[Any]], None]) -> None:
        """Do it on one connection after the other, as they break."""
        while not self._stopping.is_set():
            try:
                with self._connect() as connection:
                    work(connection)
            except psycopg.Error as error:
                log.debug("hints: %s", type(error).__name__)
                self._stopping.wait(_RETRY_SECONDS)

    def _pass_on(self, hearer: Hearer, payload: str) -> None:
        """An acknowledgement that was forged would have a stop confirmed too early (F0); one that is repeated, not."""
        if payload == "feed":
            hearer.feed_moved()
            return
        shown, _, said = payload.partition(" ")
        if any(compare_digest(_seal(one, said).hex().encode(), shown.encode()) for one in self._seals):
            instance, epoch, rev, at = json.loads(said)
            hearer.acknowledged(instance, epoch=epoch, rev=rev, at=at)


def _seal(key: bytes, said: str) -> bytes:
    return hmac_digest(key, said.encode(), "sha256")
