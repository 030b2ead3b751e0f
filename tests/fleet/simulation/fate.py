"""What happens in a world from outside: keys come, are used and are stopped; processes and machines fail."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from keyturn.core.lease import Terms
from tests.fleet.simulation.attached import Attached
from tests.fleet.simulation.clockwork import Machine
from tests.fleet.simulation.node import Node
from tests.fleet.simulation.world import ACCOUNTS, TERMS, World

JUMP = 3_000_000


class Fate:
    """Draws one event after the other."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._pick = world.choices.pick
        self._live = list(range(1, 4))
        self._changing = False
        self._events: list[tuple[int, Callable[[], None]]] = [
            (30, self._verify),
            (6, self._mint),
            (4, self._stop),
            (1, self._stop_all),
            (2, self._cut),
        ]
        if world.plan.pauses:
            self._events += [(2, self._pause), (1, self._set_clock), (1, self._cut_off)]
            self._events += [(4, self._stop_unheard), (2, self._stop_while_granting), (2, self._stop_on_return)]
            self._events += [(1, self._stop_twice)]
        if world.plan.terms:
            self._events += [(12, self._change_terms)]
        if world.plan.crashes:
            self._events += [(1, self._crash), (1, self._leave), (1, self._outage), (1, self._leave_one_behind)]

    def run(self, leases: int) -> None:
        """For so many leases' time."""
        world = self._world
        world.clockwork.run(TERMS.length)
        until = world.clockwork.now + leases * TERMS.length
        loss_at = world.clockwork.now + (3 + self._pick(max(1, leases - 6))) * TERMS.length
        if world.plan.losses:
            world.clockwork.at(loss_at - 2 * TERMS.length - self._pick(TERMS.length), None, self._back_up)
            world.clockwork.at(loss_at, None, self._lose)
        while world.clockwork.now < until:
            self._draw()()
            world.clockwork.run(world.clockwork.now + 1 + self._pick(TERMS.length // 8))
        world.clockwork.run(world.clockwork.now + 3 * TERMS.fence)

    def _draw(self) -> Callable[[], None]:
        at = self._pick(sum(weight for weight, _ in self._events))
        for weight, event in self._events:
            at -= weight
            if at < 0:
                return event
        raise AssertionError

    def _one(self, machines: list[Node] | list[Attached] | list[Node | Attached]) -> Machine:
        return machines[self._pick(len(machines))]

    def _holder(self) -> Node | Attached:
        holders = self._world.holders
        return holders[self._pick(len(holders))]

    def _node(self) -> Node:
        return self._world.nodes[self._pick(len(self._world.nodes))]

    def _change_terms(self) -> None:
        """Leases are given for longer or shorter, one change after the other."""
        if not self._changing:
            self._changing = True
            self._warm()
            number, victim = self._number(), self._holder()
            others = [one for one in self._world.nodes if one is not victim]
            node = others[self._pick(len(others))] if others else self._node()
            change = self._lengthen if isinstance(victim, Node) and self._pick(2) else self._shorten
            self._world.clockwork.start(node, lambda: change(victim, node, number), after=self._soon())

    def _lengthen(self, victim: Node | Attached, node: Node, number: int) -> None:
        """A node hears nothing any more once it has renewed its lease for the first time since."""
        self._give_for(4)
        self._await_fresh_lease(victim)
        self._silence(victim, longer=4)
        node.stop(number)
        self._give_for(1)
        self._changing = False

    def _shorten(self, victim: Node | Attached, node: Node, number: int) -> None:
        """Somebody has just got a long lease and hears nothing any more; the others have heard of it, or not."""
        self._give_for(4)
        self._world.clockwork.sleep(4 * TERMS.length)
        self._await_fresh_lease(victim)
        self._silence(victim, longer=4)
        self._give_for(1)
        for one in [*self._world.nodes, *self._world.nodes] if self._pick(2) else ():
            if one is not victim:
                self._world.clockwork.start(one, one.renew)
                self._world.clockwork.sleep(self._soon())
        node.stop(number)
        self._changing = False

    def _give_for(self, times: int) -> None:
        self._world.say(f"leases are {times} times as long as at first")
        self._world.authority.terms = Terms(length=times * TERMS.length, margin=times * TERMS.margin)

    def _verify(self) -> None:
        for _ in range(3):
            self._world.verify(self._holder(), self._live[self._pick(len(self._live))])

    def _mint(self) -> None:
        starts, stops = 0, None
        kind = self._pick(4)
        if kind == 1:
            starts = self._pick(2 * TERMS.length)
        elif kind == 2:
            stops = self._pick(3 * TERMS.length)
        number = self._world.mint(starts=starts, stops=stops)
        self._live = [*self._live[-5:], number]
        if kind:
            for holder in self._world.holders:
                for date in (starts, stops or 0):
                    near = max(0, date + self._pick(2 * TERMS.margin) - TERMS.margin)
                    verify = partial(self._world.verify, holder, number)
                    self._world.clockwork.at(self._world.clockwork.now + near, None, verify)

    def _stop(self) -> None:
        self._warm()
        self._world.clockwork.start(self._node(), self._stopping(self._node(), self._number()), after=self._soon())

    def _stop_unheard(self) -> None:
        """Somebody has just got a lease and hears nothing any more when a key is stopped."""
        self._warm()
        node, number, victim = self._node(), self._number(), self._holder()

        def act() -> None:
            self._await_fresh_lease(victim)
            self._silence(victim)
            if self._pick(2):
                self._world.clockwork.sleep(self._soon())
            node.stop(number)

        self._world.clockwork.start(node, act, after=self._soon())

    def _stop_while_granting(self) -> None:
        """A key is stopped while a grant is under way, which comes late; after it nothing comes."""
        self._warm()
        world, number, victim = self._world, self._number(), self._holder()
        others = [one for one in world.nodes if one is not victim]
        node = others[self._pick(len(others))] if others else self._node()
        late = TERMS.length // 8 + self._pick(3 * TERMS.length // 4)

        def act() -> None:
            if isinstance(victim, Node):
                self._await_renewal(victim)
                world.clockwork.sleep(self._pick(4 * world.weather.fast))
                if victim is not node:
                    victim.pause(late)
                victim.store.cut_until = world.clockwork.now + late + TERMS.fence
                world.clockwork.at(world.clockwork.now, None, lambda: None)
            elif victim.stream is not None:
                stream = victim.stream
                stream.hold(victim, world.clockwork.now + TERMS.length // 3 + late)
                self._await_renewal(victim)
                world.clockwork.sleep(4 * world.weather.fast)
                stream.mute(victim)
            world.say(f"a grant to {victim.name} is late by {late}")
            node.stop(number)

        world.clockwork.start(node, act, after=self._soon())

    def _stop_on_return(self) -> None:
        """Somebody was waited out; a key is stopped just as it is back."""
        self._warm()
        world, numbers, victim = self._world, (self._number(), self._number()), self._node()
        others = [one for one in world.nodes if one is not victim]
        node = others[self._pick(len(others))] if others else victim

        def act() -> None:
            self._silence(victim)
            node.stop(numbers[0])
            for holder in world.holders:
                world.verify(holder, numbers[1])
            world.clockwork.sleep(max(0, victim.store.cut_until - world.clockwork.now))
            self._await_renewal(victim)
            world.clockwork.sleep(self._pick(4 * world.weather.fast))
            node.stop(numbers[1])

        world.clockwork.start(node, act, after=self._soon())

    def _stop_twice(self) -> None:
        """Somebody stands still until it is nearly waited out; when it is up again there is another stop."""
        self._warm()
        node, numbers, victim = self._node(), (self._number(), self._number()), self._holder()

        def act() -> None:
            self._await_fresh_lease(victim)
            if victim is not node:
                victim.pause(node.true(TERMS.fence) - self._pick(TERMS.margin // 4))
            node.stop(numbers[0])
            self._world.clockwork.sleep(self._pick(TERMS.margin // 8))
            self._silence(victim)
            node.stop(numbers[1])

        self._world.clockwork.start(node, act, after=self._soon())

    def _leave_one_behind(self) -> None:
        """A node leaves; one of its verifiers does not notice, and still has a lease."""
        self._warm()
        world = self._world
        verifiers = [one for one in world.verifiers if one.node in world.nodes]
        if not verifiers or len(world.nodes) < 2:
            return
        victim = verifiers[self._pick(len(verifiers))]
        leaver = victim.node
        others = [one for one in world.nodes if one is not leaver]
        node, number = others[self._pick(len(others))], self._number()

        def act() -> None:
            self._await_fresh_lease(victim)
            self._silence(victim)
            if leaver is not None and leaver in world.nodes:
                self._end(leaver, lambda one: world.clockwork.start(one, one.leave), "leaves")
                world.clockwork.sleep(4 * world.weather.fast)
            node.stop(number)

        world.clockwork.start(node, act, after=self._soon())

    def _warm(self) -> None:
        """Everybody has the live keys in memory, who can."""
        for holder in self._world.holders:
            for number in self._live:
                self._world.verify(holder, number)

    def _number(self) -> int:
        return self._live[self._pick(len(self._live))]

    def _soon(self) -> int:
        return 2 * self._world.weather.fast + self._pick(self._world.weather.fast)

    def _stopping(self, node: Node, number: int) -> Callable[[], None]:
        return lambda: node.stop(number)

    def _await_renewal(self, holder: Node | Attached) -> None:
        """Until it has asked for a lease and has no answer."""
        its = holder.member.holder if isinstance(holder, Node) else holder.holder
        before = its._nonce
        for _ in range(2_000):
            if its._nonce > before:
                return
            self._world.clockwork.sleep(250)

    def _await_fresh_lease(self, holder: Node | Attached) -> None:
        before = deadline_of(holder)
        for _ in range(60):
            if deadline_of(holder) > before:
                return
            self._world.clockwork.sleep(TERMS.length // 120)

    def _silence(self, holder: Node | Attached, *, longer: int = 1) -> None:
        """It hears nothing any more, for longer than a lease."""
        world = self._world
        many = longer * TERMS.fence + self._pick(TERMS.length)
        if isinstance(holder, Node):
            holder.store.cut_until = world.clockwork.now + many
        elif holder.stream is not None:
            holder.stream.cut()
            holder.cut_until = world.clockwork.now + many
        world.say(f"{holder.name} hears nothing for {many}")
        for _ in range(8):  # when it hears again, what it knows is old
            number, after = self._number(), many + self._pick(TERMS.length // 8)
            world.clockwork.at(world.clockwork.now + after, None, partial(world.verify, holder, number))

    def _stop_all(self) -> None:
        node, account = self._node(), ACCOUNTS[self._pick(len(ACCOUNTS))]
        self._world.clockwork.start(node, lambda: node.stop_all(account))

    def _cut(self) -> None:
        verifiers = self._world.verifiers
        verifier = verifiers[self._pick(len(verifiers))]
        if verifier.stream is not None:
            verifier.stream.cut()
            self._world.say(f"{verifier.name} is cut")

    def _cut_off(self) -> None:
        self._silence(self._holder())

    def _pause(self) -> None:
        holder = self._holder()
        many = self._pick(2 * TERMS.length)
        holder.pause(many)
        self._world.say(f"{holder.name} stops for {many}")

    def _set_clock(self) -> None:
        holder = self._holder()
        holder.jumped += (self._pick(3) - 1) * JUMP
        self._world.say(f"the wall clock of {holder.name} is set")

    def _crash(self) -> None:
        self._end(self._holder(), lambda holder: holder.crash(), "crashes")

    def _leave(self) -> None:
        self._end(self._holder(), lambda holder: self._world.clockwork.start(holder, holder.leave), "leaves")

    def _end(self, holder: Node | Attached, how: Callable[[Node | Attached], object], word: str) -> None:
        world = self._world
        how(holder)
        world.say(f"{holder.name} {word}")
        if isinstance(holder, Node):
            world.nodes.remove(holder)
            for served in list(holder.streams) if word == "crashes" else ():
                served.stream.cut()
            world.add_node()
        else:
            world.verifiers.remove(holder)
            world.add_verifier()

    def _outage(self) -> None:
        many = self._pick(2 * TERMS.length)
        self._world.authority.away_until = self._world.clockwork.now + many
        self._world.say(f"the database is away for {many}")

    def _back_up(self) -> None:
        """What is backed up may know none of those who are attached later."""
        authority = self._world.authority
        authority.backup = replace(authority.seen, leases={}) if self._pick(2) else authority.seen
        for _ in range(self._pick(4)):
            self._mint()
        for number in self._live[-self._pick(3) :]:
            self._world.clockwork.start(self._node(), self._stopping(self._node(), number))
        if self._pick(2):
            self._stop_all()

    def _lose(self) -> None:
        """The database is put back from a backup: into a new epoch at once, or while nobody stops a key (F9).

        What a backup lacks may be nothing but who had attached since, and nobody can tell that: so the operator has to
        raise it before a stop is believed.
        """
        world, authority = self._world, self._world.authority
        if self._pick(2):
            self._warm()
        raised = bool(self._pick(2))
        late = 0 if raised else self._pick(2 * TERMS.length)
        lost = authority.seen.rev
        authority.restore(raise_epoch=raised)
        if not raised:
            world.is_halted = True
            world.clockwork.at(world.clockwork.now + late, None, self._raise_epoch)
        world.losses += 1
        world.history.forget_after(authority.seen.rev)
        world.say(f"the database comes back at rev {authority.seen.rev} of {lost}, epoch {authority.seen.epoch}")
        numbers = list(authority.seen.keys)
        for at in range(6):
            number, node = numbers[self._pick(len(numbers))], self._node()
            world.clockwork.start(node, self._stopping(node, number), after=late + at * self._pick(TERMS.length // 3))

    def _raise_epoch(self) -> None:
        self._world.authority.raise_epoch()
        self._world.is_halted = False
        self._world.say("the epoch is raised")


def deadline_of(holder: Node | Attached) -> int:
    """Until when its memory answers, by its own boot-time clock."""
    return holder.member.holder.deadline if isinstance(holder, Node) else holder.holder.deadline
