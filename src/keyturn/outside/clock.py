"""The one place that reads clocks.

Instants are for people and policies, ticks for measuring how long (F8).
"""

import time
from datetime import UTC, datetime
from typing import NewType

from keyturn.core.instant import Instant

Tick = NewType("Tick", float)
"""Seconds on the boot-time clock: monotonic, counts sleep, comparable only on one machine since one boot."""


def now() -> Instant:
    """This machine's wall clock."""
    return Instant(datetime.now(UTC))


def tick() -> Tick:
    """The boot-time clock (`CLOCK_BOOTTIME`), monotonic where there is none."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return Tick(time.clock_gettime(clock))


def now_micros() -> int:
    """The wall clock as whole microseconds since 1970: what a verification is given."""
    return time.time_ns() // 1000
