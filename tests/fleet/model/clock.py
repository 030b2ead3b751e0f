"""Readings of boot-time clocks that run at nearly the right rate, in whole ticks.

A reading that a process holds is kept as what is left of it on that process's clock: so a state does not know how late
it is, and time needs no bound.  `slip` is how far the clock has gained on true time since the reading: at most E,
either way, which is the margin that the protocol assumes.  No rule looks at `slip`.
"""

from functools import cache
from typing import NamedTuple

RATES = (0, -1, 1)  # what a clock gains on true time in one tick: it is right, it stands still, it is fast
FLOOR = -2  # how long ago a lease ended is told apart this far, for a verification that read the clock before that


class Timer(NamedTuple):
    left: int
    slip: int

    @property
    def running(self) -> bool:
        return self.left > 0


OVER = Timer(0, 0)


@cache
def after_tick(timer: Timer, rate: int, error: int, floor: int = 0) -> Timer | None:
    """The timer after a tick of true time; none, where the clock would leave its margin."""
    if timer.left <= floor:
        return timer
    slip = timer.slip + rate
    if abs(slip) > error:
        return None
    left = max(timer.left - 1 - rate, floor)
    return Timer(left, slip if left > floor else 0)


def later(one: Timer, other: Timer) -> Timer:
    """The later of two ends on one clock."""
    return one if one.left >= other.left else other


def shortened(timer: Timer, by: int, floor: int = 0) -> Timer:
    """An end that is `by` ticks earlier, from the same reading."""
    left = max(timer.left - by, floor)
    return Timer(left, timer.slip if left > floor else 0)
