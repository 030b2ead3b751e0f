"""A lease holder: it asks for leases, applies entries in order, fills its cache, verifies (F2, F3, F4, F6, F8)."""

from collections.abc import Iterator
from functools import lru_cache

from tests.fleet.model.bounds import Terms
from tests.fleet.model.clock import FLOOR, Timer, after_tick, later, shortened
from tests.fleet.model.memory import MANY, remembered
from tests.fleet.model.places import put
from tests.fleet.model.state import NOTHING_CACHED, Ask, Check, Feed, Grant, Holder

Move = tuple[str, Holder]


def fresh(terms: Terms, epoch: int = 0) -> Holder:
    """A process that has just started, or has dropped everything to join anew."""
    return Holder(
        lease=terms.lapsed,
        applied=0,
        seen=NOTHING_CACHED if terms.bounds.fills else 0,
        epoch=epoch,
        joined=False,
        said=0,
        asks=((),) * terms.bounds.asks,
        fill=(),
        check=(),
    )


@remembered
def asks(holder: Holder, acked: int, terms: Terms, node: int = 0) -> Iterator[tuple[str, int, Holder]]:
    """F2: t0 is noted before the request is sent, in some place; what was in that place is lost by then."""
    for place in range(terms.bounds.asks):
        ask = Ask(node, terms.lease, holder.applied, acked, holder.epoch, recorded=False, read=(), grant=())
        if ask != holder.asks[place]:
            yield f"asks for a lease (request {place + 1})", place, with_ask(holder, place, ask)


def with_ask(holder: Holder, place: int, ask: Ask | tuple[()]) -> Holder:
    return holder._replace(asks=put(holder.asks, place, ask))


@remembered
def hears(holder: Holder, terms: Terms) -> Iterator[Move]:
    """F2: a grant arrives; its entries are applied, and only then is the deadline set."""
    for place, ask in enumerate(holder.asks):
        if not ask or not ask.grant or ask.grant.epoch != holder.epoch or alarmed(holder, ask.grant, terms):
            continue
        after = _with_entries_of(holder, ask.grant, terms)
        after = after._replace(lease=later(holder.lease, _deadline(holder, ask, ask.grant, terms)))
        if not terms.rules.fails_closed:
            after = after._replace(joined=True)
        if after != holder:
            yield f"gets the answer to request {place + 1}", after


def alarmed(holder: Holder, grant: Grant, terms: Terms) -> bool:
    """F9: whether the granter knows less than it was told of: a restored backup, a lost failover.

    A late grant may know less than has been applied since by pushes, and that is nothing to be alarmed at.
    """
    return len(grant.feed) < (grant.after if terms.rules.alarm_by_named_rev else holder.applied)


def _deadline(holder: Holder, ask: Ask, grant: Grant, terms: Terms) -> Timer:
    if not terms.rules.deadline_from_asking:
        return terms.held(grant.length)
    since = ask.since
    if not terms.rules.own_nonce:
        since = max(each.since for each in holder.asks if each)
    return shortened(since, terms.bounds.lease - grant.length, terms.floor)


def _with_entries_of(holder: Holder, grant: Grant, terms: Terms) -> Holder:
    """F6: what a grant has that is new, in rev order."""
    rev = len(grant.feed)
    if _applies_late(terms):
        return holder._replace(said=max(holder.said, rev))
    if not terms.rules.newer_entries_kept:
        return holder._replace(applied=max(holder.applied, rev), seen=sum(grant.feed))
    if rev <= holder.applied:
        return holder
    return holder._replace(applied=rev, seen=_reflecting(holder.seen, sum(grant.feed[holder.applied :])))


def _reflecting(seen: int, changes: int) -> int:
    return seen if seen == NOTHING_CACHED else seen | changes


def _applies_late(terms: Terms) -> bool:
    return not (terms.rules.applied_before_acknowledging and terms.rules.entries_before_deadline)


@remembered
def is_pushed(holder: Holder, feed: Feed, epoch: int, terms: Terms) -> Iterator[Move]:
    """F6, F14: any committed entry may come, at any time, or not; one that leaves a gap is not applied."""
    if holder.epoch != epoch:
        return
    for rev in range(holder.applied + 1, len(feed) + 1):
        if not feed[rev - 1] or (rev != holder.applied + 1 and terms.rules.no_gaps):
            continue
        if not _applies_late(terms):
            yield f"applies rev {rev}", holder._replace(applied=rev, seen=_reflecting(holder.seen, feed[rev - 1]))
        elif rev > holder.said:
            yield f"receives rev {rev}", holder._replace(said=rev)


def applies_late(holder: Holder, feed: Feed, terms: Terms) -> Iterator[Move]:
    """A mutant's way: what has been received is applied at leisure."""
    if _applies_late(terms) and holder.applied < holder.said <= len(feed):
        seen = _reflecting(holder.seen, sum(feed[holder.applied : holder.said]))
        yield f"applies rev {holder.said}", holder._replace(applied=holder.said, seen=seen)


def may_acknowledge(holder: Holder, terms: Terms) -> int:
    """The greatest rev that an acknowledgement under way may name."""
    return holder.applied if terms.rules.applied_before_acknowledging else max(holder.applied, holder.said)


@remembered
def wall_clock_jumps(holder: Holder, terms: Terms) -> Iterator[Move]:
    """F8: whoever sees it drops the lease; nothing depends on its being seen."""
    if holder.lease.left <= terms.floor:
        return
    if terms.rules.leases_by_boot_clock:
        yield "sees its wall clock jump and drops its lease", holder._replace(lease=terms.lapsed)
    else:
        back = Timer(min(holder.lease.left + 2, terms.bounds.lease + 2), 0)
        yield "has its wall clock set back", holder._replace(lease=back)


@remembered
def fills(holder: Holder, feed: Feed, replayed: int, terms: Terms) -> Iterator[Move]:
    """F4: a fill is stored only if it was read after all that has been applied."""
    if not holder.fill and holder.seen == NOTHING_CACHED:
        yield f"reads the key from the authority at rev {len(feed)}", holder._replace(fill=(feed,))
        if replayed < len(feed):
            yield f"reads the key from the replica at rev {replayed}", holder._replace(fill=(feed[:replayed],))
    if holder.fill:
        (read,) = holder.fill
        if len(read) >= holder.applied or not terms.rules.fills_are_checked:
            yield f"stores the fill of rev {len(read)}", holder._replace(seen=sum(read), fill=())
        else:
            yield f"drops the fill of rev {len(read)}", holder._replace(fill=())
    if holder.seen != NOTHING_CACHED:
        yield "evicts the key", holder._replace(seen=NOTHING_CACHED)


@remembered
def checks(holder: Holder, confirmed: int, terms: Terms) -> Iterator[Move]:
    """F3: the clock, then the deadline, then the cache; anything may happen in between."""
    check = holder.check
    if not check:
        began = Check(confirmed, 0, "clock read", 0)
        yield "begins to verify: reads the clock", holder._replace(check=began)
        return
    live = holder.lease.left + check.since > 0
    match check.stage:
        case "clock read" if terms.rules.deadline_before_lookup:
            after = check._replace(stage="deadline read") if live else ()
            yield "reads its deadline" + ("" if live else " and refuses"), holder._replace(check=after)
        case "clock read":
            yield "looks the key up", holder._replace(check=check._replace(stage="looked up", found=holder.seen))
        case "deadline read":
            yield "looks the key up and answers", holder._replace(check=_answered(check, holder.seen))
        case "looked up" if live:
            yield "reads its deadline and answers", holder._replace(check=_answered(check, check.found))
        case "looked up":
            yield "reads its deadline and refuses", holder._replace(check=())
        case _:
            pass


def _answered(check: Check, found: int) -> Check | tuple[()]:
    return check._replace(stage="answered", found=found) if check.needs & ~found else ()


@lru_cache(maxsize=MANY)
def wrong(holder: Holder, confirmed: int, terms: Terms) -> str:
    """What is broken: F0, for a verification that takes no time and for one that does; an alarm without a reason."""
    if holder.check and holder.check.stage == "answered":
        return "answers from the state before a reset that was confirmed when the verification began"
    live = holder.lease.left > 0 or (not terms.rules.fails_closed and holder.joined)
    if live and confirmed & ~holder.seen:
        return "would answer from the state before a reset that has returned confirmed"
    if not terms.bounds.restore and terms.rules.commits_are_synchronous:
        for ask in holder.asks:
            if ask and ask.grant and alarmed(holder, ask.grant, terms):
                return "would raise an alarm although the authority has lost nothing"
    return ""


def runs(holder: Holder, terms: Terms) -> bool:
    """Whether time makes a difference to it."""
    floor = terms.floor
    return holder.lease.left > floor or bool(holder.check) or any(ask and ask.since.left > floor for ask in holder.asks)


def after_ticks(holder: Holder, rate: int, terms: Terms) -> Holder | None:
    """One tick, if its clock can run at this rate."""
    error, floor = terms.bounds.error, terms.floor
    lease = after_tick(holder.lease, rate, error, floor)
    if lease is None:
        return None
    places = []
    for ask in holder.asks:
        since = after_tick(ask.since, rate, error, floor) if ask else None
        if ask and since is None:
            return None
        places.append(ask._replace(since=since) if ask and since else ask)
    check = holder.check
    if check:
        read = check.since + 1 + rate
        check = check._replace(since=read) if read <= -FLOOR else ()
    return holder._replace(lease=lease, asks=tuple(places), check=check)
