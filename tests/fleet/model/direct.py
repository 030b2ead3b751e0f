"""Verifiers attached to a granter beside the authority, which holds no lease of its own (F2)."""

from collections.abc import Iterator

from tests.fleet.model import holder as holders
from tests.fleet.model.authority import acknowledged, forgotten, recorded, serves
from tests.fleet.model.bounds import Terms
from tests.fleet.model.places import with_verifier
from tests.fleet.model.state import Ask, Grant, Holder, State, Step


def steps(state: State, terms: Terms) -> Iterator[Step]:
    for number, verifier in enumerate(state.verifiers):
        name = f"verifier {number + 1}"
        for label, after in _alone(state, verifier, terms):
            yield f"{name} {label}", with_verifier(state, number, after)
        for label, following in _with_the_granter(state, number, terms):
            yield f"{name} {label}", following
        if terms.bounds.restarts:
            following = with_verifier(state, number, holders.fresh(terms, state.authority.epoch))
            if terms.rules.ids_are_new:
                following = forgotten(following, number)
            yield f"{name} dies and starts again", following


def _instance(number: int, terms: Terms) -> int:
    return number if terms.rules.ids_are_new else 0


def _alone(state: State, verifier: Holder, terms: Terms) -> Iterator[holders.Move]:
    authority = state.authority
    yield from holders.hears(verifier, terms)
    yield from holders.is_pushed(verifier, authority.feed, authority.epoch, terms)
    yield from holders.applies_late(verifier, authority.feed, terms)
    if terms.bounds.fills:
        yield from holders.fills(verifier, authority.feed, authority.replayed, terms)
    if terms.bounds.checks:
        yield from holders.checks(verifier, state.confirmed, terms)
    if terms.bounds.jumps:
        yield from holders.wall_clock_jumps(verifier, terms)
    if verifier.epoch < authority.epoch:
        said = 0 if terms.rules.acknowledgements_carry_epoch else max(verifier.said, verifier.applied)
        joins = holders.fresh(terms, authority.epoch)._replace(said=said)
        yield "hears of the epoch, drops everything and joins anew", joins


def _with_the_granter(state: State, number: int, terms: Terms) -> Iterator[Step]:
    authority, verifier = state.authority, state.verifiers[number]
    if terms.bounds.delays:
        for label, _, after in holders.asks(verifier, verifier.applied, terms):
            yield label, with_verifier(state, number, after)
    if serves(authority, terms):
        if not terms.bounds.delays and verifier.epoch == authority.epoch:
            yield from _asks_and_arrives(state, number, terms)
        for place, ask in enumerate(verifier.asks):
            if ask and ask.epoch == authority.epoch:
                label, following = _granting(state, number, place, ask, terms)
                yield f"and its granter: {label}", following
    row = authority.rows[_instance(number, terms)]
    if row and row.epoch == authority.epoch:
        for rev in range(row.acked + 1, _acknowledgeable(state, verifier, terms) + 1):
            following = acknowledged(state, _instance(number, terms), rev)
            yield f"has its acknowledgement of rev {rev} arrive", following


def _acknowledgeable(state: State, verifier: Holder, terms: Terms) -> int:
    """The greatest rev that an acknowledgement may still bring to the row."""
    if not terms.rules.acknowledgements_carry_epoch:
        return max(verifier.applied, verifier.said)
    return holders.may_acknowledge(verifier, terms) if verifier.epoch == state.authority.epoch else 0


def _asks_and_arrives(state: State, number: int, terms: Terms) -> Iterator[Step]:
    verifier = state.verifiers[number]
    for label, place, after in holders.asks(verifier, verifier.applied, terms):
        said, following = label, with_verifier(state, number, after)
        for _ in range(1 if terms.bounds.pauses else 2):
            ask = following.verifiers[number].asks[place]
            assert ask
            also, following = _granting(following, number, place, ask, terms)
            said = f"{said}; {also}"
        yield said, following


def _granting(state: State, number: int, place: int, ask: Ask, terms: Terms) -> Step:
    """F2: first the row, then the feed, in a new snapshot."""
    if not ask.recorded:
        return _arrives(state, number, place, ask, terms)
    label, following = _is_answered(state, number, place, ask, terms)
    if not terms.bounds.delays:
        answered = following.verifiers[number]
        heard = next((after for _, after in holders.hears(answered, terms)), answered)
        following = with_verifier(following, number, holders.with_ask(heard, place, ()))
    return label, following


def _arrives(state: State, number: int, place: int, ask: Ask, terms: Terms) -> Step:
    after, label = ask._replace(recorded=True), f"records request {place + 1}"
    if terms.rules.row_before_feed:
        state = recorded(state, _instance(number, terms), ask.acked, terms)
    else:
        after, label = after._replace(read=state.authority.feed), f"reads the feed for request {place + 1}"
    return label, with_verifier(state, number, holders.with_ask(state.verifiers[number], place, after))


def _is_answered(state: State, number: int, place: int, ask: Ask, terms: Terms) -> Step:
    feed = state.authority.feed
    if not terms.rules.grants_from_primary:
        feed = feed[: state.authority.replayed]
    if not terms.rules.row_before_feed:
        feed = ask.read
        state = recorded(state, _instance(number, terms), ask.acked, terms)
    grant = Grant(terms.bounds.lease, ask.applied, feed, state.authority.epoch)
    after = ask._replace(recorded=False, read=(), grant=grant)
    answered = holders.with_ask(state.verifiers[number], place, after)
    return f"answers request {place + 1} from rev {len(feed)}", with_verifier(state, number, answered)
