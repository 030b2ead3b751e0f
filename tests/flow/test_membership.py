"""What a node grants to its verifiers, where a stream and a second process are not needed to see it (F7, F9)."""

import signal
from dataclasses import replace

import pytest
from sqlalchemy import text

from keyturn.core.instant import to_micros
from keyturn.core.lease import AHEAD, FOR_GOOD, LONGEST_FENCE, Attached, Denial, Grant, Lease, Renewal, Terms
from keyturn.flow.membership import SILENT
from keyturn.verify.holder import Alarm
from tests import databases
from tests.flow.node import HOUR, TERMS, Member, absent, member
from tests.postgres import Postgres


def ask(one: Member, applied: tuple[int, int], *, is_lost: bool = False) -> Grant | Denial:
    """A verifier asks, that has applied the entry of that revision, written at that time."""
    rev, at = applied
    renewal = Renewal(
        instance="ver_1", nonce=1, epoch=one.verifier.epoch, applied_rev=rev, acked_rev=rev, applied_at=at
    )
    assert one.membership.granter.asked(renewal, one.membership.boot())
    return one.membership.grant(renewal, TERMS, is_lost=is_lost)


@pytest.mark.parametrize("of_another_past", [0, 1])
def test_f9_a_verifier_whose_last_entry_its_node_no_longer_has_begins_anew(
    sqlite_url: str, of_another_past: int
) -> None:
    """All that comes after it is here, but not whether it was that one: nothing is put upon it."""
    with member(sqlite_url, most=4) as one:
        one.membership.holder.deadline = one.membership.boot() + 60_000_000  # the node's own lease is not in question
        one.stop()
        rev, at = one.verifier.applied
        one.stop()
        assert ask(one, (rev, at + 1)) == Denial(nonce=1, reason=AHEAD), "while it is here it tells two pasts apart"
        newest = one.stop()
        assert newest == rev + 4, "as many as are kept"
        granted = ask(one, (rev, at + of_another_past))
        assert isinstance(granted, Grant)
        assert (granted.anew, granted.entries, granted.rev) == (True, (), newest)
        assert one.membership.has_lost((rev, at + of_another_past), epoch=one.epoch) == of_another_past, "it asks"


def test_f9_what_somebody_has_applied_is_lost_where_the_authority_knows_nothing_of_it(sqlite_url: str) -> None:
    with member(sqlite_url) as one:
        one.stop()
        rev, at = one.verifier.applied
        has_lost = one.membership.has_lost
        assert not has_lost((rev, at), epoch=one.epoch)
        assert has_lost((rev, at + 1), epoch=one.epoch)
        assert has_lost((rev + 1, at), epoch=one.epoch), "nothing has come so far"
        assert not has_lost((rev, at + 1), epoch=one.epoch + 1), "pasts are told apart within an epoch"
        assert not has_lost((0, 0), epoch=one.epoch), "who has applied nothing has lost nothing"
        one.here.store.follow = lambda _: None
        one.stop()
        newest = one.here.store.feed_after(rev, limit=1)[0]
        assert not has_lost((newest.rev, to_micros(newest.at)), epoch=one.epoch), "this node has not come so far"
        lost = ask(one, (rev, at), is_lost=True)
        assert lost == Denial(nonce=1, reason=AHEAD)


def test_f9_the_verifiers_of_a_node_whose_past_is_lost_are_told_that_it_is(sqlite_url: str) -> None:
    """Whose lease was only said to be over would ask the database by and by, and believe it."""
    with member(sqlite_url) as one:
        one.membership.holder.deadline = one.membership.boot() + HOUR
        one.stop()
        applied = one.verifier.applied
        assert isinstance(ask(one, applied), Grant)
        one.membership.estrange()
        assert ask(one, applied) == Denial(nonce=1, reason=AHEAD)
        one.raise_epoch()
        one.membership.renew()
        one.membership.holder.deadline = one.membership.boot() + HOUR
        granted = ask(one, (0, 0))
        assert isinstance(granted, Grant)
        assert granted.anew


def put(one: Member, lease: Lease) -> None:
    one.here.store.change(lambda tx: tx.renew_lease(lease))


def go_on(one: Member, micros: int) -> None:
    """Let it pass, while this node looks at the leases often enough."""
    whole, rest = divmod(micros, one.membership.terms.length)
    for step in [*[one.membership.terms.length] * whole, rest]:
        one.stand_for(step)
        one.membership.renew()


def leases(one: Member) -> set[str]:
    return {lease.instance for lease in one.here.store.read(lambda tx: tx.leases())}


@pytest.mark.parametrize("stale", [0, HOUR])
@pytest.mark.parametrize("acked_rev", [0, FOR_GOOD])
def test_f5_f12_who_is_gone_is_taken_off_the_record_once_nobody_answers_by_what_it_was_granted(
    database_url: str, stale: int, acked_rev: int
) -> None:
    """So nobody waits for it, and no stop is unconfirmed for the verifiers it had; whoever renews stays."""
    verifiers = (Attached(instance="ver_1", name="", acked_rev=0, applied_rev=0, ends_in=0, stale=stale),)
    gone = Lease(instance="gone", counter=1, lasts=5_000, epoch=1, acked_rev=acked_rev, verifiers=verifiers)
    with member(database_url) as one, one.time.stopped():
        for counter in (1, 2):
            put(one, replace(gone, counter=counter))
            one.membership.renew()
            go_on(one, SILENT + stale - 1)
            assert leases(one) == {"node_1", "gone"}
        go_on(one, 1)
        assert leases(one) == {"node_1"}


def test_f9_while_a_node_cannot_look_at_the_leases_nobody_is_silent(database_url: str) -> None:
    """Somebody may have renewed with the primary whose place another has taken meanwhile."""
    with member(database_url) as one, one.time.stopped():
        absent(one, lasts=5_000)
        for _ in range(3):
            one.membership.renew()
            one.stand_for(HOUR)
        one.membership.renew()
        assert leases(one) == {"node_1", "node_gone"}


def test_f9_silence_towards_one_server_is_none_towards_another(own_postgres: Postgres) -> None:
    """It may have renewed with the one just before, and the other not have heard of it."""
    with databases.postgres_copy(own_postgres) as url, member(url) as one, one.time.stopped():
        absent(one)
        one.membership.renew()
        go_on(one, SILENT - 1)
        own_postgres.stop(how=signal.SIGINT)
        own_postgres.start()
        for _ in range(2):
            go_on(one, 1)
            assert leases(one) == {"node_1", "node_gone"}
        go_on(one, SILENT)
        assert leases(one) == {"node_1"}


def test_f9_who_was_waited_out_at_one_server_is_not_removed_from_another(own_postgres: Postgres) -> None:
    with databases.postgres_copy(own_postgres) as url, member(url) as one:
        absent(one, lasts=1)

        def remove(read_from: str) -> bool:
            return one.here.store.change(lambda tx: tx.remove_lease("node_gone", counter=1, read_from=read_from))

        def server() -> str:
            (found,) = {lease.read_from for lease in one.here.store.scan(1).leases}
            return found

        before = server()
        own_postgres.stop(how=signal.SIGINT)
        own_postgres.start()
        assert not remove(before)
        assert remove(server())


def test_f9_a_node_affirms_a_database_once_every_lease_of_a_lost_time_is_over(postgres_url: str) -> None:
    def affirmed() -> bool:
        """Whether somebody who begins alone now need not take it for one that was put back; and then it is."""
        is_known: bool = one.here.store.change(lambda tx: tx.take_over())
        with one.here.store._engine.begin() as connection:
            connection.execute(text("UPDATE origin SET written = 'another'"))
        return is_known

    with member(postgres_url) as one, one.time.stopped():
        assert not affirmed()
        one.membership.affirm()
        assert not affirmed(), "it was never forgotten"
        one.membership.rejoin()
        one.stand_for(LONGEST_FENCE - 1)
        one.membership.renew()
        one.membership.affirm()
        assert not affirmed(), "until then somebody may hold a lease of whom it knows nothing"
        one.stand_for(1)
        one.membership.renew()
        one.membership.affirm()
        assert affirmed()
        one.membership.affirm()
        assert not affirmed(), "once"


@pytest.mark.parametrize("lost", ["its lease", "its past"])
def test_f9_a_node_affirms_no_database_that_it_does_not_know_again(postgres_url: str, lost: str) -> None:
    with member(postgres_url) as one, one.time.stopped():
        one.membership.renew()
        one.membership.rejoin()
        one.stand_for(LONGEST_FENCE)
        if lost == "its lease":
            with one.here.store._engine.begin() as connection:
                connection.execute(text("UPDATE leases SET counter = counter - 1"))
        else:
            one.verifier.estranged = True
        one.membership.affirm()
        assert not one.here.store.change(lambda tx: tx.take_over())
        one.verifier.estranged = False
        one.membership.renew()
        one.stand_for(LONGEST_FENCE)
        one.membership.affirm()
        assert one.here.store.change(lambda tx: tx.take_over()), "later on, as whatever was lost then is over too"


def test_f9_a_node_affirms_no_other_server_than_the_one_it_has_joined(own_postgres: Postgres) -> None:
    with databases.postgres_copy(own_postgres) as url, member(url) as one, one.time.stopped():
        one.membership.rejoin()
        one.stand_for(LONGEST_FENCE)
        own_postgres.stop(how=signal.SIGINT)
        own_postgres.start()
        one.membership.renew()
        one.membership.affirm()
        assert not one.here.store.change(lambda tx: tx.take_over())


def test_f9_leases_that_become_longer_make_nobody_believe_that_the_database_was_put_back(sqlite_url: str) -> None:
    """Whoever is late by the longer terms may have been waited out by the shorter one that is on record."""
    with member(sqlite_url) as one, one.time.stopped():
        one.membership.renew()
        length = one.membership.terms.length
        one.here.store.change(lambda tx: tx.set_terms(Terms(length=4 * length, margin=length // 100)))
        one.membership.renew()
        one.stand_for(length + 1)
        one.here.store.change(lambda tx: tx.remove_lease("node_1", counter=one.membership.recorded, read_from=""))
        one.membership.renew()
        assert Alarm.PUT_BACK not in one.membership.holder.told()
