"""Limits shared out: one lender, two holders, and every way that a loan can go (F15).

What is lent and taken back is reckoned by `core.share` itself; a mutant drops a part of that, or of what is around it.
Clocks run at the right rate, and a request counts as of when its holder read the clock.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from keyturn.core.share import Balance, Rest, Wish, lend, take_back
from tests.fleet.model.lending import likeness
from tests.fleet.model.lending.rules import EARLY, RULES, TICK, TICKS, Bounds, Rules
from tests.fleet.model.lending.state import (
    NOBODY,
    PAST,
    Answer,
    Ask,
    Held,
    Holder,
    State,
    Work,
    later,
    new_name,
    requests,
    with_holder,
)
from tests.fleet.model.state import Absent

Step = tuple[str, State]
Sign = Callable[[str, State], bool]
_KEY: Final = "key"
_UNUSED: Final = Balance(arrival=PAST, at=PAST)


@dataclass(frozen=True, slots=True)
class Lending:
    bounds: Bounds
    rules: Rules = RULES
    wanted: Mapping[str, Sign] = field(default_factory=dict)

    def start(self) -> State:
        return State(_UNUSED, 0, (NOBODY, NOBODY), ())

    def steps(self, state: State) -> Iterator[Step]:
        for number, holder in enumerate(state.holders):
            for label, following in self._of_holder(state, number, holder):
                yield f"holder {number + 1} {label}", following
        if state.late:
            for label, balance, ask in self._of_lender(state, state.late):
                yield f"a late request {label}", state._replace(balance=balance, late=() if ask.answer else ask)
            yield "a late request is lost", state._replace(late=())
        if self.bounds.ends:
            yield "the lender starts again", self._restarted(state)
        if not self.rules.silent_keep_their_shares:
            for one in state.balance.loans:
                back = take_back(state.balance, Rest(key_id=_KEY, loan=one.id, requests=one.requests), now=0)
                yield f"the lender takes back loan {one.id} of a silent holder", state._replace(balance=back)
        yield "a tick", later(state)

    def _of_holder(self, state: State, number: int, holder: Holder) -> Iterator[Step]:
        held, ask = holder
        if held and held.left and (held.age < TICKS or not self.rules.shares_end):
            after = with_holder(state, number, holder._replace(held=held._replace(left=held.left - 1)))
            yield "lets a request through", after._replace(used=state.used + self.bounds.interval)
        if ask:
            yield from self._in_the_network(state, number, holder, ask)
        else:
            back = " and gives back" if held else ""
            yield f"asks for a share{back}", with_holder(state, number, self._asking(held, wishes=True))
            if held:
                yield f"asks for none{back}", with_holder(state, number, self._asking(held, wishes=False))
        if holder != NOBODY and self.bounds.ends:
            yield "dies; another one comes", self._given_up(with_holder(state, number, NOBODY), ask)

    def _asking(self, held: Held | Absent, *, wishes: bool) -> Holder:
        rests: tuple[Rest, ...] = ()
        if held and held.loan:
            left = held.left if self.rules.only_rests_come_back else held.lent
            rests = (Rest(key_id=_KEY, loan=held.loan, requests=left),)
        ask = Ask(0, wishes, rests, work=(), answer=(), before=())
        return Holder(() if self.rules.rests_are_not_spent else held, ask)

    def _in_the_network(self, state: State, number: int, holder: Holder, ask: Ask) -> Iterator[Step]:
        for label, balance, after in self._of_lender(state, ask):
            asking = with_holder(state, number, holder._replace(ask=after))
            yield f"has a request: it {label}", asking._replace(balance=balance)
        if ask.answer:
            loan, lent = ask.answer
            share = Held(loan, lent, lent, ask.age if self.rules.ends_from_asking else 0)
            held = share if lent else ()
            yield "gets its answer", with_holder(state, number, Holder(held, ()))
            if self.bounds.repeats:
                again = with_holder(state, number, Holder(held, self._repeated(ask)))
                yield "gets its answer, and its request comes again", again
        yield "gives its request up", self._given_up(with_holder(state, number, holder._replace(ask=())), ask)

    def _given_up(self, state: State, ask: Ask | Absent) -> State:
        """It may still come to the lender; one such request at a time is remembered."""
        return state if not ask or ask.answer or state.late or not self.bounds.late else state._replace(late=ask)

    def _repeated(self, ask: Ask) -> Ask:
        return ask._replace(answer=(), before=() if self.rules.every_answer_counts else ask.answer)

    def _of_lender(self, state: State, ask: Ask) -> Iterator[tuple[str, Balance, Ask]]:
        """A transaction reads the time, then the balance, which it holds from then on; then it writes."""
        balance, work = state.balance, ask.work
        if ask.answer:
            return
        if not self.bounds.pauses:
            yield from self._answers(state, ask, balance, now=0)
        elif not work:
            yield "reads the time", balance, ask._replace(work=Work(0, ()))
        else:
            yield "is rolled back", balance, ask._replace(work=())
            if work.read:
                yield from self._answers(state, ask, work.read, now=-work.age * TICK)
            elif not self.rules.balance_is_held or not any(one.work and one.work.read for one in requests(state)):
                yield "reads the balance", balance, ask._replace(work=work._replace(read=balance))

    def _answers(self, state: State, ask: Ask, balance: Balance, *, now: int) -> Iterator[tuple[str, Balance, Ask]]:
        after, answer = self._lent(balance, ask, new_name(state), now=now)
        done = ask._replace(work=(), answer=answer)
        yield f"is answered: {answer[1]}", after, done
        if self.bounds.repeats:
            yield f"is answered: {answer[1]}; that is lost, and it comes again", after, self._repeated(done)

    def _lent(self, balance: Balance, ask: Ask, name: str, *, now: int) -> tuple[Balance, Answer]:
        if not self.rules.time_never_runs_back:
            balance = replace(balance, at=now)
        for rest in ask.rests:
            balance = self._taken_back(balance, rest, now=now)
        if not ask.wishes:
            return balance, ("", 0)
        if ask.before:
            return balance, ask.before
        interval, window = self.bounds.interval, self.bounds.window
        # As if to a single holder: then all that fits is lent, and most can go wrong.
        wish = Wish(key_id=_KEY, waiting=1, ahead=1)
        balance, share = lend(balance, wish, interval=interval, window=window, holders=1, loan=name, now=now)
        return balance, (share.loan, share.requests)

    def _taken_back(self, balance: Balance, rest: Rest, *, now: int) -> Balance:
        after, rules = take_back(balance, rest, now=now), self.rules
        if after is balance:
            return balance
        if not rules.comes_back_once:
            return replace(after, loans=balance.loans)
        if not rules.others_come_off:
            return replace(after, loans=tuple(one for one in balance.loans if one.id != rest.loan))
        if not rules.time_comes_off:
            return replace(after, arrival=balance.arrival - rest.requests * self.bounds.interval)
        return after

    def _restarted(self, state: State) -> State:
        """What it had in hand is rolled back."""
        holders = tuple(one._replace(ask=_undone(one.ask)) for one in state.holders)
        balance = state.balance if self.rules.balance_lasts else _UNUSED
        return state._replace(balance=balance, holders=holders, late=_undone(state.late))

    def alike(self, state: State) -> State:
        return likeness.renamed(likeness.tidied(state) if self.bounds.forgets else state)

    def broken(self, state: State) -> str:
        """F15: nowhere more than one server would let through, each request counted less than HOLD before.

        So no stretch of time has more than one server lets through in one that is longer by that much.
        """
        if state.used > self.bounds.window + EARLY:
            return "more was let through than one server would have let through"
        return ""

    def signs(self) -> Mapping[str, Sign]:
        return self.wanted


def _undone(ask: Ask | Absent) -> Ask | Absent:
    return ask and ask._replace(work=())
