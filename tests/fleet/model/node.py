"""A node: a lease holder that grants out of its own lease and acknowledges for whom it has granted to (F7, F10)."""

from collections.abc import Iterator

from tests.fleet.model import attached
from tests.fleet.model import holder as holders
from tests.fleet.model.authority import acknowledged, forgotten, recorded
from tests.fleet.model.bounds import Terms
from tests.fleet.model.clock import OVER, Timer, after_tick, later, shortened
from tests.fleet.model.places import put, with_node
from tests.fleet.model.state import Grant, Look, Node, Record, State, Step

Move = tuple[str, Node]


def fresh(terms: Terms) -> Node:
    count = terms.bounds.verifiers
    jobs = (((),) * terms.bounds.asks,) * count
    return Node(holder=holders.fresh(terms), acked=0, records=((),) * count, jobs=jobs, look=())


def steps(state: State, terms: Terms) -> Iterator[Step]:
    for index, node in enumerate(state.nodes):
        name = f"node {index + 1}"
        for label, after in _alone(state, node, terms):
            yield f"{name} {label}", with_node(state, index, after)
        for label, following in [*_with_the_authority(state, index, node, terms), *_ends(state, index, node, terms)]:
            yield f"{name} {label}", following
    for number in range(len(state.verifiers)):
        yield from attached.steps(state, number, terms)


def _alone(state: State, node: Node, terms: Terms) -> Iterator[Move]:
    moves = [*holders.hears(node.holder, terms), *holders.is_pushed(node.holder, state.authority.feed, 0, terms)]
    for label, after in moves:
        yield label, node._replace(holder=after)
    if terms.bounds.jumps:
        records = node.records if terms.rules.dropped_lease_keeps_records else ((),) * len(node.records)
        for label, after in holders.wall_clock_jumps(node.holder, terms):
            yield label, node._replace(holder=after, records=records)
    if terms.bounds.jumps and not terms.rules.records_by_boot_clock:
        yield "has the clock of its records set ahead", _set_ahead(node)
    yield from _looks(state, node, terms)
    look = node.look
    if look and look.rev <= node.holder.applied and _heard_from_all(node, look, terms):
        after_all = node._replace(acked=max(node.acked, look.rev), look=())
        yield f"has heard from its verifiers: it may acknowledge rev {look.rev}", after_all


def _looks(state: State, node: Node, terms: Terms) -> Iterator[Move]:
    """F7: only after applying; a mutant looks as soon as it has heard of a rev."""
    known = node.holder.applied
    if not terms.rules.applied_before_records:
        known = min(known + 1, state.authority.rev)
    if known <= node.acked or (node.look and node.look.rev >= known):
        return
    waits = tuple(
        OVER if not record or record.acked >= known else _end(node, number, record, terms)
        for number, record in enumerate(node.records)
    )
    yield f"looks at its records for rev {known}", node._replace(look=Look(known, waits))


def _end(node: Node, number: int, record: Record, terms: Terms) -> Timer:
    """The latest end of a verifier's grants; one that is being made is taken to be of length L."""
    end = record.until
    if terms.rules.recorded_with_length:
        for job in node.jobs[number]:
            if job and not job.length:
                end = later(end, job.arrived)
    return end


def _heard_from_all(node: Node, look: Look, terms: Terms) -> bool:
    return not terms.rules.verifiers_count or all(
        not wait.running or not record or record.acked >= look.rev
        for wait, record in zip(look.waits, node.records, strict=True)
    )


def _set_ahead(node: Node) -> Node:
    records = tuple(record and record._replace(until=shortened(record.until, 2)) for record in node.records)
    look = node.look and node.look._replace(waits=tuple(shortened(wait, 2) for wait in node.look.waits))
    return node._replace(records=records, look=look)


def _with_the_authority(state: State, index: int, node: Node, terms: Terms) -> Iterator[Step]:
    """Its own lease.  A renewal is recorded and answered in one step: `direct` explores the halves."""
    authority = state.authority
    for label, place, asking in holders.asks(node.holder, node.acked, terms):
        ask = asking.asks[place]
        assert ask
        grant = Grant(terms.bounds.lease, ask.applied, authority.feed, 0)
        holder = holders.with_ask(asking, place, ask._replace(grant=grant))
        if not terms.bounds.delays:
            heard = next((after for _, after in holders.hears(holder, terms)), holder)
            holder = holders.with_ask(heard, place, ())
        following = with_node(recorded(state, index, node.acked, terms), index, node._replace(holder=holder))
        yield f"{label}, is recorded and answered from rev {authority.rev}", following
    row = authority.rows[index]
    if row and row.acked < node.acked:
        yield f"has its acknowledgement of rev {node.acked} arrive", acknowledged(state, index, node.acked)


def _ends(state: State, index: int, node: Node, terms: Terms) -> Iterator[Step]:
    """It dies and starts again, as another instance; or it leaves, having acknowledged everything, for good."""
    after = with_node(state, index, fresh(terms))
    if terms.bounds.deaths:
        ghost = len(state.nodes) + index
        if not terms.rules.nodes_restart_as_new:
            yield "dies and starts again under its old id", after
        elif not (state.authority.rows[index] and state.authority.rows[ghost]):  # one dead instance at a time
            yield "dies and starts again", _row_left_behind(after, index, ghost)
    if terms.bounds.leaving:
        ends = [_end(node, number, record, terms) for number, record in enumerate(node.records) if record]
        if not terms.rules.rows_stay_on_leaving:
            yield "leaves and its row is deleted", forgotten(after, index)
        elif not any(end.running for end in ends):
            yield "leaves, without a live grant; another one comes", forgotten(after, index)


def _row_left_behind(state: State, index: int, ghost: int) -> State:
    """The dead instance's row stays, and who waits for it goes on."""
    authority = state.authority
    if not authority.rows[index]:
        return state
    waits = tuple(
        wait and wait._replace(seen=put(put(wait.seen, ghost, wait.seen[index]), index, 0)) for wait in state.waits
    )
    rows = put(put(authority.rows, ghost, authority.rows[index]), index, ())
    return state._replace(authority=authority._replace(rows=rows), waits=waits)


def runs(node: Node, terms: Terms) -> bool:
    """Whether time makes a difference to it."""
    return holders.runs(node.holder, terms) or any(timer.running for timer in _noted(node))


def _noted(node: Node) -> Iterator[Timer]:
    yield from (record.until for record in node.records if record)
    yield from (job.arrived for jobs in node.jobs for job in jobs if job)
    yield from node.look.waits if node.look else ()


def after_ticks(node: Node, rate: int, terms: Terms) -> Node | None:
    """One tick, if its clock can run at this rate; what it has noted of its verifiers runs on its clock too."""
    holder, error = holders.after_ticks(node.holder, rate, terms), terms.bounds.error
    ticked = {timer: after_tick(timer, rate, error) for timer in _noted(node)}
    if holder is None or None in ticked.values():
        return None
    now = {timer: after for timer, after in ticked.items() if after is not None}
    look = node.look and node.look._replace(waits=tuple(now[wait] for wait in node.look.waits))
    records = tuple(record and record._replace(until=now[record.until]) for record in node.records)
    jobs = tuple(tuple(job and job._replace(arrived=now[job.arrived]) for job in jobs) for jobs in node.jobs)
    return node._replace(holder=holder, records=records, jobs=jobs, look=look)
