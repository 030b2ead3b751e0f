"""Confirming a stop: waiting, after the commit, until nobody is left who decides as before (F5)."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from keyturn.core.lease import Attached, Lease, Scan
from keyturn.flow.confirmation import AWAY, ESTRANGED, LEFT, LOST, UNLEASED, Confirmation, Progress
from keyturn.flow.membership import Membership
from keyturn.flow.wait import Wait, Waits
from keyturn.ports.store import Store, StoreUnavailable
from keyturn.verify.fence import Fence

MOST_LOOKED_AT: Final = 1000
_LOOKS: Final = 2
_SOON: Final = 5_000_000
"""Microseconds: longer than a connection is tried for, and less than a silent database is waited for."""


class Confirming:
    """The fences of one node.  Safe to share between threads."""

    def __init__(self, store: Store, membership: Membership, *, epoch: Callable[[], int]) -> None:
        self._store = store
        self._membership = membership
        self._waits = Waits(store, membership, epoch=epoch)
        self._looked: OrderedDict[int, Fence] = OrderedDict()
        self._lock = threading.Lock()

    def confirm(self, rev: int, *, epoch: int) -> Confirmation:
        """Wait until everybody decides by `rev`, at most for a fence.  Raises nothing: what is in the way is said.

        Whoever has a thread to spare watches by itself; others `begin`, wait for what that gives, and `end`.
        """
        wait = self._begin(rev, epoch=epoch)
        self._waits.watch(wait.over)
        return self.end(wait)

    def begin(self, rev: int, *, epoch: int) -> Wait:
        """Scan the leases, after the commit, and begin to wait.  Raises nothing.

        `epoch` is the one it was committed in.  In another one it may be of a past that was lost, however far the
        authority has come again: this process may have stood still in between (F9).
        """
        wait = self._begin(rev, epoch=epoch)
        self._waits.keep(wait.over)
        return wait

    def _begin(self, rev: int, *, epoch: int) -> Wait:
        began = self._membership.boot()
        fence, lost = None, LOST
        try:
            found = self._scan_soon(rev)
            fence = found if found.epoch == epoch else None
        except StoreUnavailable:
            lost = AWAY
        wait = Wait(rev=rev, epoch=epoch, began=began, fence=fence, lost="" if fence else lost)
        wait.over.set_running_or_notify_cancel()  # whoever gives up leaves it as it is
        if fence is None:
            wait.over.set_result(False)
        else:
            self._waits.begin(wait.over, fence)
        return wait

    def end(self, wait: Wait) -> Confirmation:
        """What came of a wait that is over.  Raises nothing."""
        fence = wait.fence
        if fence is None:
            return Confirmation(rev=wait.rev, epoch=wait.epoch, confirmed=False, reason=wait.lost)
        lost = self._lost(fence) if wait.over.result() else ""
        made = self._settle(fence, wait.began, lost=lost)
        for lease in fence.pending:
            self._remove(lease)
        return made

    def unended(self, wait: Wait) -> Confirmation:
        """The same where the database does not answer, so that nothing can be confirmed.  Asks it nothing."""
        return self._settle(wait.fence, wait.began, lost=AWAY) if wait.fence else self.end(wait)

    def left(self, wait: Wait) -> Confirmation:
        """The same where this node ends before that: whoever has not acknowledged was not waited out."""
        made = self._settle(wait.fence, wait.began, lost=LEFT) if wait.fence else self.end(wait)
        return replace(made, waited_out=())

    def heard(self, instance: str, *, epoch: int, rev: int, at: int) -> None:
        """Another node has told how far it has come, and when the last entry of that was written.  Raises nothing."""
        self._waits.heard(instance, epoch=epoch, rev=rev, at=at)

    def look(self, rev: int) -> Progress:
        """How far the fence of `rev` has come, without waiting for it.  Raises StoreUnavailable.

        Who looks for the first time begins it: from then on it is over after a fence at the latest.
        """
        fence = self._scan(rev)
        with self._lock:
            known = self._looked.get(rev)
            if known is None or (known.epoch, known.written_at) != (fence.epoch, fence.written_at):
                # By that number there may be another change by now, of another past (F9).
                self._looked.pop(rev, None)
                while len(self._looked) >= MOST_LOOKED_AT:
                    self._looked.popitem(last=False)
                self._looked[rev] = known = fence
        self._waits.tell(known, fence.leases, newest=fence.newest)
        return self._progress(known, seen=fence)

    def running(self) -> Sequence[Progress]:
        """Every fence that is being waited for here, the oldest first.  Raises nothing."""
        return [self._progress(one, seen=one) for one in self._waits.running()]

    def _progress(self, fence: Fence, *, seen: Fence) -> Progress:
        """`seen` has the leases as they were read last."""
        member = self._membership
        boot = member.boot()
        is_over = fence.is_over(boot)
        late = tuple(self._late(fence))
        verifiers = self._verifiers(fence)
        unleased = _unleased(self._verifiers(seen))
        return Progress(
            rev=fence.rev,
            acknowledged=_acknowledged(verifiers, late, fence.rev),
            of=_everybody(verifiers),
            ends_in=0 if is_over else fence.ends_at - boot,
            waiting_for=() if is_over else late,
            waited_out=late if is_over else (),
            unleased=unleased,
            reason=self._reason(fence, unleased),
        )

    def _scan(self, rev: int) -> Fence:
        member = self._membership
        before = member.standing()
        known_at = member.recent.at(rev)
        scan = self._scanned(rev)
        epoch, newest = scan.epoch, scan.rev
        # What this node had applied before it looked cannot be news to the authority, unless that has lost a part of
        # its past (F9): then nothing that was applied here counts, and this node is waited for like any other.
        # An entry that is not there, but not above the newest, is just no longer kept (F11).
        is_kept = scan.written_at is not None or rev > newest
        is_another = is_kept and known_at is not None and known_at != scan.written_at
        estranged = before.epoch == epoch and (before.applied_rev > newest or is_another)
        own = replace(before, acked_rev=0) if estranged else member.standing()
        leases = [own if one.instance == own.instance else one for one in scan.leases]
        # Read after the scan: whoever was granted a lease before it counts from before it too.
        fence = Fence(leases, rev=rev, epoch=epoch, newest=newest, scanned_at=member.boot())
        fence.estranged, fence.written_at = estranged, scan.written_at
        return fence

    def _scan_soon(self, rev: int) -> Fence:
        """The same, asked again where that failed at once: a connection may be lost, and the next one made."""
        began = self._membership.boot()
        try:
            return self._scan(rev)
        except StoreUnavailable:
            if self._membership.boot() - began > _SOON:
                raise
            return self._scan(rev)

    def _scanned(self, rev: int) -> Scan:
        """The leases, where this node's own is among them as it was recorded: else others may be missing too (F9)."""
        member = self._membership
        for _ in range(_LOOKS):
            recorded = member.recorded
            scan = self._store.scan(rev)
            if not member.is_forgotten(scan.leases, recorded=recorded):
                return scan
            member.renew()  # this puts on record who stands for them
        raise StoreUnavailable

    def _lost(self, fence: Fence) -> str:
        """What became of the stop while others were waited for: why it may not stand any more, or nothing.

        A database that was put back without it, and begun anew, knows nothing of this wait (F9).
        """
        for _ in range(_LOOKS):
            try:
                scan = self._store.scan(fence.rev)
            except StoreUnavailable:
                continue
            stands = scan.epoch == fence.epoch and scan.rev >= fence.rev and scan.written_at == fence.written_at
            return "" if stands else LOST
        return AWAY

    def _settle(self, fence: Fence, began: int, *, lost: str = "") -> Confirmation:
        member = self._membership
        waited = member.boot() - began
        verifiers = self._verifiers(fence)
        late = self._late(fence)
        unleased = _unleased(verifiers)
        reason = self._reason(fence, unleased, lost=lost)
        return Confirmation(
            rev=fence.rev,
            epoch=fence.epoch,
            confirmed=not reason,
            reason=reason,
            waited=waited,
            acknowledged=_acknowledged(verifiers, late, fence.rev),
            waited_out=tuple(late),
            unleased=unleased,
        )

    def _reason(self, fence: Fence, unleased: Sequence[str], *, lost: str = "") -> str:
        """Why nothing is confirmed, whoever has acknowledged; empty where it is."""
        if fence.estranged or self._membership.estranged:
            return ESTRANGED
        return lost or (UNLEASED if unleased else "")

    def _verifiers(self, fence: Fence) -> Mapping[str, Sequence[Attached]]:
        """By node who is attached, as far as is known here; at this node also who was when the fence began."""
        own = self._membership.instance
        known = {instance: one.verifiers for instance, one in fence.latest.items()}
        now = self._membership.granter.attached(self._membership.boot())
        merged = {one.instance: one for one in (*known.get(own, ()), *now)}
        return known | {own: tuple(merged.values())}

    def _late(self, fence: Fence) -> list[str]:
        """Who has not acknowledged.  Of another node that has, it is not known which verifiers it has waited out."""
        own = self._membership.standing()
        verifiers = self._verifiers(fence)
        latest = fence.latest | {own.instance: own}
        pending = [one.instance for one in fence.pending]
        late = [name for one in pending for name in _late(latest[one], verifiers[one], fence.rev)]
        if own.instance not in pending:
            late += _behind(verifiers[own.instance], fence.rev)  # their leases are over, and it need not wait for them
        return late

    def _remove(self, lease: Lease) -> None:
        if lease.instance == self._membership.instance or any(one.stale for one in lease.verifiers):
            return
        try:
            self._store.change(
                lambda tx: tx.remove_lease(lease.instance, counter=lease.counter, read_from=lease.read_from)
            )
        except StoreUnavailable:
            return  # the next one who waits removes it


def _everybody(verifiers: Mapping[str, Sequence[Attached]]) -> int:
    """How many nodes and verifiers there are."""
    return sum(1 + len(each) for each in verifiers.values())


def _acknowledged(verifiers: Mapping[str, Sequence[Attached]], late: Sequence[str], rev: int) -> int:
    """How many decide by it.  Of those without a lease who has not said so does not count, also if nobody waits."""
    silent = {one.instance for each in verifiers.values() for one in each if one.stale and one.acked_rev < rev}
    return _everybody(verifiers) - len(silent.union(late))


def _unleased(verifiers: Mapping[str, Sequence[Attached]]) -> tuple[str, ...]:
    return tuple(one.instance for each in verifiers.values() for one in each if one.stale)


def _late(lease: Lease, verifiers: Sequence[Attached], rev: int) -> list[str]:
    """Who of a node that has not acknowledged, and of its verifiers, is behind."""
    late = _behind(verifiers, rev)
    return late if late and lease.applied_rev >= rev else [lease.instance, *late]


def _behind(verifiers: Sequence[Attached], rev: int) -> list[str]:
    return [one.instance for one in verifiers if one.acked_rev < rev]
