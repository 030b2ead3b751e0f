"""Messages between processes: late, lost, twice or in another order; and streams that are cut."""

from collections import deque
from dataclasses import dataclass, field

from tests.fleet.simulation.choices import Choices
from tests.fleet.simulation.clockwork import Clockwork, Machine, Parked


@dataclass(frozen=True, kw_only=True)
class Weather:
    """How bad it is; each number is one case in so many, 0 for never."""

    fast: int = 500
    slow: int = 60_000
    """Microseconds that a message takes at most, in the usual case and in the other one."""
    slow_one_in: int = 8
    lost_one_in: int = 60
    twice_one_in: int = 60
    reordered_one_in: int = 20
    database_fails_one_in: int = 60


class Air:
    """Decides what becomes of each message."""

    def __init__(self, clockwork: Clockwork, choices: Choices, weather: Weather) -> None:
        self.clockwork = clockwork
        self.weather = weather
        self._choices = choices

    def happens(self, one_in: int) -> bool:
        return one_in > 0 and self._choices.pick(one_in) == 1 % one_in

    def delay(self) -> int:
        weather = self.weather
        longest = weather.slow if self.happens(weather.slow_one_in) else weather.fast
        return 1 + self._choices.pick(longest)

    def deliveries(self) -> list[int]:
        """How long each copy of a message takes; none where it is lost."""
        if self.happens(self.weather.lost_one_in):
            return []
        return [self.delay() for _ in range(2 if self.happens(self.weather.twice_one_in) else 1)]


@dataclass
class End:
    """One side's end of a stream."""

    machine: Machine
    lines: deque[bytes] = field(default_factory=deque)
    waiting: Parked | None = None
    last_due: int = 0
    is_mute: bool = False
    """Whether what is sent to it from now on gets lost."""
    held_until: int = 0
    """Before then nothing arrives."""


class Stream:
    """Lines both ways between two processes; `near` has opened it."""

    def __init__(self, air: Air, near: Machine, far: Machine) -> None:
        self.is_open = True
        self._air = air
        self._ends = {near: End(near), far: End(far)}

    def send(self, sender: Machine, line: bytes) -> None:
        """Raises OSError once it is over."""
        if not self.is_open:
            raise ConnectionResetError
        clockwork = self._air.clockwork
        (end,) = (one for machine, one in self._ends.items() if machine is not sender)
        for delay in () if end.is_mute else self._air.deliveries():
            due = max(clockwork.now + delay, end.held_until)
            if not self._air.happens(self._air.weather.reordered_one_in):
                due = end.last_due = max(due, end.last_due + 1)
            clockwork.at(due, end.machine, lambda: self._arrive(end, line))

    def receive(self, receiver: Machine, *, micros: int | None = None) -> bytes | None:
        """The next line, or None after so much true time.  Raises OSError once it is over."""
        end = self._ends[receiver]
        if not end.lines and self.is_open:
            end.waiting = self._air.clockwork.park(micros=micros)
            end.waiting.wait()
            end.waiting = None
        if end.lines:
            return end.lines.popleft()
        if not self.is_open:
            raise ConnectionResetError
        return None

    def mute(self, receiver: Machine) -> None:
        """What is sent to this side from now on gets lost; what is under way arrives."""
        self._ends[receiver].is_mute = True

    def hold(self, receiver: Machine, until: int) -> None:
        """What is sent to this side from now on arrives late."""
        self._ends[receiver].held_until = until

    def cut(self) -> None:
        """It is over, for both; what is under way is lost."""
        self.is_open = False
        for end in self._ends.values():
            if end.waiting is not None:
                end.waiting.wake()

    def _arrive(self, end: End, line: bytes) -> None:
        if self.is_open:
            end.lines.append(line)
            if end.waiting is not None:
                end.waiting.wake()


class Forked(Air):
    """Few things may become of a message, so that all of them can be tried: at once, late, or lost."""

    def __init__(self, clockwork: Clockwork, choices: Choices, weather: Weather) -> None:
        super().__init__(clockwork, choices, weather)

    def delay(self) -> int:
        return 1

    def deliveries(self) -> list[int]:
        return ([1], [self.weather.slow], [])[self._choices.pick(3)]

    def happens(self, one_in: int) -> bool:  # noqa: ARG002  # whatever the weather is like
        return False
