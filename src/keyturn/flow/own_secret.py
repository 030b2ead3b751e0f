"""Customers' own secrets where they cost time (R42c): when they are brought, and when one is shown the first time.

Outside any transaction: an Argon2id takes longer than a transaction may.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import timedelta
from threading import Lock
from typing import Final, Protocol

from keyturn.core import own_secret
from keyturn.core.actor import Actor
from keyturn.core.limit import Limit
from keyturn.core.own_secret import LONGEST, Brought
from keyturn.core.secret import Pepper, SecretText, fingerprint
from keyturn.flow import reset as resets
from keyturn.flow.new_key import KeyWish, may_bring_secret
from keyturn.ports.store import Store
from keyturn.ports.stretcher import Stretcher
from keyturn.verify.counters import Counters
from keyturn.verify.memory import Fill

FAILURES: Final = Limit(requests=10, window=timedelta(minutes=1))
"""How many wrong secrets a label takes at once; the next ones wait."""
MOST_LABELS: Final = 10_000
NOT_RECKONED: Final = Brought(made=None)


class Authority(Store, Protocol):
    """The store, and the look-up of a stretched secret."""

    def lookup_own(self, stretched: bytes) -> Fill: ...


class TooManyFailures(Exception):  # noqa: N818  # a "no" on its way past the verifier
    """So many wrong secrets came for this label that the next one waits."""

    def __init__(self, wait: int) -> None:
        super().__init__()
        self.wait = wait
        """Microseconds."""


class OwnSecrets:
    """One per node."""

    def __init__(self, store: Authority, stretcher: Stretcher, *, peppers: Sequence[Pepper], deployment: str) -> None:
        self._store = store
        self._stretcher = stretcher
        self._peppers = peppers
        self._deployment = deployment
        self._failures = Counters(MOST_LABELS)
        self._under_way: dict[tuple[int, bytes], Future[bytes]] = {}
        self._lock = Lock()

    # Bringing one

    def for_new_key(self, text: SecretText, *, actor: Actor, wish: KeyWish, brand: str) -> Brought:
        """What `flow.new_key.create` takes as `bring`.  Slow; where it could not be taken, nothing is reckoned."""
        try:
            prefix = own_secret.prefix(brand, wish.label)
        except ValueError:
            return NOT_RECKONED
        if not self._store.read(lambda tx: may_bring_secret(tx, actor=actor, wish=wish)):
            return NOT_RECKONED
        return self._reckon(text, prefix=prefix, label=wish.label, known=(brand, wish.label, wish.name))

    def for_reset(self, text: SecretText, *, actor: Actor, key_id: str = "", reset_id: str = "") -> Brought:
        """What `flow.reset.ask` takes as `bring` for this key, and `flow.reset.mint` for this reset.  Slow as well."""
        key = self._store.read(lambda tx: resets.may_bring_secret(tx, actor=actor, key_id=key_id, reset_id=reset_id))
        if key is None:
            return NOT_RECKONED
        return self._reckon(text, prefix=key.brand, label=key.label, known=(key.brand, key.label, key.name))

    def _reckon(self, text: SecretText, *, prefix: str, label: str, known: Sequence[str]) -> Brought:
        """The same work for any text that is not too long: neither its time nor its answer tells weak from taken."""
        secret = text.reveal
        if len(secret) > LONGEST:
            return NOT_RECKONED
        presented = f"{prefix}_{secret}"
        score, bits = self._stretcher.estimate(secret, known=known)
        stretched = self._stretcher.stretch(fingerprint(presented), own_secret.salt(self._deployment, label))
        again = self._stretcher.stretch(fingerprint(secret), own_secret.seen_salt(self._deployment))
        seen = tuple(own_secret.seen_at_rest(again, pepper) for pepper in self._peppers)
        return Brought(
            made=own_secret.keep(stretched, prefix=prefix, seen=seen[0], pepper=self._peppers[0]),
            seen=seen,
            is_strong=own_secret.is_strong(secret, presented=presented, score=score, bits=bits),
        )

    # Showing one

    def lookup(self, label: str, *, now: int) -> Callable[[bytes], Fill]:
        """For one request at `now`: what a verifier needs of the own secret with this SHA-256 (F4).

        Only a known label costs an Argon2id, and however often it is asked and by however many at once, only one.
        Raises StoreUnavailable, StoreBusy or TooManyFailures.
        """
        stretched = b""

        def ask(presented: bytes) -> Fill:
            nonlocal stretched
            if not stretched:
                number, rev, epoch = self._store.read(lambda tx: (tx.own_label(label), tx.rev, tx.epoch))
                if number is None:
                    return Fill(rev=rev, epoch=epoch)
                stretched = self._stretched(number, presented, own_secret.salt(self._deployment, label), now)
            # Read anew by each, after its request began (F0); what is shared is only reckoned.
            return self._store.lookup_own(stretched)

        return ask

    def _stretched(self, number: int, presented: bytes, salt: bytes, now: int) -> bytes:
        """Reckon, unless the same is being reckoned.  What turns out to be nobody's counts against its label."""
        with self._lock:
            shared = self._under_way.get((number, presented))
            mine = shared or Future[bytes]()
            self._under_way[number, presented] = mine
        if shared is not None:
            return shared.result()
        try:
            mine.set_result(self._attempt(number, presented, salt, now))
        except BaseException as error:
            mine.set_exception(error)
            raise
        finally:
            with self._lock:
                del self._under_way[number, presented]
        return mine.result()

    def _attempt(self, number: int, presented: bytes, salt: bytes, now: int) -> bytes:
        # Counted beforehand, so that many at once do not all pass; given back to whoever was right.
        wait = self._failures.take(number, FAILURES.interval_micros, FAILURES.window_micros, now)
        if wait:
            raise TooManyFailures(wait)
        stretched = self._stretcher.stretch(presented, salt)
        if self._store.lookup_own(stretched).state is not None:
            self._failures.undo(number, FAILURES.interval_micros)
        return stretched
