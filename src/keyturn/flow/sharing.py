"""A node's part in sharing out limits: it lends to its verifiers, and borrows where other nodes decide too (F15)."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from keyturn.core import share
from keyturn.core.instant import to_micros
from keyturn.core.share import Balance, Rest, Share, Wish
from keyturn.flow.follow import Follower
from keyturn.ports import Store, StoreBusy, Transaction
from keyturn.verify.borrower import Borrower
from keyturn.verify.counters import Counters
from keyturn.verify.decision import ASK, Verdict
from keyturn.verify.shares import Shares
from keyturn.verify.together import Together

MOST_SHARES: Final = 100_000
_MOST_RESTS: Final = 10_000
_MOST_TOGETHER: Final = 20
_Asked = tuple[Sequence[Wish], Sequence[Rest]]


def limits_for(*, is_shared: bool, most: int) -> Counters | Shares:
    """Where this node takes limits from: it counts by itself where it alone decides (F13)."""
    return Shares(min(most, MOST_SHARES)) if is_shared else Counters(most)


class Sharing:
    """Safe to share between threads.  Every method may raise StoreUnavailable unless it says otherwise."""

    def __init__(
        self,
        store: Store,
        follower: Follower,
        limits: Counters | Shares,
        *,
        holders: Callable[[], int],
        loan: Callable[[], str],
        now: Callable[[], int],
    ) -> None:
        """`loan` makes names that nobody can guess; `now` is what requests are decided as of here."""
        self._store = store
        self._follower = follower
        self._limits = limits
        self._holders = holders
        self._loan = loan
        self._now = now
        self._returned: deque[Rest] = deque(maxlen=_MOST_RESTS)
        self._together = Together[_Asked, Sequence[Share]](self._lend_together, most=_MOST_TOGETHER)
        self._borrower = Borrower(limits, self.lend, now=now) if isinstance(limits, Shares) else None

    def decide(self, verdict: Verdict, again: Callable[[], Verdict]) -> Verdict:
        """The verdict; where it is ASK, what it is `again` with a share.  In a thread: it may have to wait."""
        if self._borrower is None or verdict.code != ASK:
            return verdict
        verdict = self._borrower.decide(verdict, again)
        if verdict.code == ASK:
            self._follower.catch_up()  # the limit may be another by now
            verdict = self._borrower.decide(again(), again)
        if verdict.code == ASK:
            raise StoreBusy
        return verdict

    def lend(self, wishes: Sequence[Wish], rests: Sequence[Rest]) -> Sequence[Share]:
        """Lend out of the keys' counters, taking back at the same time; keys without a limit are passed over."""
        return self._together((wishes, rests))

    def returned(self, rests: Sequence[Rest]) -> None:
        """What a verifier spends no more; it is counted back with whatever is asked next.  Raises nothing."""
        self._returned.extend(rests)

    def tick(self) -> None:
        """Give back what is left of shares whose time is over."""
        if self._borrower is not None:
            self._borrower.give_back()
        if self._returned:
            self.lend((), ())

    def leave(self) -> None:
        """Give back what is left of all shares: this node decides no more."""
        if self._borrower is not None:
            self._borrower.give_back(everything=True)

    def _lend_together(self, asked: Sequence[_Asked]) -> Sequence[Sequence[Share]]:
        wishes = [wish for each, _ in asked for wish in each]
        rests = [self._returned.popleft() for _ in range(len(self._returned))]
        rests += [rest for _, each in asked for rest in each]
        lent = iter(self._lend(wishes, rests))
        return [[one for one in (next(lent) for _ in each) if one is not None] for each, _ in asked]

    def _lend(self, wishes: Sequence[Wish], rests: Sequence[Rest]) -> Sequence[Share | None]:
        limits = self._limits
        if isinstance(limits, Counters):
            return self._lend_from_memory(limits, wishes, rests)
        loans = [self._loan() for _ in wishes]
        return self._store.change(lambda tx: lend(tx, wishes, rests, holders=self._holders(), loans=loans))

    def _lend_from_memory(
        self, counters: Counters, wishes: Sequence[Wish], rests: Sequence[Rest]
    ) -> Sequence[Share | None]:
        limits = self._store.read(lambda tx: tx.limits_of(_named(wishes, rests)))
        for rest in rests:
            if rest.key_id in limits:
                counters.take_back(limits[rest.key_id][0], rest, now=self._now())
        shares: list[Share | None] = []
        for wish in wishes:
            if wish.key_id not in limits:
                shares.append(None)
                continue
            number, limit = limits[wish.key_id]
            lent = counters.lend(
                number,
                wish,
                interval=limit.interval_micros,
                window=limit.window_micros,
                holders=self._holders(),
                loan=self._loan(),
                now=self._now(),
            )
            shares.append(lent)
        return shares


def lend(
    tx: Transaction, wishes: Sequence[Wish], rests: Sequence[Rest], *, holders: int, loans: Sequence[str]
) -> Sequence[Share | None]:
    """The same out of the authority's counters; `loans` has a name for each wish.  It is no change of any key."""
    limits = tx.limits_of(_named(wishes, rests))
    before = tx.balances([number for number, _ in limits.values()])
    after, now = dict(before), to_micros(tx.now)
    for rest in rests:
        if rest.key_id in limits:
            number, _ = limits[rest.key_id]
            after[number] = share.take_back(after[number], rest, now=now)
    shares: list[Share | None] = []
    for wish, loan in zip(wishes, loans, strict=True):
        if wish.key_id not in limits:
            shares.append(None)
            continue
        number, limit = limits[wish.key_id]
        after[number], lent = share.lend(
            after[number],
            wish,
            interval=limit.interval_micros,
            window=limit.window_micros,
            holders=holders,
            loan=loan,
            now=now,
        )
        shares.append(lent)
    tx.save_balances({number: one for number, one in after.items() if _differs(one, before[number])})
    return shares


def _named(wishes: Sequence[Wish], rests: Sequence[Rest]) -> set[str]:
    return {one.key_id for one in wishes} | {one.key_id for one in rests}


def _differs(one: Balance, other: Balance) -> bool:
    return (one.arrival, one.loans) != (other.arrival, other.loans)
