"""A node without a server, on a real store with real leases."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from keyturn.core.lease import Terms
from keyturn.flow.confirm import Confirmation, Confirming
from keyturn.flow.membership import Clocks, Membership
from keyturn.outside import clock
from keyturn.store.hints import NoHints
from keyturn.verify.recent import MOST, Recent
from keyturn.verify.verifier import Verifier
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
