"""Programs that go on presenting keys while the story is told, each over its own connection."""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from keyturn.core.instant import Instant
from keyturn.demo.seed import HeldKey
from keyturn.outside import clock
from keyturn.outside.clock import Tick
from keyturn.sdk.client import ApiError, Client, ServerUnreachable


@dataclass(frozen=True, slots=True)
class Sent:
    """One verification as its caller saw it."""

    tick: Tick
    """When it was sent, on the clock that durations are measured by."""
    at: Instant
    """The same on the wall."""
    answered_at: Instant
    code: str

    @property
    def accepted(self) -> bool:
        return self.code == "valid"


class _Loop:
    """A thread that takes one turn after the other until it is stopped; what went wrong in it is kept."""

    def __init__(self, name: str, turn: Callable[[], float]) -> None:
        """`turn` does one thing and answers how long to pause."""
        self._take_turn = turn
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.failure: Exception | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stopping.wait(self._take_turn()):
                pass
        except (ApiError, ServerUnreachable) as error:
            self.failure = error


class Caller(_Loop):
    """A program that presents one secret over and over and notes every answer."""

    def __init__(self, client: Client, secret: str, *, address: str, agent: str, pause: float = 0.001) -> None:
        super().__init__(agent, self._present)
        self._client, self._secret, self._pause = client, secret, pause
        self._address, self._agent = address, agent
        self._sent: list[Sent] = []

    def _present(self) -> float:
        tick, at = clock.tick(), clock.now()
        answer = self._client.verify(
            self._secret, permissions=["payouts:write"], ip=self._address, context={"user_agent": self._agent}
        )
        self._sent.append(Sent(tick, at, clock.now(), answer["code"]))
        return self._pause

    @property
    def sent(self) -> Sequence[Sent]:
        """What was sent so far, oldest first."""
        return self._sent[:]

    def since(self, tick: Tick) -> Sequence[Sent]:
        """What was sent at that tick or later."""
        return [one for one in self.sent if one.tick >= tick]


class Traffic(_Loop):
    """The customers' programs, in turn."""

    def __init__(self, client: Client, keys: Sequence[HeldKey]) -> None:
        super().__init__("traffic", self._call_next)
        self._client, self._keys = client, keys
        self._turn = 0
        self.codes: Counter[str] = Counter()

    def _call_next(self) -> float:
        held = self._keys[self._turn % len(self._keys)]
        self._turn += 1
        program = held.program
        agent = f"{program.name.replace(' ', '-')}/1.0"
        # Every twentieth comes from somewhere else, as it does when a program moves or a key was copied.
        address = "192.0.2.250" if self._turn % 20 == 0 else program.address
        answer = self._client.verify(
            held.secret, permissions=[program.wants], ip=address, context={"user_agent": agent}
        )
        self.codes[answer["code"]] += 1
        return 0.02


def wait_for(condition: Callable[[], bool], *, seconds: float) -> bool:
    """Wait until the condition holds; whether it did in time."""
    pause = threading.Event()
    began = clock.tick()
    while not condition():
        if clock.tick() - began > seconds:
            return False
        pause.wait(0.005)
    return True
