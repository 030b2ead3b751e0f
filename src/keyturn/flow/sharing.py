"""A node's part in sharing out limits: it lends to its verifiers, and borrows where other nodes decide too (F15)."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Final

from keyturn.core import share
from keyturn.core.instant import to_micros
from keyturn.core.limit import Limit
from keyturn.core.share import Balance, Rest, Share, Wish
from keyturn.flow.follow import Follower
from keyturn.ports.store import CounterHeld, Store, StoreBusy
from keyturn.ports.transaction import Transaction
from keyturn.verify.borrower import Borrower
from keyturn.verify.counters import Counters
from keyturn.verify.decision import ASK, Verdict
from keyturn.verify.shares import Shares
from keyturn.verify.together import Together

MOST_SHARES: Final = 100_000
_MOST_RESTS: Final = 10_000
_MOST_TOGETHER: Final = 20
_NONE: Final = timedelta(0)
_PATIENCE: Final = timedelta(milliseconds=300)
"""How long somebody else's turn at a key's balance is waited for: many times what it takes."""
_LITTLE_PATIENCE: Final = timedelta(milliseconds=20)
"""The same where that was in vain for several keys, and each is tried by itself."""
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
        latest: Callable[[], int],
    ) -> None:
        """`loan` makes names that nobody can guess; `now` is what requests are decided as of here.

        `latest`: the latest that it can be, where `now` may be beyond it for a while, and stand still.
        """
        self._store = store
        self._follower = follower
        self._limits = limits
        self._holders = holders
        self._loan = loan
        self._now = now
        self._given_back: deque[Rest] = deque(maxlen=_MOST_RESTS)
        self._together = Together[_Asked, Sequence[Share]](self._lend_together, most=_MOST_TOGETHER)
        self._borrower: Borrower | None = None
        if isinstance(limits, Shares):
            self._borrower = Borrower(limits, self.lend, now=now, latest=latest, is_last=True)

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
        """Lend out of the keys' balances, taking back at the same time; keys without a limit are passed over."""
        return self._together((wishes, rests))

    def given_back(self, rests: Sequence[Rest]) -> None:
        """What a verifier spends no more; it is counted back with whatever is asked next.  Raises nothing."""
        self._given_back.extend(rests)

    def tick(self) -> None:
        """Give back what is left of shares whose time is over."""
        if self._borrower is not None:
            self._borrower.give_back()
        if self._given_back:
            self.lend((), ())

    def leave(self) -> None:
        """Give back what is left of all shares: this node decides no more."""
        if self._borrower is not None:
            self._borrower.give_back(everything=True)

    def _lend_together(self, asked: Sequence[_Asked]) -> Sequence[Sequence[Share]]:
        wishes = [wish for each, _ in asked for wish in each]
        rests = [self._given_back.popleft() for _ in range(len(self._given_back))]
        rests += [rest for _, each in asked for rest in each]
        lent = iter(self._lend(wishes, rests))
        return [[one for one in (next(lent) for _ in each) if one is not None] for each, _ in asked]

    def _lend(self, wishes: Sequence[Wish], rests: Sequence[Rest]) -> Sequence[Share | None]:
        limits = self._limits
        if isinstance(limits, Counters):
            return self._lend_from_memory(limits, wishes, rests)
        return self._lend_from_store(wishes, rests)

    def _lend_from_store(self, wishes: Sequence[Wish], rests: Sequence[Rest]) -> Sequence[Share | None]:
        """Those keys first that nobody else is at; a node that stops in the middle of one holds up no other."""
        named = {self._loan(): wish for wish in wishes}
        shares, busy = self._store.change(lambda tx: lend(tx, named, rests, holders=self._holders()))
        if busy and not self._wait_for(busy, named, rests, shares, patience=_PATIENCE):
            for key_id in tuple(busy) if len(busy) > 1 else ():
                self._wait_for({key_id: busy[key_id]}, named, rests, shares, patience=_LITTLE_PATIENCE)
        return [shares.get(loan) for loan in named]

    def _wait_for(
        self,
        busy: Mapping[str, Limit],
        wishes: Mapping[str, Wish],
        rests: Sequence[Rest],
        shares: dict[str, Share],
        *,
        patience: timedelta,
    ) -> bool:
        """Lend of keys that others were at; whether they were let go.  Nothing is lent of what they keep."""
        some = {loan: wish for loan, wish in wishes.items() if wish.key_id in busy}
        back = [rest for rest in rests if rest.key_id in busy]
        try:
            more, _ = self._store.change(lambda tx: lend(tx, some, back, holders=self._holders(), patience=patience))
        except CounterHeld:
            shares |= {loan: _nothing(wish, busy[wish.key_id]) for loan, wish in some.items()}
            if len(busy) == 1:
                self._given_back.extend(back)
            return False
        shares |= more
        return True

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
    tx: Transaction,
    wishes: Mapping[str, Wish],
    rests: Sequence[Rest],
    *,
    holders: int,
    patience: timedelta = _NONE,
) -> tuple[dict[str, Share], Mapping[str, Limit]]:
    """The same out of the authority's balances, by the loans' names.  It is no change of any key.

    Also the limits of the keys that were passed over, since somebody else is at their balances; with `patience` none
    is, and it may raise CounterHeld.
    """
    limits = tx.limits_of(_named(wishes.values(), rests))
    numbers = [number for number, _ in limits.values()]
    before = tx.balances(numbers, patience=patience) if patience else tx.free_balances(numbers)
    after, now = dict(before), to_micros(tx.now)
    free = {key_id: (number, limit) for key_id, (number, limit) in limits.items() if number in before}
    for rest in rests:
        if rest.key_id in free:
            number, _ = free[rest.key_id]
            after[number] = share.take_back(after[number], rest, now=now)
    shares: dict[str, Share] = {}
    for loan, wish in wishes.items():
        if wish.key_id in free:
            number, limit = free[wish.key_id]
            after[number], shares[loan] = share.lend(
                after[number],
                wish,
                interval=limit.interval_micros,
                window=limit.window_micros,
                holders=holders,
                loan=loan,
                now=now,
            )
    tx.save_balances({number: one for number, one in after.items() if _differs(one, before[number])})
    return shares, {key_id: limit for key_id, (_, limit) in limits.items() if key_id not in free}


def _nothing(wish: Wish, limit: Limit) -> Share:
    return Share(
        key_id=wish.key_id,
        requests=0,
        loan="",
        interval=limit.interval_micros,
        window=limit.window_micros,
        others=0,
        wait=share.HOLD,
    )


def _named(wishes: Iterable[Wish], rests: Iterable[Rest]) -> set[str]:
    return {one.key_id for one in wishes} | {one.key_id for one in rests}


def _differs(one: Balance, other: Balance) -> bool:
    return (one.arrival, one.loans) != (other.arrival, other.loans)
