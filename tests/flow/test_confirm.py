"""Confirming on a real store with real leases, where no second process is needed to see it (F5, F9)."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from keyturn.core.feed import FeedEntry
from keyturn.core.instant import Instant, to_micros
from keyturn.core.lease import Lease, Scan
from keyturn.flow import fleet
from keyturn.flow.confirm import AWAY, ESTRANGED, LOST, Confirmation
from keyturn.flow.follow import Follower
from keyturn.ports.store import StoreUnavailable
from keyturn.store.store import SqlStore
from keyturn.verify.holder import Alarm
from tests.attached import until
from tests.fleet.chaos.link import Links, Way
from tests.flow.node import TERMS, Member, member
from tests.postgres import Postgres
from tests.verify.states import key
from tests.world import sure


@pytest.fixture
def one(sqlite_url: str) -> Iterator[Member]:
    with member(sqlite_url) as made:
        yield made


def test_f5_a_node_that_has_applied_its_own_stop_need_not_wait(one: Member) -> None:
    confirmed = one.confirm(one.stop())
    assert (confirmed.confirmed, confirmed.acknowledged, confirmed.waited_out) == (True, 1, ())


def trimmed(one: Member) -> int:
    """As if all but the newest entry were old; how many went."""
    later = timedelta(days=1)
    return one.here.store.change(lambda tx: tx.forget_feed(before=Instant(tx.now + later), keep=1, most=99))


def test_f11_who_is_further_behind_than_the_feed_is_kept_drops_everything(one: Member) -> None:
    """And nothing of what it had acknowledged counts: whose past that was cannot be told (F9)."""
    one.stop()
    one.membership.renew()
    applied, follow = one.verifier.applied_rev, one.here.store.follow
    one.here.store.follow = lambda _entries: None  # away
    one.stop()
    rev = one.stop()
    assert trimmed(one) == rev - 1
    one.here.store.follow = follow
    Follower(one.here.store, one.verifier, applied=one.membership.applied).catch_up()
    assert one.verifier.applied_rev == applied, "not past a gap"
    one.membership.renew()
    assert one.here.store.scan(rev).leases[0].acked_rev == 0
    assert (one.verifier.applied_rev, one.membership.estranged, one.membership.acked()) == (rev, False, rev)
    assert one.confirm(one.stop()).confirmed


def test_f9_who_knows_of_what_was_lost_goes_on_refusing_when_that_is_no_longer_kept(one: Member) -> None:
    """Until the epoch is raised: what has stopped in its past stays so."""
    lose(one)
    one.stop()
    one.membership.renew()
    assert one.membership.estranged
    one.stop()
    assert trimmed(one)
    one.membership.renew()
    assert one.membership.estranged


def test_f9_a_node_that_has_applied_what_the_authority_lost_confirms_nothing(one: Member) -> None:
    """Its memory passes the stop over, for it has applied another change under that number: it waits for itself, too.

    And who else has applied what was lost, or had attached since the backup was taken, nobody knows.
    """
    lost = [
        FeedEntry(rev=rev, at=Instant(one.here.clock.at), change=key(900 + rev))
        for rev in range(one.verifier.applied_rev + 1, one.verifier.applied_rev + 8)
    ]
    assert one.verifier.apply(lost)
    rev = one.stop()
    assert one.verifier.applied_rev > rev
    confirmed = one.confirm(rev)
    assert confirmed.waited >= TERMS.fence
    assert confirmed.waited_out == ("node_1",)
    assert (confirmed.confirmed, confirmed.reason) == (False, ESTRANGED)
    one.membership.renew()
    assert one.membership.estranged
    assert one.confirm(one.stop()).reason == ESTRANGED, "also where it has noticed"


def lose(one: Member) -> FeedEntry:
    """Apply a change that the authority is going to lose: it has another one by that revision."""
    at = Instant(one.here.clock.at + timedelta(microseconds=1))
    lost = FeedEntry(rev=one.verifier.applied_rev + 1, at=at, change=key(900))
    one.here.store.follow = lambda _entries: None  # away while the authority goes on without it
    assert one.verifier.apply([lost])
    return lost


def test_f9_what_comes_while_a_stop_is_looked_at_may_be_of_a_lost_past(
    one: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It came after this node had said how far it stands, and the authority has nothing by that revision."""
    rev = one.verifier.applied_rev + 1
    standing, came = one.membership.standing, list[FeedEntry]()

    def meanwhile() -> Lease:
        found = standing()
        came.append(came[0] if came else lose(one))
        return found

    monkeypatch.setattr(one.membership, "standing", meanwhile)
    found = one.confirm(rev)
    assert came[0].rev == rev
    assert (found.confirmed, found.reason) == (False, ESTRANGED)


@pytest.mark.parametrize("further", [0, 1, 2])
def test_f9_an_authority_that_has_come_as_far_again_is_another_one_all_the_same(one: Member, further: int) -> None:
    lost = lose(one)
    for _ in range(1 + further):
        assert one.stop()
    follower = Follower(one.here.store, one.verifier)
    follower.catch_up()
    assert one.verifier.applied == (lost.rev, to_micros(lost.at)), "nothing of the one is put upon the other"
    one.membership.renew()
    assert (one.verifier.estranged, one.membership.holder.deadline) == (True, 0)
    assert one.membership.holder.told() == [Alarm.BEHIND]
    one.membership.renew()
    assert one.membership.holder.deadline == 0, "not before somebody raises the epoch"
    one.raise_epoch()
    one.membership.renew()
    follower.catch_up()
    assert (one.verifier.applied_rev, one.verifier.estranged) == (one.here.store.rev(), False)


def test_f9_a_raised_epoch_is_waited_for_once(one: Member) -> None:
    before = one.verifier.epoch
    one.raise_epoch()
    one.membership.renew()
    assert (one.verifier.epoch, one.membership.standing().epoch) == (before + 1, before + 1)
    first, second = one.confirm(one.stop()), one.confirm(one.stop())
    assert (first.waited_out, first.confirmed, first.epoch) == ((f"epoch-{before + 1}",), True, before + 1)
    assert first.waited >= TERMS.fence
    assert (second.waited_out, second.confirmed) == ((), True)


def put_back_to(one: Member, rev: int) -> None:
    """The backup that ended there, in place of the database, while this node holds its lease."""
    with one.here.store._engine.begin() as connection:
        connection.execute(text("DELETE FROM feed WHERE rev > :rev"), {"rev": rev})
        connection.execute(
            text("UPDATE authority SET rev = :rev, rev_at = (SELECT at FROM feed WHERE rev = :rev)"), {"rev": rev}
        )


@pytest.mark.parametrize("further", [0, 1, 2, 3])
def test_f9_what_a_node_commits_itself_is_not_put_upon_what_the_database_has_lost(one: Member, further: int) -> None:
    """It holds a lease from before, and its own changes come to the revision that it has applied, or just past it."""
    follower = Follower(one.here.store, one.verifier, estranged=one.membership.estrange)
    one.here.store.follow = follower.committed
    kept = one.here.store.rev()
    one.here.clock.advance(timedelta(seconds=1))
    one.stop()
    lost = one.verifier.applied
    put_back_to(one, kept)
    one.here.clock.advance(timedelta(seconds=1))
    one.membership.holder.deadline = one.membership.boot() + 1_000_000  # it has just renewed
    for _ in range(further):
        one.stop()
    found = one.confirm(one.stop())
    assert (found.confirmed, found.reason) == (False, ESTRANGED)
    assert (one.verifier.applied, one.membership.estranged, one.membership.holder.deadline) == (lost, True, 0)
    one.membership.renew()
    assert one.membership.estranged, "until the epoch is raised"
    own = one.membership.standing()
    seen = one.here.store.read(lambda tx: fleet.look(tx, actor=one.here.root, own=own, member=one.membership))
    assert [node.footing for node in sure(seen).nodes] == [fleet.Footing.AHEAD]
    one.raise_epoch()
    one.membership.renew()
    assert not one.membership.estranged
    assert one.verifier.applied_rev == one.here.store.rev()


def test_f9_what_is_acknowledged_of_another_past_is_not_on_record(one: Member) -> None:
    """Whoever stops a key elsewhere would take it for an acknowledgement of what has come in its place."""
    one.membership.renew()
    kept = one.here.store.rev()
    lose(one)
    one.stop()
    assert one.here.store.rev() > kept
    one.membership.renew()
    (own,) = one.here.store.read(lambda tx: tx.leases())
    assert (own.instance, own.acked_rev) == ("node_1", 0)


@pytest.mark.parametrize(("told", "believed"), [("as it is", True), ("of another past", False)])
def test_f9_a_hint_counts_for_the_entry_that_it_is_about(one: Member, told: str, *, believed: bool) -> None:
    """F14: it is for speed, and safety comes from leases alone."""
    with waiting(one, one.stop()) as confirming:
        rev, at = one.verifier.applied
        epoch = one.verifier.epoch
        one.confirming.heard("node_gone", epoch=epoch, rev=rev, at=at if told == "as it is" else at + 1)
    assert confirming.result().waited_out == (() if believed else ("node_gone",))


def test_f14_a_hint_that_comes_before_its_entry_counts_once_that_is_here(one: Member) -> None:
    rev = one.stop()
    follow, one.here.store.follow = one.here.store.follow, lambda _entries: None
    later = one.stop()
    at = to_micros(one.here.store.feed_after(later - 1, limit=1)[0].at)
    with waiting(one, rev) as confirming:
        one.confirming.heard("node_gone", epoch=one.verifier.epoch, rev=later, at=at)
        assert one.confirming.running(), "it is not known here yet"
        one.here.store.follow = follow
        Follower(one.here.store, one.verifier, applied=one.membership.applied).catch_up()
    assert confirming.result().waited_out == ()


@contextmanager
def waiting(one: Member, rev: int, *, lasts: int = TERMS.fence) -> Iterator[Future[Confirmation]]:
    """Somebody confirms that revision, and waits for a node that is not there."""
    gone = Lease(instance="node_gone", counter=1, lasts=lasts, epoch=one.verifier.epoch, acked_rev=0)
    one.here.store.change(lambda tx: tx.renew_lease(gone))
    with ThreadPoolExecutor(1) as pool:
        confirming = pool.submit(one.confirm, rev)
        until(one.confirming.running)
        yield confirming


def keepers() -> int:
    return sum(thread.name == "confirming" for thread in threading.enumerate())


def test_f5_all_who_wait_share_a_thread_and_a_look_at_the_leases(one: Member) -> None:
    """However many: it ends with the last of them."""
    scan, looks = one.here.store.scan, list[int]()

    def counted(rev: int) -> Scan:
        looks.append(rev)
        return scan(rev)

    with waiting(one, one.stop(), lasts=20_000_000) as confirming:
        begun = [one.confirming.begin(one.stop(), epoch=one.epoch) for _ in range(20)]
        assert len(one.confirming.running()) == 21
        assert keepers() == 1
        one.here.store.scan = counted  # type: ignore[method-assign]  # the same, counted
        until(lambda: looks)
        looked = set(looks)
        one.confirming.heard("node_gone", epoch=one.epoch, rev=one.verifier.applied_rev, at=one.verifier.applied[1])
        assert [wait.over.result(20) for wait in begun] == [True] * len(begun)
        one.here.store.scan = scan  # type: ignore[method-assign]  # as above
    assert looked == {begun[-1].rev}, "the leases are the same for all"
    found = [confirming.result(), *(one.confirming.end(wait) for wait in begun)]
    assert {(each.confirmed, each.waited_out) for each in found} == {(True, ())}
    assert len({each.rev for each in found}) == len(found)
    assert not one.confirming.running()
    until(lambda: not keepers())


def test_f5_what_need_not_be_waited_for_takes_no_thread(one: Member) -> None:
    wait = one.confirming.begin(one.stop(), epoch=one.epoch)
    assert (wait.over.done(), wait.over.result(), keepers()) == (True, False, 0)


def test_f5_where_no_thread_can_be_begun_nobody_waits_for_ever(one: Member) -> None:
    """As under a limit of processes; the stop is committed by then, and is confirmed all the same."""
    gone = Lease(instance="node_gone", counter=1, lasts=TERMS.fence, epoch=one.epoch, acked_rev=0)
    one.here.store.change(lambda tx: tx.renew_lease(gone))
    rev = one.stop()
    threading.stack_size(1 << 50)  # more than there is
    try:
        wait = one.confirming.begin(rev, epoch=one.epoch)
    finally:
        threading.stack_size(0)
    assert wait.over.result(20) is True
    found = one.confirming.end(wait)
    assert (found.confirmed, found.waited_out) == (True, ("node_gone",))
    one.here.store.change(lambda tx: tx.renew_lease(replace(gone, lasts=3_000_000)))
    later = one.confirming.begin(one.stop(), epoch=one.epoch)
    assert keepers() == 1, "and the next one has a thread"
    assert later.over.result(20) is True


@pytest.mark.parametrize("ends", ["in time", "by what is told"])
def test_f5_a_silent_connection_holds_nobody(postgres_server: Postgres, postgres_url: str, ends: str) -> None:
    """Its TCP goes on, as behind a pooler: the look at the leases is not answered, and all share that look."""
    with Links() as links:
        line = links.to(postgres_server.port)
        with member(postgres_url.replace(f":{postgres_server.port}/", f":{line.port}/")) as one:
            lasts = 8_000_000 if ends == "in time" else 60_000_000
            gone = Lease(instance="node_gone", counter=1, lasts=lasts, epoch=one.epoch, acked_rev=0)
            one.here.store.change(lambda tx: tx.renew_lease(gone))
            epoch = one.epoch
            waits = [one.confirming.begin(one.stop(), epoch=epoch) for _ in range(3)]
            recent = one.membership.recent
            told = [(each.rev, recent.at(each.rev) or 0) for each in waits if ends == "by what is told"]
            line.stall(Way.BACK)
            try:
                until(lambda: any(each.back.held for each in line.connections(b"")))
                assert one.confirming.running(), "the look is under way, and somebody waits"
                for rev, at in told:
                    one.confirming.heard("node_gone", epoch=epoch, rev=rev, at=at)
                assert [each.over.result(30) for each in waits] == [True] * len(waits)
                away = [one.confirming.unended(each) for each in waits]
            finally:
                line.resume()
            found = [one.confirming.end(each) for each in waits]
    late = ("node_gone",) if ends == "in time" else ()
    assert {(each.confirmed, each.reason, each.waited_out) for each in away} == {(False, AWAY, late)}
    assert {(each.confirmed, each.reason, each.waited_out) for each in found} == {(True, "", late)}


def test_a_bug_in_a_look_leaves_nobody_waiting(one: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    class BugError(Exception):
        pass

    def bug(_rev: int) -> Scan:
        raise BugError

    gone = Lease(instance="node_gone", counter=1, lasts=60_000_000, epoch=one.epoch, acked_rev=0)
    one.here.store.change(lambda tx: tx.renew_lease(gone))
    begun = one.confirming.begin(one.stop(), epoch=one.epoch)
    monkeypatch.setattr(one.here.store, "scan", bug)
    with pytest.raises(BugError):
        begun.over.result(20)
    assert not one.confirming.running()


def test_a_bug_leaves_nobody_waiting(one: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    class BugError(Exception):
        pass

    def bug() -> None:
        raise BugError

    with waiting(one, one.stop(), lasts=60_000_000) as confirming:
        begun = one.confirming.begin(one.stop(), epoch=one.epoch)
        monkeypatch.setattr(one.confirming, "_believe", bug)
        one.membership.applied()
        for future in (confirming, begun.over):
            with pytest.raises(BugError):
                future.result(20)
    monkeypatch.undo()
    assert not one.confirming.running()
    assert one.confirming.begin(one.stop(), epoch=one.epoch).fence, "and the next one waits again"


def test_f9_a_stop_that_waits_while_the_epoch_is_raised_is_not_confirmed(one: Member) -> None:
    """The database may have been put back without it."""
    epoch = one.verifier.epoch
    with waiting(one, one.stop()) as confirming:
        one.raise_epoch()
        one.membership.renew()
    found = confirming.result()
    assert (found.epoch, found.confirmed, found.reason) == (epoch, False, LOST)


@pytest.mark.parametrize("joins", ["before it looks", "later"])
def test_f9_a_stop_is_confirmed_in_the_epoch_that_it_was_committed_in(one: Member, joins: str) -> None:
    """Its node stood still in between, while the backup was put back and the revisions came as far again."""
    kept, epoch = one.here.store.rev(), one.epoch
    rev = one.stop()
    put_back_to(one, kept)
    one.raise_epoch()
    one.here.store.follow = lambda _entries: None  # other nodes change something, and have waited for those before
    while one.here.store.rev() <= rev:
        one.stop()
    one.here.store.change(lambda tx: tx.remove_lease(f"epoch-{epoch + 1}", counter=0))
    if joins == "before it looks":
        one.membership.renew()
        assert not one.membership.estranged
    found = one.confirming.confirm(rev, epoch=epoch)
    assert (found.epoch, found.confirmed, found.reason) == (epoch, False, LOST)


def come_as_far_again(one: Member, rev: int) -> None:
    """Put the backup back without the change of that revision; other nodes go on, and have others by its number."""
    put_back_to(one, rev - 1)
    one.here.store.follow = lambda _entries: None
    one.here.clock.advance(timedelta(seconds=1))
    while one.here.store.rev() <= rev:
        one.stop()


def test_f9_a_stop_is_confirmed_where_the_authority_has_its_own_entry(one: Member) -> None:
    """Also while nobody has raised the epoch, and before this node has renewed and been told."""
    rev = one.stop()
    come_as_far_again(one, rev)
    assert not one.membership.estranged
    found = one.confirm(rev)
    assert (found.confirmed, found.reason) == (False, ESTRANGED)


def test_f11_an_entry_that_is_no_longer_kept_is_of_no_other_past(one: Member) -> None:
    """Somebody looks at the fence of a stop of long ago, from where on this node follows."""
    rev, _ = one.verifier.applied
    one.stop()
    with one.here.store._engine.begin() as connection:
        connection.execute(text("DELETE FROM feed WHERE rev <= :rev"), {"rev": rev})
    seen = one.confirming.look(rev)
    assert (seen.acknowledged, seen.is_over) == (1, True)


@pytest.mark.parametrize("then", ["another change", "another epoch", "both"])
def test_f9_what_was_looked_at_before_a_past_was_lost_is_looked_at_anew(one: Member, then: str) -> None:
    """By its number there is another stop now, which others may not have heard of."""
    rev = one.stop()
    assert one.confirming.look(rev).is_over
    if then != "another epoch":
        come_as_far_again(one, rev)
    if then != "another change":
        one.raise_epoch()
        one.membership.renew()
    seen = one.confirming.look(rev)
    assert not seen.is_over
    assert seen.waiting_for == (("node_1",) if then == "another change" else (f"epoch-{one.epoch}",))
    assert until(lambda: one.confirming.look(rev).is_over), "that fence goes on, however often one looks"


def test_f9_a_stop_whose_entry_is_lost_while_it_waits_is_not_confirmed(one: Member) -> None:
    rev = one.stop()
    _, at = one.verifier.applied
    with waiting(one, rev, lasts=60_000_000) as confirming:
        come_as_far_again(one, rev)
        one.confirming.heard("node_gone", epoch=one.verifier.epoch, rev=rev, at=at)  # it knows what this node knows
    assert (confirming.result().confirmed, confirming.result().reason) == (False, LOST)


def test_f9_a_stop_whose_database_was_put_back_without_it_is_not_confirmed(one: Member) -> None:
    rev = one.stop()
    with waiting(one, rev) as confirming:
        put_back(one.here.store, rev - 1)
    assert (confirming.result().confirmed, confirming.result().reason) == (False, LOST)


def put_back(store: SqlStore, rev: int) -> None:
    """What a backup that ended there is to whoever looks at it."""
    with store._engine.begin() as connection:
        connection.execute(text("UPDATE authority SET rev = :rev"), {"rev": rev})


def test_f9_a_stop_that_nobody_looks_for_any_more_is_not_confirmed(one: Member) -> None:
    """The wait is over in time, but what became of the stop cannot be said."""
    with waiting(one, one.stop()) as confirming:
        scan = one.here.store.scan
        one.here.store.scan = unreachable  # type: ignore[method-assign]  # the world without its database
    one.here.store.scan = scan  # type: ignore[method-assign]  # as above
    assert (confirming.result().confirmed, confirming.result().reason) == (False, AWAY)


def unreachable(rev: int) -> Scan:
    raise StoreUnavailable
