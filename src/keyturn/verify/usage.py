"""Who used which key when: kept in memory on the way, handed on in batches, never in the way of an answer.

Of every accepted request the time, from where and for what; of a *watched* secret, one whose handover waits for its use
(R20, R33), each use counts, so it is noted under a lock and by version.
"""

from dataclasses import dataclass, replace
from threading import Lock
from typing import Final, NamedTuple

MOST_TALLIES: Final = 10_000
LONGEST_AGENT: Final = 200
MOST_AGENTS: Final = 4
"""How many programs beside the first are told apart that use a key from one address for one thing."""


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


class Callers(NamedTuple):
    """One way a key was used, how often and when last, in microseconds."""

    number: int
    ip: str | None
    permissions: tuple[str, ...]
    user_agent: str
    times: int
    last: int


class Way:
    """Counts the uses of one key from one address for one thing, by program.

    A remembered judgement holds its way, so counting takes no look-up and no lock: of two threads that count at once,
    one may be lost.  It is told to people, nothing is decided by it.
    """

    __slots__ = ("_others", "_told", "count", "ip", "last", "number", "permissions", "user_agent")

    def __init__(
        self, number: int, ip: str | None, permissions: tuple[str, ...], user_agent: str | None = None
    ) -> None:
        self.number = number
        self.ip = ip
        self.permissions = permissions
        self.user_agent = user_agent
        self.count = 0
        self.last = 0
        self._told = 0
        self._others: dict[str, Way] = {}

    def by(self, user_agent: str) -> "Way":
        """The same way for another program than `user_agent`; beyond `MOST_AGENTS` they are not told apart."""
        user_agent = user_agent[:LONGEST_AGENT]
        if self.user_agent is None:
            self.user_agent = user_agent  # the first one that comes
        if self.user_agent == user_agent:
            return self
        found = self._others.get(user_agent)
        if found is not None:
            return found
        if len(self._others) >= MOST_AGENTS:
            user_agent = ""
        return self._others.setdefault(user_agent, Way(self.number, self.ip, self.permissions, user_agent))

    def drain(self) -> list[Callers]:
        """What was counted since the last time."""
        ways = (self, *self._others.copy().values())
        return [told for way in ways if (told := way.take()) is not None]

    def take(self) -> Callers | None:
        """The same without the other programs."""
        count, last = self.count, self.last
        fresh = count - self._told
        if fresh <= 0:
            return None  # or what was told already has been undone since
        self._told = count
        return Callers(self.number, self.ip, self.permissions, self.user_agent or "", fresh, last)


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

    def unwatch(self, origin: Origin) -> None:
        """Undo one `watch`, unless it was drained since."""
        origin = origin._replace(user_agent=origin.user_agent[:LONGEST_AGENT])
        with self._lock:
            tally = self._watched.pop(origin, None)
            if tally is not None and tally.count > 1:
                self._watched[origin] = replace(tally, count=tally.count - 1)

    def drain(self) -> dict[Origin, Tally]:
        """All that was gathered, and begin anew."""
        with self._lock:
            watched, self._watched = self._watched, {}
        return watched
