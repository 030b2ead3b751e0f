"""Policies with their strictness and floors (R30, R31), the presets value by value, and proofs (R11)."""

from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.core import policy, proof
from keyturn.core.account import Account, key_limit
from keyturn.core.duration import UNTIL_STOPPED
from keyturn.core.instant import Instant
from keyturn.core.policy import FIELDS, Policy, PolicyFieldError, Rule
from keyturn.core.proof import Proof
from keyturn.outside import presets

T0 = Instant(datetime(2030, 1, 1, tzinfo=UTC))
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
PASSWORD_AND_CODE = (frozenset({"password", "totp"}),)

# presets.md, value by value; what a preset leaves empty it has from tradingonramp.
PRESETS: dict[str, dict[str, Any]] = {
    "tradingonramp": {
        "max_age": 90 * DAY,
        "on_max_age": "require_reset",
        "cool_down": 0 * DAY,
        "grace_default": 0 * DAY,
        "grace_max": 7 * DAY,
        "proofs": (frozenset({"password", "captcha"}), frozenset({"password", "email_link"})),
        "manual": "protocol",
        "own_secret": "forbidden",
        "self_reset": "forbidden",
        "on_password_change": Rule(effect="reset", after=7 * DAY),
        "on_member_added": Rule(effect="reset", after=7 * DAY),
        "on_leak": "reset",
        "reset_origin": "allowlist_only",
        "max_keys_per_user": 50,
    },
    "coinbase": {
        "max_age": 60 * DAY,
        "on_max_age": "require_reset",
        "grace_default": UNTIL_STOPPED,
        "grace_max": UNTIL_STOPPED,
        "proofs": (frozenset({"password", "totp"}), frozenset({"password", "passkey"})),
        "on_password_change": Rule(effect="hold", after=48 * HOUR),
        "expiry": "asked",
    },
    "binance": {
        "max_age": 90 * DAY,
        "cool_down": 24 * HOUR,
        "grace_max": 0 * DAY,
        "proofs": PASSWORD_AND_CODE,
        "on_password_change": Rule(effect="hold", after=48 * HOUR),
        "no_allowlist_rule": Rule(effect="drop_write", after=30 * DAY),
        "allowlist_required_for": ("withdrawals:write",),
    },
    "kraken": {"proofs": PASSWORD_AND_CODE, "hold_after_account_change": DAY, "expiry": "optional"},
    "okx": {
        "proofs": PASSWORD_AND_CODE,
        "no_allowlist_rule": Rule(effect="stop_if_idle", after=14 * DAY),
        "allowlist_max": 20,
    },
    "bybit": {
        "proofs": PASSWORD_AND_CODE,
        "on_password_change": Rule(effect="stop", after=7 * DAY),
        "no_allowlist_rule": Rule(effect="stop", after=90 * DAY),
    },
    "stripe": {"proofs": PASSWORD_AND_CODE, "grace_default": 0 * DAY, "grace_max": 7 * DAY, "expiry": "optional"},
    "github": {
        "proofs": PASSWORD_AND_CODE,
        "on_leak": "revoke",
        "idle_expiry": 365 * DAY,
        "max_keys_per_user": 50,
        "expiry": "required",
    },
    "aws": {
        "max_age": 90 * DAY,
        "on_max_age": "remind",
        "grace_default": UNTIL_STOPPED,
        "grace_max": UNTIL_STOPPED,
        "proofs": (frozenset({"password"}),),
        "manual": "two_step",
        "on_leak": "suspend",
        "max_keys_per_user": 2,
    },
}


def test_r30_every_field_has_its_reading_its_order_and_its_sentence() -> None:
    assert {one.name for one in fields(Policy)} == {"name", "version", "base", *FIELDS}
    assert all(spec.doc and spec.strictness for spec in FIELDS.values())


@pytest.mark.parametrize("name", PRESETS)
def test_r30_the_presets_are_as_written_down(name: str) -> None:
    preset = presets.load()[name]
    expected = {key: getattr(presets.load()["tradingonramp"], key) for key in FIELDS} | PRESETS[name]
    assert {key: getattr(preset, key) for key in FIELDS} == expected
    assert set(presets.sources(name).values()) <= {"article", "docs", "design"}
    assert next(iter(presets.load())) == "tradingonramp"
    assert set(presets.load()) == set(PRESETS)


policies = st.sampled_from(sorted(PRESETS)).map(lambda name: presets.load()[name])


@given(policies, policies)
def test_r31_a_floor_is_kept_field_by_field_and_the_stricter_wins(chosen: Policy, floor: Policy) -> None:
    effective = policy.resolve(key=chosen, account=None, deployment=floor, floors=(floor,))
    for name, spec in FIELDS.items():
        value = getattr(effective.policy, name)
        assert spec.stricter(value, getattr(floor, name)) == value, name
        assert effective.source(name) in (chosen.name, floor.name)
        if value != getattr(chosen, name):
            assert effective.source(name) == floor.name
    assert policy.resolve(key=chosen, account=None, deployment=floor, floors=()).policy == chosen


@given(policies, policies)
def test_r31_strictness_is_an_order(one: Policy, other: Policy) -> None:
    strict = policy.stricter_policy(one, other)
    assert policy.stricter_policy(strict, other) == strict
    assert policy.differences(policy.stricter_policy(one, one), one) == ()


def test_r31_the_most_specific_policy_applies() -> None:
    key, account, deployment = (Policy(name=name) for name in ("key", "account", "deployment"))
    resolve = policy.resolve
    assert resolve(key=key, account=account, deployment=deployment, floors=()).policy.name == "key"
    assert resolve(key=None, account=account, deployment=deployment, floors=()).policy.name == "account"
    assert resolve(key=None, account=None, deployment=deployment, floors=()).policy.name == "deployment"


@given(policies)
def test_r30_a_policy_survives_its_wire_form(one: Policy) -> None:
    again = policy.from_wire(policy.to_wire(one), name=one.name, base=None, version=one.version)
    assert policy.differences(again, one) == ()


BAD: dict[str, dict[str, Any]] = {
    "an unknown field": {"nonsense": 1},
    "a number for a duration": {"max_age": 90},
    "an endless cool-down": {"cool_down": "until_stopped"},
    "no duration at all": {"cool_down": "soon"},
    "an unknown choice": {"manual": "sometimes"},
    "a truth for a count": {"attempts": True},
    "a count of none": {"attempts": 0},
    "a text for a truth": {"wait_for_first_use": "yes"},
    "a rule without a time": {"on_password_change": "reset"},
    "none with a time": {"on_password_change": "none:1d"},
    "a rule that is none": {"on_password_change": 5},
    "proofs that are no list": {"proofs": "password"},
    "no proofs": {"proofs": []},
    "an unknown proof": {"proofs": ["password+dance"]},
    "a bad permission": {"allowlist_required_for": ["withdraw"]},
    "a grace beyond its own maximum": {"grace_default": "8d", "grace_max": "7d"},
}


@pytest.mark.parametrize("story", BAD)
def test_r30_a_bad_field_is_named(story: str) -> None:
    with pytest.raises(PolicyFieldError) as error:
        policy.from_wire(BAD[story], name="x", base=Policy(name="base"))
    assert error.value.field in BAD[story]
    assert error.value.reason


def test_r30_none_and_rules_are_read() -> None:
    made = policy.from_wire({"max_age": None, "idle_expiry": "none", "on_password_change": "none"}, name="x", base=None)
    assert (made.max_age, made.idle_expiry, made.on_password_change.effect) == (None, None, "none")


def test_k10_the_administrators_number_wins_but_for_a_floor() -> None:
    account = Account(id="acc_1", name="a", created_at=T0)
    chosen, floor = Policy(name="p", max_keys_per_user=50), Policy(name="f", max_keys_per_user=10)
    own = Account(id="acc_1", name="a", created_at=T0, max_keys_per_user=70)
    assert (key_limit(account, chosen, ()), key_limit(own, chosen, ()), key_limit(own, chosen, (floor,))) == (
        50,
        70,
        10,
    )


def _proof(kind: str, *, at: Instant = T0) -> Proof:
    return Proof(kind=kind, by="usr_1", at=at)


def test_r11_sets_are_alternatives_and_go_stale() -> None:
    sets = proof.parse_sets(["password+captcha", "password+email_link"])
    lasts = timedelta(minutes=10)
    assert proof.missing_to_wire(proof.missing(sets, [], now=T0, lasts=lasts)) == (
        "password+captcha",
        "password+email_link",
    )
    assert proof.missing_to_wire(proof.missing(sets, [_proof("password")], now=T0, lasts=lasts)) == (
        "captcha",
        "email_link",
    )
    both = [_proof("password"), _proof("captcha")]
    assert proof.missing(sets, both, now=T0, lasts=lasts) == ()
    stale = Instant(T0 + lasts)
    assert proof.missing(sets, both, now=stale, lasts=lasts) == sets


def test_r11_r24_what_is_wanted_in_addition() -> None:
    plain = (frozenset({"password"}),)
    assert proof.sets_to_wire(proof.with_second_factor(plain)) == ["password+totp", "password+passkey"]
    assert proof.with_second_factor(PASSWORD_AND_CODE) == PASSWORD_AND_CODE
    waived = proof.sets_to_wire(proof.with_waiver((frozenset({"credential"}),)))
    assert waived == ["totp+credential", "passkey+credential", "administrator+credential+second_administrator"]


def test_r11_a_set_that_holds_another_is_left_out() -> None:
    assert proof.parse_sets(["password", "password+totp", "password"]) == (frozenset({"password"}),)


def test_r11_a_recovery_code_stands_for_one_second_factor() -> None:
    lasts = timedelta(minutes=10)

    def left(sets: list[str], *shown: str) -> tuple[str, ...]:
        proofs = [_proof(kind) for kind in shown]
        return proof.missing_to_wire(proof.missing(proof.parse_sets(sets), proofs, now=T0, lasts=lasts))

    assert left(["password+totp"], "recovery_code") == ("password",)
    assert left(["password+totp", "password+passkey"], "password", "recovery_code") == ()
    assert left(["password+totp+passkey"], "password", "recovery_code") == ("totp",)
    assert left(["password+captcha"], "recovery_code") == ("password+captcha",)
    assert left(["password+recovery_code"], "password", "recovery_code") == ()
    assert left(["totp+recovery_code"], "recovery_code") == ("totp",)  # named, it stands for itself


def test_r11_what_can_be_given_and_what_would_have_to_be_enrolled() -> None:
    sets = proof.parse_sets(["password+totp", "password+passkey", "password+captcha+recovery_code"])
    nothing = frozenset[str]()
    assert proof.attainable(sets, nothing) == ()
    assert proof.not_enrolled(sets, nothing) == ("totp", "passkey", "recovery_code")
    assert proof.sets_to_wire(proof.attainable(sets, frozenset({"passkey"}))) == ["password+passkey"]
    with_codes = frozenset({"passkey", "recovery_code"})
    assert proof.sets_to_wire(proof.attainable(sets, with_codes)) == [
        "password+passkey",
        "password+captcha+recovery_code",
    ]
    by_code_alone = proof.parse_sets(["password+totp"])
    assert proof.attainable(by_code_alone, with_codes) == by_code_alone
    assert proof.attainable(proof.parse_sets(["password+captcha"]), nothing)


def test_r11_what_is_of_use() -> None:
    sets = proof.parse_sets(["password+captcha", "password+totp"])
    assert all(proof.wants(sets, kind) for kind in ("password", "captcha", "totp", "recovery_code"))
    assert not any(proof.wants(sets, kind) for kind in ("passkey", "email_link", "administrator"))
    assert not proof.wants(proof.parse_sets(["password"]), "recovery_code")


def test_r40_an_operator_vouches_for_what_was_shown_to_it() -> None:
    said = {
        "password": "2029-12-31T23:55:00Z",
        "totp": "2030-01-01T01:00:00Z",
        "credential": "2029-12-31T23:55:00Z",
        "administrator": "2029-12-31T23:55:00Z",
        "captcha": "yesterday",
    }
    proofs = proof.vouched(said, by="key_operator", session="ses_1", now=T0)
    assert proofs == (
        Proof(kind="password", by="key_operator", at=Instant(T0 - timedelta(minutes=5)), session="ses_1"),
        Proof(kind="totp", by="key_operator", at=T0, session="ses_1"),
    )
