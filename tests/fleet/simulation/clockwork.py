"""Simulated time, and simulated threads that run one at a time: the code that waits is the real one.

A thread is a greenlet.  It goes on until it sleeps, waits for a lock or asks the network or the database; between two
such moments nothing else happens.  Time stands still while code runs, and jumps to whatever is due next.
"""

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from types import TracebackType

from greenlet import getcurrent, greenlet  # type: ignore[import-untyped]  # it comes without types

MILLION = 1_000_000


class Machine:
    """A computer, or what a process sees of it: clocks that run nearly right, and whether it runs at all."""

    def __init__(self, clockwork: "Clockwork", name: str, *, gains: int) -> None:
        """`gains`: by how many millionths its boot-time clock is fast."""
        self.clockwork = clockwork
        self.name = name
        self.runs = True
        self.paused_until = 0
        self.jumped = 0
        """How far somebody has set its wall clock."""
        self.boot_id = "one"
        self._gains = gains
        self._booted = 10**9 + 7 * abs(gains)

    def boot(self) -> int:
        """Its boot-time clock."""
        return self._booted + self.clockwork.now * (MILLION + self._gains) // MILLION

    def wall(self) -> int:
        """Its wall clock: that it is set right matters to nothing."""
        return self.clockwork.now * (MILLION + self._gains) // MILLION + self.jumped

    def true(self, micros: int) -> int:
        """How long it truly takes until so much has passed on its boot-time clock."""
        return -(-micros * MILLION // (MILLION + self._gains))

    def machine(self) -> str:
        """The id of its boot."""
        return self.boot_id

    def pause(self, micros: int) -> None:
        """Stop: nothing runs and nothing is received for so long, while its clocks go on."""
        self.paused_until = max(self.paused_until, self.clockwork.now + micros)

    def crash(self) -> None:
        """Whatever runs here never goes on."""
        self.runs = False


class Clockwork:
    """All that is going to happen, in the order of its time."""

    def __init__(self) -> None:
        self.now = 0
        """True time in microseconds."""
        self._due: list[tuple[int, int, Machine | None, Callable[[], object]]] = []
        self._numbers = count()
        self._of: dict[greenlet, Machine | None] = {}
        self._hub = getcurrent()

    def at(self, when: int, machine: Machine | None, act: Callable[[], object]) -> None:
        """Have it happen on that machine, or in the world outside."""
        heappush(self._due, (max(when, self.now), next(self._numbers), machine, act))

    def start(self, machine: Machine | None, work: Callable[[], object], *, after: int = 0) -> None:
        """A thread."""

        def run() -> None:
            try:
                work()
            finally:
                del self._of[thread]

        thread = greenlet(run, parent=self._hub)
        self._of[thread] = machine
        self.at(self.now + after, machine, thread.switch)

    def sleep(self, micros: int) -> None:
        """Let this thread rest, in true time."""
        thread = getcurrent()
        self.at(self.now + micros, self._of[thread], thread.switch)
        self._hub.switch()

    def park(self, *, micros: int | None = None) -> "Parked":
        """A rest that another thread ends, or so much time."""
        return Parked(self, self._of[getcurrent()], micros)

    def rest(self) -> None:
        """Until somebody switches back; for `Parked`."""
        self._hub.switch()

    def run(self, until: int) -> None:
        """Let happen what is due until then."""
        while self._due and self._due[0][0] <= until:
            when, number, machine, act = heappop(self._due)
            self.now = max(self.now, when)
            if machine is not None:
                if not machine.runs:
                    continue
                if machine.paused_until > self.now:
                    heappush(self._due, (machine.paused_until, number, machine, act))
                    continue
            act()
        self.now = max(self.now, until)


class Parked:
    """One thread at rest."""

    def __init__(self, clockwork: Clockwork, machine: Machine | None, micros: int | None) -> None:
        self._clockwork = clockwork
        self._machine = machine
        self._micros = micros
        self._thread = getcurrent()
        self._over = False

    def wait(self) -> None:
        """Rest until woken."""
        if self._micros is not None:
            self._clockwork.at(self._clockwork.now + self._micros, self._machine, self._go_on)
        self._clockwork.rest()

    def wake(self) -> None:
        """Have it go on; once is enough."""
        self._clockwork.at(self._clockwork.now, self._machine, self._go_on)

    def _go_on(self) -> None:
        if not self._over:
            self._over = True
            self._thread.switch()


class Lock:
    """`threading.Lock` for simulated threads of one machine."""

    def __init__(self, clockwork: Clockwork) -> None:
        self._clockwork = clockwork
        self._held = False
        self._waiting: deque[Parked] = deque()

    def __enter__(self) -> None:
        while self._held:
            parked = self._clockwork.park()
            self._waiting.append(parked)
            parked.wait()
        self._held = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._held = False
        if self._waiting:
            self._waiting.popleft().wake()


class Condition(Lock):
    """`threading.Condition` for simulated threads; time runs as the machine's clock does."""

    def __init__(self, clockwork: Clockwork, machine: Machine) -> None:
        super().__init__(clockwork)
        self._machine = machine
        self._listening: list[Parked] = []

    def wait(self, timeout: float) -> None:
        """Until notified, at most for so many seconds."""
        parked = self._clockwork.park(micros=self._machine.true(int(timeout * MILLION) + 1))
        self._listening.append(parked)
        self.__exit__(None, None, None)
        parked.wait()
        self.__enter__()

    def notify_all(self) -> None:
        """Wake everybody."""
        listening, self._listening = self._listening, []
        for one in listening:
            one.wake()
