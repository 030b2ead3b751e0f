"""The clocks of the process that verifies; the server's are read in `keyturn.outside.clock`."""

import time
from typing import Final

BOOTTIME: Final = getattr(time, "CLOCKBOOTTIME", time.CLOCK_MONOTONIC)
clock_ns = time.clock_gettime_ns


def boot_micros() -> int:
    """The boot-time clock, which leases are measured by (F0); monotonic where there is none."""
    return clock_ns(BOOTTIME) // 1000


def wall_micros() -> int:
    """The wall clock, to be compared with itself only (F0)."""
    return time.time_ns() // 1000  # noqa: TID251  # this is where it is read
