"""How far a world is explored, and the rules it follows: what every step is handed."""

from dataclasses import dataclass

from tests.fleet.model.clock import FLOOR, RATES, Timer
from tests.fleet.model.rules import RULES, Rules


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    # how much there is of everything
    lease: int = 2  # L, in ticks
    error: int = 1  # E
    changes: int = 1  # resets
    waits: int = 1  # processes that wait for one at a time
    asks: int = 1  # requests of one holder that are in the network together
    verifiers: int = 1
    nodes: int = 0
    # what can happen
    restarts: bool = False  # verifiers die and start again
    deaths: bool = False  # nodes do
    leaving: bool = False  # nodes leave in good order
    jumps: bool = False  # wall clocks do
    replica: bool = False  # there is one that lags
    failover: bool = False  # to a standby
    restore: bool = False  # of a backup, until the epoch is raised
    stalls: bool = False  # a process stands still between its commit and its scan; who knows nothing commits meanwhile
    fills: bool = False
    checks: bool = False  # verifications go step by step; else they take no time, and one is made in every state
    # what is left out, and why that leaves no violation out
    drifts: bool = True  # else a holder's clock stands still for E at once, and one that waits skips E: the worst
    delays: bool = True  # else a message is lost or arrives at once, when it can do most
    pauses: bool = True  # else a granter takes no break between its steps, and a reset scans as it commits
    forgets: bool = True  # what makes no difference any more is dropped (`likeness`)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)  # a key of caches: compared by identity
class Terms:
    bounds: Bounds
    rules: Rules = RULES

    @property
    def rates(self) -> tuple[int, ...]:
        return RATES if self.bounds.drifts else (0,)

    @property
    def floor(self) -> int:
        return FLOOR if self.bounds.checks else 0

    @property
    def lapsed(self) -> Timer:
        return Timer(self.floor, 0)

    @property
    def lease(self) -> Timer:
        """L from now, for the one who holds it."""
        return self.held(self.bounds.lease)

    @property
    def wait(self) -> Timer:
        """L + 2E from now, for one who waits."""
        return self.waited(self.bounds.lease + 2 * self.bounds.error)

    def held(self, length: int) -> Timer:
        return Timer(length if self.bounds.drifts else length + self.bounds.error, 0)

    def waited(self, length: int) -> Timer:
        return Timer(length if self.bounds.drifts else length - self.bounds.error, 0)
