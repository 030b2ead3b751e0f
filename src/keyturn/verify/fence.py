"""The fence of a stop: who has acknowledged it, and until when it waits for the others (F5).

Times are microseconds of the boot-time clock of the node that waits.
"""

from collections.abc import Sequence

from keyturn.core.lease import FOR_GOOD, Lease


class Fence:
    """One wait, from the scan of the leases on.  One thread at a time."""

    def __init__(self, leases: Sequence[Lease], *, rev: int, epoch: int, newest: int, scanned_at: int) -> None:
        """`newest` is the authority's own revision in the snapshot of the scan."""
        self.rev = rev
        self.scanned_at = scanned_at
        self.leases = tuple(leases)
        self.latest = {one.instance: one for one in leases}
        """The same as they were read last, for people; whoever is waited for is removed as the scan found them."""
        self.newest = newest
        """The authority's own revision, as last read."""
        self.outdated = False
        """Whether somebody has acknowledged more than that: the leases are to be read again."""
        self.estranged = False
        """Whether the node that waits has applied what the authority has lost: nothing it says of itself counts."""
        self.written_at: int | None = None
        """When the authority's entry of that revision was written: another one by its number is of another past."""
        self.epoch = epoch
        self._pending = {one.instance: one for one in leases if not self._has(one.epoch, one.acked_rev)}

    def heard(self, instance: str, *, epoch: int, acked_rev: int) -> None:
        """An instance has acknowledged everything up to `acked_rev`.

        What lies above the authority's own revision is no acknowledgement: it may be of another past.
        """
        if self._has(epoch, acked_rev):
            self._pending.pop(instance, None)
        elif instance in self._pending and epoch == self.epoch and acked_rev > self.newest:
            self.outdated = True

    def scanned(self, leases: Sequence[Lease], *, newest: int) -> None:
        """The leases were read again: who has acknowledged meanwhile need not be waited for."""
        self.newest = newest
        for one in leases:
            self.heard(one.instance, epoch=one.epoch, acked_rev=one.acked_rev)
            if one.instance in self.latest:
                self.latest[one.instance] = one
        self.outdated = (
            False  # whatever lies above it in the same snapshot is of another past, however often it is read
        )

    @property
    def pending(self) -> tuple[Lease, ...]:
        """Who has not acknowledged, as the scan found them."""
        return tuple(self._pending.values())

    @property
    def confirmed(self) -> int:
        """How many have."""
        return len(self.leases) - len(self._pending)

    @property
    def ends_at(self) -> int:
        """When no lease is left of those who have not acknowledged, as long as each lasts by its own record."""
        return self.scanned_at + max((one.lasts for one in self._pending.values()), default=0)

    def is_over(self, boot: int) -> bool:
        """Whether nobody is left who could decide as before."""
        return not self._pending or boot >= self.ends_at

    def _has(self, epoch: int, acked_rev: int) -> bool:
        if acked_rev == FOR_GOOD:
            return True
        return epoch == self.epoch and self.rev <= acked_rev <= self.newest
