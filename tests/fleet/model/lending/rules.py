"""What F15 rests on, each part of which can be dropped: that makes a mutant; and how far a world is explored."""

from dataclasses import dataclass
from typing import Final

from keyturn.core.share import HOLD

TICKS: Final = 2  # for which a share may be spent
TICK: Final = HOLD // TICKS
EARLY: Final = HOLD - TICK  # by which a request may have been counted before it was let through: less than HOLD
LONGEST: Final = 2  # ticks of a transaction, before the database ends it


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    # holders
    shares_end: bool = True
    ends_from_asking: bool = True  # else from the answer
    only_rests_come_back: bool = True  # else what was lent
    rests_are_not_spent: bool = True
    # the lender
    balance_is_held: bool = True  # from when it is read to when it is written
    balance_lasts: bool = True  # longer than its lender
    every_answer_counts: bool = True  # also the second one to the same request
    silent_keep_their_shares: bool = True
    # `core.share`
    comes_back_once: bool = True
    time_comes_off: bool = True  # else what time has made up comes back as well
    others_come_off: bool = True  # else two loans bring back the same
    time_never_runs_back: bool = True


RULES: Final = Rules()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    # the limit
    at_once: int = 2  # requests
    takes: int = 2  # ticks that one request uses up
    # what can happen
    pauses: bool = False  # between the steps of a transaction; else it is one step
    late: bool = False  # requests that their holders have given up come to the lender all the same
    repeats: bool = False  # requests and answers come again
    ends: bool = False  # holders die, the lender starts again
    # what is left out, and why that leaves no violation out
    forgets: bool = True  # what makes no difference is dropped (`likeness`)

    @property
    def interval(self) -> int:
        return self.takes * TICK

    @property
    def window(self) -> int:
        return self.at_once * self.interval
