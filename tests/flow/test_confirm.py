"""Confirming on a real store with real leases, where no second process is needed to see it (F5, F9)."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import text

from keyturn.core.feed import FeedEntry
from keyturn.core.instant import Instant, to_micros
from keyturn.core.lease import FOR_GOOD, LONGEST_FENCE, Attached, Lease, Scan
from keyturn.flow import fleet
from keyturn.flow.confirmation import AWAY, ESTRANGED, LOST, UNLEASED
from keyturn.flow.follow import Follower
from keyturn.flow.membership import SILENT
from keyturn.ports.store import StoreUnavailable
from keyturn.store.store import SqlStore
from keyturn.verify.holder import Alarm
from tests.attached import until
from tests.flow.node import HOUR, TERMS, Member, member, waiting
from tests.verify.states import key
from tests.world import sure


@pytest.fixture
def one(sqlite_url: str) -> Iterator[Member]:
    with member(sqlite_url) as made:
        yield made


def test_f5_a_node_that_has_applied_its_own_stop_need_not_wait(one: Member) -> None:
    confirmed = one.confirm(one.stop())
    assert (confirmed.confirmed, confirmed.acknowledged, confirmed.waited_out) == (True, 1, ())


def test_f12_who_answers_without_a_lease_has_not_acknowledged_because_its_node_left(one: Member) -> None:
    """And nothing is confirmed while it may; who looks at that fence is told the same."""
    stale = Attached(instance="ver_stale", name="", acked_rev=0, applied_rev=0, ends_in=0, stale=HOUR)
    left = Lease(
        instance="node_left",
        counter=1,
        lasts=HOUR,
        epoch=one.epoch,
        acked_rev=FOR_GOOD,
        grants=True,
        verifiers=(stale,),
    )
    one.here.store.change(lambda tx: tx.renew_lease(left))
    rev = one.stop()
    made, seen = one.confirm(rev), one.confirming.look(rev)
    assert (made.confirmed, made.reason, made.acknowledged, made.waited_out) == (False, UNLEASED, 2, ())
    assert made.unleased == seen.unleased == ("ver_stale",)
    assert (seen.reason, seen.acknowledged, seen.of) == (UNLEASED, 2, 3)


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
    assert one.verifier.epoch == one.membership.standing().epoch == one.epoch > before
    first, second = one.confirm(one.stop()), one.confirm(one.stop())
    assert (first.waited_out, first.confirmed, first.epoch) == ((f"epoch-{one.epoch}",), True, one.epoch)
    assert first.waited >= TERMS.fence
    assert (second.waited_out, second.confirmed) == ((), True)


_SECOND = 1_000_000
_MINUTE = 60 * _SECOND


def test_f12_the_verifiers_of_a_node_that_is_gone_are_in_the_way_until_nobody_answers_by_their_word(
    one: Member,
) -> None:
    """And no longer, though their node cannot say that they are over."""
    stale = Attached(instance="ver_stale", name="", acked_rev=0, applied_rev=0, ends_in=0, stale=2 * _MINUTE)
    gone = Lease(instance="node_gone", counter=1, lasts=5_000, epoch=one.epoch, acked_rev=0, verifiers=(stale,))
    one.here.store.change(lambda tx: tx.renew_lease(gone))
    one.membership.renew()
    for waited in (0, SILENT + _MINUTE):
        _pass(one, waited)
        made = one.confirm(one.stop())
        assert (made.confirmed, made.reason, made.unleased) == (False, UNLEASED, ("ver_stale",))
    _pass(one, _MINUTE)
    made = one.confirm(one.stop())
    assert (made.confirmed, made.unleased) == (True, ())


def _pass(one: Member, micros: int) -> None:
    """Let it pass, while this node goes on renewing: so often that it may stand still for seconds in between."""
    for _ in range(-(-micros // _SECOND)):
        one.let_pass(_SECOND)
        one.membership.renew()


def put_back_to(one: Member, rev: int) -> None:
    """The backup that ended there, in place of the database, while this node holds its lease."""
    with one.here.store._engine.begin() as connection:
        connection.execute(text("DELETE FROM feed WHERE rev > :rev"), {"rev": rev})
        connection.execute(
            text("UPDATE authority SET rev = :rev, rev_at = (SELECT at FROM feed WHERE rev = :rev)"), {"rev": rev}
        )


def forget(one: Member, lease: Lease | None) -> None:
    """The leases of a backup in place of those that are there: this node's own is an older one, or not in it yet."""
    with one.here.store._engine.begin() as connection:
        connection.execute(text("DELETE FROM leases"))
    if lease is not None:
        one.here.store.change(lambda tx: tx.renew_lease(lease))


@pytest.mark.parametrize("older", [True, False])
@pytest.mark.parametrize("noticed_by", ["the stop", "the renewal"])
def test_f9_a_database_that_lacks_a_lease_is_waited_out_for_as_long_as_any_can_be(
    one: Member, noticed_by: str, *, older: bool
) -> None:
    """It has come as far as ever, so nobody is ahead of it; but whoever attached since the backup is on no record."""
    with one.time.stopped():
        (lease,) = one.here.store.read(lambda tx: tx.leases())
        one.membership.renew()
        assert one.confirm(one.stop()).waited_out == ()
        forget(one, lease if older else None)
        if noticed_by == "the renewal":
            one.membership.renew()
        with ThreadPoolExecutor(1) as pool:
            confirming = pool.submit(one.confirm, one.stop())
            try:
                until(lambda: one.confirming.running() or confirming.done())
                one.stand_for(LONGEST_FENCE - 1)
                assert not confirming.done()
                assert not one.membership.estranged, "nothing that it has applied is lost"
                one.stand_for(1)
                first = confirming.result(60)
            finally:
                one.stand_for(HOUR)
        assert (first.confirmed, first.waited_out) == (True, ("before-node_1",))
        assert one.confirm(one.stop()).waited_out == (), "once"
        assert one.membership.holder.told() == [Alarm.PUT_BACK]


def test_f5_a_node_that_was_waited_out_need_not_have_been_put_back(one: Member) -> None:
    """It stood still for longer than its lease.  Whoever else is missing was given one no longer than is known."""
    one.let_pass(one.membership.terms.length + 1)
    with one.time.stopped():
        forget(one, None)
        one.membership.renew()
        found = {lease.instance: lease.lasts for lease in one.here.store.read(lambda tx: tx.leases())}
    assert set(found) == {"node_1", "before-node_1"}
    assert found["before-node_1"] < LONGEST_FENCE
    assert one.membership.holder.told() == []


def test_f9_a_database_that_is_put_back_all_the_time_confirms_nothing(
    one: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    renew = one.membership.renew

    def in_vain() -> None:
        renew()
        forget(one, None)

    monkeypatch.setattr(one.membership, "renew", in_vain)
    forget(one, None)
    found = one.confirm(one.stop())
    assert (found.confirmed, found.reason) == (False, AWAY)


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
    one.membership.holder.deadline = one.membership.boot() + HOUR  # it has just renewed
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
    one.here.store.change(lambda tx: tx.remove_lease(f"epoch-{tx.epoch}", counter=0, read_from=""))
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
    with one.time.stopped():
        seen = one.confirming.look(rev)
    assert not seen.is_over
    assert seen.waiting_for == (("node_1",) if then == "another change" else (f"epoch-{one.epoch}",))
    assert until(lambda: one.confirming.look(rev).is_over), "that fence goes on, however often one looks"


def test_f9_a_stop_whose_entry_is_lost_while_it_waits_is_not_confirmed(one: Member) -> None:
    rev = one.stop()
    _, at = one.verifier.applied
    with waiting(one, rev) as confirming:
        come_as_far_again(one, rev)
        one.confirming.heard("node_gone", epoch=one.verifier.epoch, rev=rev, at=at)  # it knows what this node knows
    assert (confirming.result().confirmed, confirming.result().reason) == (False, LOST)


def test_f9_a_stop_whose_database_was_put_back_without_it_is_not_confirmed(one: Member) -> None:
    rev = one.stop()
    with waiting(one, rev) as confirming:
        put_back(one.here.store, rev - 1)
    assert (confirming.result().confirmed, confirming.result().reason) == (False, LOST)


def test_f5_a_connection_that_is_lost_as_the_leases_are_read_is_made_anew(
    one: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    rev, scan, asked = one.stop(), one.here.store.scan, list[int]()

    def lost_once(rev: int) -> Scan:
        asked.append(rev)
        return scan(rev) if len(asked) > 1 else unreachable(rev)

    monkeypatch.setattr(one.here.store, "scan", lost_once)
    assert one.confirm(rev).confirmed
    assert asked == [rev, rev]


def test_f5_a_database_that_says_nothing_is_not_asked_twice_for_the_leases(
    one: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    rev, asked = one.stop(), list[int]()

    def silent(rev: int) -> Scan:
        asked.append(rev)
        one.let_pass(10_000_000)
        return unreachable(rev)

    monkeypatch.setattr(one.here.store, "scan", silent)
    assert one.confirm(rev).reason == AWAY
    assert asked == [rev]


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
