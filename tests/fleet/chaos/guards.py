"""The guards of the fleet protocol that can be taken away from a running process.

A test that would pass without the guard shows nothing; so each schedule of `test_guards.py` is run with the real code,
where the checker must find nothing, and without its guard, where it must find what the guard is there for.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from keyturn.core.lease import Acknowledgement, Grant, Push
from keyturn.flow.membership import Membership
from keyturn.sdk import attachment, clock
from keyturn.sdk import verifier as sdk
from keyturn.verify.fence import Fence
from keyturn.verify.granter import Granter
from keyturn.verify.holder import Holder
from keyturn.verify.memory import Memory
from keyturn.verify.stops import Stops

_NEVER: Final = 1 << 62


def lease_ends() -> None:
    """F3: at or after its deadline memory does not answer."""
    _set(Holder, "deadline", property(lambda _self: _NEVER, lambda _self, _value: None))


def fence_waits() -> None:
    """F5: a reset waits for whoever has not acknowledged."""
    _set(Fence, "is_over", lambda _self, _boot: True)


def counted_from_sending() -> None:
    """F2: a lease counts from when it was asked for, not from when it came."""
    granted = Holder.granted

    def counted_from_receipt(
        self: Holder, grant: Grant, boot: int, *, read_after: int | None = None
    ) -> Acknowledgement | None:
        answer = granted(self, grant, boot, read_after=read_after)
        if answer is not None:
            self.deadline = max(self.deadline, boot + grant.length)
        return answer

    _set(Holder, "granted", counted_from_receipt)


def verifiers_on_record() -> None:
    """F7: a node acknowledges for its verifiers only what they have, or what they can no longer lack."""

    def acked(self: Granter, *, epoch: int, applied_rev: int, boot: int) -> int:
        return applied_rev

    _set(Granter, "acked", acked)


def record_before_feed() -> None:
    """F2: a lease is on record before the feed is read for it."""

    def renew(self: Membership) -> None:
        with self._renewing:
            clocks = self._clocks
            renewal = self.holder.renewal(
                clocks.boot(), wall=clocks.wall(), machine=clocks.machine(), acked_rev=self.acked()
            )
            read_after = self.boot()
            grant, leases = self._store.read(lambda tx: (self._grant(tx, renewal), tx.leases()))
            self._record(renewal.acked_rev)
            if isinstance(grant, Grant):
                self.holder.granted(grant, self.boot(), read_after=read_after)
        self.applied()
        self._sweep(leases)

    _set(Membership, "renew", renew)


def within_own_lease() -> None:
    """F7: what a node grants ends before its own lease does."""
    granted = Granter.granted

    def beyond(self: Granter, instance: str, *, deadline: int, boot: int) -> int:
        return granted(self, instance, deadline=_NEVER, boot=boot)

    _set(Granter, "granted", beyond)


def boot_time_clock() -> None:
    """F0: leases are measured on the boot-time clock, which nobody can set."""
    _set(clock, "boot_micros", clock.wall_micros)
    _set(attachment, "boot_micros", clock.wall_micros)
    _set(sdk, "boot_micros", clock.wall_micros)
    _set(sdk, "clock_ns", lambda _clock: clock.wall_micros() * 1000)


def applied_before_acknowledged() -> None:
    """F6: what is acknowledged is applied."""

    def only_acknowledged(self: Holder, push: Push) -> Acknowledgement:
        return Acknowledgement(epoch=push.epoch, rev=max(self._verifier.applied_rev, push.entries[-1].rev))

    _set(Holder, "pushed", only_acknowledged)


def fill_is_not_late() -> None:
    """F4: what was read before an entry that was applied since is not kept."""
    _set(Memory, "_touched_since", lambda _self, _rev, _state: False)
    _set(Stops, "is_final", lambda _self, _key_id, _version: False)  # refused for being known as stopped for good (F9)


def survives_failover() -> None:
    """F13: nothing is confirmed that the loss of the primary could undo."""
    from keyturn.store.durability import Durability, Durable  # noqa: PLC0415  # a verifier's process does without it

    _set(Durable, "now", property(lambda _self: Durability(strict=True), lambda _self, _value: None))


def hints() -> None:
    """F14, a fault and no guard: leases alone keep F0, so a node may miss every hint and be late with every errand."""
    from keyturn import server  # noqa: PLC0415  # a verifier's process does without it
    from keyturn.flow.housekeeping import Housekeeper  # noqa: PLC0415  # the same

    _set(server._Hearer, "feed_moved", lambda _self: None)
    _set(Housekeeper, "tick", lambda _self: None)


GUARDS: Final[dict[str, Callable[[], None]]] = {
    guard.__name__: guard
    for guard in (
        lease_ends,
        fence_waits,
        counted_from_sending,
        verifiers_on_record,
        record_before_feed,
        within_own_lease,
        boot_time_clock,
        applied_before_acknowledged,
        fill_is_not_late,
        survives_failover,
        hints,
    )
}
_OF_INSTANCES: Final = {("Holder", "deadline"), ("Durable", "now")}
"""What classes do not have themselves: a property stands before it."""
_undo: Final[list[Callable[[], None]]] = []


def run_without(names: Sequence[str]) -> None:
    """From now on this process does without these, and with all others."""
    while _undo:
        _undo.pop()()
    for name in names:
        GUARDS[name]()


def _set(where: Any, name: str, value: Any) -> None:
    if name in vars(where):
        _undo.append(partial(setattr, where, name, vars(where)[name]))
    else:
        assert (where.__name__, name) in _OF_INSTANCES, f"{where} has no {name} any more"
        _undo.append(partial(delattr, where, name))
    setattr(where, name, value)
