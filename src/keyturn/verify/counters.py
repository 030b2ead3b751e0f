"""The rate limits of a process that counts by itself: of the only one that decides, or of what it alone sees (F15)."""

from dataclasses import replace
from itertools import islice
from threading import Lock
from typing import Final

from keyturn.core import share
from keyturn.core.share import Balance, Rest, Share, Wish

_NOTHING_LENT: Final = Balance()


class Counters:
    """The rate limits in force, one number a key (R23, pitfall 4): all secrets of a key share it.

    Check and act have to be one step, or two threads both take the last request (pitfall 15).  A lock would cost a
    third of a SHA-256, so they are one stretch of code without a call or a loop: CPython switches threads nowhere
    else than at those.  `tests/verify/test_counters.py` would notice an interpreter that does.

    Bounded: a counter that ran empty says no more than an absent one and is dropped first.
    """

    _BATCH: Final = 1024

    def __init__(self, most: int) -> None:
        self.most = most
        self._arrivals: dict[int, int] = {}
        self._lent: dict[int, Balance] = {}
        self._growing = Lock()

    def __len__(self) -> int:
        """How many keys have a counter."""
        return len(self._arrivals)

    def take(self, number: int, interval: int, window: int, now: int) -> int:
        """Use up one request, by GCRA as `core.limit.arrive` does: 0, or the microseconds until one fits."""
        arrivals = self._arrivals
        try:
            arrival = arrivals[number]
            if arrival > now:
                following = arrival + interval
                if following - now > window:
                    if arrival - now <= window:
                        return following - now - window
                    arrivals[number] = now + window  # counted while a longer window was in force
                    self._lent.pop(number, None)
                    return interval
                arrivals[number] = following
                return 0
            arrivals[number] = now + interval
        except KeyError:
            return self._take_first(number, interval, window, now)
        return 0

    def undo(self, number: int, interval: int) -> None:
        """Undo one `take`, so that what was counted beforehand, in case it fails, counts no more."""
        with self._growing:
            if number in self._arrivals:
                self._arrivals[number] -= interval

    def remaining(self, number: int, interval: int, window: int, now: int) -> int:
        """How many requests fit at once."""
        return (window - max(self._arrivals.get(number, 0) - now, 0)) // interval

    def lend(self, number: int, wish: Wish, *, interval: int, window: int, holders: int, loan: str, now: int) -> Share:
        """Lend what fits of a wish, as `core.share.lend` does (F15)."""
        with self._growing:
            self._make_place(number, now)
            while True:
                before = self._balance(number)
                after, lent = share.lend(
                    before, wish, interval=interval, window=window, holders=holders, loan=loan, now=now
                )
                if self._put(number, before, after):
                    return lent

    def take_back(self, number: int, rest: Rest, *, now: int) -> None:
        """Count what is left of a loan no more, as `core.share.take_back` does."""
        with self._growing:
            while number in self._arrivals:
                before = self._balance(number)
                if self._put(number, before, share.take_back(before, rest, now=now)):
                    return

    def _balance(self, number: int) -> Balance:
        return replace(self._lent.get(number, _NOTHING_LENT), arrival=self._arrivals[number])

    def _put(self, number: int, before: Balance, after: Balance) -> bool:
        """Whether nobody took anything since; nothing is written otherwise."""
        arrival, following = before.arrival, after.arrival
        arrivals = self._arrivals
        if arrivals[number] != arrival:
            return False
        arrivals[number] = following  # one stretch with the line before the last
        self._lent.pop(number, None)
        if after.loans:
            if len(self._lent) >= self.most:
                self._lent.clear()  # what was lent is counted; it only comes back no more
            self._lent[number] = after
        return True

    def _make_place(self, number: int, now: int) -> None:
        if number not in self._arrivals:  # another thread may just have been first
            if len(self._arrivals) >= self.most:
                self._prune(now)
            self._arrivals[number] = 0

    def _take_first(self, number: int, interval: int, window: int, now: int) -> int:
        with self._growing:
            self._make_place(number, now)
        return self.take(number, interval, window, now)

    def _prune(self, now: int) -> None:
        """Drop what ran empty among the longest held; where nothing did, the longest held themselves."""
        arrivals = self._arrivals
        before = len(arrivals)
        oldest = list(islice(arrivals, self._BATCH))
        for number in oldest:
            arrival = arrivals[number]  # this and what follows is one stretch again
            del arrivals[number]
            if arrival > now:
                arrivals[number] = arrival  # stands last now, and the next turn looks at others
        if len(arrivals) == before:
            for number in oldest:
                del arrivals[number]
