"""The form of a secret, its digest (R3, R4), and the feed's own form of a key (F1)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from hmac import new as hmac
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.core import feed, secret
from keyturn.core.feed import KeyState, Predicate, SecretState
from keyturn.core.instant import FOREVER, Instant
from keyturn.core.limit import Limit
from keyturn.core.secret import ALPHABET, Pepper, SecretText

PEPPER = Pepper("p1", b"\x01" * 32)
T0 = Instant(datetime(2030, 1, 1, tzinfo=UTC))


@given(
    st.binary(min_size=32, max_size=32),
    st.sampled_from(["kt", "acme", "my_brand_2"]),
    st.sampled_from(["live", "test"]),
)
def test_r4_a_generated_secret_has_its_form_and_checksum(entropy: bytes, brand: str, environment: str) -> None:
    made = secret.make(brand=brand, environment=environment, entropy=entropy, pepper=PEPPER)
    text = made.text.reveal
    assert text.startswith(f"{brand}_{environment}_")
    assert len(text) == len(brand) + len(environment) + 2 + 49
    assert set(text[-49:]) <= set(ALPHABET)
    assert secret.is_well_formed(text)
    assert made.hint == f"{brand}_{environment}_…{text[-4:]}"


@given(st.binary(min_size=32, max_size=32), st.integers(0, 48), st.sampled_from(ALPHABET))
def test_r4_a_typing_error_is_noticed(entropy: bytes, at: int, char: str) -> None:
    text = secret.make(brand="kt", environment="live", entropy=entropy, pepper=PEPPER).text.reveal
    where = len(text) - 49 + at
    typed = text[:where] + char + text[where + 1 :]
    assert secret.is_well_formed(typed) is (typed == text)


def test_r3_pitfall_9_the_digest_is_hmac_under_the_pepper_and_the_pepper_makes_no_secret() -> None:
    made = secret.make(brand="kt", environment="live", entropy=bytes(32), pepper=PEPPER)
    text = made.text.reveal
    assert secret.fingerprint(text) == sha256(text.encode()).digest()
    assert made.digest == hmac(PEPPER.value, sha256(text.encode()).digest(), "sha256").digest()
    assert made.pepper == "p1"
    other = secret.make(brand="kt", environment="live", entropy=b"\x07" * 32, pepper=PEPPER)
    assert other.text.reveal != text  # what a secret is comes from its randomness alone
    elsewhere = secret.make(brand="kt", environment="live", entropy=bytes(32), pepper=Pepper("p2", bytes(32)))
    assert (elsewhere.text.reveal, elsewhere.digest == made.digest) == (text, False)


def test_k11_neither_secret_nor_pepper_shows_itself() -> None:
    made = secret.make(brand="kt", environment="live", entropy=bytes(32), pepper=PEPPER)
    shown = f"{made!r} {made.text} {PEPPER!r} {SecretText('x')!r}"
    assert made.text.reveal not in shown
    assert PEPPER.value.hex() not in shown
    assert "\\x01" not in repr(PEPPER)


@pytest.mark.parametrize("brand", ["", "KT", "k-t", "_kt", "kt_", "a__b", "x" * 17, "a_b_c_d_e"])
def test_pitfall_17_a_brand_that_cannot_stand_in_front_is_refused(brand: str) -> None:
    with pytest.raises(ValueError, match="not a brand"):
        secret.check_brand(brand)


def test_too_little_randomness_is_refused() -> None:
    with pytest.raises(ValueError, match="32 random bytes"):
        secret.make(brand="kt", environment="live", entropy=b"short", pepper=PEPPER)


@pytest.mark.parametrize("text", ["", "kt_live_", "x" * 200, "kt_live_" + "0" * 49, "kt_prod_" + "0" * 49, "\ud800"])
def test_what_cannot_be_a_secret(text: str) -> None:
    assert not secret.is_well_formed(text)
    assert len(secret.fingerprint(text)) == 32


STATE = KeyState(
    number=7,
    key_id="key_1",
    account_id="acc_1",
    owner_id="usr_1",
    environment="live",
    permissions=("orders:read",),
    allowlist=("192.0.2.0/24",),
    limit=Limit(requests=5, window=timedelta(minutes=1)),
    expires_at=FOREVER,
    suspended=True,
    revoked=False,
    secrets=(
        SecretState(
            version=1,
            starts_at=T0,
            dangerous_starts_at=T0,
            stops_at=FOREVER,
            stopped=False,
            replaced_by="rst_1",
            watched=True,
        ),
    ),
)


@pytest.mark.parametrize("change", [STATE, Predicate(account_id="acc_1"), Predicate()])
def test_f1_a_feed_entry_survives_its_stored_form(change: KeyState | Predicate) -> None:
    assert feed.from_json(feed.to_json(change)) == change


def test_f1_a_key_without_a_limit_too() -> None:
    unlimited = replace(STATE, limit=None)
    assert feed.from_json(feed.to_json(unlimited)) == unlimited


PLAIN = feed.to_plain(STATE)
FOREIGN: dict[str, Any] = {
    "F1 nothing": None,
    "F1 a list": [],
    "F1 no kind": {},
    "F1 a predicate that is cut": {"kind": "many", "account_id": ""},
    "F1 a key that is cut": {name: value for name, value in PLAIN.items() if name != "revoked"},
    "F1 a number that is true": PLAIN | {"number": True},
    "F1 permissions that are null": PLAIN | {"permissions": None},
    "F1 a secret that is a text": PLAIN | {"secrets": ["version"]},
    "F1 a secret without its hexadecimal digits": PLAIN | {"secrets": [PLAIN["secrets"][0] | {"public_key": None}]},
    "F1 an instant beyond all years": PLAIN | {"expires_at": (1 << 63) - 1},
    "F1 an id of two lines": PLAIN | {"key_id": "key_1\nacc_2"},
}


@pytest.mark.parametrize("story", FOREIGN)
def test_f1_what_was_not_written_as_a_change_is_no_change(story: str) -> None:
    """One kind of error, whatever is wrong with it: it may have come from outside."""
    with pytest.raises(ValueError, match=r"feed|neither"):
        feed.from_plain(FOREIGN[story])


def test_r3_a_pepper_is_known_by_a_mark_that_is_neither_itself_nor_another_ones() -> None:
    one, other = Pepper("p0001", b"a" * 32), Pepper("p0001", b"b" * 32)
    assert one.mark == Pepper("p0002", b"a" * 32).mark != other.mark
    assert one.value.hex() not in one.mark
    assert len(bytes.fromhex(one.mark)) == 32
