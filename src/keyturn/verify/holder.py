"""A holder's side of a lease: until when this process answers from memory, and what time it can be (F2, F3, F6, F8).

A request reads the boot-time clock, then `deadline`, then the cache, in this order (F3):

    now, leased = holder.look(clock())
    if leased:
        verdict = verifier.verify(shown, now=now)

All else is called by one thread at a time: the one that renews.
"""

from collections import OrderedDict
from enum import Enum
from typing import Final

from keyturn.core.lease import AHEAD, Acknowledgement, Denial, Grant, Push, Renewal, Terms
from keyturn.core.share import PAUSE
from keyturn.verify.verifier import Verifier

_MOST_UNANSWERED: Final = 16
JUMP: Final = 1_000_000
"""Microseconds by which wall and boot-time clock may part between two renewals: more was a jump (F0)."""


class Alarm(Enum):
    """Why a lease was dropped, where somebody ought to know."""

    BEHIND = (
        "the authority knows less than this process has applied: a restored backup or a lost failover;"
        " what has stopped stays stopped here, and the operator has to raise the epoch"
    )
    JUMPED = "wall clock and boot-time clock have jumped apart, or the machine is another one"
    TIME = "the authority's time has jumped"
    FORGED = "a message that no honest granter sends"
    PUT_BACK = (
        "the database has lost what this node had put on record there: a restored backup or a lost failover;"
        " stops wait until the leases of the lost time are over"
    )
    """Of a node; its own lease goes on, for that is on record again."""


class Holder:
    """The lease on one `Verifier`'s memory."""

    def __init__(
        self,
        verifier: Verifier,
        *,
        instance: str,
        terms: Terms,
        name: str = "",
        stale: int = 0,
        has_its_clock: bool = False,
    ) -> None:
        """`has_its_clock`: the authority's time is this machine's own, so what was read is exact, and stays so."""
        self.deadline = 0
        """Boot-time micros from which on memory no longer answers."""
        self.ahead = 0
        """What, added to the boot-time clock, is the latest that the authority's time can be."""
        self.alarms: list[Alarm] = []
        """Newest last, until `told`."""
        self.instance = instance
        self.terms = terms
        self._has_its_clock = has_its_clock
        self._verifier = verifier
        self._name = name
        self._stale = stale
        self._nonce = 0
        # By nonce: when it was sent, and how far this holder had come by then.
        self._sent: OrderedDict[int, tuple[int, int]] = OrderedDict()
        self._given_up = 0  # the last nonce whose grant, should it still come, is too late rather than forged
        self._behind = 0  # what, added to the boot-time clock, is the earliest it can be
        self._bounded_at = 0
        self._bounded_for = 0
        self._apart: int | None = None
        self._machine = ""
        self._joined = False

    def look(self, boot: int) -> tuple[int, bool]:
        """The latest that it can be at the authority, and whether memory may answer; `boot` has just been read (F3)."""
        return boot + self.ahead, boot < self.deadline

    def time(self, boot: int) -> tuple[int, int]:
        """The earliest that it can be at the authority, and how much later it can be."""
        earliest = max(boot + self._behind, self._verifier.earliest)
        return earliest, max(0, boot + self.ahead - earliest)

    def renewal(self, boot: int, *, wall: int, machine: str = "", acked_rev: int | None = None) -> Renewal:
        """Ask for a lease; `boot` was read before this is sent.

        `wall` is this machine's wall clock and `machine` the id of its boot: they are only compared with themselves,
        and both show a process that was frozen and went on elsewhere (F0).  `acked_rev` is what a node and its
        verifiers decide by; a verifier's own is what it has applied.
        """
        apart = wall - boot
        if self._apart is not None and (abs(apart - self._apart) > JUMP or machine != self._machine):
            self.drop(Alarm.JUMPED)
        self._apart, self._machine = apart, machine
        applied, at = self._verifier.applied if self._joined else (0, 0)
        self._nonce += 1
        self._sent[self._nonce] = boot, applied
        while len(self._sent) > _MOST_UNANSWERED:
            self._given_up = self._sent.popitem(last=False)[0]
        return Renewal(
            instance=self.instance,
            nonce=self._nonce,
            epoch=self._verifier.epoch if self._joined else 0,
            applied_rev=applied,
            acked_rev=applied if acked_rev is None else acked_rev,
            applied_at=at,
            stale=self._stale,
            name=self._name,
        )

    def granted(self, grant: Grant, boot: int, *, read_after: int | None = None) -> Acknowledgement | None:
        """A grant has come; answers what may be acknowledged, or None where it is to be asked again.

        `read_after` is when its time was read at the earliest, where that is known to be later than the renewal.
        """
        if 0 < grant.nonce <= self._given_up:
            return None
        sent, had = self._sent.pop(grant.nonce, (boot + 1, 0))
        if not 0 < grant.length <= self.terms.length or sent > boot:
            self.drop(Alarm.FORGED)
            return None
        if not self._follow(grant, had):
            return None
        if not self._bound(grant.time, grant.width, sent=sent if read_after is None else read_after, boot=boot):
            return None
        deadline = max(self.deadline, sent + grant.length)
        # One that was given by longer terms does not go on: what time it can be is known for as long as these last.
        self.deadline = min(deadline, sent + self.terms.length) if deadline > boot + self.terms.length else deadline
        return Acknowledgement(epoch=grant.epoch, rev=self._verifier.applied_rev)

    def pushed(self, push: Push) -> Acknowledgement | None:
        """Entries have come; None where there is a gap before them, which is only a reason to renew (F6)."""
        if not self._joined or self._verifier.estranged or push.epoch != self._verifier.epoch:
            return None
        if not self._verifier.apply(push.entries):
            return None
        return Acknowledgement(epoch=push.epoch, rev=self._verifier.applied_rev)

    def denied(self, denial: Denial) -> None:
        """No lease this time.  What is held runs out by itself."""
        self._sent.pop(denial.nonce, None)
        if denial.reason == AHEAD:
            self.estrange()

    def disconnected(self) -> None:
        """The stream is over: what was asked on it is not answered any more.  The lease runs on."""
        self._give_up()

    def drop(self, why: Alarm) -> None:
        """Answer from memory no longer; what is known as stopped is kept."""
        self.deadline = 0
        self._give_up()
        self.alarms.append(why)

    def estrange(self) -> None:
        """The authority has lost a part of what was applied; what it puts in its place has to be read anew (F9)."""
        self._verifier.estranged = True
        self.drop(Alarm.BEHIND)

    def told(self) -> list[Alarm]:
        """The alarms since the last call."""
        alarms, self.alarms = self.alarms, []
        return alarms

    def _give_up(self) -> None:
        self._sent.clear()
        self._given_up = self._nonce

    def _follow(self, grant: Grant, had: int) -> bool:
        """Apply what the grant brings; whether everything up to its `rev` is applied now.  `had` was when it asked."""
        verifier = self._verifier
        if self._joined and (grant.epoch, grant.rev) < (verifier.epoch, had):
            # What was applied beyond it may have been a stop.  A higher epoch may begin at a lower rev (F9).
            self.estrange()
            return False
        if verifier.estranged and grant.anew and grant.epoch == verifier.epoch:
            return False  # who grants this cannot tell what has become of the entry that was applied last
        if self._joined and not self._verifier.estranged and not grant.anew and grant.epoch == verifier.epoch:
            return verifier.apply(grant.entries) and verifier.applied_rev >= grant.rev
        if self._joined and grant.epoch == verifier.epoch and grant.rev < verifier.applied_rev:
            return False  # late: what was pushed since says more, and may have been acknowledged
        self.deadline = 0
        self._joined = True
        verifier.start_at(rev=grant.rev, now=grant.time, epoch=grant.epoch, at=grant.at)
        return True

    def _bound(self, time: int, width: int, *, sent: int, boot: int) -> bool:
        """Narrow down what time it can be at the authority (F8); False where it cannot be what was known before.

        It was read between `sent` and `boot`, so at `boot` it is `time` at the least, `time + width + (boot - sent)` at
        the most; the clocks may part by the margin until the next grant.
        """
        margin = 0 if self._has_its_clock else self.terms.margin
        low, high = time - boot - margin, time + width - sent + margin
        if self._has_its_clock:
            high = low = max(low, self.ahead)  # it never runs back
        known = self._bounded_at and boot - self._bounded_at <= self._bounded_for
        if known and not self._has_its_clock and (low > self.ahead or high < self._behind):
            self._bounded_at = 0
            self.drop(Alarm.TIME)
            return False
        verifier = self._verifier
        # Time never runs back: what has stopped by its date stays stopped.
        verifier.hear(earliest=time, latest=boot + self.ahead if known else time)
        # A reader reads `ahead` first and `width` later.  It only ever widens, so none finds the earliest too late.
        verifier.width = max(verifier.width, high - low)
        self._bounded_at, self._bounded_for = sent, self.terms.length
        if known and self.ahead - high > PAUSE:
            verifier.shorten(self.ahead - high)
        self._behind, self.ahead = low, high
        return True
