"""A verifier process: the real memory and holder.

Its shell is reproduced: `sdk.attachment.Attachment` for the stream, `sdk.verifier.Verifier.verify` for the order in
which a request reads the clock, the deadline and the memory.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from keyturn.core.lease import FOR_GOOD, Acknowledgement, Denial, Grant, Push, Terms
from keyturn.verify.decision import ASK, MISS, Verdict
from keyturn.verify.holder import Alarm, Holder
from keyturn.verify.memory import Fill
from keyturn.verify.message import read, write
from keyturn.verify.shares import Shares
from keyturn.verify.stops import PastLost
from tests.fleet.simulation.clockwork import Machine
from tests.fleet.simulation.network import Stream
from tests.fleet.simulation.told import Told
from tests.verify.states import digest

if TYPE_CHECKING:
    from tests.fleet.simulation.node import Node
    from tests.fleet.simulation.world import World

_SOON = 20_000


class Attached(Machine):
    """One process with the SDK in it."""

    def __init__(self, world: "World", name: str, *, instance: str, gains: int) -> None:
        super().__init__(world.clockwork, name, gains=gains)
        self.world = world
        self.instance = instance
        self.stream: Stream | None = None
        self.memory = Told(world.stopped_together, limits=Shares(100))
        self.holder = Holder(self.memory, instance=instance, terms=Terms())
        self.cut_until = 0
        self.node: Node | None = None
        """Where it is attached."""
        self._leaving = False

    def start(self) -> None:
        """Attach to one node after the other."""
        self.clockwork.start(self, self._attach)

    def leave(self) -> None:
        """`Verifier.close`."""
        self.holder.deadline = 0
        self._leaving = True

    def decide(self, number: int) -> tuple[Verdict, bool]:
        """The time, the deadline, the memory, in this order (F3).  Raises OSError where nobody has an answer."""
        try:
            return self._decide(number)
        except PastLost:
            raise ConnectionRefusedError from None

    def _decide(self, number: int) -> tuple[Verdict, bool]:
        boot = self.boot()
        self.world.breathe()
        holder = self.holder
        if boot < holder.deadline:
            now = boot + holder.ahead
            self.world.breathe()
            verdict, from_memory = self.memory.verify_fingerprint(digest(number), now=now), True
            if verdict is MISS:
                verdict, from_memory = self.memory.verify_cold(digest(number), self._find, now=now), False
            if verdict.code != ASK:
                return verdict, from_memory
        memory, now = self.memory, self.boot() + holder.ahead
        lost = memory.remembered_stop(digest(number), now=now)
        if lost is not None:
            return lost, True
        known = None if memory.estranged else (memory.epoch, memory.applied)
        told = self.world.call(self, lambda node: node.decide_for(number, known))
        return memory.believed(digest(number), told, now=now), False

    def _find(self, fingerprint: bytes) -> Fill:
        found = self.world.call(self, lambda node: node.fill(fingerprint))
        return replace(found, rev=found.rev if found.epoch == self.memory.epoch else -1)

    def _attach(self) -> None:
        while True:
            try:
                self.stream = self.world.connect(self)
                try:
                    self._follow(self.stream)
                finally:
                    self.holder.disconnected()
                    self.stream.cut()
            except (OSError, ValueError):
                pass
            if self._leaving:
                self.crash()
            self.world.alarms_of(self, self.holder.told())
            self.clockwork.sleep(_SOON)

    def _follow(self, stream: Stream) -> None:
        renew_at = heard_at = self.boot()
        while True:
            now = self.boot()
            if self._leaving:
                self.holder.deadline = 0
                stream.send(self, write(Acknowledgement(epoch=self.memory.epoch, rev=FOR_GOOD)))
                self.clockwork.sleep(self.world.weather.slow)
                return
            if now - heard_at > self.holder.terms.length:
                raise TimeoutError
            if now >= renew_at:
                renewal = self.holder.renewal(now, wall=self.wall(), machine=self.machine())
                self.world.breathe()
                stream.send(self, write(renewal))
                renew_at = now + self.holder.terms.renew_every
                self.world.alarms_of(self, self.holder.told())
            line = stream.receive(self, micros=self.true(max(0, renew_at - now) + 1))
            if line is not None:
                heard_at = self.boot()
                if not self._hear(line, stream):
                    renew_at = min(renew_at, heard_at + _SOON)
            renew_at = min(renew_at, self.boot() + self.holder.terms.renew_every)

    def _hear(self, line: bytes, stream: Stream) -> bool:
        try:
            message = read(line)
        except ValueError:
            self.holder.drop(Alarm.FORGED)
            raise
        answer: Acknowledgement | None = None
        match message:
            case Grant():
                answer = self.holder.granted(message, self.boot())
            case Push():
                answer = self.holder.pushed(message)
            case Denial():
                self.holder.denied(message)
            case Terms():
                self.holder.terms = message
                return True
            case _:
                raise ValueError("a message that nodes do not send")
        if answer is None:
            return False
        self.world.breathe()
        stream.send(self, write(answer))
        return True
