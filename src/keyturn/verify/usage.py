"""Who used which key when: kept in memory on the way, handed on in batches, never in the way of an answer.

Of every accepted request the time; of a *watched* secret, one whose handover waits for its use (R20, R33), also from
where and for what.
"""

from dataclasses import dataclass
from threading import Lock
from typing import Final, NamedTuple

MOST_TALLIES: Final = 10_000
LONGEST_AGENT: Final = 200


class Origin(NamedTuple):
    """Where one use of a watched secret came from.  Beyond `MOST_TALLIES` the last three are no longer told apart."""

    number: int
    version: int
    ip: str | None
    permissions: tuple[str, ...]
    user_agent: str


@dataclass(frozen=True, slots=True)
class Tally:
    """How often, and when first and last, in microseconds."""

    count: int
    first: int
    last: int


class Uses(NamedTuple):
    """What has been gathered since the last time it was asked for."""

    last: dict[int, int]
    """By key number the latest accepted use, in microseconds."""
    watched: dict[Origin, Tally]


class Usage:
    """Gathers the uses of watched secrets until they are drained."""

    def __init__(self) -> None:
        self._watched: dict[Origin, Tally] = {}
        self._lock = Lock()

    def watch(self, origin: Origin, now: int) -> None:
        """Count one use."""
        origin = origin._replace(user_agent=origin.user_agent[:LONGEST_AGENT])
        with self._lock:
            tally = self._watched.get(origin)
            if tally is None and len(self._watched) >= MOST_TALLIES:
                origin = origin._replace(ip=None, permissions=(), user_agent="")
                tally = self._watched.get(origin)
            if tally is None:
                self._watched[origin] = Tally(1, now, now)
            else:
                self._watched[origin] = Tally(tally.count + 1, min(tally.first, now), max(tally.last, now))

    def drain(self) -> dict[Origin, Tally]:
        """All that was gathered, and begin anew."""
        with self._lock:
            watched, self._watched = self._watched, {}
        return watched
