"""Leases: how long memory may be trusted, and what holders and granters say to one another (F2, F5, F7).

Durations, and times of the boot-time clock, are whole microseconds; nobody compares them with a wall clock.
"""

from dataclasses import dataclass, field
from typing import Final

from keyturn.core.feed import FeedEntry
from keyturn.core.instant import Instant, to_micros

FOR_GOOD: Final = (1 << 62) - 1
"""What a clean leaver acknowledges: everything, for good."""

LONGEST_STALE: Final = 86_400_000_000
"""For so long a verifier may go on without a lease at the most: nothing is confirmed meanwhile (F12)."""


SHORTEST: Final = 200_000
LONGEST: Final = 20_000_000
LONGEST_FENCE: Final = 25_000_000
"""No lease outlasts it, margins included, by whatever terms it was given: what of a lost past nobody knows is over."""
_SMALLEST_PART: Final = 1000
_LARGEST_PART: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """One pair for the whole deployment; the authority keeps it.

    They may change while leases last: each goes by the terms it was given under, and its record says how long that is.
    """

    length: int = 5_000_000
    """L: how long a holder may answer from memory after it has asked."""
    margin: int = 50_000
    """E: by how much the rates of two boot-time clocks may part within a lease."""

    @property
    def fence(self) -> int:
        """How long until every lease granted before a scan has ended: L + 2E."""
        return self.length + 2 * self.margin

    @property
    def renew_every(self) -> int:
        """How often a holder asks."""
        return self.length // 3


def length_fault(terms: Terms) -> str:
    """What is wrong with the length, in a sentence for a person; nothing where leases may be given by it.

    The longest keeps a stop within the time that callers wait for an answer.
    """
    if SHORTEST <= terms.length <= LONGEST:
        return ""
    return f"a lease lasts {SHORTEST // 1000} ms to {LONGEST // 1000} ms"


def margin_fault(terms: Terms) -> str:
    """The same of the margin: a thousandth to a fourth of the lease, and within the longest fence."""
    least = -(-terms.length // _SMALLEST_PART)
    most = min(terms.length // _LARGEST_PART, (LONGEST_FENCE - terms.length) // 2)
    if least <= terms.margin <= most:
        return ""
    return f"for leases of {terms.length // 1000} ms it is {-(-least // 1000)} ms to {most // 1000} ms"


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """A holder asks for a lease, saying how far it has come."""

    instance: str
    nonce: int
    """Higher each time: a grant counts from when the renewal of the same nonce was sent."""
    epoch: int
    applied_rev: int
    acked_rev: int
    applied_at: int = 0
    """When the entry `applied_rev` was written: two pasts may share a revision, but not that (F9)."""
    stale: int = 0
    """Microseconds for which this holder answers from memory after its lease has ended (`stale:<seconds>`)."""
    name: str = ""
    """What people call it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A lease of `length` from the sending of the renewal with this nonce, once everything up to `rev` is applied."""

    nonce: int
    length: int
    epoch: int
    rev: int
    entries: tuple[FeedEntry, ...]
    time: int
    """The earliest that the authority's time can have been, after the renewal came and before this went."""
    at: int
    """When the entry `rev` was written: what a holder that begins there says it has applied (F9)."""
    width: int = 0
    """How much later it can have been."""
    anew: bool = False
    """Drop everything and go on from `rev`: the entries in between are not to be had, or of another epoch (F11)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """Entries as soon as they are there.  A hint: it extends nothing (F14)."""

    epoch: int
    entries: tuple[FeedEntry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement:
    """Everything up to `rev` is applied, and every thread decides by it (F6)."""

    epoch: int
    rev: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """No lease now; the reason is one of `DENIALS`."""

    nonce: int
    reason: str


LAPSED: Final = "lapsed"
"""The node's own lease is over, or too near its end."""
AHEAD: Final = "ahead"
"""The holder has applied what the authority does not know: a restored backup, or a lost failover (F9)."""
DENIALS: Final = (LAPSED, AHEAD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """What the authority has on record of a node (F2)."""

    instance: str
    counter: int
    """Raised by every renewal: whoever waits this record out removes it only if it still is what they saw (F5)."""
    lasts: int
    """Microseconds after it was recorded until no lease is left that the node holds or has granted, margins included.

    What it is given next is no longer than this, whatever the terms are by then.
    """
    epoch: int
    acked_rev: int
    """What the node and all its verifiers decide by."""
    applied_rev: int = 0
    """What the node itself decides by; never counts for a confirmation."""
    name: str = ""
    grants: bool = False
    """Whether it may have granted to verifiers."""
    verifiers: tuple["Attached", ...] = ()
    """Who is attached, as it last said; for people."""
    read_from: str = field(default="", compare=False)
    """The server that this was read from, which another one's record may differ from; empty where there is but one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """Every lease on record, and where the authority stood, in one snapshot (F5)."""

    leases: tuple[Lease, ...]
    epoch: int
    rev: int
    written_at: int | None
    """When the entry that was asked about was written; None where it is not there yet, or no longer kept (F9, F11)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """A verifier at a node, for people and receipts."""

    instance: str
    name: str
    acked_rev: int
    applied_rev: int
    ends_in: int
    """Microseconds until its lease is over at the latest, as seen when this was told."""
    stale: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """An epoch that has begun."""

    epoch: int
    lasts: int
    """For how many microseconds nothing is confirmed."""


def epoch_after(seen: int, *, now: Instant) -> int:
    """The number of the next epoch: higher than any that was begun before now, also in a past that is lost.

    A backup from before an epoch was raised has the number from before.  What holders know of an epoch by the number
    that comes next they would take for a part of the one that begins now (F9).
    """
    return max(seen + 1, to_micros(now) // 1_000_000)


EARLIER: Final = "epoch-"
LOST: Final = "before-"


def everybody_before(epoch: int, *, lasts: int) -> Lease:
    """A record that stands for every holder of the epochs before this one, known or not.

    Nobody acknowledges for them, so the first stop of the new epoch waits them out, and removes it (F9).
    """
    return Lease(
        instance=f"{EARLIER}{epoch}",
        counter=0,
        lasts=lasts,
        epoch=epoch,
        acked_rev=0,
        name=f"everybody before epoch {epoch}",
        grants=True,
    )


def everybody_lost(epoch: int, *, noticed_by: str, counter: int, lasts: int) -> Lease:
    """A record that stands for every holder of a time that the database may have lost: it was put back, or may be.

    `counter` is higher each time the same node notices, so none is taken for another.  Nobody acknowledges for them
    either (F9).
    """
    return Lease(
        instance=f"{LOST}{noticed_by}",
        counter=counter,
        lasts=lasts,
        epoch=epoch,
        acked_rev=0,
        name="everybody of a time that may be lost",
        grants=True,
    )


def is_everybody(lease: Lease) -> bool:
    """Whether a record stands for holders that are not on record themselves."""
    return lease.instance.startswith((EARLIER, LOST))
