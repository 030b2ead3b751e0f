"""The one place that reads clocks.

Instants are for people and policies, ticks for measuring how long (F8).
"""

import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NewType

from keyturn.core.instant import Instant, from_micros, to_micros

Tick = NewType("Tick", float)
"""Seconds on the boot-time clock: monotonic, counts sleep, comparable only on one machine since one boot."""

_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_clock_ns = time.clock_gettime_ns


def now() -> Instant:
    """This machine's wall clock."""
    return Instant(datetime.now(UTC))


def tick() -> Tick:
    """The boot-time clock (`CLOCK_BOOTTIME`), monotonic where there is none."""
    return Tick(time.clock_gettime(_BOOTTIME))


def boot_micros() -> int:
    """The same in whole microseconds: what leases are measured by (F2)."""
    return _clock_ns(_BOOTTIME) // 1000


def wall_micros() -> int:
    """This machine's wall clock in microseconds, to be compared with itself only (F0)."""
    return time.time_ns() // 1000


def boot_id() -> str:
    """The id of this boot of this machine (Linux); empty elsewhere."""
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return ""


class AuthorityClock:
    """The authority's time as this process knows it: what was last heard, carried on by the boot-time clock (F8)."""

    def __init__(self, heard: Instant) -> None:
        self._offset = to_micros(heard) * 1000 - _clock_ns(_BOOTTIME)
        self._hearing = threading.Lock()

    def hear(self, heard: Instant) -> None:
        """Set it by what the authority says now; never back, for what has stopped by date stays stopped."""
        offset = to_micros(heard) * 1000 - _clock_ns(_BOOTTIME)
        with self._hearing:
            self._offset = max(self._offset, offset)

    def micros(self) -> int:
        """Microseconds since 1970: what a verification is given."""
        return (_clock_ns(_BOOTTIME) + self._offset) // 1000

    def now(self) -> Instant:
        """The same as an instant."""
        return from_micros(self.micros())
