"""Borrowing shares of limits, for the requests that wait for them (F15)."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from keyturn.core.share import HOLD, Rest, Share, Wish
from keyturn.verify.decision import ASK, Verdict
from keyturn.verify.shares import Shares
from keyturn.verify.together import Together, without_end

Lend = Callable[[Sequence[Wish], Sequence[Rest]], Sequence[Share]]
"""Asks the lender, giving back at the same time; a key that it has nothing to say of is missing from the answer."""
_Wanted = tuple[int, str, int, int]
_TRIES: Final = 16


class Borrower:
    """One for each `Shares`.  Safe to share between threads."""

    def __init__(
        self,
        shares: Shares,
        lend: Lend,
        *,
        now: Callable[[], int],
        latest: Callable[[], int] | None = None,
        is_last: bool = False,
        left: Callable[[], float] = without_end,
    ) -> None:
        """`now` is what requests are decided as of; what `lend` raises, whoever borrows raises.

        `latest`: the latest that it can be, where `now` may be beyond it for a while, and stand still.
        `is_last`: nobody else decides where a share would be over at once, so requests are lent one by one.
        `left`: for how many seconds whoever borrows may wait for others that do; it raises once that is over.
        """
        self._shares = shares
        self._lend = lend
        self._now = now
        self._latest = latest or now
        self._is_last = is_last
        self._together = Together[_Wanted, bool](self._borrow, left=left)

    def decide(self, verdict: Verdict, again: Callable[[], Verdict]) -> Verdict:
        """Borrow where the verdict is ASK, and decide `again`, as often as others have spent what was borrowed."""
        for _ in range(_TRIES):
            seen = verdict.view
            if verdict.code != ASK or seen is None:
                break
            if not self._together((seen.number, seen.key_id, verdict.profile.interval, verdict.profile.window)):
                break  # the limit is another by now: what is known here has to catch up first
            verdict = again()
        return verdict

    def give_back(self, *, everything: bool = False) -> None:
        """What is left of shares whose time is over, or of all of them."""
        if rests := self._shares.drain() if everything else self._shares.overdue(self._now()):
            self._lend((), rests)

    def _borrow(self, keys: Sequence[_Wanted]) -> Sequence[bool]:
        """Whether there is something to spend, or a reason to wait, of each."""
        now, asked = self._now(), self._latest()
        is_late = now >= asked + HOLD  # no share goes on for so long: it would be over
        if is_late and not self._is_last:
            return [False] * len(keys)
        if is_late:
            asked = now - HOLD + 1  # for those who wait, while time stands still, and for nobody after them
        wished: dict[str, tuple[int, Wish]] = {}
        rests: list[Rest] = []
        known = dict.fromkeys(keys, False)
        for one, waiting in Counter(keys).items():
            number, key_id, interval, window = one
            if self._shares.holds(number, interval, window, now):
                known[one] = True
                continue  # or what those who wait would find is lost
            wish, left = self._shares.wish(number, key_id, waiting=waiting, now=now)
            wished[key_id] = number, replace(wish, ahead=0) if is_late else wish
            rests += left
        for share in self._lend([wish for _, wish in wished.values()], rests) if wished else ():
            if share.key_id in wished:
                number, wish = wished[share.key_id]
                self._shares.put(number, share, wish=wish, asked=asked if share.requests else now)
                known[number, share.key_id, share.interval, share.window] = True
        return [known[one] for one in keys]
