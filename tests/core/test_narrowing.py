"""A reset may narrow, never widen, whatever became of the key since (R23); and policies that tighten (R32)."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.core import allowlist, permission
from keyturn.core import reset as protocol
from keyturn.core.instant import FOREVER
from keyturn.core.key import Key
from keyturn.core.policy import PolicyFieldError, from_wire
from keyturn.core.refusal import Refusal
from keyturn.core.reset import Narrowing, Reason, Reset
from tests.core.keys import (
    DAY,
    HOUR,
    ITSELF,
    MACHINE,
    NEW,
    PERSON,
    PLAIN,
    T0,
    a_key,
    after,
    ask,
    good,
    proven,
)

PERMISSIONS = st.lists(
    st.sampled_from(["orders:read", "orders:write", "orders:admin", "*:read", "*:write", "fills:write"]), max_size=4
).map(permission.parse_set)
NETWORKS = st.lists(
    st.sampled_from(["192.0.2.0/24", "192.0.2.0/25", "192.0.2.128/25", "192.0.2.7/32", "10.0.0.0/8", "::/0"]),
    max_size=3,
).map(allowlist.parse_set)
EXPIRY = st.sampled_from([HOUR, DAY, 9 * DAY]).map(after) | st.just(FOREVER)


@given(
    held=PERMISSIONS,
    networks=NETWORKS,
    ends=EXPIRY,
    wish=st.tuples(PERMISSIONS, NETWORKS, EXPIRY),
    edit=st.tuples(PERMISSIONS, NETWORKS, EXPIRY),
)
def test_l3_r23_law_3_a_reset_never_widens_what_the_key_holds_when_it_is_minted(
    held: tuple[str, ...],
    networks: tuple[str, ...],
    ends: object,
    wish: tuple[tuple[str, ...], tuple[str, ...], object],
    edit: tuple[tuple[str, ...], tuple[str, ...], object],
) -> None:
    key = a_key(permissions=held, allowlist=networks, expires_at=ends)
    narrow = Narrowing(permissions=wish[0], allowlist=wish[1], expires_at=wish[2])  # type: ignore[arg-type]  # an instant
    asked = ask(key, narrow=narrow)
    fits = permission.covers(held, wish[0]) and allowlist.covers(networks, wish[1])
    fits = fits and wish[2] <= ends  # type: ignore[operator]  # as above
    if not fits:
        assert isinstance(asked, Refusal)
        return
    step = proven(good(asked))
    edited = replace(step.key, permissions=edit[0], allowlist=edit[1], expires_at=edit[2])  # type: ignore[arg-type]  # as above
    after_reset = good(protocol.mint(step.reset, edited, NEW, actor=MACHINE, now=T0)).key
    for narrower, wider in ((after_reset, edited),):
        assert permission.covers(wider.permissions, narrower.permissions)
        assert allowlist.covers(wider.allowlist, narrower.allowlist)
        assert narrower.expires_at <= wider.expires_at
    assert permission.covers(wish[0], after_reset.permissions)
    assert after_reset.expires_at <= wish[2]  # type: ignore[operator]  # as above
    if permission.covers(edit[0], wish[0]):
        assert after_reset.permissions == wish[0]


def narrowed(key: Key, narrow: Narrowing) -> str:
    asked = ask(key, narrow=narrow, policy=replace(PLAIN, allowlist_max=2))
    return asked.kind if isinstance(asked, Refusal) else "asked"


def many(count: int) -> tuple[str, ...]:
    return tuple(f"192.0.2.{n}/32" for n in range(count))


STORIES = {
    "R23 into the past": (a_key(), Narrowing(expires_at=T0), "invalid_field"),
    "R23 to the next moment": (a_key(), Narrowing(expires_at=after(timedelta(microseconds=1))), "asked"),
    "R30 an allowlist of the size that the policy allows": (a_key(), Narrowing(allowlist=many(2)), "asked"),
    "R30 a longer one": (a_key(), Narrowing(allowlist=many(3)), "allowlist_too_long"),
    "R30 a longer one than the policy's, but no longer than it was": (
        a_key(allowlist=many(4)),
        Narrowing(allowlist=many(3)),
        "asked",
    ),
}


@pytest.mark.parametrize("story", STORIES)
def test_what_a_reset_may_be_asked_to_take_away(story: str) -> None:
    key, narrow, kind = STORIES[story]
    assert narrowed(key, narrow) == kind


def test_r20_the_dates_follow_the_narrowed_expiry() -> None:
    step = proven(good(ask(a_key(), grace=DAY, narrow=Narrowing(expires_at=after(HOUR)))))
    assert protocol.preview(step.reset, step.key, now=T0).old_stops == after(HOUR)
    done = good(protocol.mint(step.reset, step.key, NEW, actor=MACHINE, now=T0))
    assert done.reset.old_stops_at == done.key.expires_at == after(HOUR)
    late = protocol.mint(step.reset, step.key, NEW, actor=MACHINE, now=after(timedelta(minutes=29)))
    assert not isinstance(late, Refusal) or late.kind == "proof_required"


def test_r20_nothing_is_minted_for_a_key_that_the_narrowing_has_ended() -> None:
    step = proven(good(ask(a_key(), narrow=Narrowing(expires_at=after(timedelta(minutes=1))))))
    late = protocol.mint(step.reset, step.key, NEW, actor=MACHINE, now=after(timedelta(minutes=1)))
    assert isinstance(late, Refusal)
    assert late.kind == "key_expired"


def kind_of_mint(reset: Reset, key: Key, actor: object) -> str:
    done = protocol.mint(reset, key, NEW, actor=actor, now=T0)  # type: ignore[arg-type]  # an actor
    return done.kind if isinstance(done, Refusal) else "minted"


def test_r32_a_policy_that_forbids_it_now_reaches_an_open_reset() -> None:
    person = proven(good(ask(a_key(), actor=PERSON)), actor=PERSON)
    strict = replace(PLAIN, manual="forbidden")
    assert kind_of_mint(person.reset, person.key, PERSON) == "minted"
    assert kind_of_mint(protocol.tighten(person.reset, strict, now=T0), person.key, PERSON) == "manual_reset_forbidden"
    free = replace(PLAIN, self_reset="allowed")
    itself = proven(good(ask(a_key(), actor=ITSELF, policy=free)), actor=ITSELF)
    assert kind_of_mint(itself.reset, itself.key, ITSELF) == "minted"
    assert kind_of_mint(protocol.tighten(itself.reset, PLAIN, now=T0), itself.key, ITSELF) == "self_reset_forbidden"
    machine = proven(good(ask(a_key())))
    assert kind_of_mint(protocol.tighten(machine.reset, strict, now=T0), machine.key, MACHINE) == "minted"


def test_r32_a_second_factor_required_since_is_wanted_of_an_open_reset() -> None:
    person = proven(good(ask(a_key(), actor=PERSON)), actor=PERSON)
    strict = protocol.tighten(person.reset, replace(PLAIN, step_up="required"), now=T0)
    assert strict.missing(T0) == ("totp", "passkey")
    assert kind_of_mint(strict, person.key, PERSON) == "proof_required"


def test_r32_a_policy_that_no_longer_waits_for_first_use_reaches_an_open_reset() -> None:
    waiting = replace(PLAIN, wait_for_first_use=True)
    for reason, longest in ((Reason.ROUTINE, HOUR), (Reason.LOST, 7 * DAY)):
        reset = good(ask(a_key(), reason, actor=PERSON, policy=waiting, grace=HOUR)).reset
        assert reset.terms.longest == 7 * DAY
        assert protocol.tighten(reset, PLAIN, now=T0).terms.longest == longest


def test_r30_permissions_that_need_an_allowlist_are_a_list() -> None:
    assert from_wire({"allowlist_required_for": ["*:write"]}, name="p", base=None).allowlist_required_for == (
        "*:write",
    )
    for bad in ("*:write", [1], {"*:write": 1}):
        with pytest.raises(PolicyFieldError):
            from_wire({"allowlist_required_for": bad}, name="p", base=None)
