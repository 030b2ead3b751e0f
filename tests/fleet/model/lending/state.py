"""What the model knows of loans: values that hash.  Times are how long ago they were, so time needs no bound."""

from dataclasses import replace
from functools import lru_cache
from typing import Final, NamedTuple

from keyturn.core.share import KEPT, Balance, Rest
from tests.fleet.model.lending.rules import LONGEST, TICK, TICKS
from tests.fleet.model.memory import MANY
from tests.fleet.model.places import put
from tests.fleet.model.state import Absent

PAST: Final = -LONGEST * TICK  # no transaction under way can tell what was earlier
NAMES: Final = "abcdefgh"  # of loans
Answer = tuple[str, int]  # a loan, and of how many requests


class Held(NamedTuple):
    """A holder's share."""

    loan: str  # empty: nothing is to be given back
    lent: int
    left: int
    age: int  # in ticks, since it was asked for


class Work(NamedTuple):
    """A transaction at the lender."""

    age: int  # since it read the time
    read: Balance | Absent


class Ask(NamedTuple):
    """A request in the network: it may come late, never or twice, and its answer too."""

    age: int
    wishes: bool  # else it only gives back
    rests: tuple[Rest, ...]
    work: Work | Absent
    answer: Answer | Absent
    before: Answer | Absent  # what it was answered already; only a mutant looks


class Holder(NamedTuple):
    held: Held | Absent
    ask: Ask | Absent


class State(NamedTuple):
    balance: Balance  # where now is 0
    used: int  # by how much one server would be ahead of time that had let through the same
    holders: tuple[Holder, ...]
    late: Ask | Absent  # a request whose holder waits for it no more


NOBODY: Final = Holder((), ())


def with_holder(state: State, number: int, holder: Holder) -> State:
    return state._replace(holders=put(state.holders, number, holder))


def requests(state: State) -> list[Ask]:
    return [ask for ask in (*(one.ask for one in state.holders), state.late) if ask]


def new_name(state: State) -> str:
    """Nobody has a loan of that name any more."""
    taken = {one.held.loan for one in state.holders if one.held} | {one.id for one in state.balance.loans}
    for ask in requests(state):
        taken.update(rest.loan for rest in ask.rests)
        taken.update(answer[0] for answer in (ask.answer, ask.before) if answer)
        taken.update(one.id for one in (ask.work.read.loans if ask.work and ask.work.read else ()))
    return next(name for name in NAMES if name not in taken)


def later(state: State) -> State:
    """A tick after that."""
    holders = tuple(Holder(_held_later(one.held), _ask_later(one.ask)) for one in state.holders)
    return State(_balance_later(state.balance), max(state.used - TICK, 0), holders, _ask_later(state.late))


def _held_later(held: Held | Absent) -> Held | Absent:
    return held and held._replace(age=min(held.age + 1, TICKS))


@lru_cache(maxsize=MANY)
def _ask_later(ask: Ask | Absent) -> Ask | Absent:
    if not ask:
        return ask
    work = ask.work
    if work:
        work = () if work.age == LONGEST else Work(work.age + 1, work.read and _balance_later(work.read))
    return ask._replace(age=min(ask.age + 1, TICKS), work=work)


@lru_cache(maxsize=MANY)
def _balance_later(balance: Balance) -> Balance:
    loans = tuple(
        replace(one, arrival=max(one.arrival - TICK, PAST), at=one.at - TICK)
        for one in balance.loans
        if one.at - TICK + KEPT > PAST
    )
    return Balance(arrival=max(balance.arrival - TICK, PAST), loans=loans, at=max(balance.at - TICK, PAST))
