"""The authority: feed, lease rows and epoch; its replica, standby and backup (F1, F2, F9, F13)."""

from collections.abc import Iterator

from tests.fleet.model.bounds import Terms
from tests.fleet.model.clock import after_tick
from tests.fleet.model.places import put
from tests.fleet.model.state import Absent, Authority, Feed, Row, Rows, Stalled, State, Step

MOST_RENEWALS = 3  # that are counted, where a mutant begins to count anew with a new row


def serves(authority: Authority, terms: Terms) -> bool:
    """F9: a restored backup is met by refusal until the epoch is raised."""
    match terms.rules.restore_noticed:
        case "always":
            return not authority.restored
        case "by rev":
            return authority.rev >= authority.mark
        case _:
            return True


def commits(state: State, terms: Terms) -> Iterator[Step]:
    """F1: a change, in the order of the revs.  A process may stand still after its own."""
    authority = state.authority
    served = serves(authority, terms)
    if authority.made >= terms.bounds.changes or not (served or terms.bounds.stalls):
        return
    feeds = [(*authority.feed, 1 << authority.made)]
    if not terms.rules.revs_commit_in_order:
        feeds = [_out_of_order(authority.feed, rev) for rev in range(1, terms.bounds.changes + 1)]
    for feed in feeds:
        if feed != authority.feed:
            replayed = authority.replayed if terms.bounds.replica else len(feed)
            mark = max(authority.mark, len(feed))
            after = authority._replace(feed=feed, made=authority.made + 1, mark=mark, replayed=replayed)
            following = state._replace(authority=after)
            label = f"a stop is committed: the feed is {told(feed)}"
            if not served:
                yield f"somebody who knows of no restore commits: the feed is {told(feed)}", following
            elif terms.bounds.stalls and not state.stalled:
                stalled = Stalled(len(feed), feed[-1], authority.epoch)
                yield f"{label}, and its process stands still", following._replace(stalled=stalled)
            else:
                yield label, following


def _out_of_order(feed: Feed, rev: int) -> Feed:
    longer = feed + (0,) * (rev - len(feed))
    return put(longer, rev - 1, 1 << (rev - 1))


def told(feed: Feed) -> str:
    return "[" + " ".join(str(rev) if change else "-" for rev, change in enumerate(feed, 1)) + "]"


def recorded(state: State, instance: int, acked: int, terms: Terms) -> State:
    """F2: the row is committed, its counter raised, the greatest acknowledged rev kept."""
    authority = state.authority
    row = authority.rows[instance]
    if row and row.epoch == authority.epoch:
        acked = max(acked, row.acked)
    expires = 0 if terms.rules.expiry_not_compared else terms.bounds.lease
    new = Row(_next_counter(state, instance, row, terms), acked, authority.epoch, expires)
    return state._replace(authority=authority._replace(rows=put(authority.rows, instance, new)))


def _next_counter(state: State, instance: int, row: Row | Absent, terms: Terms) -> int:
    known = row.counter if row else 0
    if not terms.rules.counters_never_return:
        return min(known + 1, MOST_RENEWALS)
    return 1 + max(known, *(wait.seen[instance] for wait in state.waits if wait), 0)


def acknowledged(state: State, instance: int, rev: int) -> State:
    authority = state.authority
    row = authority.rows[instance]
    if not row or row.acked >= rev:
        return state
    return state._replace(authority=authority._replace(rows=put(authority.rows, instance, row._replace(acked=rev))))


def forgotten(state: State, instance: int) -> State:
    """The instance answers nothing any more; the model spares resets the wait for it, which only makes them sooner."""
    waits = tuple(wait and wait._replace(seen=put(wait.seen, instance, 0)) for wait in state.waits)
    authority = state.authority
    copy = authority.copy
    if copy:
        feed, rows = copy
        copy = (feed, put(rows, instance, ()))
    authority = authority._replace(rows=put(authority.rows, instance, ()), copy=copy)
    return state._replace(authority=authority, waits=waits)


def copies(state: State, terms: Terms) -> Iterator[Step]:
    """The replica replays; a backup is made; a standby that nobody waits for catches up."""
    authority, bounds = state.authority, terms.bounds
    if bounds.replica and authority.replayed < authority.rev:
        after = authority._replace(replayed=authority.replayed + 1)
        yield f"the replica replays rev {after.replayed}", state._replace(authority=after)
    copied = state._replace(authority=authority._replace(copy=(authority.feed, authority.rows)))
    if bounds.restore and not authority.epoch and not authority.restored:
        yield "a backup is made", copied
    if bounds.failover and not terms.rules.commits_are_synchronous:
        yield "the standby catches up", copied


def changes_hands(state: State, terms: Terms) -> Iterator[Step]:
    """Failover; a restored backup; a raised epoch."""
    authority, bounds = state.authority, terms.bounds
    if bounds.failover:
        feed, rows = authority.feed, authority.rows
        if authority.copy and not terms.rules.commits_are_synchronous:
            feed, rows = authority.copy
        after = authority._replace(feed=feed, rows=rows, replayed=min(authority.replayed, len(feed)))
        yield f"the standby takes over: the feed is {told(feed)}", _interrupted(state, after)
    if bounds.restore and not authority.epoch:
        if authority.copy and authority.copy != (authority.feed, authority.rows):
            feed, rows = authority.copy
            after = authority._replace(feed=feed, rows=rows, replayed=len(feed), restored=True)
            yield f"the backup is restored: the feed is {told(feed)}", _interrupted(state, after)
        yield "the epoch is raised", _raised(state, terms)


def _raised(state: State, terms: Terms) -> State:
    """F9: by hand and knowingly; what the backup lacks is given up, and for L + 2E nothing is confirmed."""
    authority = state.authority
    quiet = terms.wait if terms.rules.quiet_start else authority.quiet
    after = authority._replace(epoch=1, mark=authority.rev, copy=(), quiet=quiet, restored=False)
    return _interrupted(state, after)._replace(confirmed=state.confirmed & sum(authority.feed))


def _interrupted(state: State, authority: Authority) -> State:
    """What the granter had in hand is lost."""
    verifiers = tuple(
        verifier._replace(asks=tuple(ask and ask._replace(recorded=False, read=()) for ask in verifier.asks))
        for verifier in state.verifiers
    )
    return state._replace(authority=authority, verifiers=verifiers)


def wall_clock_jumps(state: State) -> Iterator[Step]:
    """No rule reads it."""
    rows = _expiring(state.authority.rows, 2)
    yield "the database's wall clock is set ahead", state._replace(authority=state.authority._replace(rows=rows))


def _expiring(rows: Rows, by: int) -> Rows:
    return tuple(row and row._replace(expires=max(row.expires - by, 0)) for row in rows)


def runs(authority: Authority, _: Terms) -> bool:
    """Whether time makes a difference to it."""
    return authority.quiet.running or any(row and row.expires > 0 for row in authority.rows)


def after_ticks(authority: Authority, rate: int, terms: Terms) -> Authority | None:
    """One tick; the quiet is counted by the clock of whoever might confirm, expiry by the database's."""
    quiet = after_tick(authority.quiet, rate, terms.bounds.error)
    return None if quiet is None else authority._replace(quiet=quiet, rows=_expiring(authority.rows, 1))
