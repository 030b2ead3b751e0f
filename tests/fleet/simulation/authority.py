"""The primary database, in memory: keys, feed, lease rows, epoch; and a node's connection to it (F1, F2, F5, F9).

As far as nodes can see it does what `keyturn.store` does: a transaction commits whole at one moment, every change of
what may be accepted appends to the feed in it, and a reading is of one snapshot.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar, cast

from keyturn.core.feed import FeedEntry, KeyState, Predicate
from keyturn.core.instant import from_micros, to_micros
from keyturn.core.lease import Lease, Scan, Terms, epoch_after, everybody_before
from keyturn.ports.store import StoreUnavailable
from keyturn.ports.transaction import Transaction
from keyturn.verify.memory import Fill
from tests.fleet.simulation.clockwork import Clockwork, Machine
from tests.verify.states import NOW, digest, key, version

T = TypeVar("T")


@dataclass(frozen=True)
class Snapshot:
    """What the database holds at one moment."""

    keys: dict[int, KeyState] = field(default_factory=dict)
    feed: tuple[FeedEntry, ...] = ()
    leases: dict[str, Lease] = field(default_factory=dict)
    epoch: int = 1

    @property
    def rev(self) -> int:
        return len(self.feed)


class Reading:
    """`ports.transaction.Transaction`'s questions, those that leases and verifications ask, about one snapshot."""

    def __init__(self, seen: Snapshot, micros: int, terms: Terms) -> None:
        self.seen = seen
        self.now = from_micros(micros)
        self._terms = terms

    @property
    def rev(self) -> int:
        return self.seen.rev

    @property
    def epoch(self) -> int:
        return self.seen.epoch

    def terms(self) -> Terms:
        return self._terms

    def leases(self) -> Sequence[Lease]:
        return tuple(self.seen.leases.values())

    def feed_after(self, rev: int, *, limit: int) -> Sequence[FeedEntry]:
        return self.seen.feed[rev : rev + limit]


class Writing(Reading):
    """The same and what is written, which is there at once for whoever begins to read after it."""

    def renew_lease(self, lease: Lease, *, anew: bool = False) -> None:
        had = self.seen.leases.get(lease.instance)
        if not anew and had is not None and had.epoch == lease.epoch:
            lease = replace(lease, acked_rev=max(had.acked_rev, lease.acked_rev))
        self.seen = replace(self.seen, leases=self.seen.leases | {lease.instance: lease})

    def remove_lease(self, instance: str, *, counter: int, read_from: str) -> bool:
        del read_from  # there is but one
        had = self.seen.leases.get(instance)
        if had is None or had.counter != counter:
            return False
        self.seen = replace(self.seen, leases={one: its for one, its in self.seen.leases.items() if one != instance})
        return True

    def put(self, state: KeyState) -> None:
        """A key as it is from now on."""
        self._append({state.number: state}, state)

    def suspend_all(self, account_id: str) -> list[int]:
        """Every key of an account, by one entry (F11)."""
        changed = {
            number: replace(state, suspended=True)
            for number, state in self.seen.keys.items()
            if state.account_id == account_id
        }
        self._append(changed, Predicate(account_id=account_id))
        return list(changed)

    def _append(self, changed: dict[int, KeyState], change: KeyState | Predicate) -> None:
        follows = self.seen.feed[-1].at if self.seen.feed else None
        entry = FeedEntry(rev=self.rev + 1, at=self.now, change=change, follows=follows)
        self.seen = replace(self.seen, keys=self.seen.keys | changed, feed=(*self.seen.feed, entry))


class Network(Protocol):
    """What a node's way to the database may do to it."""

    def delay(self) -> int: ...
    def database_fails(self) -> bool: ...
    def committed(self) -> None: ...


class Authority:
    """The database itself."""

    def __init__(self, clockwork: Clockwork, terms: Terms) -> None:
        self.clockwork = clockwork
        self.terms = terms
        self.seen = Snapshot()
        self.away_until = 0
        self.backup = self.seen

    @property
    def micros(self) -> int:
        """Its time of day."""
        return NOW + self.clockwork.now

    def writing(self) -> Writing:
        """A transaction that may write; whoever opens one commits it without a rest in between."""
        return Writing(self.seen, self.micros, self.terms)

    def reading(self) -> Reading:
        """One that may not."""
        return Reading(self.seen, self.micros, self.terms)

    def mint(self, number: int, *, account_id: str, starts: int = 0, stops: int | None = None) -> None:
        """A key whose secret is accepted from `starts` to `stops`, microseconds from now."""
        at = from_micros(self.micros + starts)
        secret = version(starts_at=at, dangerous_starts_at=at)
        if stops is not None:
            secret = replace(secret, stops_at=from_micros(self.micros + stops))
        tx = self.writing()
        tx.put(key(number, account_id=account_id, secrets=(secret,)))
        self.seen = tx.seen

    def restore(self, *, raise_epoch: bool) -> None:
        """Put the backup in its place, and begin a new epoch where somebody has thought of it (F9)."""
        self.seen = replace(self.backup, epoch=max(self.backup.epoch, self.seen.epoch))
        if raise_epoch:
            self.raise_epoch()

    def raise_epoch(self) -> None:
        """`Transaction.raise_epoch`."""
        epoch = epoch_after(self.seen.epoch, now=from_micros(self.micros))
        longest = max((one.lasts for one in self.seen.leases.values()), default=0)
        everybody = everybody_before(epoch, lasts=max(self.terms.fence, longest))
        self.seen = replace(self.seen, epoch=epoch, leases=self.seen.leases | {everybody.instance: everybody})


class Connection:
    """`ports.store.Store` of one node, and its look-up of a secret that memory does not know."""

    def __init__(self, authority: Authority, machine: Machine, network: Network) -> None:
        self.follow: Callable[[Sequence[FeedEntry]], None] = lambda _: None
        """Told of what this node has committed, before `change` returns."""
        self.cut_until = 0
        self._authority = authority
        self._machine = machine
        self._network = network

    def change(self, flow: Callable[[Transaction], T]) -> T:
        self._travel()
        tx = self._authority.writing()
        result = flow(cast("Transaction", tx))
        before, self._authority.seen = self._authority.seen.rev, tx.seen
        entries = tx.seen.feed[before:]
        if entries:
            self._network.committed()
        self._travel()
        if entries:
            self.follow(entries)
        return result

    def read(self, query: Callable[[Transaction], T]) -> T:
        self._travel()
        result = query(cast("Transaction", self._authority.reading()))
        self._travel()
        return result

    def scan(self, rev: int) -> Scan:
        self._travel()
        seen = self._authority.seen
        self._travel()
        written = to_micros(seen.feed[rev - 1].at) if 0 < rev <= seen.rev else None
        return Scan(leases=tuple(seen.leases.values()), epoch=seen.epoch, rev=seen.rev, written_at=written)

    def feed_after(self, rev: int, *, limit: int) -> Sequence[FeedEntry]:
        return self.read(lambda tx: tx.feed_after(rev, limit=limit))

    def lookup(self, fingerprint: bytes) -> Fill:
        """What a verifier needs of the secret with this SHA-256 (F4)."""
        self._travel()
        tx = self._authority.reading()
        state = next((one for one in tx.seen.keys.values() if digest(one.number) == fingerprint), None)
        self._travel()
        return Fill(rev=tx.rev, state=state, version=1 if state else 0, time=to_micros(tx.now), epoch=tx.epoch)

    def _travel(self) -> None:
        clockwork = self._authority.clockwork
        clockwork.sleep(self._network.delay())
        if max(self.cut_until, self._authority.away_until) > clockwork.now or self._network.database_fails():
            raise StoreUnavailable
