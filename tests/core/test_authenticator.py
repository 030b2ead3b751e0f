"""Second factors as values: what is used up, what a change takes, how codes are read (K2, R11)."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from keyturn.core.authenticator import (
    ENROLMENT_LASTS,
    MOST_AUTHENTICATORS,
    RECENT,
    Authenticator,
    Challenge,
    Purpose,
    SessionProof,
    Shown,
    answers,
    check_recent,
    check_room,
    confirm,
    enrolled,
    read_code,
    read_totp,
    use_count,
    use_step,
)
from keyturn.core.refusal import AuthenticatorRefused, ProofRequired, TooManyAuthenticators
from tests.world import T0

APP = Authenticator(id="aut_1", user_id="usr_1", kind="totp", name="phone", made_at=T0, confirmed_at=T0, step=100)
BEGUN = replace(APP, confirmed_at=None, step=-1)
PASSKEY = replace(APP, kind="passkey", step=-1, credential_id=b"one", sign_count=5)
SECOND = timedelta(seconds=1)


def test_k2_what_is_enrolled_is_what_is_confirmed() -> None:
    stories: dict[str, tuple[list[Authenticator], int, set[str]]] = {
        "nothing": ([], 0, set()),
        "an app that was begun": ([BEGUN], 0, set()),
        "an app": ([APP], 0, {"totp"}),
        "an app and a passkey": ([APP, PASSKEY], 0, {"totp", "passkey"}),
        "with recovery codes": ([APP], 3, {"totp", "recovery_code"}),
        "R11 recovery codes stand for a factor and are nothing without one": ([BEGUN], 3, set()),
    }
    for story, (authenticators, codes, kinds) in stories.items():
        assert enrolled(authenticators, recovery_codes=codes) == kinds, story


def test_an_app_proves_nothing_before_its_first_code() -> None:
    confirmed = confirm(BEGUN, 200, now=T0 + SECOND)
    assert confirmed == replace(BEGUN, confirmed_at=T0 + SECOND, step=200)
    assert use_step(BEGUN, 200, now=T0) is None
    stories: dict[str, tuple[Authenticator, int | None, timedelta]] = {
        "a wrong code": (BEGUN, None, SECOND),
        "confirmed already": (APP, 200, SECOND),
        "no app": (replace(PASSKEY, confirmed_at=None), 200, SECOND),
        "begun too long ago": (BEGUN, 200, ENROLMENT_LASTS),
    }
    for story, (one, step, after) in stories.items():
        assert confirm(one, step, now=T0 + after) == AuthenticatorRefused(), story
    assert not isinstance(confirm(BEGUN, 200, now=T0 + ENROLMENT_LASTS - SECOND), AuthenticatorRefused)


@given(step=st.integers(min_value=0, max_value=300))
def test_r11_a_code_and_every_earlier_one_is_used_once(step: int) -> None:
    used = use_step(APP, step, now=T0 + SECOND)
    if step <= APP.step:
        assert used is None
        return
    assert used == replace(APP, step=step, last_used_at=T0 + SECOND)
    assert use_step(used, step, now=T0 + SECOND) is None


def test_r11_no_step_and_no_app_are_no_use() -> None:
    assert use_step(APP, None, now=T0) is None
    assert use_step(PASSKEY, 200, now=T0) is None


def test_a_passkey_whose_count_does_not_grow_has_a_double() -> None:
    stories: dict[str, tuple[Authenticator, int, bool]] = {
        "it grew": (PASSKEY, 6, True),
        "it stood still": (PASSKEY, 5, False),
        "it went back": (PASSKEY, 4, False),
        "it stopped counting": (PASSKEY, 0, False),
        "it never counted": (replace(PASSKEY, sign_count=0), 0, True),
        "it began to count": (replace(PASSKEY, sign_count=0), 1, True),
        "no passkey": (APP, 6, False),
    }
    for story, (one, count, good) in stories.items():
        used = use_count(one, count, now=T0 + SECOND)
        assert used == (replace(one, sign_count=count, last_used_at=T0 + SECOND) if good else None), story


CHALLENGE = Challenge(
    purpose=Purpose.RESET, user_id="usr_1", session="ses_1", subject_id="rst_1", ends_at=T0 + timedelta(minutes=5)
)


def test_r11_a_challenge_is_for_one_purpose_person_session_and_reset() -> None:
    right: dict[str, Any] = {"user_id": "usr_1", "session": "ses_1", "subject_id": "rst_1", "now": T0}
    assert answers(CHALLENGE, Purpose.RESET, **right)
    assert answers(CHALLENGE, Purpose.RESET, **right | {"now": CHALLENGE.ends_at - SECOND})
    wrong: dict[str, dict[str, Any]] = {
        "another person": {"user_id": "usr_2"},
        "another session": {"session": "ses_2"},
        "another reset": {"subject_id": "rst_2"},
        "its time is over": {"now": CHALLENGE.ends_at},
    }
    for story, changed in wrong.items():
        assert not answers(CHALLENGE, Purpose.RESET, **right | changed), story
    assert not answers(CHALLENGE, Purpose.SIGN_IN, **right)
    assert not answers(None, Purpose.RESET, **right)


def test_a_change_takes_what_was_shown_within_ten_minutes() -> None:
    password, code = SessionProof(kind="password", at=T0), SessionProof(kind="totp", at=T0)
    recovery = SessionProof(kind="recovery_code", at=T0)
    nothing, app = frozenset[str](), frozenset({"totp", "recovery_code"})
    just = RECENT - SECOND
    with_app = ProofRequired(missing=("recovery_code", "totp"))
    stories: dict[str, tuple[list[SessionProof], frozenset[str], timedelta, object]] = {
        "the password, where nothing else is": ([password], nothing, just, None),
        "too long ago": ([password], nothing, RECENT, ProofRequired(missing=("password",))),
        "nothing shown": ([], nothing, just, ProofRequired(missing=("password",))),
        "a second factor that is gone": ([code], nothing, just, ProofRequired(missing=("password",))),
        "the password is not enough to take a second factor away": ([password], app, just, with_app),
        "a second factor": ([code], app, just, None),
        "a recovery code": ([recovery], app, just, None),
        "a second factor too long ago": ([password, code], app, RECENT, with_app),
    }
    for story, (proofs, kinds, after, wanted) in stories.items():
        assert check_recent(proofs, kinds, now=T0 + after) == wanted, story


def test_one_person_has_so_many_and_no_more() -> None:
    many = [APP] * MOST_AUTHENTICATORS
    assert check_room(many[1:]) is None
    assert check_room([*many[1:], BEGUN]) is None
    assert check_room(many) == TooManyAuthenticators(limit=MOST_AUTHENTICATORS)


def test_codes_are_read_as_people_type_them() -> None:
    assert read_code("abcd-ef01 8jkl\tmnop") == "ABCDEFOIBJKLMNOP"
    assert read_totp("123 456") == "123456"
    for text in ("", "12345", "1234567", "12345a", "\u0661\u0662\u0663\u0664\u0665\u0666", "-12345"):
        assert read_totp(text) == "", text


def test_what_is_shown_is_not_written_anywhere() -> None:
    shown = Shown(kind="recovery_code", code="ABCD-EFGH-IJKL-MNOP", credential={"id": "secret"})
    assert repr(shown) == "Shown(kind='recovery_code')"
