"""A reset after its commit: it scans the rows, waits, confirms, removes whom it has waited out (F5, F10)."""

from collections.abc import Iterator

from tests.fleet.model.authority import serves
from tests.fleet.model.bounds import Terms
from tests.fleet.model.clock import after_tick, shortened
from tests.fleet.model.places import put, with_wait
from tests.fleet.model.state import Absent, Authority, Row, State, Step, Wait


def scans(state: State, terms: Terms) -> Iterator[Step]:
    """A process begins to wait, for a reset that is committed; after a retry a second one may."""
    authority = state.authority
    if () not in state.waits or not serves(authority, terms):
        return
    feed = authority.feed
    if not terms.rules.waits_from_commit and authority.made < terms.bounds.changes:
        feed = (*feed, 1 << authority.made)
    for rev, change in enumerate(feed, 1):
        if change and not change & state.confirmed:
            yield f"the reset at rev {rev} scans the rows", _begun(state, rev, change, change, terms)


def wakes(state: State, terms: Terms) -> Iterator[Step]:
    """F9: who stood still scans at last, and may find another past; restored or not, for it compares.  Or it ends."""
    stalled, authority = state.stalled, state.authority
    if not stalled:
        return
    name, woken = f"the reset at rev {stalled.rev}", state._replace(stalled=())
    yield f"{name} ends where it stood still", woken
    found = authority.feed[stalled.rev - 1] if stalled.rev <= authority.rev else 0
    is_another = stalled.epoch == authority.epoch and found != stalled.change
    if terms.rules.epoch_of_the_commit and stalled.epoch != authority.epoch:
        yield f"{name} wakes to another epoch and returns unconfirmed", woken
    elif not found or (is_another and terms.rules.entry_at_the_scan):
        yield f"{name} wakes, does not find its entry and returns unconfirmed", woken
    elif () in state.waits:
        yield f"{name} wakes and scans the rows", _begun(woken, stalled.rev, stalled.change, found, terms)


def _begun(state: State, rev: int, change: int, found: int, terms: Terms) -> State:
    authority = state.authority
    seen = tuple(row.counter if row and not _has_acknowledged(authority, row, rev) else 0 for row in authority.rows)
    length = terms.bounds.lease + terms.rules.margins_waited * terms.bounds.error
    wait = Wait(rev, change, authority.epoch, found, terms.waited(length), seen)
    return with_wait(state, state.waits.index(()), wait)


def _has_acknowledged(authority: Authority, row: Row, rev: int) -> bool:
    """F5: in this epoch, and not beyond what the authority has."""
    return row.epoch == authority.epoch and rev <= row.acked <= authority.rev


def confirms(state: State, terms: Terms) -> Iterator[Step]:
    """F5: whoever has heard or waited enough returns."""
    for number, wait in enumerate(state.waits):
        if wait and not wait.change & state.confirmed and _may_confirm(state.authority, wait, terms):
            how = "acknowledged" if wait.left.running else "waited out"
            left = wait if not wait.left.running and any(wait.seen) else ()
            returned = with_wait(state, number, left)._replace(confirmed=state.confirmed | wait.change)
            yield f"the reset at rev {wait.rev} returns confirmed ({how})", returned


def _may_confirm(authority: Authority, wait: Wait, terms: Terms) -> bool:
    if authority.quiet.running:
        return False
    here = wait.rev <= authority.rev
    if terms.rules.entry_after_the_wait:
        here = here and authority.feed[wait.rev - 1] == wait.found
    if terms.rules.confirmed_in_own_epoch:
        if not here or wait.epoch != authority.epoch:
            return False
    elif not here and wait.epoch == authority.epoch:
        return False  # it has not been committed yet
    return not wait.left.running or not any(
        seen and row and not _is_settled(authority, row, wait.rev, terms)
        for row, seen in zip(authority.rows, wait.seen, strict=True)
    )  # a row that is gone was waited out by another


def _is_settled(authority: Authority, row: Row, rev: int, terms: Terms) -> bool:
    return _has_acknowledged(authority, row, rev) or (not terms.rules.expiry_not_compared and row.expires <= 0)


def goes_on(state: State, terms: Terms) -> Iterator[Step]:
    """It removes rows that it has waited out; or its process dies."""
    for number, wait in enumerate(state.waits):
        if wait and not wait.left.running:
            yield from _removes(state, number, wait, terms)
        if wait and terms.bounds.pauses:
            yield f"the process that waits for rev {wait.rev} ends", with_wait(state, number, ())
        if wait and wait.left.running and terms.bounds.jumps and not terms.rules.waits_by_boot_clock:
            ahead = wait._replace(left=shortened(wait.left, 2))
            yield f"the process that waits for rev {wait.rev} has its clock set ahead", with_wait(state, number, ahead)


def _removes(state: State, number: int, wait: Wait, terms: Terms) -> Iterator[Step]:
    authority = state.authority
    for instance, (row, seen) in enumerate(zip(authority.rows, wait.seen, strict=True)):
        if seen and row and (row.counter == seen or not terms.rules.removed_by_counter):
            after = wait._replace(seen=put(wait.seen, instance, 0))
            done = bool(wait.change & state.confirmed) and not any(after.seen)
            rows = put(authority.rows, instance, ())
            removed = with_wait(state, number, () if done else after)._replace(authority=authority._replace(rows=rows))
            yield f"the reset at rev {wait.rev} removes the row of instance {instance + 1}", removed


def runs(wait: Wait | Absent, _: Terms) -> bool:
    """Whether time makes a difference to it."""
    return wait.left.running if wait else False


def after_ticks(wait: Wait | Absent, rate: int, terms: Terms) -> Wait | Absent | None:
    """One tick, if its clock can run at this rate."""
    if not wait:
        return wait
    left = after_tick(wait.left, rate, terms.bounds.error)
    return None if left is None else wait._replace(left=left)
