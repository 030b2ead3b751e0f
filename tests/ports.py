"""A port for a program that has to be told which: one that nobody else is about to be given."""

import random
import socket
from pathlib import Path
from typing import Final

_ALL: Final = range(10_000, 65_536)
_GIVEN: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port() -> int:
    """One at which nobody listens now.

    It is none of those that the system gives out by itself, to listeners and to every connection that is made: one of
    them would take it now and then before the program does.
    """
    given = range(0)
    if _GIVEN.exists():
        first, last = map(int, _GIVEN.read_text().split())
        given = range(first, last + 1)
    kept = [port for port in _ALL if port not in given] or [0]
    while True:
        with socket.socket() as chosen:
            try:
                chosen.bind(("127.0.0.1", random.SystemRandom().choice(kept)))
            except OSError:
                continue
            port: int = chosen.getsockname()[1]
            return port
