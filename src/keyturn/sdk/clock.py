"""The clocks of the process that verifies; the server's are read in `keyturn.outside.clock`."""

import time
from pathlib import Path
from typing import Final

BOOTTIME: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
clock_ns = time.clock_gettime_ns


def boot_micros() -> int:
    """The boot-time clock, which leases are measured by (F0); monotonic where there is none."""
    return clock_ns(BOOTTIME) // 1000


def boot_id() -> str:
    """The id of this boot of this machine (Linux); empty elsewhere."""
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return ""


def wall_micros() -> int:
    """The wall clock, to be compared with itself only (F0)."""
    return time.time_ns() // 1000  # noqa: TID251  # this is where it is read
