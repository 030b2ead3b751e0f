"""Who waits at this node for stops to be confirmed, and the two threads that all of them share (F5)."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

from keyturn.core.lease import Lease
from keyturn.flow.membership import Membership
from keyturn.ports.store import Store, StoreUnavailable
from keyturn.verify.fence import Fence

LOOK_AGAIN: Final = 100_000
"""Microseconds after which the leases are read again, in case every hint was lost (F14)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A stop that is waited for.  It takes no thread: the fences of a node share two."""

    rev: int
    epoch: int
    """The one it was committed in."""
    began: int
    fence: Fence | None
    """None where there is nothing to wait for; `lost` says why."""
    lost: str = ""
    over: Future[bool] = field(default_factory=Future[bool])
    """Done once nobody is left who decides as before: whether there was anybody to wait for."""


class Waits:
    """The waits of one node.  Safe to share between threads."""

    def __init__(self, store: Store, membership: Membership, *, epoch: Callable[[], int]) -> None:
        self._store = store
        self._membership = membership
        self._epoch = epoch
        self._fences: dict[Future[bool], Fence] = {}
        # What was heard last of each: it may come before the scan that it answers.
        self._heard: dict[str, tuple[int, int]] = {}
        self._told: dict[str, tuple[int, int, int]] = {}
        self._is_kept = False
        self._is_looking = False
        self._lock = threading.Lock()

    def begin(self, over: Future[bool], fence: Fence) -> None:
        """Have it told when that fence is over: at once, or else by whoever watches."""
        with self._membership.moved:
            known = {one.instance for one in fence.leases}
            self._heard = {instance: told for instance, told in self._heard.items() if instance in known}
            for instance, (since, acked) in self._heard.items():
                fence.heard(instance, epoch=since, acked_rev=acked)
            self._hear_own(fence, *self._own())
            if fence.is_over(self._membership.boot()):
                over.set_result(False)
                return
            with self._lock:
                self._fences[over] = fence
            self._membership.moved.notify_all()

    def watch(self, over: Future[bool]) -> None:
        """Watch in this thread, for all who wait, until that one need not wait any longer."""
        look_at = self._membership.boot() + LOOK_AGAIN
        try:
            while not over.done():
                look_at = self._watch(look_at)
        finally:
            self._forget(over)

    def keep(self, over: Future[bool]) -> None:
        """Have somebody watch until then: the thread of all who wait."""
        with self._membership.moved:
            is_first = over in self._fences and not self._is_kept
            self._is_kept = self._is_kept or is_first
        if is_first:
            try:
                threading.Thread(target=self._keep, name="confirming", daemon=True).start()
            except RuntimeError:  # none can be begun just now, and nobody may wait without end: this one watches
                self._keep()

    def heard(self, instance: str, *, epoch: int, rev: int, at: int) -> None:
        """Another node has told how far it has come, and when the last entry of that was written.  Raises nothing."""
        with self._membership.moved:
            self._told[instance] = epoch, rev, at
            self._believe()
            self._membership.moved.notify_all()

    def _believe(self) -> None:
        """Take what was told as far as it is known here: by another time it is of a past that was lost (F9)."""
        recent = self._membership.recent
        for instance, (epoch, rev, at) in list(self._told.items()):
            if rev > recent.rev:
                continue  # still to come here
            del self._told[instance]
            if recent.at(rev) == at:
                self._heard[instance] = max(self._heard.get(instance, (0, 0)), (epoch, rev))
                for fence in self.running():
                    fence.heard(instance, epoch=epoch, acked_rev=rev)

    def running(self) -> Sequence[Fence]:
        """What is being waited for, the oldest first."""
        with self._lock:
            return tuple(self._fences.values())

    def tell(self, fence: Fence, leases: Sequence[Lease], *, newest: int) -> None:
        """Tell a fence, waited for or not, what was found of it and how far this node has come."""
        with self._membership.moved:
            fence.scanned(self._others(leases), newest=newest)
            self._hear_own(fence, *self._own())

    def _keep(self) -> None:
        """For as long as anybody waits: one thread for all of them, which never waits for the database."""
        try:
            look_at = self._membership.boot() + LOOK_AGAIN
            while self._goes_on():
                look_at = self._watch(look_at, aside=True)
        except BaseException as error:  # noqa: BLE001  # as said there
            with self._membership.moved:
                self._is_kept = False
                self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """Whoever waits raises it, and waits no longer."""
        for over in tuple(self._fences):
            self._forget(over)
            over.set_exception(error)

    def _goes_on(self) -> bool:
        with self._membership.moved:
            self._is_kept = bool(self._fences)
            return self._is_kept

    def _watch(self, look_at: int, *, aside: bool = False) -> int:
        """Tell who need not wait any longer, and wait for more; answers when the leases are to be read again.

        `aside`: they are read in another thread.  Time alone ends a fence, also while the database says nothing.
        """
        member = self._membership
        with member.moved:
            self._believe()
            own, boot = self._own(), member.boot()
            before = tuple(self._fences.items())
            for over, fence in before:
                self._hear_own(fence, *own)
                if fence.is_over(boot):
                    self._forget(over)
                    over.set_result(True)
            left = self.running()
            if len(left) < len(before) or not left:
                return look_at
            is_due = boot >= look_at or any(one.outdated for one in left)
            if not is_due or (aside and self._is_looking):
                ends_at = min(one.ends_at for one in left)
                member.moved.wait(((ends_at if is_due else min(look_at, ends_at)) - boot) / 1e6)
                return look_at
        if aside:
            self._look_aside(left)
        else:
            self._look_again(left)
        return boot + LOOK_AGAIN

    def _look_aside(self, fences: Sequence[Fence]) -> None:
        """Begin to read the leases.  There is no other look before this one is answered or given up."""
        self._is_looking = True
        try:
            threading.Thread(target=self._look_on, args=(fences,), name="looking", daemon=True).start()
        except RuntimeError:  # none can be begun just now: the next look tries again
            self._is_looking = False
            self._saw_nothing(fences)

    def _look_on(self, fences: Sequence[Fence]) -> None:
        try:
            self._look_again(fences)
        except BaseException as error:  # noqa: BLE001  # as said there
            with self._membership.moved:
                self._fail(error)
        finally:
            with self._membership.moved:
                self._is_looking = False
                self._membership.moved.notify_all()

    def _forget(self, over: Future[bool]) -> None:
        with self._lock:
            self._fences.pop(over, None)

    def _own(self) -> tuple[int, int]:
        """The epoch this node is in, and what it acknowledges in it."""
        epoch = self._epoch()
        return epoch, self._membership.acked()

    def _hear_own(self, fence: Fence, epoch: int, acked: int) -> None:
        """What this node has applied is of this authority's past, however far it went on since the scan."""
        if not fence.estranged:
            fence.heard(self._membership.instance, epoch=epoch, acked_rev=min(acked, fence.newest))

    def _others(self, leases: Sequence[Lease]) -> Sequence[Lease]:
        """Of this node itself a fence knows more than its record says."""
        return [one for one in leases if one.instance != self._membership.instance]

    def _look_again(self, fences: Sequence[Fence]) -> None:
        """Read the leases once for all fences: all began before this reading."""
        try:
            scan = self._store.scan(fences[-1].rev)
        except StoreUnavailable:
            self._saw_nothing(fences)
            return
        others = self._others(scan.leases)
        with self._membership.moved:
            for fence in self.running():
                if fence in fences:  # what is over by now stays as it was told
                    fence.scanned(others, newest=scan.rev)

    def _saw_nothing(self, fences: Sequence[Fence]) -> None:
        with self._membership.moved:
            for fence in fences:
                fence.outdated = False  # not at once again; the time runs on, and it alone is enough
