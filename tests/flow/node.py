"""A node without a server, on a real store with real leases."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from keyturn.core.lease import Lease, Terms
from keyturn.flow.confirm import Confirming
from keyturn.flow.confirmation import Confirmation
from keyturn.flow.membership import Clocks, Membership
from keyturn.outside import clock
from keyturn.store.hints import NoHints
from keyturn.verify.recent import MOST, Recent
from keyturn.verify.verifier import Verifier
from tests.attached import until
from tests.world import World, sure, world

TERMS = Terms(length=200_000, margin=10_000)
HOUR: Final = 3_600_000_000
"""Microseconds: for a lease that is over when the test says so, however slow the machine is."""


class Time:
    """The time of a machine, which a test may stop or have pass."""

    def __init__(self) -> None:
        self.ahead = 0
        self._stood_at: int | None = None

    def boot(self) -> int:
        return clock.boot_micros() + self.ahead if self._stood_at is None else self._stood_at

    def wall(self) -> int:
        return clock.wall_micros() + self.ahead

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """It goes on after that as if it had not been."""
        self._stood_at = self.boot()
        yield
        self._stood_at = None

    def step(self, micros: int) -> None:
        """Let it stand so much later."""
        assert self._stood_at is not None
        self._stood_at += micros


@dataclass
class Member:
    """A node without a server."""

    here: World
    membership: Membership
    confirming: Confirming
    verifier: Verifier
    time: Time

    def let_pass(self, micros: int) -> None:
        """At once."""
        self.time.ahead += micros
        self.membership.tell()  # whoever sleeps looks at the clock

    def stand_for(self, micros: int) -> None:
        """The same where the time stands."""
        self.time.step(micros)
        self.membership.tell()

    def stop(self) -> int:
        """Revoke a new key; answers the revision."""
        sure(self.here.on_key("revoke", self.here.root, self.here.key().key.id))
        return self.here.store.rev()

    def confirm(self, rev: int) -> Confirmation:
        """Confirm what was committed just now."""
        return self.confirming.confirm(rev, epoch=self.epoch)

    @property
    def epoch(self) -> int:
        """The authority's."""
        return self.here.store.read(lambda tx: tx.epoch)

    def raise_epoch(self) -> None:
        """As the operator does."""
        assert self.here.store.change(lambda tx: tx.raise_epoch(tx.epoch))


@contextmanager
def member(url: str, *, most: int = MOST) -> Iterator[Member]:
    """`most` entries are kept to be handed on."""
    with world(url) as here:
        recent = Recent(most=most)
        verifier, time = Verifier(recent=recent), Time()
        membership = Membership(
            here.store,
            verifier,
            recent,
            instance="node_1",
            name="one",
            terms=TERMS,
            clocks=Clocks(boot=time.boot, wall=time.wall, machine=clock.boot_id),
            hints=NoHints(),
        )
        membership.renew()
        here.store.follow = verifier.apply  # type: ignore[assignment]  # nobody asks for its answer
        confirming = Confirming(here.store, membership, epoch=lambda: verifier.epoch)
        yield Member(here, membership, confirming, verifier, time)


@contextmanager
def waiting(one: Member, rev: int) -> Iterator[Future[Confirmation]]:
    """Somebody confirms that revision, and waits for a node that is not there: until the end, if for nothing else."""
    absent(one)
    with ThreadPoolExecutor(1) as pool:
        confirming = pool.submit(one.confirm, rev)
        try:
            until(one.confirming.running)
            yield confirming
        finally:
            one.let_pass(HOUR)


def absent(one: Member, *, lasts: int = HOUR) -> None:
    """Another node is away that holds a lease for so long."""
    gone = Lease(instance="node_gone", counter=1, lasts=lasts, epoch=one.epoch, acked_rev=0)
    one.here.store.change(lambda tx: tx.renew_lease(gone))
