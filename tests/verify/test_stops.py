"""F9: what is known of stops beside the cache, and what is not known any more."""

from datetime import timedelta
from typing import Any

import pytest

from keyturn.core.feed import Predicate
from keyturn.core.instant import Instant
from keyturn.verify.decision import stop_of
from keyturn.verify.stops import LATELY, MOST_PREDICATES, MOST_VERSIONS, Stops
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


def rotated(stops: Stops, *, to: int) -> None:
    """The key is reset again and again, and each state names the version that it has and the one before."""
    for number in range(2, to + 1):
        ended = version(number - 1, stopped=True, stops_at=T0, replaced_by="rst_1")
        stops.changed(key(secrets=(ended, version(number))), NOW)


def test_f9_what_a_later_state_names_no_more_stays_stopped() -> None:
    """A key's state names a few versions only, and a backup has the first one live."""
    stops = Stops(most=9)
    rotated(stops, to=MOST_VERSIONS + 1)
    assert [code(stops, number) for number in (1, 2, MOST_VERSIONS)] == ["replaced"] * 3
    assert stops.is_final(KEY, 1)
    assert (code(stops, MOST_VERSIONS + 1), stops.may_be_of("acc_1", "usr_1")) == (None, False)
    stops.read(key(secrets=(version(MOST_VERSIONS + 1),)), MOST_VERSIONS + 1)
    assert (code(stops, 1), code(stops, MOST_VERSIONS + 1)) == ("replaced", None)


def test_f9_of_an_owner_whose_key_has_stopped_too_often_nobody_knows() -> None:
    stops = Stops(most=9)
    rotated(stops, to=MOST_VERSIONS + 2)
    assert (code(stops, 1), code(stops, 2), code(stops, MOST_VERSIONS + 1)) == (None, "replaced", "replaced")
    assert stops.may_be_of("acc_1", "usr_1")
    assert not stops.may_be_of("acc_1", "usr_2")
    assert not stops.may_be_of("acc_2", "usr_1")


@pytest.mark.parametrize("ends", [{"stopped": True}, {"stops_at": T0}])
def test_f9_what_is_named_no_more_does_not_stop_the_key_that_was_resumed(ends: dict[str, Any]) -> None:
    stops = Stops(most=9)
    stops.changed(key(secrets=(version(1, **ends), version(2)), suspended=True), NOW)
    stops.changed(key(secrets=(version(3),)), NOW)
    assert (code(stops, 1), code(stops, 2), code(stops, 3)) == ("revoked", None, None)
    stops.changed(key(secrets=(version(3),), revoked=True), NOW)
    assert (stops.is_final(KEY, 1), stops.is_final(KEY, 2), code(stops, 3)) == (True, True, "revoked")


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
