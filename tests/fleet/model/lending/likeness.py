"""Which states differ in nothing that matters: what keeps the number of states small and finite.

Loans get names anew and holders another order, which is always allowed.  `tidied` drops what makes no difference under
the rules; `Bounds.forgets` turns it off, for mutants whose guard it relies on.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Final

from keyturn.core.share import Balance
from tests.fleet.model.lending.rules import TICK, TICKS
from tests.fleet.model.lending.state import NAMES, PAST, Answer, Ask, Held, Holder, State, requests
from tests.fleet.model.memory import MANY
from tests.fleet.model.state import Absent

_UNKNOWN: Final = "-"  # a loan that the lender knows no more


def tidied(state: State) -> State:
    """A loan that time has made up brings nothing back; a share with nothing left, or to give back, says nothing."""
    past = -max((ask.work.age for ask in requests(state) if ask.work), default=0) * TICK
    holders = tuple(Holder(_held_tidied(one.held), _ask_tidied(one.ask, past)) for one in state.holders)
    return State(_balance_tidied(state.balance, past), state.used, holders, _ask_tidied(state.late, past))


def _held_tidied(held: Held | Absent) -> Held | Absent:
    if not held or not held.left or (held.age == TICKS and not held.loan):
        return ()
    return held._replace(lent=held.left)


def _ask_tidied(ask: Ask | Absent, past: int) -> Ask | Absent:
    if not ask or not ask.work or not ask.work.read:
        return ask
    return ask._replace(work=ask.work._replace(read=_balance_tidied(ask.work.read, past)))


@lru_cache(maxsize=MANY)
def _balance_tidied(balance: Balance, past: int) -> Balance:
    """What was before any transaction under way read the time is alike; and so are the times of loans, within KEPT."""
    loans = tuple(replace(one, at=0) for one in balance.loans if one.arrival > past)
    return Balance(arrival=max(balance.arrival, past), loans=loans, at=balance.at if balance.at > past else PAST)


def renamed(state: State) -> State:
    """Without loans that nobody can give back; the oldest first, and whichever holder is."""
    asks = requests(state)
    named = {one.held.loan for one in state.holders if one.held}
    for ask in asks:
        named.update(rest.loan for rest in ask.rests)
        named.update(answer[0] for answer in (ask.answer, ask.before) if answer)
    names = {"": ""}
    for balance in (state.balance, *(ask.work.read for ask in asks if ask.work)):
        for one in balance.loans if balance else ():
            if one.id in named:
                names.setdefault(one.id, NAMES[len(names) - 1])
    holders = tuple(sorted((_holder_renamed(one, names) for one in state.holders), key=repr))
    return State(_balance_renamed(state.balance, names), state.used, holders, _ask_renamed(state.late, names))


def _holder_renamed(holder: Holder, names: Mapping[str, str]) -> Holder:
    held = holder.held
    if held:
        held = held._replace(loan=names.get(held.loan, _UNKNOWN))
    return Holder(held, _ask_renamed(holder.ask, names))


def _ask_renamed(ask: Ask | Absent, names: Mapping[str, str]) -> Ask | Absent:
    if not ask:
        return ask
    rests = tuple(replace(rest, loan=names[rest.loan]) for rest in ask.rests if rest.loan in names)
    work = ask.work
    if work and work.read:
        work = work._replace(read=_balance_renamed(work.read, names))
    answer, before = _answer_renamed(ask.answer, names), _answer_renamed(ask.before, names)
    return ask._replace(rests=rests, work=work, answer=answer, before=before)


def _answer_renamed(answer: Answer | Absent, names: Mapping[str, str]) -> Answer | Absent:
    return answer and (names.get(answer[0], _UNKNOWN), answer[1])


def _balance_renamed(balance: Balance, names: Mapping[str, str]) -> Balance:
    loans = balance.loans
    if not loans:
        return balance
    return replace(balance, loans=tuple(replace(one, id=names[one.id]) for one in loans if one.id in names))
