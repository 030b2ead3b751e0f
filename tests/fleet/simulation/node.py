"""A node: the real membership, confirmations, follower and memory, driven by simulated threads.

What is not the real code is its shell, whose order is reproduced here: `server._keep_lease` and `server._Hearer`,
`api.feed._Stream` for attached verifiers, and `api.verifying` for those who ask about a key.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from keyturn.core.lease import FOR_GOOD, Acknowledgement, Grant, Push, Renewal, Terms
from keyturn.flow.confirm import Confirming
from keyturn.flow.follow import Follower
from keyturn.flow.membership import Clocks, Membership
from keyturn.ports.store import StoreUnavailable
from keyturn.verify.decision import MISS, Verdict
from keyturn.verify.memory import Fill
from keyturn.verify.message import Message, read, write
from keyturn.verify.recent import Recent
from keyturn.verify.stops import PastLost
from tests.fleet.simulation.authority import Connection
from tests.fleet.simulation.clockwork import Condition, Lock, Machine
from tests.fleet.simulation.network import Stream
from tests.fleet.simulation.told import Told
from tests.verify.states import digest

if TYPE_CHECKING:
    from tests.fleet.simulation.world import World

MOST_KEPT = 8  # entries that a node hands on without having its verifiers begin anew
_BATCH = 3
_LOOK_EVERY = 8  # part of a renewal's turn after which one that failed is tried again


class Node(Machine):
    """One server process."""

    def __init__(self, world: "World", name: str, *, instance: str, gains: int) -> None:
        super().__init__(world.clockwork, name, gains=gains)
        self.world = world
        self.instance = instance
        self.streams: list[ServedStream] = []
        self.recent = Recent(most=MOST_KEPT)
        self.memory = Told(world.stopped_together, recent=self.recent)
        self.store = Connection(world.authority, self, world.air_to_database)
        self.member = Membership(
            self.store,
            self.memory,
            self.recent,
            instance=instance,
            name=name,
            terms=world.authority.terms,
            clocks=Clocks(boot=self.boot, wall=self.wall, machine=self.machine),
            hints=self,
        )
        self.follower = Follower(self.store, self.memory, applied=self.member.applied, estranged=self.member.estrange)
        self.confirming = Confirming(self.store, self.member, epoch=lambda: self.memory.epoch)
        # The real code waits for these; simulated threads take turns by them.
        vars(self.member).update(moved=Condition(world.clockwork, self), _renewing=Lock(world.clockwork))
        vars(self.follower).update(_lock=Lock(world.clockwork))
        self.store.follow = self.follower.committed

    @property
    def terms(self) -> Terms:
        return self.member.terms

    def start(self) -> None:
        """Begin to serve."""
        self.clockwork.start(self, self._keep_lease)

    def leave(self) -> None:
        """End cleanly: streams first, then the lease, then the process."""
        self.member.end_streams()
        for stream in list(self.streams):
            stream.close()
        self.clockwork.sleep(self.world.breath())
        try:
            self.member.leave()
        except StoreUnavailable:
            self.world.say(f"{self.name} leaves without a word")
        self.crash()

    def acknowledged(self, instance: str, *, epoch: int, rev: int, at: int) -> None:
        """`ports.hints.Hints`: told to the other nodes, or not (F14)."""
        for node in self.world.nodes:
            if node is not self and not self.world.hints_lost:
                for delay in self.world.air.deliveries():
                    hear = partial(node.confirming.heard, instance, epoch=epoch, rev=rev, at=at)
                    self.clockwork.start(node, hear, after=delay)

    def renew(self) -> None:
        """Before its turn."""
        self._surviving(self.member.renew)

    def feed_moved(self) -> None:
        """Somebody has committed."""
        self._surviving(self.follower.catch_up)

    def stop(self, number: int) -> None:
        """A reset of this key: committed, then confirmed (F5)."""
        world = self.world
        try:
            rev, epoch = self.store.change(lambda tx: (world.stopping(tx, number), tx.epoch))
        except StoreUnavailable:
            return
        if rev:
            self._confirm([number], rev, epoch)

    def stop_all(self, account_id: str) -> None:
        """The same of all keys of an account, by one entry (F11)."""
        world = self.world
        try:
            (numbers, rev), epoch = self.store.change(lambda tx: (world.stopping_all(tx, account_id), tx.epoch))
        except StoreUnavailable:
            return
        if rev:
            self._confirm(numbers, rev, epoch)

    def decide(self, number: int) -> tuple[Verdict, bool]:
        """`api.verifying._decide`: the time, the lease, the memory (F3).  Raises StoreUnavailable."""
        boot = self.boot()
        self.world.breathe()
        now, leased = self.member.holder.look(boot)
        self.world.breathe()
        verdict = self.memory.verify_fingerprint(digest(number), now=now) if leased else MISS
        if verdict is not MISS:
            return verdict, True
        try:
            return self.memory.verify_cold(digest(number), self.store.lookup, now=now, leased=leased), False
        except PastLost:
            raise StoreUnavailable from None

    def decide_for(self, number: int, known: tuple[int, tuple[int, int]] | None) -> Verdict:
        """The same for a verifier that has applied that entry, of that epoch, and was not told yet that it is lost."""
        if known is not None and self.member.has_lost(known[1], epoch=known[0]):
            raise StoreUnavailable
        return self.decide(number)[0]

    def fill(self, fingerprint: bytes) -> Fill:
        """`/v1/feed/fill`."""
        return self.store.lookup(fingerprint)

    def _confirm(self, numbers: list[int], rev: int, epoch: int) -> None:
        world = self.world
        lost = world.losses
        world.say(f"{self.name} has committed rev {rev}: keys {numbers} stop")
        world.look_at(numbers)
        made = self.confirming.confirm(rev, epoch=epoch)
        world.say(f"{self.name} confirms rev {rev}: {made.confirmed}, waited out {made.waited_out}")
        if made.confirmed and lost == world.losses:
            world.history.waited_out += bool(made.waited_out)
            world.history.confirm(numbers, rev=rev, at=self.clockwork.now)
            world.look_at(numbers)

    def _keep_lease(self) -> None:
        while True:
            wait = self.terms.renew_every // _LOOK_EVERY
            if self._surviving(self.member.renew):
                wait = self.terms.renew_every
            for alarm in self.member.holder.told():
                self.world.alarm(self, alarm)
            self.clockwork.sleep(self.true(wait))

    def _surviving(self, work: Callable[[], object]) -> bool:
        try:
            work()
        except StoreUnavailable:
            return False
        return True


class ServedStream:
    """`api.feed._Stream`: one attached verifier."""

    def __init__(self, node: Node, stream: Stream) -> None:
        self.stream = stream
        self._node = node
        self._instance = ""
        self._terms = node.terms
        self._sent_rev: int | None = None
        self._pushing = False
        self._end = node.member.listen(self._news)
        node.streams.append(self)

    def run(self) -> None:
        """Answer until either side ends it."""
        node = self._node
        try:
            self._write(self._terms)
            while True:
                line = self.stream.receive(node)
                if line is not None:
                    self._hear(read(line))
        except (ValueError, OSError, StoreUnavailable):
            pass
        finally:
            self.close()

    def close(self) -> None:
        """Stop listening to the feed."""
        self.stream.cut()
        if self in self._node.streams:
            self._node.streams.remove(self)
            self._end()

    def _hear(self, message: Message) -> None:
        member = self._node.member
        match message:
            case Renewal():
                self._renew(message)
            case Acknowledgement():
                if not self._instance or member.recent.rev < message.rev < FOR_GOOD:
                    raise ValueError("acknowledged what it cannot have")
                member.acknowledged(self._instance, epoch=message.epoch, rev=message.rev)
            case _:
                raise ValueError("a message that verifiers do not send")

    def _renew(self, renewal: Renewal) -> None:
        if self._instance not in ("", renewal.instance):
            raise ValueError("two instances on one stream")
        node = self._node
        if not node.member.granter.asked(renewal, node.boot(), holder=renewal.instance.encode()):
            raise ConnectionResetError
        self._instance = renewal.instance
        node.member.publish(renewal.instance)
        node.world.breathe()
        if renewal.epoch > node.memory.epoch:
            node.member.renew()
        if renewal.applied_rev > node.member.recent.rev:
            node.follower.catch_up()
        if node.terms != self._terms:
            self._terms = node.terms
            self._write(self._terms)
            node.world.breathe()
        is_lost = node.member.has_lost((renewal.applied_rev, renewal.applied_at), epoch=renewal.epoch)
        answer = node.member.grant(renewal, self._terms, is_lost=is_lost)
        if isinstance(answer, Grant):
            self._sent_rev = max(self._sent_rev or 0, answer.rev)
        self._write(answer)
        if node.member.leaving:
            raise ConnectionResetError

    def _news(self) -> None:
        if not self._pushing and self._sent_rev is not None:
            self._pushing = True
            self._node.clockwork.start(self._node, self._push)

    def _push(self) -> None:
        node = self._node
        self._pushing = False
        while self._sent_rev is not None and self.stream.is_open:
            rev, entries = node.recent.after(self._sent_rev)
            if not entries:
                return
            part = entries[:_BATCH]
            self._sent_rev = part[-1].rev
            self._write(Push(epoch=node.memory.epoch, entries=part))
            if self._sent_rev >= rev:
                return

    def _write(self, message: Message) -> None:
        self.stream.send(self._node, write(message))
