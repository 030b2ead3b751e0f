"""F9: what is known of stops beside the cache, and what is not known any more."""

from datetime import timedelta
from typing import Any

import pytest

from keyturn.core.feed import Predicate
from keyturn.core.instant import Instant
from keyturn.verify.decision import stop_of
from keyturn.verify.stops import LATELY, MOST_PREDICATES, Stops
from tests.verify.states import NOW, SECOND, T0, key, version

HOUR = timedelta(microseconds=LATELY)
ENDED = version(stopped=True, stops_at=T0, replaced_by="rst_1")
KEY = "key_1"


def code(stops: Stops, number: int = 1, *, now: int = NOW) -> str | None:
    """Why that version of the key has stopped as far as is known."""
    entry = stops.of(KEY, number)
    return None if entry is None else stop_of(entry, now)


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({}, (None, None)),
        ({"revoked": True}, ("revoked", "revoked")),
        ({"suspended": True}, ("suspended", "suspended")),
        ({"secrets": (ENDED, version(2))}, ("replaced", None)),
        ({"secrets": (ENDED, version(2)), "suspended": True}, ("replaced", "suspended")),
        ({"secrets": (version(stops_at=T0), version(2))}, ("revoked", None)),
        ({"revoked": True, "secrets": ()}, (None, None)),
    ],
)
def test_f9_a_change_says_of_each_version_whether_it_has_stopped(changes: dict[str, Any], codes: Any) -> None:
    stops = Stops(most=9)
    stops.changed(key(**changes), NOW)
    assert (code(stops), code(stops, 2)) == codes
    assert len(stops) == (codes != (None, None))
    stops.changed(key(), NOW)
    assert (code(stops), len(stops)) == (None, 0), "the latest change is what counts"


def test_f9_a_version_stops_by_its_date_later_on() -> None:
    stops = Stops(most=9)
    ends = Instant(T0 + timedelta(seconds=1))
    stops.changed(key(secrets=(version(stops_at=ends, replaced_by="rst_1"), version(2))), NOW)
    assert (code(stops), code(stops, now=NOW + SECOND)) == (None, "replaced")


def test_f9_what_was_over_long_before_a_change_is_not_told_by_it_but_stays_known() -> None:
    """A key that is reset each week would be held with all versions that it ever had."""
    old = version(stopped=True, stops_at=Instant(T0 - HOUR - timedelta(microseconds=1)))
    stops = Stops(most=9)
    stops.changed(key(secrets=(old, version(2))), NOW)
    assert len(stops) == 0
    stops.changed(key(secrets=(ENDED, version(2))), NOW)
    stops.changed(key(secrets=(ENDED, version(2, stopped=True, stops_at=T0), version(3))), NOW + 2 * LATELY)
    assert (code(stops, 1), code(stops, 2), code(stops, 3)) == ("replaced", None, None)


def test_f9_a_reading_tells_of_the_version_that_was_asked_about() -> None:
    stops = Stops(most=9)
    state = key(secrets=(ENDED, version(2, stopped=True, stops_at=T0), version(3)))
    stops.read(state, 3)
    assert len(stops) == 0
    stops.read(state, 2)
    assert (code(stops, 1), code(stops, 2)) == (None, "revoked")
    stops.read(state, 1)
    assert (code(stops, 1), code(stops, 2)) == ("replaced", "revoked")


@pytest.mark.parametrize(
    ("changes", "finals"),
    [
        ({}, (False, False)),
        ({"revoked": True}, (True, True)),
        ({"suspended": True}, (False, False)),
        ({"secrets": (ENDED, version(2))}, (True, False)),
        ({"secrets": (version(1), version(2, stopped=True, stops_at=T0)), "suspended": True}, (False, True)),
        ({"secrets": (version(stops_at=T0), version(2))}, (False, False)),
    ],
)
def test_f9_what_is_over_for_good(changes: dict[str, Any], finals: tuple[bool, bool]) -> None:
    stops = Stops(most=9)
    stops.changed(key(**changes), NOW)
    assert (stops.is_final(KEY, 1), stops.is_final(KEY, 2)) == finals


@pytest.mark.parametrize(
    ("predicate", "may_be"),
    [
        (Predicate(account_id="acc_1"), True),
        (Predicate(owner_id="usr_1"), True),
        (Predicate(account_id="acc_1", owner_id="usr_2"), False),
        (Predicate(account_id="acc_2"), False),
        (Predicate(), True),
    ],
)
def test_f9_f11_of_what_was_changed_together_nobody_knows(predicate: Predicate, may_be: int) -> None:
    stops = Stops(most=9)
    assert not stops.may_be_of("acc_1", "usr_1")
    stops.changed_many(predicate)
    stops.changed_many(predicate)
    assert stops.may_be_of("acc_1", "usr_1") == may_be
    stops.clear()
    assert not stops.may_be_of("acc_1", "usr_1")


def test_f9_whoever_knows_of_too_many_stops_knows_of_no_key_that_it_has_not() -> None:
    stops = Stops(most=2)
    for number in (1, 2, 1):
        stops.changed(key(number, revoked=True), NOW)
    assert not stops.may_be_of("acc_9", "usr_9")
    stops.changed(key(3, revoked=True), NOW)
    assert (len(stops), stops.may_be_of("acc_9", "usr_9")) == (2, True)
    assert code(stops) == "revoked"


def test_f9_f11_nor_does_whoever_was_told_of_too_many_bulk_changes() -> None:
    stops = Stops(most=2)
    for number in range(MOST_PREDICATES):
        stops.changed_many(Predicate(account_id=f"acc_{number}"))
    assert not stops.may_be_of("acc_none", "usr_1")
    stops.changed_many(Predicate(account_id="acc_more"))
    assert stops.may_be_of("acc_none", "usr_1")
