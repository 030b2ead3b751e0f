"""A node's side of its verifiers' leases: whom it has granted to, and what it may acknowledge for them (F7).

Times are microseconds of the node's boot-time clock.  Safe to share between threads.
"""

from dataclasses import dataclass
from threading import Lock

from keyturn.core.lease import FOR_GOOD, Attached, Renewal, Terms


@dataclass(slots=True)
class _Record:
    """A verifier that holds a lease, or is being given one."""

    holder: bytes
    """Whose instance it is: nobody else renews or acknowledges for it."""
    name: str
    stale: int
    epoch: int
    acked_rev: int
    applied_rev: int
    granted_until: int = 0
    """When every lease granted so far is over, the margins included.  It only ever grows."""
    asking_until: int = 0
    """The same of the lease that is being granted, while its length is not known."""

    @property
    def until(self) -> int:
        return max(self.granted_until, self.asking_until)


class Granter:
    """The verifiers attached to one node."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self._records: dict[str, _Record] = {}
        self._instances: dict[bytes, str] = {}
        self._lock = Lock()

    def asked(self, renewal: Renewal, boot: int, *, holder: bytes = b"") -> bool:
        """A renewal has come: on record before anything else, as long as a lease can be (F7).

        False, and nothing is noted, where the instance is on record as another holder's: ids stand in receipts, so
        whoever reads one must not acknowledge in its place (F0).  What it acknowledges beyond what it has applied, it
        cannot have (F5).
        """
        with self._lock:
            record = self._records.get(renewal.instance)
            if record is None:
                record = _Record(holder, renewal.name, renewal.stale, renewal.epoch, 0, 0)
                self._records[renewal.instance] = record
                self._instances[holder] = renewal.instance
            elif record.holder != holder:
                return False
            record.asking_until = boot + self.terms.fence
            record.name, record.stale = renewal.name, max(record.stale, renewal.stale)
            if record.acked_rev == FOR_GOOD:
                record.acked_rev = record.applied_rev = 0  # whoever asks has not left
            acked_rev = renewal.acked_rev if renewal.acked_rev <= renewal.applied_rev else 0
            self._heard(record, renewal.epoch, acked_rev, renewal.applied_rev)
            return True

    def knows(self, holder: bytes, boot: int) -> bool:
        """Whether it holds a lease, or may hold one: nobody else is told what to remember (F12)."""
        with self._lock:
            record = self._records.get(self._instances.get(holder, ""))
            return record is not None and boot < record.until

    def granted(self, instance: str, *, deadline: int, boot: int) -> int:
        """How long a lease granted now may be, 0 for none.  `deadline` is the node's own, read after `asked`."""
        with self._lock:
            record = self._records.get(instance)
            if record is None:
                return 0  # so long ago that it was waited out
            length = max(0, min(self.terms.length, deadline - self.terms.margin - boot))
            if length:
                record.granted_until = max(record.granted_until, boot + length + 2 * self.terms.margin)
            record.asking_until = 0
            return length

    def acknowledged(self, instance: str, *, epoch: int, rev: int) -> None:
        """A verifier decides by everything up to `rev`; one that leaves, for good."""
        with self._lock:
            record = self._records.get(instance)
            if record is not None:
                self._heard(record, epoch, rev, rev)
                if rev == FOR_GOOD:
                    record.stale = 0  # who has left answers nothing, with a lease or without (F12)

    def acked(self, *, epoch: int, applied_rev: int, boot: int) -> int:
        """What the node may acknowledge for itself and its verifiers.

        `applied_rev` was read before this: a verifier that is not on record yet gets everything up to it (F7).
        """
        with self._lock:
            lowest = applied_rev
            for instance, record in list(self._records.items()):
                if boot >= record.until + record.stale:
                    del self._records[instance]  # waited out: nothing it holds is still believed
                    if self._instances.get(record.holder) == instance:
                        del self._instances[record.holder]
                elif boot < record.until and record.acked_rev != FOR_GOOD:  # who left need not know which epoch it is
                    lowest = min(lowest, record.acked_rev if record.epoch == epoch else 0)
            return lowest

    def attached(self, boot: int) -> tuple[Attached, ...]:
        """Who holds a lease, or may hold one."""
        with self._lock:
            return tuple(
                Attached(
                    instance=instance,
                    name=one.name,
                    acked_rev=one.acked_rev,
                    applied_rev=one.applied_rev,
                    ends_in=one.until - boot,
                    stale=one.stale,
                )
                for instance, one in sorted(self._records.items())
                if boot < one.until + one.stale
            )

    def next_end(self, boot: int) -> int | None:
        """When the first lease of those on record may be over; None where there is none."""
        with self._lock:
            return min((one.until for one in self._records.values() if boot < one.until), default=None)

    @staticmethod
    def _heard(record: _Record, epoch: int, acked_rev: int, applied_rev: int) -> None:
        if epoch != record.epoch:
            record.epoch, record.acked_rev, record.applied_rev = epoch, acked_rev, applied_rev
        record.acked_rev = max(record.acked_rev, acked_rev)
        record.applied_rev = max(record.applied_rev, applied_rev)
