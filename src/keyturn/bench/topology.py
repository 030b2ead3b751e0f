"""How long a reset takes to be confirmed in fleets that no test machine can hold: a discrete-event simulation, seeded.

What is simulated are messages, their delays, and what each party does one after the other; what each of those takes was
measured on real processes (`keyturn bench fleet`) or is assumed, as `Assumed` says.  The protocol is the one of
`fleet-protocol`: commit, scan, hints, pushes down to the verifiers, acknowledgements up, and the fence for those who do
not answer.
"""

import heapq
import random
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final

from keyturn.core.lease import Terms

MOST_RESETS: Final = 200
LEAST_RESETS: Final = 40
_MESSAGES: Final = 4_000_000
"""How many messages to verifiers one fleet may take to simulate, the least number of resets aside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumed:
    """What the simulation takes for given; times in milliseconds."""

    commit: float = 2.0
    """A durable commit at the authority."""
    standby: float = 0.0
    """Round trip to a synchronous standby, added to each commit."""
    scan: float = 0.5
    """One reading of the leases."""
    read: float = 0.7
    """A node reads and applies what is new."""
    hint: float = 0.3
    """NOTIFY, beside the way."""
    push: float = 0.05
    """Processor time of a node for one message to or from one verifier."""
    apply: float = 0.2
    """A verifier applies and acknowledges."""
    near: float = 0.5
    """One way within a region, at the median."""
    far: float = 70.0
    """One way between regions, at the median."""
    spread: float = 0.25
    """Of each way: the standard deviation of the logarithm."""
    per_node: int = 2000
    """Verifiers at one node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of it; times in milliseconds."""

    verifiers: int
    regions: int
    nodes: int
    p50: float
    p99: float
    cut_off: float
    """The longest, where one verifier does not answer."""
    renewals: float
    """Lease records written at the authority in a second."""
    statements: float
    """What else a reset costs the authority: readings and acknowledgements."""
    to_verifiers: float
    """Grants that one node answers in a second."""


class Simulation:
    """Events in the order of their times; of two at once the one that was put first."""

    def __init__(self, seed: int) -> None:
        self.now = 0.0
        self.random = random.Random(seed)  # noqa: S311  # no secret is made of it
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()

    def after(self, delay: float, event: Callable[[], None]) -> None:
        """Have it happen so many milliseconds from now."""
        heapq.heappush(self._events, (self.now + delay, next(self._numbers), event))

    def run(self) -> None:
        """Until nothing is left to happen."""
        while self._events:
            self.now, _, event = heapq.heappop(self._events)
            event()


def simulate(*, verifiers: int, regions: int, assumed: Assumed, terms: Terms, seed: int) -> Outcome:
    """Resets one at a time, with everybody up, and one with a verifier cut off."""
    placed = list(_nodes(verifiers, regions, assumed))
    resets = max(LEAST_RESETS, min(MOST_RESETS, _MESSAGES // verifiers))
    took = [_reset(placed, assumed, terms, seed=seed + at, silent=False)[0] for at in range(resets)]
    cut_off, statements = _reset(placed, assumed, terms, seed=seed, silent=True)
    every = terms.renew_every / 1e6
    return Outcome(
        verifiers=verifiers,
        regions=regions,
        nodes=len(placed),
        p50=statistics.median(took),
        p99=statistics.quantiles(took, n=100)[98],
        cut_off=cut_off,
        renewals=len(placed) / every,
        statements=statements,
        to_verifiers=max(held for held, _ in placed) / every,
    )


def _nodes(verifiers: int, regions: int, assumed: Assumed) -> Iterator[tuple[int, bool]]:
    """Verifiers at each node, and whether it is in another region than the authority; two in each region at least."""
    for region in range(regions):
        here = verifiers // regions + (region < verifiers % regions)
        nodes = max(2, -(-here // assumed.per_node))
        for node in range(nodes):
            yield here // nodes + (node < here % nodes), region > 0


def _reset(
    placed: list[tuple[int, bool]], assumed: Assumed, terms: Terms, *, seed: int, silent: bool
) -> tuple[float, float]:
    """Milliseconds from the request until it is confirmed, and statements at the authority."""
    simulation = Simulation(seed)
    waiting = set(range(len(placed)))
    ended: list[float] = []
    statements = 3.0  # the transaction, its commit, the scan

    def way(*, far: bool) -> float:
        return simulation.random.lognormvariate(0.0, assumed.spread) * (assumed.far if far else assumed.near)

    def acknowledged(node: int) -> None:
        waiting.discard(node)
        if not waiting and not ended:
            ended.append(simulation.now)

    def node_hears(node: int) -> None:
        held, far = placed[node]
        # A node away from the authority asks it over that distance.
        asked = 0.0 if node == 0 else assumed.read + (2 * way(far=True) if far else 0.0)
        done = simulation.now + asked
        last = done
        for number in range(held):
            done += assumed.push
            if silent and node == 0 and number == 0:
                last = float("inf")
                continue
            last = max(last, done + 2 * way(far=False) + assumed.apply + assumed.push)
        if last == float("inf"):
            return
        back = 0.0 if node == 0 else assumed.hint + way(far=far)
        simulation.after(last + back - simulation.now, lambda: acknowledged(node))

    def committed() -> None:
        for node, (_, far) in enumerate(placed):
            simulation.after(0.0 if node == 0 else assumed.hint + way(far=far), _bound(node_hears, node))

    simulation.after(assumed.commit + assumed.standby, committed)
    scanned = assumed.commit + assumed.standby + assumed.scan
    simulation.run()
    statements += 2 * (len(placed) - 1)
    end = ended[0] if ended else scanned + terms.fence / 1e3
    return max(end, scanned), statements


def _bound(function: Callable[[int], None], node: int) -> Callable[[], None]:
    return lambda: function(node)


FLEETS: Final = tuple((verifiers, regions) for verifiers in (10, 1_000, 100_000) for regions in (1, 5))


def outcomes(*, seed: int = 1) -> list[Outcome]:
    """Every fleet of the table."""
    return [
        simulate(verifiers=verifiers, regions=regions, assumed=Assumed(), terms=Terms(), seed=seed)
        for verifiers, regions in FLEETS
    ]


def table(found: Sequence[Outcome]) -> str:
    """The outcomes for a person, as a table in Markdown."""
    head = (
        "verifiers", "regions", "nodes", "confirmed, p50", "p99", "one cut off", "leases written a second",
        "statements a reset", "grants a second at a node",
    )  # fmt: skip
    rows = [
        (
            f"{one.verifiers:,}",
            str(one.regions),
            str(one.nodes),
            f"{one.p50:.0f} ms",
            f"{one.p99:.0f} ms",
            f"{one.cut_off / 1e3:.1f} s",
            f"{one.renewals:.1f}",
            f"{one.statements:.0f}",
            f"{one.to_verifiers:,.0f}",
        )
        for one in found
    ]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ("---:",) * len(head), *rows))
