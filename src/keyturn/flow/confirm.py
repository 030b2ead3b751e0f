"""Confirming a stop: waiting, after the commit, until nobody is left who decides as before (F5)."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from keyturn.core.lease import Attached, Lease
from keyturn.flow.membership import Membership
from keyturn.ports import Store, StoreUnavailable
from keyturn.verify.fence import Fence

LOOK_AGAIN: Final = 100_000
"""Microseconds after which the leases are read again, in case every hint was lost (F14)."""
AWAY: Final = "the database went away while verifiers were waited for"


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """Which verifiers decide by a revision, and how long that took."""

    rev: int
    epoch: int
    confirmed: bool
    reason: str = ""
    """Why it is not confirmed; empty where it is."""
    waited: int = 0
    """Microseconds."""
    acknowledged: int = 0
    waited_out: tuple[str, ...] = ()
    unleased: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A fence as it stands: for whoever looks while it is waited for."""

    rev: int
    confirmed: int
    of: int
    ends_in: int
    """Microseconds until the last lease is over; 0 where nobody is waited for."""
    waiting_for: tuple[str, ...]


class Confirming:
    """The fences of one node.  Safe to share between threads."""

    def __init__(self, store: Store, membership: Membership, *, epoch: Callable[[], int]) -> None:
        self._store = store
        self._membership = membership
        self._epoch = epoch
        self._fences: dict[int, Fence] = {}
        # What was heard last of each: it may come before the scan that it answers.
        self._heard: dict[str, tuple[int, int]] = {}
        self._numbers = 0
        self._lock = threading.Lock()

    def confirm(self, rev: int) -> Confirmation:
        """Wait until everybody decides by `rev`, at most for a fence.  Raises nothing: what is in the way is said."""
        began = self._membership.boot()
        try:
            fence = self._scan(rev)
        except StoreUnavailable:
            return Confirmation(rev=rev, epoch=self._epoch(), confirmed=False, reason=AWAY)
        with self._membership.moved:
            with self._lock:
                self._numbers += 1
                number = self._numbers
                self._fences[number] = fence
            known = {one.instance for one in fence.leases}
            self._heard = {instance: told for instance, told in self._heard.items() if instance in known}
            for instance, (epoch, acked) in self._heard.items():
                fence.heard(instance, epoch=epoch, acked_rev=acked)
        try:
            self._wait(fence)
        finally:
            with self._lock:
                del self._fences[number]
        return self._settle(fence, began)

    def heard(self, instance: str, *, epoch: int, rev: int) -> None:
        """Another node has told how far it has come.  Raises nothing."""
        with self._membership.moved:
            self._heard[instance] = max(self._heard.get(instance, (0, 0)), (epoch, rev))
            for fence in self._running():
                fence.heard(instance, epoch=epoch, acked_rev=rev)
            self._membership.moved.notify_all()

    def progress(self) -> Sequence[Progress]:
        """Every fence that is being waited for here, the oldest first.  Raises nothing."""
        boot = self._membership.boot()
        return [
            Progress(
                rev=one.rev,
                confirmed=one.confirmed,
                of=len(one.leases),
                ends_in=max(0, one.ends_at - boot),
                waiting_for=tuple(each.instance for each in one.pending),
            )
            for one in self._running()
        ]

    def _running(self) -> Sequence[Fence]:
        with self._lock:
            return tuple(self._fences.values())

    def _scan(self, rev: int) -> Fence:
        leases, epoch, newest = self._store.read(lambda tx: (tx.leases(), tx.epoch, tx.rev))
        member = self._membership
        # Read after the scan: whoever was granted a lease before it counts from before it too.
        return Fence(leases, rev=rev, epoch=epoch, newest=newest, scanned_at=member.boot(), terms=member.terms)

    def _wait(self, fence: Fence) -> None:
        member = self._membership
        look_at = member.boot() + LOOK_AGAIN
        while True:
            with member.moved:
                # What this node has applied is of this authority's past, however far it went on since the scan.
                fence.heard(member.instance, epoch=self._epoch(), acked_rev=min(member.acked(), fence.newest))
                boot = member.boot()
                if fence.is_over(boot):
                    return
                if boot < look_at and not fence.outdated:
                    member.moved.wait((min(fence.ends_at, look_at) - boot) / 1e6)
                    continue
            look_at = boot + LOOK_AGAIN
            self._look_again(fence)

    def _look_again(self, fence: Fence) -> None:
        try:
            leases, newest = self._store.read(lambda tx: (tx.leases(), tx.rev))
        except StoreUnavailable:
            return  # the time runs on, and it alone is enough
        with self._membership.moved:
            fence.scanned(leases, newest=newest)

    def _settle(self, fence: Fence, began: int) -> Confirmation:
        member = self._membership
        waited = member.boot() - began
        verifiers = {one.instance: one.verifiers for one in fence.leases}
        verifiers[member.instance] = member.granter.attached(member.boot())
        late: list[str] = []
        for lease in fence.pending:
            late += _late(lease, verifiers[lease.instance], fence.rev)
            self._remove(lease)
        unleased = tuple(one.instance for each in verifiers.values() for one in each if one.stale)
        everybody = len(verifiers) + sum(len(each) for each in verifiers.values())
        return Confirmation(
            rev=fence.rev,
            epoch=self._epoch(),
            confirmed=not unleased,
            reason="a verifier answers from memory without a lease" if unleased else "",
            waited=waited,
            acknowledged=everybody - len(late),
            waited_out=tuple(late),
            unleased=unleased,
        )

    def _remove(self, lease: Lease) -> None:
        if lease.instance == self._membership.instance or any(one.stale for one in lease.verifiers):
            return
        try:
            self._store.change(lambda tx: tx.remove_lease(lease.instance, counter=lease.counter))
        except StoreUnavailable:
            return  # the next one who waits removes it


def _late(lease: Lease, verifiers: Sequence[Attached], rev: int) -> list[str]:
    """Who of a node and its verifiers was waited out."""
    late = [one.instance for one in verifiers if one.acked_rev < rev]
    return late if late and lease.applied_rev >= rev else [lease.instance, *late]
