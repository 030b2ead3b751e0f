"""Confirming on a real store with real leases, where no second process is needed to see it (F5, F9)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from keyturn.core.feed import FeedEntry
from keyturn.core.instant import Instant
from keyturn.core.lease import Terms
from keyturn.flow.confirm import Confirming
from keyturn.flow.membership import Clocks, Membership
from keyturn.outside import clock
from keyturn.store.hints import NoHints
from keyturn.verify.recent import Recent
from keyturn.verify.verifier import Verifier
from tests.verify.states import key
from tests.world import World, sure, world

TERMS = Terms(length=200_000, margin=10_000)


@dataclass
class Member:
    """A node without a server."""

    here: World
    membership: Membership
    confirming: Confirming
    verifier: Verifier

    def stop(self) -> int:
        """Revoke a new key; answers the revision."""
        sure(self.here.on_key("revoke", self.here.root, self.here.key().key.id))
        return self.here.store.rev()


@contextmanager
def member(url: str) -> Iterator[Member]:
    with world(url) as here:
        recent = Recent()
        verifier = Verifier(recent=recent)
        membership = Membership(
            here.store,
            verifier,
            recent,
            instance="node_1",
            name="one",
            terms=TERMS,
            clocks=Clocks(boot=clock.boot_micros, wall=clock.wall_micros, machine=clock.boot_id),
            hints=NoHints(),
        )
        membership.renew()
        here.store.follow = verifier.apply  # type: ignore[assignment]  # nobody asks for its answer
        yield Member(here, membership, Confirming(here.store, membership, epoch=lambda: verifier.epoch), verifier)


@pytest.fixture
def one(sqlite_url: str) -> Iterator[Member]:
    with member(sqlite_url) as made:
        yield made


def test_f5_a_node_that_has_applied_its_own_stop_need_not_wait(one: Member) -> None:
    confirmed = one.confirming.confirm(one.stop())
    assert (confirmed.confirmed, confirmed.acknowledged, confirmed.waited_out) == (True, 1, ())


def test_f9_a_node_that_has_applied_what_the_authority_lost_waits_for_itself(one: Member) -> None:
    """Its memory passes the stop over, for it has applied another change under that number."""
    lost = [
        FeedEntry(rev=rev, at=Instant(one.here.clock.at), change=key(900 + rev))
        for rev in range(one.verifier.applied_rev + 1, one.verifier.applied_rev + 8)
    ]
    assert one.verifier.apply(lost)
    rev = one.stop()
    assert one.verifier.applied_rev > rev
    confirmed = one.confirming.confirm(rev)
    assert confirmed.waited >= TERMS.fence
    assert confirmed.waited_out == ("node_1",)


def test_f9_a_raised_epoch_is_waited_for_once(one: Member) -> None:
    before = one.verifier.epoch
    assert one.here.store.change(lambda tx: tx.raise_epoch(tx.epoch))
    one.membership.renew()
    assert (one.verifier.epoch, one.membership.standing().epoch) == (before + 1, before + 1)
    first, second = one.confirming.confirm(one.stop()), one.confirming.confirm(one.stop())
    assert (first.waited_out, first.confirmed, first.epoch) == ((f"epoch-{before + 1}",), True, before + 1)
    assert first.waited >= TERMS.fence
    assert (second.waited_out, second.confirmed) == ((), True)


def test_f9_a_stop_that_waits_while_the_epoch_is_raised_is_of_the_epoch_before(one: Member) -> None:
    rev = one.stop()
    fence = one.confirming._scan(rev)
    assert one.here.store.change(lambda tx: tx.raise_epoch(tx.epoch))
    one.membership.renew()
    one.confirming._wait(fence)
    assert one.confirming._settle(fence, 0).epoch == one.verifier.epoch - 1
