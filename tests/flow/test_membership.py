"""What a node grants to its verifiers, where a stream and a second process are not needed to see it (F7, F9)."""

import pytest

from keyturn.core.instant import to_micros
from keyturn.core.lease import AHEAD, Denial, Grant, Renewal
from tests.flow.node import HOUR, TERMS, Member, absent, member


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


def test_f5_who_has_renewed_nothing_for_a_whole_fence_is_taken_off_the_record(database_url: str) -> None:
    """Also where nobody stops anything, so that nobody waits for it; whoever renews stays."""

    def on_record() -> set[str]:
        return {lease.instance for lease in one.here.store.read(lambda tx: tx.leases())}

    with member(database_url) as one, one.time.stopped():
        absent(one, lasts=5_000)
        one.membership.renew()
        one.stand_for(4_999)
        absent(one, lasts=5_000, counter=2)
        one.membership.renew()
        one.stand_for(4_999)
        one.membership.renew()
        assert on_record() == {"node_1", "node_gone"}
        one.stand_for(1)
        one.membership.renew()
        assert on_record() == {"node_1"}


def test_f5_while_a_node_cannot_look_at_the_leases_nobody_is_silent(database_url: str) -> None:
    """The database was away from all: they renew when it is back, and who is first takes nobody off the record."""
    with member(database_url) as one, one.time.stopped():
        absent(one, lasts=5_000)
        one.membership.renew()
        for silence in (one.membership.terms.length + 1, 4_999):
            one.stand_for(silence)
            one.membership.renew()
            assert len(one.here.store.read(lambda tx: tx.leases())) == 2
        one.stand_for(1)
        one.membership.renew()
        assert len(one.here.store.read(lambda tx: tx.leases())) == 1
