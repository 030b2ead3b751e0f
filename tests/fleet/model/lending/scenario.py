"""Where the rules of sharing limits out are explored, and where each mutant has to show."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from tests.fleet.model.lending.rules import RULES, Bounds, Rules
from tests.fleet.model.lending.state import State
from tests.fleet.model.lending.world import Lending, Sign


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    bounds: Bounds
    more_than: int  # states; else it has gone nowhere
    marks: tuple[str, ...] = ()  # words of steps that must be met

    def world(self) -> Lending:
        signs: dict[str, Sign] = {mark: _mark(mark) for mark in (*ALWAYS, *self.marks)}
        signs["a request counted before it is let through"] = self._early
        return Lending(self.bounds, RULES, signs)

    def _early(self, _: str, state: State) -> bool:
        """As many as one server lets through only if it was asked for some of them sooner."""
        return state.used > self.bounds.window


ALWAYS: Final = ("is answered: 2", "is answered: 1", "is answered: 0", "lets a request through", "asks for none")


def _mark(words: str) -> Sign:
    return lambda label, _: words in label


PLAIN: Final = Bounds()
STEPS: Final = Bounds(pauses=True)
MESSAGES: Final = Bounds(repeats=True, ends=True)
LATE: Final = Bounds(late=True)
FOUR: Final = Bounds(at_once=4, takes=1)  # so that two loans of two are out at once

STEPPED: Final = ("reads the time", "reads the balance", "is rolled back")
REPEATED: Final = ("its request comes again", "that is lost", "dies; another one comes", "the lender starts again")
GIVEN_UP: Final = ("gives its request up", "a late request is answered", "a late request is lost")

QUICK: Final[Mapping[str, Scenario]] = {
    "transactions step by step": Scenario(bounds=STEPS, more_than=30_000, marks=STEPPED),
    "messages that come again, and ends": Scenario(bounds=MESSAGES, more_than=10_000, marks=REPEATED),
    "late requests": Scenario(bounds=LATE, more_than=30_000, marks=GIVEN_UP),
    "two loans at once": Scenario(bounds=FOUR, more_than=10_000),
}

THOROUGH: Final[Mapping[str, Scenario]] = {
    "late requests that come again, and ends": Scenario(
        bounds=replace(MESSAGES, late=True), more_than=70_000, marks=REPEATED + GIVEN_UP
    ),
    "transactions step by step, messages that come again, and ends": Scenario(
        bounds=replace(MESSAGES, pauses=True), more_than=90_000, marks=STEPPED + REPEATED
    ),
    "two loans at once, late requests": Scenario(bounds=replace(FOUR, late=True), more_than=120_000, marks=GIVEN_UP),
    "nothing left out for being useless": Scenario(bounds=replace(PLAIN, forgets=False), more_than=90_000),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """F15 with one guard dropped, and where that has to show."""

    rules: Rules
    bounds: Bounds = field(default=PLAIN)


WHOLE: Final = replace(PLAIN, forgets=False)

MUTANTS: Final[Mapping[str, Mutant]] = {
    "a spent share is given back whole": Mutant(rules=Rules(only_rests_come_back=False), bounds=WHOLE),
    "a share outlives its end": Mutant(rules=Rules(shares_end=False)),
    "a share counts from its answer": Mutant(rules=Rules(ends_from_asking=False)),
    "what is given back is spent": Mutant(rules=Rules(rests_are_not_spent=False)),
    "the balance is read without being held": Mutant(rules=Rules(balance_is_held=False), bounds=STEPS),
    "the balance ends with its lender": Mutant(rules=Rules(balance_lasts=False), bounds=MESSAGES),
    "a reply lost and asked again lends twice without counting": Mutant(
        rules=Rules(every_answer_counts=False), bounds=MESSAGES
    ),
    "a dead holder's share is returned early": Mutant(rules=Rules(silent_keep_their_shares=False)),
    "a rest counts each time it is told": Mutant(rules=Rules(comes_back_once=False), bounds=MESSAGES),
    "what time has made up comes back as well": Mutant(rules=Rules(time_comes_off=False), bounds=WHOLE),
    "two loans bring back the same": Mutant(rules=Rules(others_come_off=False), bounds=FOUR),
    "time runs back at the lender": Mutant(rules=Rules(time_never_runs_back=False), bounds=STEPS),
}
