"""Asking for a reset, or why not, and what is to be proved (R11, R14, R15, R22, K9)."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from keyturn.core import reset as protocol
from keyturn.core.key import Suspension
from keyturn.core.proof import PASSWORD, Proof
from keyturn.core.refusal import Refusal, SecondFactorNotEnrolled
from keyturn.core.reset import Narrowing, Reason, Step
from keyturn.core.stage import Event
from tests.core.keys import (
    DATED,
    DAY,
    ITSELF,
    PERSON,
    PLAIN,
    T0,
    a_key,
    a_secret,
    after,
    an_actor,
    ask,
    good,
    minted,
    proven,
)

REFUSED: dict[str, tuple[Callable[[], Step | Refusal], str]] = {
    "R20 a revoked key": (lambda: ask(a_key(revoked_at=T0)), "key_revoked"),
    "R20 an expired key": (lambda: ask(a_key(expires_at=T0)), "key_expired"),
    "R15 another version than expected": (lambda: ask(a_key(), expected_version=2), "key_changed"),
    "R14 minted since the request arrived": (lambda: ask(a_key(a_secret(rev=9)), arrived_rev=8), "key_changed"),
    "R5 one is open already": (lambda: ask(a_key(), latest=good(ask(a_key())).reset), "reset_already_open"),
    "R20 a grace beyond the policy": (lambda: ask(a_key(), grace=8 * DAY), "grace_too_long"),
    "R23 wider permissions": (lambda: ask(a_key(), narrow=Narrowing(permissions=("fills:write",))), "widening_refused"),
    "R23 a wider allowlist": (lambda: ask(a_key(), narrow=Narrowing(allowlist=("192.0.0.0/16",))), "widening_refused"),
    "R23 a later expiry": (
        lambda: ask(a_key(expires_at=after(DAY)), narrow=Narrowing(expires_at=after(2 * DAY))),
        "widening_refused",
    ),
    "R40 the key itself, where the policy forbids it": (lambda: ask(a_key(), actor=ITSELF), "self_reset_forbidden"),
    "R40 without the right": (lambda: ask(a_key(), actor=an_actor(permissions=())), "permission_missing"),
    "R40 a key with more rights": (lambda: ask(a_key(permissions=("keyturn.admin",))), "wider_than_actor"),
    "R43 a person, where people may not": (
        lambda: ask(a_key(), actor=PERSON, policy=replace(PLAIN, manual="forbidden")),
        "manual_reset_forbidden",
    ),
    "K9 from elsewhere": (
        lambda: ask(a_key(), policy=replace(PLAIN, reset_origin="allowlist_only"), reset_allowlist=("10.0.0.0/8",)),
        "reset_origin_refused",
    ),
    "K9 from nowhere known": (
        lambda: ask(
            a_key(),
            actor=an_actor(address=None),
            policy=replace(PLAIN, reset_origin="allowlist_only"),
            reset_allowlist=("10.0.0.0/8",),
        ),
        "reset_origin_refused",
    ),
}


@pytest.mark.parametrize("story", REFUSED)
def test_asking_is_refused(story: str) -> None:
    attempt, kind = REFUSED[story]
    refusal = attempt()
    assert isinstance(refusal, Refusal)
    assert refusal.kind == kind


def test_r15_the_expected_version_alone_decides_where_it_is_named() -> None:
    """A node that was cut off has applied less than the caller knows."""
    assert isinstance(ask(a_key(a_secret(rev=9)), arrived_rev=8, expected_version=1), Step)


def test_k9_an_empty_list_admits_every_address() -> None:
    assert isinstance(ask(a_key(), policy=replace(PLAIN, reset_origin="allowlist_only")), Step)


WANTED: dict[str, tuple[Step, tuple[str, ...]]] = {
    "R11 a person proves what the policy asks": (good(ask(a_key(), actor=PERSON)), ("password",)),
    "R11 in addition what they enrolled": (
        good(ask(a_key(), actor=PERSON, enrolled=frozenset({"totp"}))),
        ("password+totp",),
    ),
    "R11 any one of several": (
        good(ask(a_key(), actor=PERSON, enrolled=frozenset({"totp", "passkey", "recovery_code"}))),
        ("password+totp", "password+passkey"),
    ),
    "R11 recovery codes alone are no second factor": (
        good(ask(a_key(), actor=PERSON, enrolled=frozenset({"recovery_code"}))),
        ("password",),
    ),
    "R11 nothing more where the policy says none": (
        good(ask(a_key(), actor=PERSON, enrolled=frozenset({"totp"}), policy=replace(PLAIN, step_up="none"))),
        ("password",),
    ),
    "R11 or what the policy always wants": (
        good(ask(a_key(), actor=PERSON, enrolled=frozenset({"passkey"}), policy=replace(PLAIN, step_up="required"))),
        ("password+passkey",),
    ),
    "K9 or from a new place": (
        good(
            ask(
                a_key(),
                actor=PERSON,
                policy=replace(PLAIN, reset_origin="step_up_if_new", step_up="none"),
                reset_allowlist=("10.0.0.0/8",),
                enrolled=frozenset({"totp"}),
            )
        ),
        ("password+totp",),
    ),
    "K9 not from a place that is listed": (
        good(
            ask(
                a_key(),
                actor=PERSON,
                policy=replace(PLAIN, reset_origin="step_up_if_new"),
                reset_allowlist=("198.51.100.0/24",),
            )
        ),
        ("password",),
    ),
    "R40 a machine's credential is a complete proof": (good(ask(a_key())), ("credential",)),
    "R40 so is the key itself, where it may": (
        good(ask(a_key(), actor=ITSELF, policy=replace(PLAIN, self_reset="allowed"))),
        ("key_itself",),
    ),
    "R24 waiving a cool-down takes more: of a machine, which has no second factor, two administrators": (
        good(ask(a_key(), policy=DATED, waive_cool_down=True)),
        ("administrator+credential+second_administrator",),
    ),
    "R24 of a person a second factor where there is one, or two administrators": (
        good(ask(a_key(), actor=PERSON, policy=DATED, waive_cool_down=True)),
        ("password+administrator+second_administrator",),
    ),
    "R24 of a person with a second factor": (
        good(ask(a_key(), actor=PERSON, policy=DATED, waive_cool_down=True, enrolled=frozenset({"totp"}))),
        ("password+totp",),
    ),
    "R24 waiving none takes nothing": (good(ask(a_key(), waive_cool_down=True)), ("credential",)),
}


@pytest.mark.parametrize("story", WANTED)
def test_what_is_to_be_proved(story: str) -> None:
    step, missing = WANTED[story]
    assert step.reset.missing(T0) == missing


NOT_ENROLLED: dict[str, tuple[dict[str, object], tuple[str, ...], str]] = {
    "R11 the policy always wants one": ({"step_up": "required"}, ("totp", "passkey"), "step_up"),
    "R11 its proofs name one": (
        {"proofs": (frozenset({PASSWORD, "totp"}), frozenset({PASSWORD, "passkey"}))},
        ("totp", "passkey"),
        "proofs",
    ),
    "R11 its proofs name one, and step-up another": (
        {"proofs": (frozenset({PASSWORD, "totp"}),), "step_up": "required"},
        ("totp",),
        "proofs",
    ),
    "K9 from a new place": ({"reset_origin": "step_up_if_new"}, ("totp", "passkey"), "reset_origin"),
    "R11 its proofs name a recovery code": (
        {"proofs": (frozenset({PASSWORD, "recovery_code"}),)},
        ("recovery_code",),
        "proofs",
    ),
}


@pytest.mark.parametrize("story", NOT_ENROLLED)
def test_whoever_has_no_second_factor_that_is_wanted_is_told_so(story: str) -> None:
    fields, wanted, field = NOT_ENROLLED[story]
    policy = replace(PLAIN, **fields)  # type: ignore[arg-type]  # as the story names them
    refusal = ask(a_key(), actor=PERSON, policy=policy, reset_allowlist=("10.0.0.0/8",))
    assert refusal == SecondFactorNotEnrolled(wanted=wanted, policy="plain", field=field)


def test_r11_a_recovery_code_opens_what_a_second_factor_would() -> None:
    policy = replace(PLAIN, proofs=(frozenset({PASSWORD, "totp"}),), step_up="none")
    enrolled = frozenset({"passkey", "recovery_code"})
    asked = good(ask(a_key(), actor=PERSON, policy=policy, enrolled=enrolled))
    assert asked.reset.missing(T0) == ("password+totp",)
    step = proven(asked, actor=PERSON)
    code = Proof(kind="recovery_code", by="usr_1", at=T0, session="ses_1")
    assert good(protocol.prove(step.reset, step.key, code, now=T0)).event is Event.PROOF_COMPLETED


def test_r22_a_leaked_key_is_suspended_the_moment_it_is_asked() -> None:
    step = good(ask(a_key(), Reason.LEAKED))
    assert step.key.suspension == Suspension(at=T0, by="key_robot", reason="leaked", reset_id="rst_1")
    held = a_key(suspension=Suspension(at=T0, by="x", reason="before"))
    assert good(ask(held, Reason.LEAKED)).key == held
    assert good(ask(a_key())).key.suspension is None


def test_r22_a_completed_reset_of_a_leaked_key_lifts_the_suspension_and_another_does_not() -> None:
    held = a_key(suspension=Suspension(at=T0, by="x", reason="before"))
    assert minted(held, Reason.LEAKED).key.suspension is None
    assert minted(held, Reason.ROUTINE).key.suspension == held.suspension
