"""A node's place in the fleet: its lease, its verifiers' leases, what it acknowledges for all of them (F2, F7)."""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from keyturn.core.feed import FeedEntry
from keyturn.core.instant import to_micros
from keyturn.core.lease import (
    AHEAD,
    FOR_GOOD,
    LAPSED,
    LONGEST_FENCE,
    Denial,
    Grant,
    Lease,
    Renewal,
    Terms,
    everybody_lost,
)
from keyturn.flow.follow import Unfollowed, entries_beyond
from keyturn.ports.hints import Hints
from keyturn.ports.store import Store, StoreUnavailable
from keyturn.ports.transaction import Transaction
from keyturn.verify.granter import Granter
from keyturn.verify.holder import Alarm, Holder
from keyturn.verify.recent import Recent
from keyturn.verify.verifier import Verifier

MOST_ENTRIES: Final = 10_000
"""A holder that is further behind than this drops everything instead."""
SILENT: Final = 3 * LONGEST_FENCE
"""Microseconds after which whoever is on record is gone: longer than any lease, and than a server that was away."""
_UNSEEN: Final = 5_000_000
"""Microseconds without a look at the leases after which nobody counts as silent: others may not have seen it either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """Microseconds of the boot-time clock, and of this machine's wall clock, which is only compared with itself."""

    boot: Callable[[], int]
    wall: Callable[[], int]
    machine: Callable[[], str]
    """The id of this boot of this machine; empty where there is none."""


class Membership:
    """Safe to share between threads.  Every method may raise StoreUnavailable unless it says otherwise."""

    def __init__(
        self,
        store: Store,
        verifier: Verifier,
        recent: Recent,
        *,
        instance: str,
        name: str,
        terms: Terms,
        clocks: Clocks,
        hints: Hints,
        has_its_clock: bool = False,
    ) -> None:
        self.instance = instance
        self.name = name
        self.boot = clocks.boot
        self.holder = Holder(verifier, instance=instance, terms=terms, name=name, has_its_clock=has_its_clock)
        self.granter = Granter(terms)
        self.moved = threading.Condition()
        """Notified whenever somebody, here or elsewhere, may have acknowledged more."""
        self.recent = recent
        self.holders = 1
        """How many decide on requests: nodes and verifiers, as of the last renewal."""
        self.leaving = False
        """Whether the streams of its verifiers are to end."""
        self.lengthened: Callable[[int], None] = lambda _lasts: None
        """Told for how long leases are going to last, before one is given by longer terms."""
        self._store = store
        self._verifier = verifier
        self._clocks = clocks
        self._hints = hints
        self._renewing = threading.Lock()
        self._counter = 0
        self._recorded = (0, 0)  # the counter that is on record, and before when nobody can have waited it out
        self._affirms: tuple[int, str] | None = None  # from when on, and of which server
        self._server = ""
        self._until = 0
        self._told = (0, 0)
        self._grants = False
        self._published: frozenset[str] = frozenset()
        self._seen: dict[str, tuple[tuple[int, str], int]] = {}  # by instance what was read of it, and since when
        self._looked = 0  # when they were looked at last
        self._listeners: list[Callable[[], object]] = []

    @property
    def terms(self) -> Terms:
        """What leases are given by from now on.  Raises nothing."""
        return self.granter.terms

    @property
    def estranged(self) -> bool:
        """Whether it has applied what the authority has lost, and the epoch is not raised yet.  Raises nothing."""
        return self._verifier.estranged

    def renew(self) -> None:
        """Get a lease from the authority, or a longer one; and remove the records of those who are gone (F2, F5)."""
        with self._renewing:
            clocks = self._clocks
            renewal = self.holder.renewal(
                clocks.boot(), wall=clocks.wall(), machine=clocks.machine(), acked_rev=self.acked()
            )
            self._record(renewal.acked_rev)
            # In a snapshot of its own, begun after the record was committed: who scans the leases after its commit
            # either finds this one, or this reading finds the commit.
            read_after = self.boot()
            grant, leases, terms = self._store.read(lambda tx: (self._grant(tx, renewal), tx.leases(), tx.terms()))
            if isinstance(grant, Denial):
                self.holder.denied(grant)
            else:
                self.holder.granted(grant, self.boot(), read_after=read_after)
            self._until = max(self._until, self.holder.deadline + 2 * self.terms.margin)
            if terms.fence > self.terms.fence:
                self.lengthened(terms.fence)
            self._server = next((one.read_from for one in leases), "")
            # From the next record on, which says how long a lease by them lasts before one is given.
            self.holder.terms = self.granter.terms = terms
        self.holders = sum(1 + len(one.verifiers) for one in leases if one.acked_rev != FOR_GOOD)
        self.applied()
        self._sweep(leases)

    def is_forgotten(self, leases: Sequence[Lease], *, recorded: int) -> bool:
        """Whether of what was on record of this node before those were read a part is not there.  Raises nothing.

        It was waited out, or the database was put back: then others may be missing from it as well (F9).
        """
        return recorded > next((one.counter for one in leases if one.instance == self.instance), 0)

    @property
    def recorded(self) -> int:
        """The counter that is on record at the least.  Raises nothing."""
        return self._recorded[0]

    def rejoin(self) -> None:
        """Renew as one whom the database had forgotten, or not known yet: it may have been put back before that."""
        self.renew()
        self._affirms = self.boot() + LONGEST_FENCE, self._server

    def affirm(self) -> None:
        """Say of the database that it need not be taken for one that was put back, for whoever begins alone later (F9).

        Who has joined may say so once every lease is over that anybody can have been given before, in a time that is
        lost.  Without that, whoever begins could not tell.
        """
        if self._affirms is None or self.estranged:
            return
        (at, server), recorded = self._affirms, self.recorded

        def say(tx: Transaction) -> bool:
            leases = tx.leases()
            is_known = not self.is_forgotten(leases, recorded=recorded)
            if is_the_one := is_known and {one.read_from for one in leases} == {server}:
                tx.take_over()
            return is_the_one

        if self.boot() >= at:
            is_said = self._store.change(say)
            self._affirms = None if is_said else (self.boot() + LONGEST_FENCE, self._server)

    def publish(self, instance: str) -> None:
        """Put on record that this node grants, and to whom, before it does: what a dead node leaves has to be known."""
        if not self._grants or instance not in self._published:
            self._grants = True
            self.renew()

    def estrange(self) -> None:
        """The authority has lost what was applied here: memory decides nothing until the epoch is raised (F9)."""
        with self._renewing:
            self.holder.estrange()

    def leave(self) -> None:
        """The node has stopped answering: where no verifier of its own holds a lease, nobody need wait for it (F5)."""
        with self._renewing:
            self.holder.deadline = 0
            if self.granter.next_end(self.boot()) is None:
                self._record(FOR_GOOD)

    def acked(self) -> int:
        """What this node and all its verifiers decide by.  Raises nothing."""
        applied = self._verifier.applied_rev  # first: a verifier recorded later gets all of it (F7)
        return self.granter.acked(epoch=self._verifier.epoch, applied_rev=applied, boot=self.boot())

    def acknowledged(self, instance: str, *, epoch: int, rev: int) -> None:
        """A verifier of this node's decides by everything up to `rev`.  Raises nothing."""
        self.granter.acknowledged(instance, epoch=epoch, rev=rev)
        self.tell()

    def applied(self, _entries: Sequence[FeedEntry] = ()) -> None:
        """The feed may have gone on here: for the verifiers' streams, and for whoever waits.  Raises nothing."""
        for listener in tuple(self._listeners):
            listener()
        self.tell()

    def listen(self, listener: Callable[[], object]) -> Callable[[], None]:
        """Have `listener` called after entries were applied; answers how to end that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def knows_lost(self, applied: tuple[int, int], *, epoch: int) -> bool | None:
        """Whether the authority knows no such entry, which somebody has applied in that epoch (F9).

        None where the database has to be asked: this node began later than that, or has not come so far yet.
        """
        rev, at = applied
        if not rev or epoch != self._verifier.epoch:
            return False
        known = self.recent.at(rev)
        return None if known is None else known != at

    def has_lost(self, applied: tuple[int, int], *, epoch: int) -> bool:
        """The same, asking the database where it has to be asked.  Raises StoreUnavailable."""
        known = self.knows_lost(applied, epoch=epoch)
        if known is not None:
            return known
        return entries_beyond(applied, self._store.feed_after, limit=0) is Unfollowed.LOST

    def grant(self, renewal: Renewal, terms: Terms, *, is_lost: bool = False) -> Grant | Denial:
        """Answer a verifier, in the order that F7 asks for.  It is on record as asking already.  Raises nothing.

        `terms` are those it was told last: it takes no longer lease.  `is_lost`: what it has applied last.
        """
        denied = Denial(nonce=renewal.nonce, reason=LAPSED)
        if self.leaving:
            return denied
        if self.estranged or is_lost:
            # What its verifiers have applied is of the same past: they keep what they know as stopped, as it does (F9).
            return Denial(nonce=renewal.nonce, reason=AHEAD)
        deadline, epoch = self.holder.deadline, self._verifier.epoch
        length = self.granter.granted(renewal.instance, deadline=deadline, boot=self.boot())
        if not length:
            return denied
        rev, entries = self.recent.after(renewal.applied_rev)
        known_at, at = self.recent.at(renewal.applied_rev), self.recent.at(rev)
        if self._verifier.epoch != epoch or self.holder.deadline < deadline or at is None:
            return denied  # this node has begun anew meanwhile, or gone on; the next try begins with it
        is_known = renewal.epoch == epoch and known_at is not None
        is_of_another_past = is_known and known_at != renewal.applied_at
        if is_of_another_past or (renewal.epoch, renewal.applied_rev) > (epoch, rev):
            return Denial(nonce=renewal.nonce, reason=AHEAD)
        anew = entries is None or not is_known  # which entry it has applied cannot be told any more
        time, width = self.holder.time(self.boot())
        return Grant(
            nonce=renewal.nonce,
            length=min(length, terms.length),
            epoch=epoch,
            rev=rev,
            entries=() if anew or entries is None else entries,
            time=time,
            at=at,
            width=width,
            anew=anew,
        )

    def end_streams(self) -> None:
        """Have every verifier go to another node.  Raises nothing."""
        self.leaving = True
        self.applied()

    def tell(self) -> None:
        """Tell the others how far this node has come, where that is further than before.  Raises nothing."""
        epoch, acked = self._verifier.epoch, self.acked()
        with self.moved:
            further = (epoch, acked) > self._told
            self._told = max(self._told, (epoch, acked))
            self.moved.notify_all()
        if further:
            self._hints.acknowledged(self.instance, epoch=epoch, rev=acked, at=self.recent.at(acked) or 0)

    def standing(self) -> Lease:
        """What would be put on record now.  Raises nothing."""
        epoch = self._verifier.epoch  # first: what it acknowledges in one epoch is never told as of a later one
        return self._lease(epoch, self.acked())

    def silent_for(self, lease: Lease) -> int:
        """Microseconds since this node has seen a renewal of that lease; 0 where it is new to it.  Raises nothing."""
        seen, since = self._seen.get(lease.instance, ((-1, ""), 0))
        return self.boot() - since if seen == (lease.counter, lease.read_from) else 0

    def _lease(self, epoch: int, acked_rev: int) -> Lease:
        return Lease(
            instance=self.instance,
            counter=self._counter,
            # What is held may have been given by longer terms.  What was granted ends before it does (F7).
            lasts=max(self.terms.fence, self._until - self.boot()),
            epoch=epoch,
            acked_rev=acked_rev,
            applied_rev=self._verifier.applied_rev,
            name=self.name,
            grants=self._grants,
            verifiers=self.granter.attached(self.boot()),
        )

    def _record(self, acked_rev: int) -> None:
        self._counter += 1
        began = self.boot()
        applied = self._verifier.applied  # first: in it is all that is acknowledged
        lease = self._lease(self._verifier.epoch, acked_rev)  # it rises in `renew` alone

        def put_on_record(tx: Transaction) -> bool:
            is_put_back = self._note_lost(tx, lease)
            _put_on_record(tx, lease=lease, applied=applied)
            return is_put_back

        if self._store.change(put_on_record):
            self.holder.alarms.append(Alarm.PUT_BACK)
        self._recorded = lease.counter, began + self.terms.length
        self._published = frozenset(one.instance for one in lease.verifiers)

    def _note_lost(self, tx: Transaction, lease: Lease) -> bool:
        """Have a next stop wait for whoever else is missing, where this node is; whether the database was put back.

        Who was silent for a lease may just have been waited out.  Else others may have been given longer leases in the
        time that was lost, and this node not have heard of it.
        """
        leases, (counter, until) = tx.leases(), self._recorded
        if not self.is_forgotten(leases, recorded=counter):
            return False
        is_there = any(one.instance == self.instance for one in leases)
        is_put_back = is_there or self.boot() <= until
        known = max(lease.lasts, tx.terms().fence, *(one.lasts for one in leases), 0)
        lasts = max(known, LONGEST_FENCE) if is_put_back else known
        tx.renew_lease(everybody_lost(tx.epoch, noticed_by=self.instance, counter=lease.counter, lasts=lasts))
        return is_put_back

    def _grant(self, tx: Transaction, renewal: Renewal) -> Grant | Denial:
        applied = renewal.applied_rev, renewal.applied_at
        follows = renewal.epoch == tx.epoch
        entries = entries_beyond(applied, tx.feed_after, limit=MOST_ENTRIES + 1) if follows else ()
        if entries is Unfollowed.LOST or (entries is Unfollowed.TRIMMED and self.estranged):
            return Denial(nonce=renewal.nonce, reason=AHEAD)
        too_far_behind = isinstance(entries, Unfollowed) or len(entries) > MOST_ENTRIES
        return Grant(
            nonce=renewal.nonce,
            length=self.terms.length,
            epoch=tx.epoch,
            rev=tx.rev,
            entries=() if isinstance(entries, Unfollowed) or too_far_behind else tuple(entries),
            time=to_micros(tx.now),
            at=to_micros(tx.feed_after(tx.rev - 1, limit=1)[0].at),
            anew=too_far_behind,
        )

    def _sweep(self, leases: Sequence[Lease]) -> None:
        """Whoever is gone is taken off the record, once nobody answers any more by what it was granted (F5, F12).

        It was silent for long, to one and the same server: another one may not have heard of its last renewals (F9).
        Where this node has not looked for as long as a lease, others may not have been able to renew either.
        """
        boot = self.boot()
        if boot - self._looked > max(self.terms.length, _UNSEEN):
            self._seen = {}
        self._looked = boot
        before, self._seen = self._seen, {}
        for one in leases:
            now = one.counter, one.read_from
            seen, since = before.get(one.instance, (now, boot))
            self._seen[one.instance] = now, since if seen == now else boot
            longest = max((each.stale for each in one.verifiers), default=0)
            if one.instance != self.instance and boot - self._seen[one.instance][1] >= SILENT + longest:
                self._remove(one)

    def _remove(self, lease: Lease) -> None:
        with suppress(StoreUnavailable):  # a later look removes it
            self._store.change(
                lambda tx: tx.remove_lease(lease.instance, counter=lease.counter, read_from=lease.read_from)
            )


def _put_on_record(tx: Transaction, *, lease: Lease, applied: tuple[int, int]) -> None:
    """What is of a past that the database has lost is no acknowledgement of what has come in its place (F9).

    Nor is what is no longer kept: whose past that is of cannot be told, and its holder begins anew (F11).
    """
    follows = lease.epoch != tx.epoch or not isinstance(entries_beyond(applied, tx.feed_after, limit=1), Unfollowed)
    tx.renew_lease(lease if follows or lease.acked_rev == FOR_GOOD else replace(lease, acked_rev=0), anew=not follows)
