"""A verifier that is attached to nodes, and how a node grants to it (F7)."""

from collections.abc import Iterator

from tests.fleet.model import holder as holders
from tests.fleet.model.bounds import Terms
from tests.fleet.model.clock import OVER, later, shortened
from tests.fleet.model.places import put, with_node, with_verifier
from tests.fleet.model.state import Absent, Ask, Feed, Grant, Holder, Job, Node, Record, State, Step


def steps(state: State, number: int, terms: Terms) -> Iterator[Step]:
    verifier, name = state.verifiers[number], f"verifier {number + 1}"
    moves = [*holders.hears(verifier, terms), *holders.is_pushed(verifier, state.authority.feed, 0, terms)]
    if terms.bounds.jumps:
        moves.extend(holders.wall_clock_jumps(verifier, terms))
    for label, after in moves:
        yield f"{name} {label}", with_verifier(state, number, after)
    for index in range(len(state.nodes)):
        for label, following in _asks(state, number, index, terms):
            yield f"{name} {label}", following
    for place, ask in enumerate(verifier.asks):
        # a request arrives again only where it may be late
        if ask and (terms.bounds.delays or not ask.grant):
            yield from _granting(state, number, place, ask, terms)
    for index, node in enumerate(state.nodes):
        record = node.records[number]
        if record and record.acked < verifier.applied:
            records = put(node.records, number, record._replace(acked=verifier.applied))
            following = with_node(state, index, node._replace(records=records))
            yield f"{name} has its acknowledgement of rev {verifier.applied} arrive at node {index + 1}", following
    if terms.bounds.restarts:
        nodes = tuple(_without(node, number, terms) for node in state.nodes)
        fresh = with_verifier(state, number, holders.fresh(terms))._replace(nodes=nodes)
        yield f"{name} dies and starts again", fresh


def _asks(state: State, number: int, index: int, terms: Terms) -> Iterator[Step]:
    verifier = state.verifiers[number]
    for label, place, asking in holders.asks(verifier, verifier.applied, terms, index):
        asked = _in_place(state, number, place, asking)
        said = f"{label} of node {index + 1}"
        if terms.bounds.delays:
            yield said, asked
            continue
        following = asked
        for _ in range(1 if terms.bounds.pauses else 3):
            ask = following.verifiers[number].asks[place]
            for also, after in [*_granting(following, number, place, ask, terms)] if ask else []:
                said, following = f"{said}; {also}", after
        if not terms.bounds.pauses:
            done = following.verifiers[number]
            following = _in_place(following, number, place, holders.with_ask(done, place, ()))
        yield said, following


def _in_place(state: State, number: int, place: int, verifier: Holder) -> State:
    """A new request; what a node has in hand for an older one in its place would answer nobody."""
    nodes = tuple(node._replace(jobs=put(node.jobs, number, put(node.jobs[number], place, ()))) for node in state.nodes)
    return with_verifier(state, number, verifier)._replace(nodes=nodes)


def _without(node: Node, number: int, terms: Terms) -> Node:
    """The instance answers nothing any more; the model spares the node the wait for it."""
    look = node.look and node.look._replace(waits=put(node.look.waits, number, OVER))
    jobs = put(node.jobs, number, ((),) * terms.bounds.asks)
    return node._replace(records=put(node.records, number, ()), jobs=jobs, look=look)


def _granting(state: State, number: int, place: int, ask: Ask, terms: Terms) -> Iterator[Step]:
    """F7, in this order: it records the verifier, reads its own deadline, stores the length, reads its feed."""
    verifier, node = state.verifiers[number], state.nodes[ask.node]
    name, who = f"node {ask.node + 1}", f"verifier {number + 1}"
    job = node.jobs[number][place]
    if not job:
        after = _with_job(node, number, place, Job(terms.wait, 0), _recorded(node, number, ask, terms))
        yield f"{name} records {who}", with_node(state, ask.node, after)
    elif not job.length:
        label, job, record = _measured(node, number, ask, job, terms)
        yield f"{name} {label} {who}", with_node(state, ask.node, _with_job(node, number, place, job, record))
    elif ask.applied <= node.holder.applied or not terms.rules.waits_until_caught_up:
        feed = _feed_of(node.holder)
        after = _with_job(node, number, place, (), node.records[number])
        answered = holders.with_ask(verifier, place, ask._replace(grant=Grant(job.length, ask.applied, feed, 0)))
        if not terms.bounds.delays and not holders.wrong(answered, 0, terms):
            heard = next((heard for _, heard in holders.hears(answered, terms)), answered)
            answered = holders.with_ask(heard, place, ())
        label = f"{name} answers {who} from rev {len(feed)}"
        yield label, with_verifier(with_node(state, ask.node, after), number, answered)


def _with_job(node: Node, number: int, place: int, job: Job | Absent, record: Record | Absent) -> Node:
    jobs = put(node.jobs, number, put(node.jobs[number], place, job))
    return node._replace(jobs=jobs, records=put(node.records, number, record))


def _feed_of(holder: Holder) -> Feed:
    return tuple(holder.seen & (1 << index) for index in range(holder.applied))


def _recorded(node: Node, number: int, ask: Ask, terms: Terms) -> Record:
    record = node.records[number]
    if not record:
        return Record(OVER, ask.acked)
    until = record.until if terms.rules.recorded_with_length else OVER
    return Record(until, max(record.acked, ask.acked))


def _measured(node: Node, number: int, ask: Ask, job: Job, terms: Terms) -> tuple[str, Job | Absent, Record | Absent]:
    """The length, so that the grant ends E before the node's own lease; the record keeps the latest end."""
    lease, error = terms.bounds.lease, terms.bounds.error
    record = node.records[number]
    own = min(node.holder.lease.left, lease)
    length = own - error
    if not terms.rules.grants_end_before_own_lease:
        length = lease if own > 0 else 0
    if length <= 0:
        return "refuses", (), record if terms.rules.refusal_keeps_record else ()
    end = shortened(job.arrived, lease - length + (2 - terms.rules.margins_recorded) * error)
    kept = Record(later(record.until, end), record.acked) if record else Record(end, ask.acked)
    return f"reads its deadline, {length} tick(s) for", Job(OVER, length), kept
