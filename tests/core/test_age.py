"""How old a key is, and what is coming for it (K14)."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.core.age import Age, AgeState, Coming, age, coming
from keyturn.core.consequence import Hold
from keyturn.core.instant import FOREVER, Instant
from keyturn.core.key import Key
from keyturn.core.policy import Effective, Policy, Rule, resolve
from tests.core.keys import DAY, HOUR, T0, a_key, a_secret, after

PLAIN = Policy(name="plain")


def under(*floors: Policy, **fields: object) -> Effective:
    policy = replace(PLAIN, **fields)  # type: ignore[arg-type]  # as the story names them
    return resolve(key=policy, account=None, deployment=policy, floors=floors)


AGES = {  # max_age, days since: state
    "K14 young": (90, 0, AgeState.FRESH),
    "K14 fifteen days to go": (90, 75, AgeState.FRESH),
    "K14 the last fourteen days": (90, 76, AgeState.DUE_SOON),
    "K14 the last moment before": (90, 89, AgeState.DUE_SOON),
    "K14 due on the day": (90, 90, AgeState.OVERDUE),
    "K14 long due": (90, 400, AgeState.OVERDUE),
    "K14 a short age is not always soon": (10, 4, AgeState.FRESH),
    "K14 of a short age the last half is": (10, 5, AgeState.DUE_SOON),
}


@pytest.mark.parametrize("story", AGES)
def test_age(story: str) -> None:
    longest, days, state = AGES[story]
    in_force = under(max_age=longest * DAY, on_max_age="suspend")
    assert age(a_key(), in_force, now=after(days * DAY)) == Age(
        since=T0, state=state, due_at=after(longest * DAY), then="suspend", policy="plain"
    )


def test_k14_the_age_is_the_newest_secret_s_and_a_floor_may_set_it() -> None:
    key = a_key(a_secret(), a_secret(2, created_at=after(30 * DAY)))
    floor = replace(PLAIN, name="strict", max_age=60 * DAY)
    found = age(key, under(floor, max_age=90 * DAY), now=after(31 * DAY))
    assert (found.since, found.due_at, found.policy) == (after(30 * DAY), after(90 * DAY), "strict")


def test_k14_without_a_longest_age_nothing_is_ever_due() -> None:
    found = age(a_key(), under(), now=after(4000 * DAY))
    assert (found.state, found.due_at, found.then) == (AgeState.FRESH, None, "")
    assert coming(a_key(), under(), now=after(4000 * DAY)) == ()


def drop(effect: str) -> dict[str, object]:
    return {"no_allowlist_rule": Rule(effect=effect, after=14 * DAY)}


OPEN, READS = {"allowlist": ()}, {"allowlist": (), "permissions": ("fills:read", "keyturn.keys:write")}
RENEWED = (a_secret(stops_at=after(2 * DAY)), a_secret(2, created_at=after(DAY)))
COMING = {  # the key, the policy: what comes
    "the age": (a_key(), {"max_age": 90 * DAY}, [(90, "remind", "max_age")]),
    "the expiry": (a_key(expires_at=after(5 * DAY)), {}, [(5, "expire", "")]),
    "idleness since it was made": (a_key(), {"idle_expiry": 30 * DAY}, [(30, "expire", "idle_expiry")]),
    "idleness since its use": (
        a_key(last_used_at=after(DAY)),
        {"idle_expiry": 30 * DAY},
        [(31, "expire", "idle_expiry")],
    ),
    "a reset begins idleness anew": (
        a_key(*RENEWED, last_used_at=T0),
        {"idle_expiry": 30 * DAY},
        [(2, "stop_old", ""), (31, "expire", "idle_expiry")],
    ),
    "write is lost": (a_key(**OPEN), drop("drop_write"), [(14, "drop_write", "no_allowlist_rule")]),
    "R23 no reset puts that off": (
        a_key(*RENEWED, **OPEN),
        drop("drop_write"),
        [(2, "stop_old", ""), (14, "drop_write", "no_allowlist_rule")],
    ),
    "nothing to lose": (a_key(**READS), drop("drop_write"), []),
    "an allowlist prevents it": (a_key(), drop("drop_write"), []),
    "idle and able to write": (
        a_key(last_used_at=after(DAY), **OPEN),
        drop("stop_if_idle"),
        [(15, "stop", "no_allowlist_rule")],
    ),
    "idle and harmless": (a_key(**READS), drop("stop_if_idle"), []),
    "a stop for each secret": (
        a_key(*RENEWED, **OPEN),
        drop("stop"),
        [(2, "stop_old", ""), (15, "stop", "no_allowlist_rule")],
    ),
    "a cool-down": (
        a_key(a_secret(), a_secret(2, dangerous_starts_at=after(3 * DAY))),
        {},
        [(3, "start_new", "")],
    ),
    "a secret that is over is passed over": (a_key(a_secret(stopped_at=T0, stops_at=T0), a_secret(2)), {}, []),
}


@pytest.mark.parametrize("story", COMING)
def test_k14_what_is_coming(story: str) -> None:
    key, fields, expected = COMING[story]
    assert isinstance(key, Key)
    found = coming(key, under(**fields), now=after(DAY))  # type: ignore[arg-type]  # as the story names them
    assert [(one.at, one.what, one.field) for one in found] == [
        (after(days * DAY), what, field) for days, what, field in expected
    ]
    assert {one.policy for one in found} <= {"plain", ""}
    assert all(bool(one.policy) == bool(one.field) for one in found)


def test_k14_the_soonest_stands_first_and_nothing_comes_for_a_key_that_has_ended() -> None:
    key = a_key(expires_at=after(40 * DAY), **OPEN)
    in_force = under(max_age=30 * DAY, idle_expiry=20 * DAY, **drop("stop"))
    found = coming(key, in_force, now=T0)
    assert [one.what for one in found] == ["stop", "expire", "remind", "expire"]
    assert found[-1] == Coming(at=after(40 * DAY), what="expire")
    assert coming(key, in_force, now=after(40 * DAY)) == ()
    assert coming(replace(key, revoked_at=T0), in_force, now=after(HOUR)) == ()


def test_k14_a_hold_of_the_owner_is_told_with_its_policy_and_field() -> None:
    hold = Hold(user_id="usr_1", until=after(2 * DAY), policy="strict", field="on_password_change")
    found = coming(a_key(expires_at=after(DAY)), under(), now=T0, hold=hold)
    assert found[-1] == Coming(at=after(2 * DAY), what="hold_ends", policy="strict", field="on_password_change")
    assert [one.what for one in found] == ["expire", "hold_ends"]


@given(st.timedeltas(timedelta(0), timedelta(days=40_000)), st.timedeltas(timedelta(0), timedelta(days=40_000)))
def test_k14_a_state_follows_from_the_date_alone(longest: timedelta, since: timedelta) -> None:
    now = Instant(T0 + since)
    found = age(a_key(), under(max_age=longest), now=now)
    assert found.due_at is not None
    assert found.due_at <= FOREVER
    assert (found.state is AgeState.OVERDUE) == (now >= found.due_at)
