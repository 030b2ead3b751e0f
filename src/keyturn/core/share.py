"""A key's limit shared out among all who decide on its requests (F15).

The lender keeps the key's arrival, as `core.limit` reckons it, and counts what it lends at once.  So whatever is spent
was counted before, and all holders together let through no more than one counter would, each request as of when it was
lent: up to HOLD before it was spent.  What comes back unspent counts no more, as far as it still keeps others waiting.

Times are microseconds of the authority's time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

HOLD: Final = 1_000_000
"""For how long a share may be spent after it was asked for.  No window is shorter; and with its lease over, a holder
answers nothing from memory, a share or none."""
PAUSE: Final = 20_000
"""Who was lent nothing asks again after that time at the earliest; and what a limit gains meanwhile is lent whole."""
KEPT: Final = 5 * HOLD
"""For how long a lender knows a loan, to take back what was left of it."""
_PART: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Loan:
    """What was lent to one holder at one time."""

    id: str
    requests: int
    interval: int
    """What each of them was counted as."""
    arrival: int
    """The key's, once this was lent: later ones only made it later, or were taken back themselves."""
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """How far a key's limit is used up, as its lender has it."""

    arrival: int = 0
    loans: tuple[Loan, ...] = ()
    """The oldest first."""
    at: int = 0
    """When it was last looked at: here time never runs back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a holder wishes to be lent."""

    key_id: str
    waiting: int
    """Requests that wait for it."""
    ahead: int = 0
    """How many more are likely to come soon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """What is left of a loan that its holder spends no more."""

    key_id: str
    loan: str
    requests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What was lent; no requests where none fits."""

    key_id: str
    requests: int
    loan: str
    """Empty where nothing is to be given back."""
    interval: int
    window: int
    """The limit it was lent under, as `core.limit` reckons it: under another one it is void."""
    others: int
    """How many more would have fitted."""
    wait: int
    """Microseconds until one may fit, where none does."""


def lend(
    balance: Balance, wish: Wish, *, interval: int, window: int, holders: int, loan: str, now: int
) -> tuple[Balance, Share]:
    """Lend what fits of a wish.  `holders` is how many there are to lend to, `loan` a name never used before.

    A single holder may have everything.  Of several each gets a small part of what there is beyond the requests that
    wait, so that little lies idle with one while another is refused; a limit too small for that is lent one by one.
    """
    now = max(now, balance.at)
    loans = tuple(one for one in balance.loans if now < one.at + KEPT)
    arrival = balance.arrival
    if arrival > now + window:
        # A longer window was in force when these were counted.  What was lent under it comes back no more.
        arrival, loans = now + window, ()
    room = window - max(arrival - now, 0)
    fits = room // interval
    most = fits if holders <= 1 else max(fits // (_PART * holders), PAUSE // interval)
    lent = min(fits, max(wish.waiting, min(wish.waiting + wish.ahead, most)))
    if lent:
        arrival = max(arrival, now) + lent * interval
    if lent > wish.waiting:
        loans = (*loans, Loan(id=loan, requests=lent, interval=interval, arrival=arrival, at=now))
    share = Share(
        key_id=wish.key_id,
        requests=lent,
        loan=loan if lent > wish.waiting else "",
        interval=interval,
        window=window,
        others=fits - lent,
        # What is out may come back unspent, before time alone makes room.
        wait=0 if lent else min(interval - room, HOLD if loans else interval),
    )
    return Balance(arrival=arrival, loans=loans, at=now), share


def take_back(balance: Balance, rest: Rest, *, now: int) -> Balance:
    """Count what is left of a loan no more.  Each loan comes back once, and no more of it than was lent.

    Since it was lent, the key's arrival has been ahead of time by what is left of the loan's own at least; only so much
    can have kept others waiting.  What is beyond, time has given back already.
    """
    now = max(now, balance.at)
    found = next((one for one in balance.loans if one.id == rest.loan and now < one.at + KEPT), None)
    if found is None:
        return balance
    left = max(0, min(rest.requests, found.requests))
    back = max(0, min(left * found.interval, found.arrival - now))
    return Balance(arrival=balance.arrival - back, loans=_without(balance.loans, found, back), at=now)


def _without(loans: Sequence[Loan], gone: Loan, back: int) -> tuple[Loan, ...]:
    """The other loans; those after it had it counted in."""
    place = loans.index(gone)
    return (*loans[:place], *(replace(one, arrival=one.arrival - back) for one in loans[place + 1 :]))
