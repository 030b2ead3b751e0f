"""Authority, nodes and verifiers with a network between them, and what befalls them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from keyturn.core.feed import FeedEntry
from keyturn.core.instant import to_micros
from keyturn.core.lease import Terms
from keyturn.ports.store import StoreUnavailable
from keyturn.verify.holder import Alarm
from tests.fleet.simulation.attached import Attached
from tests.fleet.simulation.authority import Authority
from tests.fleet.simulation.choices import Choices
from tests.fleet.simulation.clockwork import MILLION, Clockwork, Machine
from tests.fleet.simulation.history import Answer, History
from tests.fleet.simulation.network import Air, Forked, Stream, Weather
from tests.fleet.simulation.node import Node, ServedStream

T = TypeVar("T")
TERMS = Terms(length=1_000_000, margin=100_000)
# A clock may be off by the margin within a lease, either way; a little less, for everything is in whole microseconds.
GAINS = MILLION * TERMS.margin // (TERMS.length + TERMS.margin) - 1000
ACCOUNTS = ("acc_1", "acc_2", "acc_3")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What kind of world."""

    nodes: int = 2
    verifiers: int = 3
    weather: Weather = field(default_factory=Weather)
    leases: int = 10
    """For how many leases' time it runs."""
    pauses: bool = True
    """Whether threads rest between any two steps, and processes stop now and then."""
    crashes: bool = True
    terms: bool = False
    """Whether leases are given for longer or shorter now and then."""
    losses: bool = False
    """Whether the database loses what it had committed, and comes back from a backup."""
    hints: bool = True
    forked: bool = False
    """Whether little is left open, so that everything can be tried."""
    gains: tuple[int, ...] = ()
    """By how many millionths the clocks of the first processes are fast; else it is left open."""


SWIFT = Weather()
SLUGGISH = Weather(fast=10_000, slow=900_000, slow_one_in=6, lost_one_in=40, twice_one_in=0, database_fails_one_in=100)
WILD = Weather(slow=200_000, slow_one_in=4, lost_one_in=5, twice_one_in=30, reordered_one_in=3)
PLANS = {
    "swift": Plan(weather=SWIFT),
    "sluggish": Plan(weather=SLUGGISH),
    "wild": Plan(weather=WILD),
    "alone": Plan(nodes=1, verifiers=2, weather=SWIFT),
    "losses": Plan(nodes=3, verifiers=2, losses=True),
    "unhinted": Plan(verifiers=1, weather=SWIFT, hints=False),
    "terms": Plan(verifiers=2, weather=SWIFT, terms=True, crashes=False, leases=30),
    "tight": Plan(nodes=2, verifiers=1, weather=SWIFT, crashes=False),
}


class World:
    """One run."""

    def __init__(self, plan: Plan, choices: Choices) -> None:
        self.plan = plan
        self.choices = choices
        self.clockwork = Clockwork()
        self.history = History()
        self.weather = plan.weather
        self.air = (Forked if plan.forked else Air)(self.clockwork, choices, plan.weather)
        self.air_to_database = self
        self.authority = Authority(self.clockwork, TERMS)
        self.nodes: list[Node] = []
        self.verifiers: list[Attached] = []
        self.alarms: list[tuple[str, Alarm]] = []
        self.losses = 0
        self.is_halted = False
        """Whether nobody stops a key: a backup was put back, and its epoch is not raised yet (F9)."""
        self.hints_lost = not plan.hints
        self._numbers = 0
        self._names = 0
        # By revision and when it was written: the keys that stopped by one entry.
        self._together: dict[tuple[int, int], list[int]] = {}
        for _ in range(3):
            self.mint()
        for _ in range(plan.nodes):
            self.add_node()
        for _ in range(plan.verifiers):
            self.add_verifier()

    # -- who there is

    def add_node(self) -> Node:
        """A node starts."""
        name = self._name("node")
        node = Node(self, name, instance=name, gains=self._gains())
        self.nodes.append(node)
        node.start()
        return node

    def add_verifier(self) -> Attached:
        """A process with the SDK starts."""
        name = self._name("verifier")
        verifier = Attached(self, name, instance=name, gains=self._gains())
        self.verifiers.append(verifier)
        verifier.start()
        return verifier

    @property
    def holders(self) -> list[Node | Attached]:
        """Every process that answers."""
        return [*self.nodes, *self.verifiers]

    def mint(self, *, starts: int = 0, stops: int | None = None) -> int:
        """A new key."""
        self._numbers += 1
        account_id = ACCOUNTS[self.choices.pick(len(ACCOUNTS))]
        self.authority.mint(self._numbers, account_id=account_id, starts=starts, stops=stops)
        now = self.clockwork.now
        self.history.dates[self._numbers] = (now + starts, None if stops is None else now + stops)
        self.committed()
        return self._numbers

    # -- what they ask of the world

    def delay(self) -> int:
        """How long a word to the database takes."""
        return self.air.delay()

    def database_fails(self) -> bool:
        return self.air.happens(self.weather.database_fails_one_in)

    def committed(self) -> None:
        """Nodes are told, or not (F14)."""
        if self.hints_lost:
            return
        for node in self.nodes:
            for delay in self.air.deliveries():
                self.clockwork.start(node, node.feed_moved, after=delay)

    def breath(self) -> int:
        """How long a thread rests between two steps."""
        return self.air.delay()

    def breathe(self) -> None:
        """Here another thread may go first."""
        if self.plan.pauses and self.air.happens(4):
            self.clockwork.sleep(self.breath())

    def connect(self, verifier: Attached) -> Stream:
        """A stream to a node that is up.  Raises OSError where there is none."""
        up = [one for one in self.nodes if one.runs and not one.member.leaving]
        if not up or verifier.cut_until > self.clockwork.now:
            raise ConnectionRefusedError
        node = up[self.choices.pick(len(up))]
        verifier.node = node
        stream = Stream(self.air, verifier, node)
        served = ServedStream(node, stream)
        self.clockwork.start(node, served.run, after=self.breath())
        return stream

    def call(self, caller: Attached, question: Callable[[Node], T]) -> T:
        """Ask a node; raises OSError where no answer comes."""
        if caller.cut_until > self.clockwork.now:
            raise ConnectionRefusedError
        answers: list[T] = []
        parked = self.clockwork.park(micros=5 * self.weather.slow)
        node = self.nodes[self.choices.pick(len(self.nodes))]

        def arrive(answer: T) -> None:
            answers.append(answer)
            parked.wake()

        def work() -> None:
            try:
                answer = question(node)
            except (StoreUnavailable, OSError):
                return
            for delay in self.air.deliveries()[:1]:
                self.clockwork.at(self.clockwork.now + delay, caller, partial(arrive, answer))

        self.clockwork.start(node, work, after=self.breath())
        parked.wait()
        if not answers:
            raise TimeoutError
        return answers[0]

    def stopping(self, tx: Any, number: int) -> int:
        """This key accepts nothing from now on.  Answers the revision; 0 where there is no such key."""
        if number not in tx.seen.keys or self.is_halted:
            return 0
        tx.put(replace(tx.seen.keys[number], revoked=True))
        return int(tx.rev)

    def stopping_all(self, tx: Any, account_id: str) -> tuple[list[int], int]:
        """The same of an account's keys."""
        if self.is_halted:
            return [], 0
        numbers = tx.suspend_all(account_id)
        self._together[tx.rev, to_micros(tx.now)] = numbers
        return numbers, int(tx.rev)

    def stopped_together(self, entry: FeedEntry) -> list[int]:
        """The keys that stopped by this entry."""
        return self._together[entry.rev, to_micros(entry.at)]

    # -- verifications

    def verify(self, holder: Node | Attached, number: int) -> None:
        """Somebody shows this key's secret."""

        def work() -> None:
            began, memory, epoch = self.clockwork.now, holder.memory, holder.memory.epoch
            knows = number in memory.told and (memory.estranged or self.authority.seen.rev < memory.applied_rev)
            try:
                verdict, from_memory = holder.decide(number)
            except (StoreUnavailable, OSError):
                return
            ended = self.clockwork.now
            # The authority has lost the stop; this one has not, nor has anybody said that it should forget it.
            is_lost = knows and epoch == memory.epoch == self.authority.seen.epoch
            self.history.add(Answer(holder.name, number, began, ended, verdict.valid, from_memory, is_lost))

        self.clockwork.start(holder, work)

    def look_at(self, numbers: list[int]) -> None:
        """These keys are shown everywhere: now, and when it can matter most, just before a lease ends."""
        for holder in self.holders:
            deadline = holder.member.holder.deadline if isinstance(holder, Node) else holder.holder.deadline
            left = holder.true(max(0, deadline - 1 - holder.boot()))
            for after in {0, 1, left // 2, max(0, left - 1)}:
                for number in numbers:
                    self.clockwork.at(self.clockwork.now + after, None, partial(self.verify, holder, number))

    # -- telling

    def say(self, what: str) -> None:
        self.history.say(self.clockwork.now, what)

    def alarm(self, machine: Machine, alarm: Alarm) -> None:
        self.alarms.append((machine.name, alarm))
        self.say(f"{machine.name}: {alarm.name}")

    def alarms_of(self, machine: Machine, alarms: list[Alarm]) -> None:
        for one in alarms:
            self.alarm(machine, one)

    def _name(self, kind: str) -> str:
        self._names += 1
        return f"{kind}{self._names}"

    def _gains(self) -> int:
        made = self._names - 1
        if 0 <= made < len(self.plan.gains):
            return self.plan.gains[made]
        return (-GAINS, 0, GAINS)[self.choices.pick(3)]
