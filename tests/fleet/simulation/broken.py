"""The real code with one guard taken out: each has to be noticed by the simulation.

Guards that only a rare order of steps needs are not here: the model explorer goes every way, and the tests of
`verify/` break them one by one.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import pytest

from keyturn.core.lease import Acknowledgement, Denial, Grant, Lease, Push, Renewal
from keyturn.flow.confirm import Confirming
from keyturn.flow.membership import Membership
from keyturn.verify.fence import Fence
from keyturn.verify.granter import Granter
from keyturn.verify.holder import Holder
from keyturn.verify.stops import Stops
from keyturn.verify.verifier import Verifier
from tests.fleet.simulation import authority
from tests.fleet.simulation.clockwork import Machine
from tests.fleet.simulation.world import TERMS, World

Patch = pytest.MonkeyPatch
NEVER: Final = 1 << 60


# -- F2, F3: leases


def deadline_from_receipt(patch: Patch) -> None:
    real = Holder.granted

    def granted(self: Holder, grant: Grant, boot: int, **more: Any) -> Acknowledgement | None:
        answer = real(self, grant, boot, **more)
        if answer is not None:
            self.deadline = max(self.deadline, boot + grant.length)
        return answer

    patch.setattr(Holder, "granted", granted)


def paired_with_a_later_renewal(patch: Patch) -> None:
    real = Holder.granted

    def granted(self: Holder, grant: Grant, boot: int, **more: Any) -> Acknowledgement | None:
        latest = max((sent for sent, _ in self._sent.values()), default=0)
        answer = real(self, grant, boot, **more)
        if answer is not None:
            self.deadline = max(self.deadline, latest + grant.length)
        return answer

    patch.setattr(Holder, "granted", granted)


def fail_open(patch: Patch) -> None:
    real = Holder.granted

    def granted(self: Holder, grant: Grant, boot: int, **more: Any) -> Acknowledgement | None:
        answer = real(self, grant, boot, **more)
        self.deadline = NEVER
        return answer

    patch.setattr(Holder, "granted", granted)


def wall_clock(patch: Patch) -> None:
    patch.setattr(Machine, "boot", Machine.wall)
    patch.setattr("keyturn.verify.holder.JUMP", NEVER)


# -- F5: the fence


def _ends(patch: Patch, micros: int) -> None:
    patch.setattr(Fence, "ends_at", property(lambda self: self.scanned_at + micros))


def waits_for_nobody(patch: Patch) -> None:
    _ends(patch, 0)


def waits_only_l(patch: Patch) -> None:
    _ends(patch, TERMS.length)


def waits_only_l_and_e(patch: Patch) -> None:
    _ends(patch, TERMS.length + TERMS.margin)


def counts_what_is_applied(patch: Patch) -> None:
    real = Fence.__init__

    def init(self: Fence, leases: Any, **more: Any) -> None:
        real(self, [replace(one, acked_rev=max(one.acked_rev, one.applied_rev)) for one in leases], **more)

    patch.setattr(Fence, "__init__", init)


def waits_by_the_terms_of_now(patch: Patch) -> None:
    real = Confirming._scan

    def scan(self: Confirming, rev: int) -> Fence:
        fence = real(self, rev)
        terms = self._membership.terms
        fence._pending = {name: replace(one, lasts=terms.fence) for name, one in fence._pending.items()}
        return fence

    patch.setattr(Confirming, "_scan", scan)


def forgets_longer_leases(patch: Patch) -> None:
    real = Membership._lease

    def lease(self: Membership, *args: Any) -> Lease:
        return replace(real(self, *args), lasts=self.terms.fence)

    patch.setattr(Membership, "_lease", lease)


def grants_by_terms_that_are_not_on_record(patch: Patch) -> None:
    real = Membership._grant

    def grant(self: Membership, tx: Any, renewal: Renewal) -> Grant | Denial:
        self.holder.terms = self.granter.terms = tx.terms()
        return real(self, tx, renewal)

    patch.setattr(Membership, "_grant", grant)


def removed_without_its_counter(patch: Patch) -> None:
    def remove(tx: Any, instance: str, *, counter: int, read_from: str) -> bool:
        had = tx.seen.leases.get(instance)
        return had is not None and real(tx, instance, counter=had.counter, read_from=read_from)

    real = authority.Writing.remove_lease
    patch.setattr(authority.Writing, "remove_lease", remove)


def row_deleted_on_leaving(patch: Patch) -> None:
    def leave(self: Membership) -> None:
        with self._renewing:
            self.holder.deadline = 0
            counter = self._counter
            self._store.change(lambda tx: tx.remove_lease(self.instance, counter=counter, read_from=""))

    patch.setattr(Membership, "leave", leave)


# -- F6: entries


def acknowledges_before_applying(patch: Patch) -> None:
    def pushed(self: Holder, push: Push) -> Acknowledgement | None:
        return Acknowledgement(epoch=push.epoch, rev=push.entries[-1].rev) if self._joined else None

    patch.setattr(Holder, "pushed", pushed)


def lease_before_the_entries(patch: Patch) -> None:
    real = Holder._follow

    def follow(self: Holder, grant: Grant, had: int) -> bool:
        if self._joined and not grant.anew and grant.epoch == self._verifier.epoch:
            return True
        return real(self, grant, had)

    patch.setattr(Holder, "_follow", follow)


# -- F7: nodes and their verifiers


def grant_outlives_the_node(patch: Patch) -> None:
    real = Granter.granted

    def granted(self: Granter, instance: str, *, deadline: int, boot: int) -> int:
        return real(self, instance, deadline=NEVER, boot=boot)

    patch.setattr(Granter, "granted", granted)


def recorded_without_a_length(patch: Patch) -> None:
    real = Granter.granted

    def granted(self: Granter, instance: str, *, deadline: int, boot: int) -> int:
        length = real(self, instance, deadline=deadline, boot=boot)
        self._records[instance].granted_until = 0
        return length

    patch.setattr(Granter, "granted", granted)


def record_without_margins(patch: Patch) -> None:
    real = Granter.granted

    def granted(self: Granter, instance: str, *, deadline: int, boot: int) -> int:
        length = real(self, instance, deadline=deadline, boot=boot)
        if length:
            self._records[instance].granted_until = boot + length
        return length

    patch.setattr(Granter, "granted", granted)


def vouches_for_itself_alone(patch: Patch) -> None:
    patch.setattr(Membership, "acked", lambda self: self._verifier.applied_rev)


# -- F4, F8


def fill_without_f4(patch: Patch) -> None:
    patch.setattr(Verifier, "_touched_since", lambda *_: False)
    patch.setattr(Stops, "is_final", lambda *_: False)  # it would be refused for being known as stopped for good (F9)


def started_by_the_latest(patch: Patch) -> None:
    patch.setattr(Verifier, "_earliest", lambda _self, now: now)


def stopped_by_the_earliest(patch: Patch) -> None:
    patch.setattr(Holder, "look", lambda self, boot: (boot + self._behind, boot < self.deadline))


# -- F9: losses


def epoch_keeps_the_cache(patch: Patch) -> None:
    real = Holder._follow

    def follow(self: Holder, grant: Grant, had: int) -> bool:
        verifier = self._verifier
        if self._joined and grant.epoch > verifier.epoch:
            verifier.epoch = grant.epoch
            verifier.applied_rev = grant.rev
            return True
        return real(self, grant, had)

    patch.setattr(Holder, "_follow", follow)


def knows_of_no_stop_beside_its_memory(patch: Patch) -> None:
    patch.setattr(Stops, "of", lambda *_: None)


def knows_of_no_bulk_stop(patch: Patch) -> None:
    patch.setattr(Stops, "changed_many", lambda *_: None)


def keeps_its_name(patch: Patch) -> None:
    real = World._name

    def name(self: World, kind: str) -> str:
        return f"node{1 + len(self.nodes)}" if kind == "node" else real(self, kind)

    patch.setattr(World, "_name", name)


BROKEN: Final[dict[str, Callable[[Patch], None]]] = {
    "F2 the deadline counts from the receipt": deadline_from_receipt,
    "F2 a grant is paired with a later renewal": paired_with_a_later_renewal,
    "F2 leases are measured by the wall clock": wall_clock,
    "F3 without a lease memory answers": fail_open,
    "F4 a fill is kept whatever was applied": fill_without_f4,
    "F5 nobody is waited for": waits_for_nobody,
    "F5 the wait is L": waits_only_l,
    "F5 the wait is L + E": waits_only_l_and_e,
    "F5 the wait is by the terms of now": waits_by_the_terms_of_now,
    "F5 a record forgets a longer lease": forgets_longer_leases,
    "F2 granted by terms that are not on record": grants_by_terms_that_are_not_on_record,
    "F5 what is applied counts": counts_what_is_applied,
    "F5 a row is removed without its counter": removed_without_its_counter,
    "F5 a row is deleted on leaving": row_deleted_on_leaving,
    "F6 acknowledged before it is applied": acknowledges_before_applying,
    "F6 a lease before its entries": lease_before_the_entries,
    "F7 a node's grant outlives its own lease": grant_outlives_the_node,
    "F7 recorded without a length": recorded_without_a_length,
    "F7 a record without its margins": record_without_margins,
    "F7 a node vouches for itself alone": vouches_for_itself_alone,
    "F8 started by the latest": started_by_the_latest,
    "F8 stopped by the earliest": stopped_by_the_earliest,
    "F9 a higher epoch keeps the cache": epoch_keeps_the_cache,
    "F9 stops are known by the cache alone": knows_of_no_stop_beside_its_memory,
    "F9 bulk stops are forgotten": knows_of_no_bulk_stop,
    "F10 a node keeps its name": keeps_its_name,
}
