"""What this process has been lent of rate limits, and spends without asking anybody (F15).

Times are those that requests are decided as of: the latest that it can be at the authority.  Lenders date a share by
when they lent it, which is later than it was asked for, so nothing depends on how well the two clocks agree.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Final

from keyturn.core.share import HOLD, PAUSE, Rest, Share, Wish
from keyturn.verify.decision import BORROW

_LONGEST_REFUSAL: Final = 10 * HOLD
"""A limit, or what is known of it, may have changed: after that time the lender is asked again."""

_NEVER: Final = 1 << 62


@dataclass(slots=True, eq=False)
class _Held:
    """One key's share."""

    key_id: str
    loan: str
    interval: int
    window: int
    requests: int
    left: int
    others: int
    ahead: int
    """What was wished for ahead."""
    ends: int
    refused_until: int
    """Until then, none is left anywhere."""
    fits_at: int
    over_at: int
    """When it tells nothing any more of how much is used."""


class Shares:
    """Safe to share between threads.

    To spend is, as in `Counters`, one stretch of code without a call or a loop, so that no two threads spend the same
    request, and none spends what another has just given back (pitfall 15).
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._held: dict[int, _Held] = {}
        self._dropped: list[Rest] = []
        self._changing = Lock()

    def __len__(self) -> int:
        """How many keys' shares are held, or remembered as none."""
        return len(self._held)

    def take(self, number: int, interval: int, window: int, now: int) -> int:
        """Spend one request: 0, or the microseconds until one fits, or BORROW."""
        try:
            held = self._held[number]
        except KeyError:
            return BORROW
        if held.interval != interval or held.window != window:
            return BORROW  # lent under another limit
        left = held.left
        if left and now < held.ends:
            held.left = left - 1
            return 0
        if now < held.refused_until:
            return held.fits_at - now
        return BORROW

    def undo(self, number: int, interval: int) -> None:
        """Undo one `take`, where the share is still the one that it was taken from."""
        held = self._held.get(number)
        if held is not None and held.interval == interval and held.left < held.requests:
            held.left += 1  # one stretch with the line before

    def remaining(self, number: int, interval: int, window: int, now: int) -> int:
        """How many requests fit at once, as far as is known here: others may have spent some of them since."""
        held = self._held.get(number)
        if held is None or held.interval != interval or held.window != window or now >= held.ends:
            return 0
        return held.left + held.others

    def holds(self, number: int, interval: int, window: int, now: int) -> bool:
        """Whether there is something to spend: others may have borrowed since it was asked."""
        held = self._held.get(number)
        return (
            held is not None
            and held.interval == interval
            and held.window == window
            and held.left > 0
            and now < held.ends
        )

    def wish(self, number: int, key_id: str, *, waiting: int, now: int) -> tuple[Wish, Sequence[Rest]]:
        """What to borrow now, and what is left of what was borrowed before: that is spent no more.

        It goes by what was spent of it: as much again, and twice as much where that was all, and before its time.
        """
        with self._changing:
            held = self._held.pop(number, None)
            if held is None:
                return Wish(key_id=key_id, waiting=waiting), ()
            lent = held.requests
            rests = _draw(held)
            ahead = 0
            if now < held.over_at:
                ahead = held.requests if lent else held.ahead
                if lent and held.requests == lent and now < held.ends:
                    ahead *= 2
            return Wish(key_id=key_id, waiting=waiting, ahead=ahead), rests

    def put(self, number: int, share: Share, *, wish: Wish, asked: int) -> None:
        """Hold what was lent for a wish; `asked` was read before it was asked for."""
        wait = max(share.wait, PAUSE)
        held = _Held(
            key_id=share.key_id,
            loan=share.loan,
            interval=share.interval,
            window=share.window,
            requests=share.requests,
            left=share.requests,
            others=share.others,
            ahead=wish.ahead,
            ends=asked + HOLD,
            refused_until=0 if share.requests else asked + min(wait, _LONGEST_REFUSAL),
            fits_at=asked + wait,
            over_at=asked + 2 * HOLD,
        )
        with self._changing:
            if len(self._held) >= self.most:
                self._dropped += _draw(self._held.pop(next(iter(self._held))))
            self._held[number] = held

    def shorten(self, by: int) -> None:
        """It cannot be as late as was thought, by so much: what was dated by that ends so much sooner (F8).

        Where that is too soon, for it was dated by something else, it is only borrowed anew.
        """
        with self._changing:
            for held in self._held.values():
                held.ends -= by

    def overdue(self, now: int) -> Sequence[Rest]:
        """What is left of shares whose time is over, once each; those that tell nothing any more are forgotten."""
        with self._changing:
            rests, self._dropped = self._dropped, []
            for number, held in list(self._held.items()):
                if now >= held.ends:
                    rests += _draw(held)
                if now >= held.over_at and now >= held.refused_until:
                    del self._held[number]
            return rests

    def drain(self) -> Sequence[Rest]:
        """What is left of all of them: nothing is held any more."""
        return self.overdue(_NEVER)


def _draw(held: _Held) -> list[Rest]:
    """Have it spent no more: it holds as many requests as were spent of it from here on."""
    left = held.left
    held.left = 0  # one stretch with the line before
    held.requests -= left
    loan, held.loan = held.loan, ""
    return [Rest(key_id=held.key_id, loan=loan, requests=left)] if loan else []
