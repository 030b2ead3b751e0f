"""Which states differ in nothing that matters: what keeps the number of states small and finite.

`renumbered` and `in_order` give names anew, which is always allowed.  The others drop what can make no difference
under the rules; `Bounds.forgets` turns them off, for mutants whose guard they rely on and for a check of themselves.
"""

from functools import lru_cache
from typing import Any, TypeVar

from tests.fleet.model.bounds import Terms
from tests.fleet.model.memory import MANY
from tests.fleet.model.state import Absent, Ask, Holder, Node, Rows, State, Wait

T = TypeVar("T")


def renumbered(state: State) -> State:
    """Counters are compared for being equal and nothing else: a row's is 1, and another one that was seen 2."""
    authority = state.authority
    waits = tuple([_renumbered(wait, authority.rows) for wait in state.waits])
    for row in authority.rows:
        if row and row.counter != 1:
            rows = tuple([row and row._replace(counter=1) for row in authority.rows])
            return state._replace(authority=authority._replace(rows=rows), waits=waits)
    return state if waits == state.waits else state._replace(waits=waits)


@lru_cache(maxsize=MANY)
def _renumbered(wait: Wait | Absent, rows: Rows) -> Wait | Absent:
    if not wait:
        return wait
    seen = [
        0 if not counter else 1 if row and row.counter == counter else 2
        for counter, row in zip(wait.seen, rows, strict=True)
    ]
    return wait._replace(seen=tuple(seen))


def in_order(state: State) -> State:
    """Verifiers are alike: which of them is the first says nothing."""
    count = len(state.verifiers)
    if state.nodes:
        columns: list[tuple[Any, ...]] = [
            column
            for node in state.nodes
            for column in (node.records, node.jobs, node.look.waits if node.look else ((),) * count)
        ]
    else:
        copied = state.authority.copy[1] if state.authority.copy else ((),) * count
        columns = [state.authority.rows, copied, *(wait.seen if wait else (0,) * count for wait in state.waits)]
    places = sorted(range(count), key=lambda number: (state.verifiers[number], *(column[number] for column in columns)))
    if places == list(range(count)):
        return state
    state = state._replace(verifiers=_picked(state.verifiers, places))
    if state.nodes:
        return state._replace(nodes=tuple(_with_places(node, places) for node in state.nodes))
    waits = tuple(wait and wait._replace(seen=_picked(wait.seen, places)) for wait in state.waits)
    authority = state.authority._replace(rows=_picked(state.authority.rows, places))
    if authority.copy:
        feed, rows = authority.copy
        authority = authority._replace(copy=(feed, _picked(rows, places)))
    return state._replace(authority=authority, waits=waits)


def _picked(items: tuple[T, ...], places: list[int]) -> tuple[T, ...]:
    return tuple(items[place] for place in places)


def _with_places(node: Node, places: list[int]) -> Node:
    look = node.look and node.look._replace(waits=_picked(node.look.waits, places))
    return node._replace(records=_picked(node.records, places), jobs=_picked(node.jobs, places), look=look)


def settled(state: State, terms: Terms) -> State:
    """When the last reset has been confirmed, nothing that would confirm one makes a difference any more."""
    authority = state.authority
    if authority.made < terms.bounds.changes or sum(authority.feed) & ~state.confirmed:
        return state
    if state.stalled or any(wait and not wait.change & state.confirmed for wait in state.waits):
        return state
    nodes = tuple(node._replace(acked=0, look=(), records=((),) * len(node.records)) for node in state.nodes)
    rows, waits = ((),) * len(authority.rows), ((),) * len(state.waits)
    return state._replace(authority=authority._replace(rows=rows), waits=waits, nodes=nodes)


def nobody_behind(state: State, terms: Terms) -> State:
    """After the last change, where everybody's answers reflect everything, leases make no difference any more."""
    authority = state.authority
    if authority.made < terms.bounds.changes:
        return state
    everything = sum(authority.feed)
    for verifier in state.verifiers:
        if verifier.seen != everything or verifier.epoch != authority.epoch:
            return state
    for node in state.nodes:
        if node.holder.seen != everything:
            return state
    verifiers = tuple(_at_rest(verifier, terms) for verifier in state.verifiers)
    nodes = tuple(
        node._replace(holder=_at_rest(node.holder, terms), records=((),) * len(verifiers), look=())
        for node in state.nodes
    )
    return state._replace(verifiers=verifiers, nodes=nodes)


def _at_rest(holder: Holder, terms: Terms) -> Holder:
    return holder._replace(lease=terms.lapsed, asks=((),) * terms.bounds.asks, fill=())


def tidied(state: State, terms: Terms) -> State:
    """Requests that are as good as lost are dropped, and what nodes keep for them."""
    verifiers = tuple([_without_lost(verifier, terms) for verifier in state.verifiers])
    nodes = state.nodes
    if nodes:
        asks = tuple([verifier.asks for verifier in verifiers])
        nodes = tuple([_node_tidied(node, _without_lost(node.holder, terms), asks) for node in nodes])
    if verifiers == state.verifiers and nodes == state.nodes:
        return state
    return state._replace(verifiers=verifiers, nodes=nodes)


@lru_cache(maxsize=MANY)
def _without_lost(holder: Holder, terms: Terms) -> Holder:
    """A request whose lease would end no later than the one at hand: what it could still bring, pushes bring too."""
    end = max(terms.floor, holder.lease.left)
    if any(ask and ask.since.left <= end for ask in holder.asks):
        return holder._replace(asks=tuple(() if ask and ask.since.left <= end else ask for ask in holder.asks))
    return holder


@lru_cache(maxsize=MANY)
def _node_tidied(node: Node, holder: Holder, asks: tuple[tuple[Ask | Absent, ...], ...]) -> Node:
    """A lost request leaves no work, and a record whose grants have ended says nothing more."""
    jobs = tuple(
        tuple(job if ask else () for job, ask in zip(each, its_asks, strict=True))
        for each, its_asks in zip(node.jobs, asks, strict=True)
    )
    records = tuple(
        () if record and not record.until.running and not any(each) else record
        for record, each in zip(node.records, jobs, strict=True)
    )
    return node._replace(holder=holder, jobs=jobs, records=records)
