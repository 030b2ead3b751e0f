"""The whole fleet as one world to explore."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import TypeVar

from tests.fleet.model import authority as authorities
from tests.fleet.model import direct, likeness, resetting
from tests.fleet.model import holder as holders
from tests.fleet.model import node as nodes
from tests.fleet.model.bounds import Terms
from tests.fleet.model.memory import remembered
from tests.fleet.model.state import Authority, State, Step

Sign = Callable[[str, State], bool]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fleet:
    terms: Terms
    wanted: Mapping[str, Sign] = field(default_factory=dict)

    def start(self) -> State:
        terms, bounds = self.terms, self.terms.bounds
        rows = ((),) * (2 * bounds.nodes or bounds.verifiers)  # of nodes, and of one that died at each node's place
        authority = Authority(
            feed=(),
            rows=rows,
            epoch=0,
            mark=0,
            made=0,
            replayed=0,
            copy=((), rows) if bounds.failover and not terms.rules.commits_are_synchronous else (),
            restored=False,
            quiet=terms.lapsed,
        )
        return State(
            authority=authority,
            stalled=(),
            waits=((),) * bounds.waits,
            nodes=(nodes.fresh(terms),) * bounds.nodes,
            verifiers=(holders.fresh(terms),) * bounds.verifiers,
            confirmed=0,
        )

    def steps(self, state: State) -> Iterable[Step]:
        # to confirm sooner makes F0 harder to keep and changes nothing else, so nobody is late with it
        return list(resetting.confirms(state, self.terms)) or self._others(state)

    def _others(self, state: State) -> Iterator[Step]:
        terms = self.terms
        yield from nodes.steps(state, terms) if state.nodes else direct.steps(state, terms)
        yield from self._commits(state)
        yield from authorities.copies(state, terms)
        yield from authorities.changes_hands(state, terms)
        if terms.bounds.jumps:
            yield from authorities.wall_clock_jumps(state)
        yield from resetting.goes_on(state, terms)
        yield from self._ticks(state)

    def _commits(self, state: State) -> Iterator[Step]:
        yield from resetting.wakes(state, self.terms)
        commits = authorities.commits(state, self.terms)
        if self.terms.bounds.pauses:
            yield from commits
            yield from resetting.scans(state, self.terms)
        else:
            for label, committed in commits:
                if self.terms.bounds.stalls:
                    yield label, committed
                for also, scanned in resetting.scans(committed, self.terms):
                    yield f"{label}; {also}", scanned

    def _ticks(self, state: State) -> Iterator[Step]:
        """A tick of true time; each clock runs as it likes, within its margin."""
        terms = self.terms
        if not (
            any(nodes.runs(node, terms) for node in state.nodes)
            or any(holders.runs(verifier, terms) for verifier in state.verifiers)
            or any(resetting.runs(wait, terms) for wait in state.waits)
            or authorities.runs(state.authority, terms)
        ):
            return
        for authority in _ways(state.authority, authorities.runs, authorities.after_ticks, terms):
            for waits in _all_ways(state.waits, resetting.runs, resetting.after_ticks, terms):
                for its_nodes in _all_ways(state.nodes, nodes.runs, nodes.after_ticks, terms):
                    for verifiers in _all_ways(state.verifiers, holders.runs, holders.after_ticks, terms):
                        yield "a tick", State(authority, state.stalled, waits, its_nodes, verifiers, state.confirmed)

    def alike(self, state: State) -> State:
        terms = self.terms
        if terms.rules.counters_never_return:
            state = likeness.renumbered(state)
        if terms.bounds.forgets:
            state = likeness.tidied(likeness.nobody_behind(likeness.settled(state, terms), terms), terms)
        if len(state.verifiers) > 1 and terms.rules.ids_are_new:
            state = likeness.in_order(state)
        if len(state.waits) > 1:
            state = state._replace(waits=tuple(sorted(state.waits)))
        return state

    def broken(self, state: State) -> str:
        """F0, in every state."""
        for number, verifier in enumerate(state.verifiers, 1):
            if wrong := holders.wrong(verifier, state.confirmed, self.terms):
                return f"verifier {number} {wrong}"
        for number, node in enumerate(state.nodes, 1):
            if wrong := holders.wrong(node.holder, state.confirmed, self.terms):
                return f"node {number} {wrong}"
        return ""

    def signs(self) -> Mapping[str, Sign]:
        return self.wanted


@remembered
def _ways(
    part: T, runs: Callable[[T, Terms], bool], after_ticks: Callable[[T, int, Terms], T | None], terms: Terms
) -> Iterator[T]:
    """What a tick may make of a process."""
    if not runs(part, terms):
        yield part
        return
    for rate in terms.rates:
        after = after_ticks(part, rate, terms)
        if after is not None:
            yield after


def _all_ways(
    parts: tuple[T, ...],
    runs: Callable[[T, Terms], bool],
    after_ticks: Callable[[T, int, Terms], T | None],
    terms: Terms,
) -> Iterator[tuple[T, ...]]:
    return product(*(_ways(part, runs, after_ticks, terms) for part in parts))
