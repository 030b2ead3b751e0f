"""What a change of an account brings about (K15), and what a hold lets wait (R20, R30)."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from keyturn.core import reset as protocol
from keyturn.core.consequence import HOLD_FIELD, Cause, Hold, hold, is_shared, rule, stop, widens
from keyturn.core.handover import Gap
from keyturn.core.instant import FOREVER
from keyturn.core.key import StopReason
from keyturn.core.limit import parse
from keyturn.core.policy import Effective, Rule, resolve
from keyturn.core.reset import Reason
from tests.core.keys import DAY, HOUR, MACHINE, NEW, PERSON, PLAIN, T0, a_key, a_secret, after, ask, good, proven


def under(**fields: object) -> Effective:
    policy = replace(PLAIN, **fields)  # type: ignore[arg-type]  # as the story names them
    return resolve(key=policy, account=None, deployment=policy, floors=())


RESET, STOP, HOLD = (Rule(effect=effect, after=7 * DAY) for effect in ("reset", "stop", "hold"))
RULES: dict[str, tuple[dict[str, Any], Cause, Rule | None]] = {
    "K15 nothing": ({}, Cause.PASSWORD_CHANGED, None),
    "K15 a change of password": ({"on_password_change": RESET}, Cause.PASSWORD_CHANGED, RESET),
    "K15 a new member": ({"on_member_added": STOP}, Cause.MEMBER_ADDED, STOP),
    "K15 each cause has its rule": ({"on_member_added": STOP}, Cause.PASSWORD_CHANGED, None),
    "K15 another address is no cause for keys": ({"on_password_change": RESET}, Cause.ADDRESS_CHANGED, None),
}


@pytest.mark.parametrize("story", RULES)
def test_which_rule(story: str) -> None:
    fields, cause, wanted = RULES[story]
    assert rule(under(**fields), cause) == wanted


HOLDS: dict[
    str, tuple[list[dict[str, Any]], Cause, tuple[timedelta, str] | None]
] = {  # the policies, the cause: how long, by which field
    "R30 none": ([{}], Cause.PASSWORD_CHANGED, None),
    "R30 by the rule": ([{"on_password_change": HOLD}], Cause.PASSWORD_CHANGED, (7 * DAY, "on_password_change")),
    "R30 by the field": ([{HOLD_FIELD: DAY}], Cause.ADDRESS_CHANGED, (DAY, HOLD_FIELD)),
    "R30 the longest": (
        [{"on_password_change": HOLD}, {HOLD_FIELD: 9 * DAY}, {}],
        Cause.PASSWORD_CHANGED,
        (9 * DAY, HOLD_FIELD),
    ),
    "R30 a reset is no hold": ([{"on_password_change": RESET}], Cause.PASSWORD_CHANGED, None),
    "R30 a new member changes nobody's password": ([{HOLD_FIELD: DAY}], Cause.MEMBER_ADDED, None),
    "R30 a hold for a new member": ([{"on_member_added": HOLD}], Cause.MEMBER_ADDED, (7 * DAY, "on_member_added")),
    "R30 a second factor": ([{HOLD_FIELD: DAY}], Cause.AUTHENTICATOR_CHANGED, (DAY, HOLD_FIELD)),
}


@pytest.mark.parametrize("story", HOLDS)
def test_how_long_a_person_is_held(story: str) -> None:
    policies, cause, wanted = HOLDS[story]
    found = hold([under(**one) for one in policies], cause, user_id="usr_1", now=T0)
    if wanted is None:
        assert found is None
        return
    span, field = wanted
    assert found == Hold(user_id="usr_1", until=after(span), policy="plain", field=field)
    assert (found.refusal.until, found.refusal.policy, found.refusal.field) == (after(span), "plain", field)


def test_k15_stop_ends_every_live_secret_and_orders_nothing() -> None:
    key = a_key(a_secret(stops_at=after(DAY)), a_secret(2))
    stopped = stop(key, STOP, now=T0)
    assert [(one.stops_at, one.stop_reason) for one in stopped.secrets] == [
        (after(DAY), None),
        (after(7 * DAY), StopReason.POLICY),
    ]
    assert stop(stopped, STOP, now=after(DAY)) == stopped, "dates only ever move earlier (R20)"


SHARED: dict[str, tuple[dict[str, Any], bool]] = {
    "a manager's": ({"owner_id": "usr_1"}, True),
    "the newcomer's own": ({"owner_id": "usr_new"}, False),
    "a member's": ({"owner_id": "usr_3"}, False),
    "the operator's automation": ({"permissions": ("orders:read", "keyturn.keys:reset")}, False),
    "one without permissions": ({"permissions": ()}, True),
}


@pytest.mark.parametrize("story", SHARED)
def test_k15_which_keys_a_new_member_comes_to_share(story: str) -> None:
    changes, shared = SHARED[story]
    managers = frozenset({"usr_1", "usr_new"})
    assert is_shared(a_key(**changes), managers=managers, newcomer="usr_new") is shared


WIDENS: dict[str, tuple[dict[str, Any], bool]] = {
    "the same": ({}, False),
    "another name": ({"name": "other"}, False),
    "less": ({"permissions": ("orders:read",)}, False),
    "more": ({"permissions": ("orders:admin",)}, True),
    "from fewer places": ({"allowlist": ("192.0.2.7/32",)}, False),
    "from more places": ({"allowlist": ("192.0.2.0/24", "198.51.100.0/24")}, True),
    "from anywhere": ({"allowlist": ()}, True),
    "for longer": ({"expires_at": after(10 * DAY)}, True),
    "for less long": ({"expires_at": after(DAY)}, False),
    "by another policy": ({"policy": "lax"}, True),
    "seldom": ({"limit": parse("5/1m")}, False),
    "more often": ({"limit": parse("20/1m")}, True),
    "in larger bursts": ({"limit": parse("600/1h")}, True),
    "without limit": ({"limit": None}, True),
}


@pytest.mark.parametrize("story", WIDENS)
def test_r23_what_widens_a_key(story: str) -> None:
    changes, widened = WIDENS[story]
    before = a_key(limit=parse("10/1m"), expires_at=after(5 * DAY))
    assert widens(before, replace(before, **changes)) is widened
    assert not widens(a_key(), a_key(limit=parse("1/1s")))


HELD = {  # reason, cool-down, scope, waived: when the new secret starts (read, write), the old one stops
    "R20 the rest of the hold": (Reason.ROUTINE, timedelta(0), "whole_key", False, (2 * DAY, 2 * DAY, 2 * DAY + HOUR)),
    "R20 a longer cool-down": (Reason.ROUTINE, 3 * DAY, "whole_key", False, (3 * DAY, 3 * DAY, 3 * DAY + HOUR)),
    "R24 neither half starts sooner": (
        Reason.ROUTINE,
        3 * DAY,
        "dangerous_only",
        False,
        (2 * DAY, 3 * DAY, 3 * DAY + HOUR),
    ),
    "R24 no waiver ends it": (Reason.ROUTINE, 3 * DAY, "whole_key", True, (2 * DAY, 2 * DAY, 2 * DAY + HOUR)),
    "a leak is no way around it": (Reason.LEAKED, timedelta(0), "whole_key", False, (2 * DAY, 2 * DAY, timedelta(0))),
}


@pytest.mark.parametrize("story", HELD)
def test_what_a_reset_gives_during_a_hold(story: str) -> None:
    reason, cool_down, scope, waived, (starts, dangerous, stops) = HELD[story]
    policy = replace(PLAIN, cool_down=cool_down, cool_down_scope=scope)
    asked = good(ask(a_key(), reason, policy=policy, grace=HOUR))
    if waived:
        asked = replace(asked, reset=replace(asked.reset, terms=replace(asked.reset.terms, cool_down=timedelta(0))))
    step = proven(asked)
    told = protocol.preview(step.reset, step.key, now=T0, held_until=after(2 * DAY))
    assert (told.new_starts, told.dangerous_starts, told.old_stops) == (after(starts), after(dangerous), after(stops))
    new = good(protocol.mint(step.reset, step.key, NEW, actor=MACHINE, now=T0, held_until=after(2 * DAY)))
    assert new.key.secrets[-1].starts_at == after(starts)
    assert new.key.secrets[-1].dangerous_starts_at == after(dangerous)
    assert new.key.secrets[0].stops_at == after(stops)


def test_r15_reset_again_inherits_the_hold_and_r21_a_gap_is_told() -> None:
    key = a_key(a_secret(stops_at=after(DAY)))
    step = proven(good(ask(key, actor=PERSON)), actor=PERSON)
    assert protocol.preview(step.reset, step.key, now=T0, held_until=after(2 * DAY)).gap == Gap(
        since=after(DAY), until=after(2 * DAY)
    )
    assert step.key.secrets[0].stops_at < FOREVER
