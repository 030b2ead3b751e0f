"""The clock that a verifier's lease is measured by."""

import sys
import time

import pytest

from keyturn.outside import clock as server_clock
from keyturn.sdk import clock


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a clock that goes on while the machine sleeps")
def test_f0_leases_are_measured_by_the_clock_that_counts_sleep() -> None:
    assert clock.BOOTTIME == server_clock._BOOTTIME == time.CLOCK_BOOTTIME


def test_f0_the_clock_is_one_and_the_same_in_whole_microseconds() -> None:
    before = server_clock.boot_micros()
    assert before <= clock.boot_micros() <= server_clock.boot_micros()
