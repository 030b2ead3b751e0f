"""What a customer brings (R42): an own label, an own public key, an own secret."""

import json
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from hmac import new as hmac
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.core import feed, own_secret, public_key, secret
from keyturn.core import reset as protocol
from keyturn.core.key import state_for_verifiers
from keyturn.core.public_key import PublicKey
from keyturn.core.refusal import OwnSecretForbidden
from keyturn.core.reset import Step
from keyturn.core.secret import ALPHABET, Pepper, SecretKind
from keyturn.core.signature import LONGEST_BASE, read_base
from tests.core.keys import MACHINE, PLAIN, T0, a_key, a_secret, ask, good, proven

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "signed.json").read_text("utf-8"))
PEPPER = Pepper("p1", b"\x01" * 32)
RAW = public_key.parse(VECTORS["public_keys"][0]).raw
labels = st.lists(st.text(ALPHABET[:10] + ALPHABET[36:], min_size=1, max_size=8), min_size=1, max_size=3).map("_".join)


# R42a: the label


@given(st.binary(min_size=32, max_size=32), labels.filter(lambda label: "own" not in label.split("_")))
def test_r42_a_label_stands_in_the_secret_behind_the_brand(entropy: bytes, label: str) -> None:
    prefix = secret.labelled("kt", secret.check_label(label))
    text = secret.make(brand=prefix, environment="live", entropy=entropy, pepper=PEPPER).text.reveal
    assert text.startswith(f"kt_{label}_live_")
    assert secret.is_well_formed(text)
    assert own_secret.label_of(text) == ""


def test_r42_a_key_without_a_label_is_as_before() -> None:
    assert secret.check_brand("my_brand_2") == "my_brand_2"
    assert secret.labelled("kt", "") == "kt"


@pytest.mark.parametrize("label", ["", "Bot", "b-t", "_b", "b_", "a__b", "x" * 33, "own", "my_own", "é", "b\n"])
def test_r42_what_is_no_label(label: str) -> None:
    with pytest.raises(ValueError, match=r"lower-case letters|is taken"):
        secret.check_label(label)


def test_r42_brand_and_label_together_stay_within_what_is_read_as_a_secret() -> None:
    """Pitfall 17: both are stored, so the longest are read back whole as well."""
    brand = "_".join(["x" * 16] * 3 + ["x" * 8])
    longest = secret.labelled(brand, "y" * 7)
    text = secret.make(brand=longest, environment="live", entropy=bytes(32), pepper=PEPPER).text.reveal
    assert secret.is_well_formed(text)
    with pytest.raises(ValueError, match="room for 7 characters"):
        secret.labelled(brand, "y" * 8)


@pytest.mark.parametrize("brand", ["own", "my_own", "own_it"])
def test_r42_no_brand_has_the_word_that_marks_an_own_secret(brand: str) -> None:
    with pytest.raises(ValueError, match="but not 'own'"):
        secret.check_brand(brand)


@pytest.mark.parametrize("prefix", ["", "a-b", "A", "x" * 68])
def test_r4_nothing_else_stands_in_front_of_a_secret(prefix: str) -> None:
    with pytest.raises(ValueError, match="in front"):
        secret.make(brand=prefix, environment="live", entropy=bytes(32), pepper=PEPPER)


# R42b: the public key


@pytest.mark.parametrize("case", VECTORS["refused_public_keys"], ids=lambda case: case["why"])
def test_r42_a_public_key_that_is_not_safe_is_refused(case: dict[str, str]) -> None:
    told = {"a private key": "private key", "31 bytes": "write an", "no base64": "write an"}.get(case["why"], "safe")
    with pytest.raises(ValueError, match=told) as refused:
        public_key.parse(case["public_key"])
    assert case["public_key"] not in str(refused.value)


def test_r42_no_other_way_to_write_a_point_is_accepted() -> None:
    """Every encoding that is not canonical: y written as y + p, and a sign where there is none."""
    prime = 2**255 - 19
    others = [y + prime | sign << 255 for y in range(19) for sign in (0, 1)]
    others += [y | 1 << 255 for y in (1, prime - 1)]
    for number in others:
        with pytest.raises(ValueError, match="safe to verify with"):
            public_key.check(number.to_bytes(32, "little"))


def test_r42_a_public_key_is_read_in_pem_and_in_base64() -> None:
    text = VECTORS["public_keys"][0]
    der = public_key._DER + RAW
    body = b64encode(der).decode()
    forms = (
        text,
        f"  {text.rstrip('=')}\n",
        text.replace("+", "-").replace("/", "_"),
        body,
        f"-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n",
    )
    assert {public_key.parse(form) for form in forms} == {PublicKey(RAW)}
    with pytest.raises(ValueError, match="write an Ed25519"):
        public_key.parse(f"-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----")


def test_r42_no_fingerprint_comes_out_as_what_is_stored_of_a_public_key() -> None:
    """Domain separation: neither the key, its text nor its SHA-256 is digested to the stored form."""
    kept = public_key.keep(RAW, pepper=PEPPER)
    text = VECTORS["public_keys"][0]
    shown = (RAW, sha256(RAW).digest(), secret.fingerprint(text), secret.fingerprint(text.rstrip("=")))
    assert kept.digest not in {secret.at_rest(one, PEPPER) for one in shown}
    assert kept.digest == hmac(PEPPER.value, b"keyturn public key ed25519\0" + RAW, "sha256").digest()
    assert (kept.kind, kept.public_key, kept.pepper) == (SecretKind.PUBLIC_KEY, RAW, "p1")
    assert kept.hint == f"ed25519_…{text.rstrip('=')[-4:]}"


def test_r42_f4_the_feed_tells_that_requests_are_signed_and_with_what() -> None:
    key = a_key(replace(a_secret(), kind=SecretKind.PUBLIC_KEY, public_key=RAW))
    state = state_for_verifiers(key)
    assert state.secrets[0].public_key == RAW
    assert feed.from_json(feed.to_json(state)) == state
    assert key.kind is SecretKind.PUBLIC_KEY
    plain = state_for_verifiers(a_key(a_secret()))
    assert "public_key" not in feed.to_json(plain)
    assert feed.from_json(feed.to_json(plain)) == plain


# RFC 9421


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["name"])
def test_r42_a_base_is_read_or_malformed(case: dict[str, str]) -> None:
    said = read_base(case["base"])
    # That it names this key and this algorithm is looked at later (tests/verify/test_signed.py).
    if case["code"] != "malformed":
        assert said is not None
        assert (said.key_id, said.algorithm) == ("key_1", "ed25519")


def test_r42_an_escaped_text_and_a_base_that_is_too_long() -> None:
    tail = ';created=1;keyid="k\\"\\\\";alg="ed25519"'
    said = read_base(f'"@method": GET\n"@signature-params": ("@method"){tail}')
    assert said is not None
    assert said.key_id == 'k"\\'
    value = "x" * LONGEST_BASE
    assert read_base(f'"x": {value}\n"@signature-params": ("x"){tail}') is None


@given(st.text(max_size=200))
def test_r42_any_text_is_read_or_not_and_nothing_else(text: str) -> None:
    assert read_base(text) is None or text.isascii()


# R42c: the own secret

STRONG = "tr4wl-Kettle.9_Quay~moss+Hinge77x"


def test_r42_an_own_secret_says_its_label_and_nothing_else_does() -> None:
    stories = {
        f"kt_own_bot_{STRONG}": "bot",
        f"my_brand_own_bot7_{STRONG}": "bot7",
        f"kt_own_a_own_b_{STRONG}": "a",
        f"kt_own_bot_{'x' * 32}": "bot",
        f"kt_own_bot_{'x' * 128}": "bot",
        f"kt_own_bot_{'x' * 129}": "",
        f"kt_own_bot_{'x' * 31}": "",
        f"kt_own_Bot_{STRONG}": "",
        f"kt_own__{STRONG}": "",
        f"kt_bot_{STRONG}": "",
        f"kt_own_bot_{STRONG} ": "",
        f"kt_own_bot_{STRONG}é": "",
        "": "",
    }
    for text, label in stories.items():
        assert own_secret.label_of(text) == label, text
        assert own_secret.is_presentable(text) is bool(label), text


def test_r42_what_is_made_here_is_never_taken_for_an_own_secret() -> None:
    made = secret.make(brand="kt_own_live", environment="live", entropy=bytes(32), pepper=PEPPER).text.reveal
    assert own_secret.label_of(made) == ""
    assert own_secret.is_presentable(made)
    rest = made.removeprefix("kt_own_live_")
    assert not own_secret.is_strong(rest, presented=made, score=4, bits=200)


@pytest.mark.parametrize("label", ["two_words", "own", "B"])
def test_r42_the_label_of_an_own_secret_ends_at_the_first_underscore(label: str) -> None:
    with pytest.raises(ValueError, match=r"underscore|taken"):
        own_secret.prefix("kt", label)
    assert own_secret.prefix("kt", "bot") == "kt_own_bot"


def test_r42_at_least_32_characters_score_4_and_80_bits() -> None:
    def strong(text: str = STRONG, score: int = 4, bits: float = 80.0) -> bool:
        return own_secret.is_strong(text, presented=f"kt_own_bot_{text}", score=score, bits=bits)

    assert strong()
    assert strong(STRONG[:32])
    assert not strong(STRONG[:31])
    assert not strong("x" * 129)
    assert not strong(STRONG + " ")
    assert not strong(score=3)
    assert not strong(bits=79.9)
    shown = secret.make(brand="kt", environment="live", entropy=bytes(32), pepper=PEPPER).text.reveal
    assert not strong(shown)  # made here once, so seen
    assert not strong(f"kt_own_bot_{STRONG}")


def test_r42_r3_what_is_kept_is_salted_by_label_and_unlike_every_other_digest() -> None:
    stretched = b"\x05" * 32
    kept = own_secret.keep(stretched, prefix="kt_own_bot", seen=b"s", pepper=PEPPER)
    assert kept.digest == hmac(PEPPER.value, b"keyturn own secret\0" + stretched, "sha256").digest()
    assert kept.digest != secret.at_rest(stretched, PEPPER)
    assert kept.digest != own_secret.seen_at_rest(stretched, PEPPER)
    assert (kept.kind, kept.hint, kept.seen) == (SecretKind.OWN, "kt_own_bot_…", b"s")
    salts = {
        own_secret.salt("acc_1", "a"),
        own_secret.salt("acc_1", "b"),
        own_secret.salt("acc_2", "a"),
        own_secret.seen_salt("acc_1"),
        own_secret.seen_salt("acc_2"),
    }
    assert len(salts) == 5
    assert {len(one) for one in salts} == {own_secret.SALT_BYTES}


def test_r42_a_policy_that_forbids_own_secrets_is_heeded_when_one_is_minted() -> None:
    """R32: also by a reset that was asked for before."""
    key = a_key(replace(a_secret(), kind=SecretKind.OWN, seen=b"1"))
    kept = own_secret.keep(b"x", prefix="kt_own_bot", seen=b"2", pepper=PEPPER)
    for choice in ("allowed", "forbidden"):
        step = proven(good(ask(key, policy=replace(PLAIN, own_secret=choice))))
        minted = protocol.mint(step.reset, step.key, kept, actor=MACHINE, now=T0)
        if choice == "forbidden":
            assert minted == OwnSecretForbidden(policy="plain")
            continue
        assert isinstance(minted, Step)
        new = minted.key.secrets[-1]
        assert (new.kind, new.seen, new.version) == (SecretKind.OWN, b"2", 2)
