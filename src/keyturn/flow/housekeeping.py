"""What a node does between requests: follow the feed, write uses down, note what the dates have settled.

Telling is `telling.py`'s, in threads of its own.

Nothing waits for it: with housekeeping dead for a week every answer is still right (R2).
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Final, TypeVar

from keyturn.core.instant import Instant, from_micros
from keyturn.core.throttle import LONGEST_QUIET
from keyturn.flow import handover
from keyturn.flow.follow import Follower
from keyturn.flow.membership import MOST_ENTRIES
from keyturn.flow.reports import Reports
from keyturn.ports.store import Store
from keyturn.ports.transaction import Transaction
from keyturn.ports.use import Caller, Use
from keyturn.verify.message import Report
from keyturn.verify.usage import Callers, Origin, Tally
from keyturn.verify.verifier import Verifier

log = logging.getLogger("keyturn")
T = TypeVar("T")
REPLAYS_LAST: Final = timedelta(days=7)
CALLERS_LAST: Final = timedelta(hours=25)
"""What is shown are the last 24 hours; buckets of an hour reach back one more."""
DEVICES_LAST: Final = timedelta(days=180)
"""How long a browser is known in which nobody signs in."""
TOLD_LASTS: Final = timedelta(days=90)
BALANCES_LAST: Final = timedelta(hours=1)
"""Beyond the time at which a key's limit is whole again."""
FEED_LASTS: Final = timedelta(days=7)
"""The newest `MOST_ENTRIES` stay however old they are.  Whoever is behind what is kept drops everything (F11)."""
PORTALS_LAST: Final = timedelta(days=1)
"""Longer than any session that one may become."""
_BATCH: Final = 50
_TRIMMED_AT_ONCE: Final = 1000
_CALLERS_A_TICK: Final = 200
"""How many callers may be written for each turn: the more there are, the longer they are gathered first."""


class Housekeeper:
    """Each method is one errand; one thread calls them in turn."""

    def __init__(self, store: Store, verifier: Verifier, follower: Follower) -> None:
        self._store = store
        self._verifier = verifier
        self._follower = follower
        # Drained from the verifier and not yet in the store: an outage loses none of them.
        self._last: dict[int, Instant] = {}
        self._first_of_secrets: dict[tuple[int, int], Instant] = {}
        self._last_of_secrets: dict[tuple[int, int], Instant] = {}
        self._watched: list[tuple[Use, Instant]] = []
        self._callers: list[Caller] = []
        self._callers_rest = 0
        self._reports = Reports()

    def report(self, report: Report, *, by: str, size: int) -> None:
        """What a verifier has counted, in so many bytes; written with the next turn.  Safe to call from any thread."""
        if not self._reports.add(report, by=by, size=size):
            log.warning("what verifier %s has counted was dropped: too much of it waits already", by)

    def tick(self) -> None:
        """Every errand once.  Raises StoreUnavailable; nothing is lost, the next tick goes on."""
        self._follower.catch_up()
        self.write_uses()
        # One by one: each holds its key, and who holds several must take them in one order.
        for reset_id in self._store.read(lambda tx: handover.due(tx, limit=_BATCH)):
            self._store.change(partial(handover.close, reset_id=reset_id))
        for reset_id in self._store.read(lambda tx: handover.quiet(tx, limit=_BATCH)):
            self._store.change(partial(handover.end_quiet, reset_id=reset_id))

    def forget(self) -> None:
        """Drop what nobody will ask for any more: replays, callers, entries of the feed, sessions, devices, mails."""
        self._store.change(_forget)
        while self._store.change(_trim_feed) == _TRIMMED_AT_ONCE:
            pass  # a part at a time, for whoever would change something may wait for it
        # By itself and quickly done: until it commits, nobody is lent anything of what it touches.
        self._store.change(lambda tx: tx.forget_balances(before=Instant(tx.now - BALANCES_LAST)))

    def write_uses(self) -> None:
        """Last uses and callers, who used a watched secret, and with it the first use of a new one (R20)."""
        drained = self._verifier.drain_uses()
        self._note(drained.last, drained.watched)
        reports = self._reports.drain()
        for one in reports:
            self._note(dict(one.last), dict(one.watched))
        self._gather_callers()
        self._callers += [_as_caller(caller) for one in reports for caller in one.callers]
        if self._watched or self._callers:
            watched, callers = tuple(self._watched), tuple(self._callers)
            known = self._store.change(lambda tx: _write(tx, watched, callers))
            self._callers_rest += len(callers) // _CALLERS_A_TICK
            self._watched, self._callers = [], []
            for use, seen in known:
                secret = (use.key_number, use.version)
                self._first_of_secrets[secret] = min(seen, self._first_of_secrets.get(secret, seen))
                _keep_latest(self._last_of_secrets, secret, use.last_seen)
        if self._first_of_secrets:
            self._report_first_uses()
        # Each by itself and quickly done: until it commits, nobody acts with a key, or stops a secret, that it touches.
        if self._last_of_secrets:
            of_secrets = self._last_of_secrets
            self._store.change(lambda tx: tx.touch_secrets(of_secrets))
            self._last_of_secrets = {}
        if self._last:
            last = self._last
            left_out = self._store.change(lambda tx: tx.touch({number: min(at, tx.now) for number, at in last.items()}))
            self._last = {number: last[number] for number in left_out}

    def _report_first_uses(self) -> None:
        """One by one, for each holds its key; those that are known already change nothing."""
        seen = self._first_of_secrets
        for number, version in self._store.read(lambda tx: handover.first_uses(tx, seen)):
            used_at = seen[number, version]
            self._store.change(partial(handover.report_use, key_number=number, version=version, used_at=used_at))
        self._first_of_secrets = {}

    def _note(self, last: Mapping[int, int], watched: Mapping[Origin, Tally]) -> None:
        for number, micros in last.items():
            _keep_latest(self._last, number, from_micros(micros))
        self._watched += _as_uses(watched)

    def _gather_callers(self) -> None:
        """Fetch the callers, unless many have just been written, or could not be: they add up where they are."""
        if self._callers_rest:
            self._callers_rest -= 1
        elif not self._callers:
            self._callers = [_as_caller(one) for one in self._verifier.drain_callers()]


def _forget(tx: Transaction) -> None:
    tx.forget_replays(before=Instant(tx.now - REPLAYS_LAST))
    tx.forget_callers(before=Instant(tx.now - CALLERS_LAST))
    tx.forget_challenges()
    tx.forget_sessions(before=tx.now)
    tx.forget_oidc_tries()
    tx.forget_counters(before=Instant(tx.now - LONGEST_QUIET))
    tx.forget_portals(before=Instant(tx.now - PORTALS_LAST))
    tx.forget_devices(before=Instant(tx.now - DEVICES_LAST))
    tx.forget_told(before=Instant(tx.now - TOLD_LASTS))


def _trim_feed(tx: Transaction) -> int:
    return tx.forget_feed(before=Instant(tx.now - FEED_LASTS), keep=MOST_ENTRIES + 1, most=_TRIMMED_AT_ONCE)


def _as_uses(watched: Mapping[Origin, Tally]) -> list[tuple[Use, Instant]]:
    """Each way of use, with the instant it was first seen at."""
    return [
        (
            Use(
                key_number=origin.number,
                version=origin.version,
                address=_storable(origin.ip or "", 64),
                permission=_storable(" ".join(origin.permissions), 120),
                user_agent=_storable(origin.user_agent, 200),
                last_seen=from_micros(tally.last),
                count=tally.count,
            ),
            from_micros(tally.first),
        )
        for origin, tally in watched.items()
    ]


def _as_caller(told: Callers) -> Caller:
    return Caller(
        key_number=told.number,
        address=_storable(told.ip or "", 64),
        permission=_storable(" ".join(told.permissions), 120),
        user_agent=_storable(told.user_agent, 200),
        last_seen=from_micros(told.last),
        count=told.times,
    )


def _storable(text: str, longest: int) -> str:
    """Text that every database takes: no caller's words may keep the uses of all from being written."""
    return text.encode("utf-8", "replace").decode().replace("\0", "?")[:longest]


def _keep_latest(known: dict[T, Instant], of: T, at: Instant) -> None:
    known[of] = max(at, known.get(of, at))


def _write(
    tx: Transaction, watched: Sequence[tuple[Use, Instant]], callers: Sequence[Caller]
) -> Sequence[tuple[Use, Instant]]:
    """Answers the uses that are of a key, each with the instant it was first seen at.

    A verifier may say anything: of a key that there is none, or of a time to come.  It must not keep what the others
    have counted from being written, nor stand for ever as the latest use.
    """
    known = tx.known_numbers([one.key_number for one in callers] + [use.key_number for use, _ in watched])
    now = tx.now
    tx.add_callers([replace(one, last_seen=min(one.last_seen, now)) for one in callers if one.key_number in known])
    uses = [
        (replace(use, last_seen=min(use.last_seen, now)), min(seen, now))
        for use, seen in watched
        if use.key_number in known
    ]
    tx.add_uses([use for use, _ in uses])
    return uses
