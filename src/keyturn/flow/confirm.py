"""Confirming a stop: waiting, after the commit, until nobody is left who decides as before (F5)."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Final

from keyturn.core.lease import Attached, Lease
from keyturn.flow.membership import Membership
from keyturn.ports.store import Store, StoreUnavailable
from keyturn.verify.fence import Fence

LOOK_AGAIN: Final = 100_000
"""Microseconds after which the leases are read again, in case every hint was lost (F14)."""
MOST_LOOKED_AT: Final = 1000
_LOOKS: Final = 2
AWAY: Final = "the database went away while verifiers were waited for"
LOST: Final = "the database was put back or its epoch raised after the change was made"
ESTRANGED: Final = "this node knows of changes that the database has lost; raise the epoch"


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
    """A fence as it stands, for people who look at it."""

    rev: int
    acknowledged: int
    """Nodes and verifiers that decide by it."""
    of: int
    ends_in: int
    """Microseconds until the last lease is over; 0 where nobody is waited for."""
    waiting_for: tuple[str, ...]
    """Instances."""

    @property
    def is_over(self) -> bool:
        """Whether nobody is left who could decide as before."""
        return not self.ends_in


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


class Confirming:
    """The fences of one node.  Safe to share between threads."""

    def __init__(self, store: Store, membership: Membership, *, epoch: Callable[[], int]) -> None:
        self._store = store
        self._membership = membership
        self._epoch = epoch
        self._waits: dict[Future[bool], Fence] = {}
        # What was heard last of each: it may come before the scan that it answers.
        self._heard: dict[str, tuple[int, int]] = {}
        self._told: dict[str, tuple[int, int, int]] = {}
        self._looked: OrderedDict[int, Fence] = OrderedDict()
        self._is_kept = False
        self._is_looking = False
        self._lock = threading.Lock()

    def confirm(self, rev: int, *, epoch: int) -> Confirmation:
        """Wait until everybody decides by `rev`, at most for a fence.  Raises nothing: what is in the way is said.

        Whoever has a thread to spare watches by itself; others `begin`, wait for what that gives, and `end`.
        """
        wait = self._begin(rev, epoch=epoch)
        look_at = self._membership.boot() + LOOK_AGAIN
        try:
            while not wait.over.done():
                look_at = self._watch(look_at)
        finally:
            self._forget(wait.over)
        return self.end(wait)

    def begin(self, rev: int, *, epoch: int) -> Wait:
        """Scan the leases, after the commit, and begin to wait.  Raises nothing.

        `epoch` is the one it was committed in.  In another one it may be of a past that was lost, however far the
        authority has come again: this process may have stood still in between (F9).
        """
        wait = self._begin(rev, epoch=epoch)
        with self._membership.moved:
            is_first = wait.over in self._waits and not self._is_kept
            self._is_kept = self._is_kept or is_first
        if is_first:
            try:
                threading.Thread(target=self._keep, name="confirming", daemon=True).start()
            except RuntimeError:  # none can be begun just now, and nobody may wait without end: this one watches
                self._keep()
        return wait

    def _begin(self, rev: int, *, epoch: int) -> Wait:
        began = self._membership.boot()
        fence, lost = None, LOST
        try:
            found = self._scan(rev)
            fence = found if found.epoch == epoch else None
        except StoreUnavailable:
            lost = AWAY
        wait = Wait(rev=rev, epoch=epoch, began=began, fence=fence, lost="" if fence else lost)
        wait.over.set_running_or_notify_cancel()  # whoever gives up leaves it as it is
        if fence is None:
            wait.over.set_result(False)
        else:
            self._wait(wait, fence)
        return wait

    def end(self, wait: Wait) -> Confirmation:
        """What came of a wait that is over.  Raises nothing."""
        fence = wait.fence
        if fence is None:
            return Confirmation(rev=wait.rev, epoch=wait.epoch, confirmed=False, reason=wait.lost)
        lost = self._lost(fence) if wait.over.result() else ""
        lost = ESTRANGED if fence.estranged or self._membership.estranged else lost
        made = self._settle(fence, wait.began, lost=lost)
        for lease in fence.pending:
            self._remove(lease)
        return made

    def unended(self, wait: Wait) -> Confirmation:
        """The same where the database does not answer, so that nothing can be confirmed.  Asks it nothing."""
        return self._settle(wait.fence, wait.began, lost=AWAY) if wait.fence else self.end(wait)

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
                for fence in self._running():
                    fence.heard(instance, epoch=epoch, acked_rev=rev)

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
        with self._membership.moved:
            known.scanned(self._others(fence.leases), newest=fence.newest)
            self._hear_own(known, *self._own())
        return self._progress(known)

    def running(self) -> Sequence[Progress]:
        """Every fence that is being waited for here, the oldest first.  Raises nothing."""
        return [self._progress(one) for one in self._running()]

    def _progress(self, fence: Fence) -> Progress:
        member = self._membership
        boot = member.boot()
        is_over = fence.is_over(boot)
        late = () if is_over else tuple(self._late(fence))
        everybody = sum(1 + len(one) for one in self._verifiers(fence).values())
        return Progress(
            rev=fence.rev,
            acknowledged=everybody - len(late),
            of=everybody,
            ends_in=0 if is_over else fence.ends_at - boot,
            waiting_for=late,
        )

    def _running(self) -> Sequence[Fence]:
        with self._lock:
            return tuple(self._waits.values())

    def _scan(self, rev: int) -> Fence:
        member = self._membership
        before = member.standing()
        known_at = member.recent.at(rev)
        scan = self._store.scan(rev)
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

    def _wait(self, wait: Wait, fence: Fence) -> None:
        """Have it told when that fence is over."""
        with self._membership.moved:
            known = {one.instance for one in fence.leases}
            self._heard = {instance: told for instance, told in self._heard.items() if instance in known}
            for instance, (since, acked) in self._heard.items():
                fence.heard(instance, epoch=since, acked_rev=acked)
            self._hear_own(fence, *self._own())
            if fence.is_over(self._membership.boot()):
                wait.over.set_result(False)
                return
            with self._lock:
                self._waits[wait.over] = fence
            self._membership.moved.notify_all()

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
        for over in tuple(self._waits):
            self._forget(over)
            over.set_exception(error)

    def _goes_on(self) -> bool:
        with self._membership.moved:
            self._is_kept = bool(self._waits)
            return self._is_kept

    def _watch(self, look_at: int, *, aside: bool = False) -> int:
        """Tell who need not wait any longer, and wait for more; answers when the leases are to be read again.

        `aside`: they are read in another thread.  Time alone ends a fence, also while the database says nothing.
        """
        member = self._membership
        with member.moved:
            self._believe()
            own, boot = self._own(), member.boot()
            before = tuple(self._waits.items())
            for over, fence in before:
                self._hear_own(fence, *own)
                if fence.is_over(boot):
                    self._forget(over)
                    over.set_result(True)
            left = self._running()
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
        """Begin to read the leases.  A look that is never answered is the last one, and takes one connection."""
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
            self._waits.pop(over, None)

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
            for fence in self._running():
                if fence in fences:  # what is over by now stays as it was told
                    fence.scanned(others, newest=scan.rev)

    def _saw_nothing(self, fences: Sequence[Fence]) -> None:
        with self._membership.moved:
            for fence in fences:
                fence.outdated = False  # not at once again; the time runs on, and it alone is enough

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
        unleased = tuple(one.instance for each in verifiers.values() for one in each if one.stale)
        everybody = len(verifiers) + sum(len(each) for each in verifiers.values())
        return Confirmation(
            rev=fence.rev,
            epoch=fence.epoch,
            confirmed=not (lost or unleased),
            reason=lost or ("a verifier answers from memory without a lease" if unleased else ""),
            waited=waited,
            acknowledged=everybody - len(late),
            waited_out=tuple(late),
            unleased=unleased,
        )

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
            self._store.change(lambda tx: tx.remove_lease(lease.instance, counter=lease.counter))
        except StoreUnavailable:
            return  # the next one who waits removes it


def _late(lease: Lease, verifiers: Sequence[Attached], rev: int) -> list[str]:
    """Who of a node that has not acknowledged, and of its verifiers, is behind."""
    late = _behind(verifiers, rev)
    return late if late and lease.applied_rev >= rev else [lease.instance, *late]


def _behind(verifiers: Sequence[Attached], rev: int) -> list[str]:
    return [one.instance for one in verifiers if one.acked_rev < rev]
