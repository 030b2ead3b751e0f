"""Faults, drawn by a seed: whatever networks, machines and operators do to a fleet, two at a time.

One thread does it to verifiers and their lines, the other to nodes, to the database and to the lines between them.
"""

import random
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from tests.fleet.chaos.fleet import STARTER, Fleet, Node, Verifier
from tests.fleet.chaos.link import BOTH, Link, Way
from tests.fleet.chaos.recording import boot_nanos
from tests.postgres import Postgres

Fault = Callable[[random.Random, float], None]
"""Does its harm for so many seconds, and undoes it."""
_HOUR: Final = 3600 * 1_000_000
_WAYS: Final = (BOTH, (Way.THERE,), (Way.BACK,))


class Storm:
    """`with storm.raging():` does harm until the block ends; then everything works again."""

    def __init__(self, fleet: Fleet, database: Postgres, *, seed: str, calm: float) -> None:
        """`calm`: between two faults it is quiet for so many leases at most."""
        self.faults: Counter[str] = Counter()
        """What was done how often."""
        self.failures: list[BaseException] = []
        """What broke that must not."""
        self._fleet = fleet
        self._database = database
        self._lease = fleet.terms.length / 1e6
        self._seed = seed
        self._calm = calm * self._lease
        self._over = threading.Event()

    @contextmanager
    def raging(self) -> Iterator[None]:
        """Two threads of harm."""
        near: dict[Fault, int] = {
            self.pause_verifier: 4,
            self.kill_verifier: 2,
            self.stall_verifier: 4,
            self.cut_verifier: 2,
            self.lag_verifier: 2,
            self.step_a_verifier_s_clock: 2,
        }
        far: dict[Fault, int] = {
            self.pause_node: 8,
            self.stall_node: 8,
            self.cut_node: 8,
            self.lag_node: 6,
            self.step_a_node_s_clock: 4,
            self.freeze_database: 4,
            self.kill_node: 2,
            self.restart_database: 1,
            self.kill_database: 1,
        }
        threads = [
            threading.Thread(target=self._rage, args=["near", near, self._calm / 4]),
            threading.Thread(target=self._rage, args=["far", far, self._calm]),
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()

    def _rage(self, where: str, faults: dict[Fault, int], calm: float) -> None:
        draw = random.Random(f"{self._seed} {where}")
        try:
            while not self._over.wait(draw.uniform(0, calm)):
                (fault,) = draw.choices(list(faults), list(faults.values()))
                longer = draw.random() < 0.4
                seconds = draw.uniform(1.1, 2.2) * self._lease if longer else draw.uniform(0.1, 0.9) * self._lease
                self.faults[f"{fault.__name__}{', longer than a lease' if longer else ''}"] += 1
                print(f"{boot_nanos() / 1e9:.3f} {fault.__name__} {seconds:.3f} s", flush=True)
                fault(draw, seconds)
        except BaseException as error:  # noqa: BLE001  # it is raised again where the test looks
            self.failures.append(error)

    def _last(self, seconds: float) -> None:
        self._over.wait(seconds)

    # -- to verifiers

    def pause_verifier(self, draw: random.Random, seconds: float) -> None:
        """SIGSTOP, SIGCONT."""
        self._pause(draw.choice(self._fleet.verifiers), seconds)

    def kill_verifier(self, draw: random.Random, seconds: float) -> None:
        """SIGKILL, and another one in its place."""
        verifier = draw.choice(self._fleet.verifiers)
        verifier.kill()
        self._last(seconds / 4)
        verifier.start()

    def stall_verifier(self, draw: random.Random, seconds: float) -> None:
        """Its line carries nothing, one way or both."""
        self._stall(self._line_of_verifier(draw), draw, seconds)

    def cut_verifier(self, draw: random.Random, seconds: float) -> None:
        """Its connections break; sometimes there are no new ones for a while."""
        self._cut(self._line_of_verifier(draw), draw, seconds)

    def lag_verifier(self, draw: random.Random, seconds: float) -> None:
        """Its line is slow."""
        self._lag(self._line_of_verifier(draw), draw.uniform(0.02, self._lease / 2), seconds)

    def step_a_verifier_s_clock(self, draw: random.Random, seconds: float) -> None:
        """Somebody sets its machine's clock, and sets it back."""
        self._step(draw.choice(self._fleet.verifiers), draw, seconds)

    # -- to nodes

    def pause_node(self, draw: random.Random, seconds: float) -> None:
        """SIGSTOP, SIGCONT."""
        self._pause(draw.choice(self._fleet.nodes), seconds)

    def kill_node(self, draw: random.Random, seconds: float) -> None:
        """SIGKILL, and a new start."""
        node = draw.choice(self._fleet.nodes)
        node.kill()
        self._last(seconds / 4)
        node.start()

    def stall_node(self, draw: random.Random, seconds: float) -> None:
        """Its line to the database carries nothing, one way or both."""
        self._stall(draw.choice(self._fleet.nodes).to_database, draw, seconds)

    def cut_node(self, draw: random.Random, seconds: float) -> None:
        """Its connections to the database break."""
        self._cut(draw.choice(self._fleet.nodes).to_database, draw, seconds)

    def lag_node(self, draw: random.Random, seconds: float) -> None:
        """Its line to the database is slow."""
        self._lag(draw.choice(self._fleet.nodes).to_database, draw.uniform(0.001, 0.01), seconds)

    def step_a_node_s_clock(self, draw: random.Random, seconds: float) -> None:
        """Somebody sets its machine's clock, and sets it back."""
        self._step(draw.choice(self._fleet.nodes), draw, seconds)

    # -- to the database

    def freeze_database(self, _draw: random.Random, seconds: float) -> None:
        """Every process of it stands still."""
        self._database.freeze()
        self._last(seconds)
        self._database.thaw()

    def restart_database(self, _draw: random.Random, seconds: float) -> None:
        """An orderly restart."""
        self._database.stop(how=signal.SIGINT)
        self._last(seconds / 4)
        STARTER.submit(self._database.start).result()

    def kill_database(self, _draw: random.Random, seconds: float) -> None:
        """It crashes, and recovers."""
        self._database.kill()
        self._last(seconds / 4)
        STARTER.submit(self._database.start).result()

    # -- how

    def _line_of_verifier(self, draw: random.Random) -> Link:
        return draw.choice(draw.choice(self._fleet.verifiers).links)

    def _pause(self, one: Node | Verifier, seconds: float) -> None:
        one.pause()
        self._last(seconds)
        one.go_on()

    def _stall(self, line: Link, draw: random.Random, seconds: float) -> None:
        line.stall(*draw.choice(_WAYS))
        self._last(seconds)
        line.resume()

    def _cut(self, line: Link, draw: random.Random, seconds: float) -> None:
        refuse = draw.random() < 0.5
        line.cut(refuse=refuse)
        if refuse:
            self._last(seconds)
            line.mend()

    def _lag(self, line: Link, lag: float, seconds: float) -> None:
        line.delay(lag)
        self._last(seconds)
        line.delay(0)

    def _step(self, one: Node | Verifier, draw: random.Random, seconds: float) -> None:
        one.orders.step_wall_clock(draw.choice((-1, 1)) * draw.randrange(2_000_000, _HOUR))
        self._last(seconds)
        one.orders.step_wall_clock(0)
