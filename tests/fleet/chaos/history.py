"""F0 on a recorded history: what was stopped, what was answered, and whether the two fit together.

Whoever stops something writes down when it asked and when it was told `confirmed: true`.  A verification that begins
after that and is accepted by what was stopped breaks the promise; one that was under way may finish.  In the other
direction: what nobody had begun to stop must not be refused, for a fleet that refuses everything would keep F0.

One thread at a time changes a key, so its changes have an order.  Keys are numbers, as the test has given them.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from keyturn.verify.decision import VALID
from tests.fleet.chaos.recording import LAPSED, UNAVAILABLE, Verified

NO_ANSWER: Final = frozenset({LAPSED, UNAVAILABLE})
"""Neither accepted nor refused: who asks lets nothing through and may ask again."""


@dataclass(slots=True, kw_only=True)
class Stop:
    """Something that one key could do until now."""

    key: int
    through: float = math.inf
    """The last version that it stops: a reset stops the earlier ones, a suspension all."""
    writes: bool = False
    """Whether it takes away the permission to write only."""
    begin: int
    """When it was asked for, in nanoseconds as `recording.boot_nanos` tells them."""
    confirmed: float = math.inf
    """When it had returned `confirmed: true`; never, if it has not."""
    lifted: float = math.inf
    """When its undoing was asked for."""
    undone: float = math.inf
    """When its undoing had returned `confirmed: true`."""

    def covers(self, one: Verified) -> bool:
        """Whether this stops what was shown."""
        return one.version <= self.through and (one.writes or not self.writes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """A verification that was not answered as it had to be."""

    one: Verified
    by: str
    """The verifier."""
    stop: Stop | None
    """What it ignored; None where it was refused although nothing was stopped."""

    def __str__(self) -> str:
        if self.stop is None:
            return f"{self.by} refused {self.one} although nothing had stopped it"
        late = (self.one.begin - self.stop.confirmed) / 1e6
        return f"{self.by} accepted {self.one}, begun {late:.3f} ms after {self.stop} was confirmed"


@dataclass
class Judged:
    """What a history comes to."""

    violations: list[Wrong] = field(default_factory=list)
    """Accepted after a confirmed stop: F0 broken."""
    refusals: list[Wrong] = field(default_factory=list)
    """Refused without a stop."""
    answers: Counter[str] = field(default_factory=Counter)
    after_stop: int = 0
    """Verifications begun after a confirmed stop of what they showed, whatever was answered: how hard it was tried."""


class History:
    """The stops of one run, and the judge of what was verified meanwhile."""

    def __init__(self) -> None:
        self._stops: defaultdict[int, list[Stop]] = defaultdict(list)

    def begun(self, stop: Stop) -> Stop:
        """A stop that is being asked for; whoever asks completes it when it returns."""
        self._stops[stop.key].append(stop)
        return stop

    def stops(self) -> Iterator[Stop]:
        """All of them."""
        for each in self._stops.values():
            yield from each

    def judge(self, by: str, verified: Iterable[Verified], judged: Judged) -> None:
        """Look at what one verifier has answered."""
        stops = {key: _Stops(each) for key, each in self._stops.items()}
        for one in verified:
            judged.answers[one.answer] += 1
            of_key = stops.get(one.key)
            must = of_key.must_refuse(one) if of_key else None
            judged.after_stop += must is not None
            if one.answer == VALID:
                if must is not None:
                    judged.violations.append(Wrong(one=one, by=by, stop=must))
            elif one.answer not in NO_ANSWER and (of_key is None or not of_key.may_refuse(one)):
                judged.refusals.append(Wrong(one=one, by=by, stop=None))


class _Stops:
    """The stops of one key, sorted so that each verification is judged quickly."""

    def __init__(self, stops: Iterable[Stop]) -> None:
        self._passing: list[Stop] = []
        # By the version they stop: the first that was confirmed, and the first that was begun.
        self._confirmed: dict[int, Stop] = {}
        self._begun: dict[int, Stop] = {}
        newest = 0
        for stop in stops:
            if stop.through == math.inf:
                self._passing.append(stop)
                continue
            through = int(stop.through)
            newest = max(newest, through)
            first = self._confirmed.get(through)
            if first is None or stop.confirmed < first.confirmed:
                self._confirmed[through] = stop
            self._begun.setdefault(through, stop)
        for version in range(newest - 1, 0, -1):  # what stops a version stops those before it
            _keep_first(self._confirmed, version, lambda stop: stop.confirmed)
            _keep_first(self._begun, version, lambda stop: stop.begin)

    def must_refuse(self, one: Verified) -> Stop | None:
        """A confirmed stop that this verification must not pass."""
        stop = self._confirmed.get(one.version)
        if stop is not None and stop.confirmed < one.begin:
            return stop
        for each in self._passing:
            if each.covers(one) and each.confirmed < one.begin and one.end < each.lifted:
                return each
        return None

    def may_refuse(self, one: Verified) -> bool:
        """Whether a stop that was under way, or stands, explains a refusal."""
        stop = self._begun.get(one.version)
        if stop is not None and stop.begin < one.end:
            return True
        return any(each.covers(one) and each.begin < one.end and one.begin < each.undone for each in self._passing)


def _keep_first(stops: dict[int, Stop], version: int, when: Callable[[Stop], float]) -> None:
    later = stops.get(version + 1)
    own = stops.get(version)
    if later is not None and (own is None or when(later) < when(own)):
        stops[version] = later
