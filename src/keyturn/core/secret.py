"""The hidden half of a key: how it is made, written, checked and digested (R2, R3, R4, K7, K11).

`<brand>_<env>_<43 base62 characters of 256 random bits><6 base62 characters of CRC-32>`, for example
`kt_live_…`; with a customer's own label `<brand>_<label>_<env>_…` (R42).
What stands in front is stored with the key and never parsed back out of a secret (pitfall 17).
The checksum is for typing errors and leak scanners, never for trust.

At rest there is only `HMAC-SHA-256(pepper, SHA-256(secret))`.  What a customer brings instead of a secret made here
stands in `own_secret.py` and `public_key.py`.
Randomness comes in as an argument, like time.
"""

import re
import zlib
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from hmac import digest as hmac_digest
from typing import Final

ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ENVIRONMENTS: Final = ("live", "test")
RANDOM_BYTES: Final = 32
RANDOM_CHARS: Final = 43
CHECKSUM_CHARS: Final = 6
LONGEST: Final = 128
HINT_TAIL: Final = 4
LONGEST_LABEL: Final = 32
OWN: Final = "own"
"""Stands between brand and label of a customer's own secret, and therefore nowhere in a brand or a label."""
_LONGEST_PREFIX: Final = 67
_BRAND: Final = re.compile(r"[a-z0-9]{1,16}(?:_[a-z0-9]{1,16}){0,3}", re.ASCII)
_PREFIX: Final = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)*", re.ASCII)
_SECRET: Final = re.compile(
    rf"[a-z0-9_]{{1,{_LONGEST_PREFIX}}}_(?:live|test)_[0-9A-Za-z]{{{RANDOM_CHARS + CHECKSUM_CHARS}}}", re.ASCII
)


class SecretKind(Enum):
    """Where a secret comes from (R42)."""

    MADE = "made"
    """Made here, from 256 random bits."""
    PUBLIC_KEY = "public_key"
    """The customer's public key: requests are signed, and no secret is ever held here."""
    OWN = "own"
    """Chosen by the customer, where the policy allows it."""


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class SecretText:
    """A secret on its one way from minting to its receiver.  Its `repr` shows nothing."""

    reveal: str

    def __repr__(self) -> str:
        return "SecretText(…)"


@dataclass(frozen=True, slots=True, repr=False)
class Pepper:
    """The key of every stored digest.  Lives outside the database; each digest names the pepper it was made with."""

    name: str
    value: bytes

    def __repr__(self) -> str:
        return f"Pepper({self.name!r}, …)"

    @property
    def mark(self) -> str:
        """By which it is known again where it must not be kept."""
        return hmac_digest(self.value, b"keyturn pepper", "sha256").hex()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """All that is kept of a secret, whoever made it."""

    digest: bytes
    pepper: str
    hint: str
    kind: SecretKind = SecretKind.MADE
    public_key: bytes = b""
    seen: bytes = b""
    """By what an own secret is known again, whatever its label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSecret(Kept):
    """What minting hands on: the text for its receiver, and all that is kept of it."""

    text: SecretText


def check_brand(brand: str) -> str:
    """The brand unchanged.  Raises ValueError for one that could not stand in front of a secret."""
    if not _BRAND.fullmatch(brand) or OWN in brand.split("_"):
        msg = f"not a brand: {brand[:40]!r}; write lower-case letters, digits and single underscores, but not {OWN!r}"
        raise ValueError(msg)
    return brand


def check_label(label: str) -> str:
    """The label unchanged.  Raises ValueError for one that could not stand behind a brand."""
    if len(label) > LONGEST_LABEL or not _PREFIX.fullmatch(label):
        msg = f"write up to {LONGEST_LABEL} lower-case letters, digits and single underscores"
        raise ValueError(msg)
    if OWN in label.split("_"):
        msg = f"{OWN} is taken: it marks secrets that customers choose"
        raise ValueError(msg)
    return label


def labelled(brand: str, label: str) -> str:
    """What stands in front of the secrets of a key with that label, which may be empty.

    Raises ValueError where the two together are longer than any reader of secrets takes.
    """
    prefix = f"{brand}_{check_label(label)}" if label else brand
    if len(prefix) > _LONGEST_PREFIX:
        msg = f"behind this brand there is room for {_LONGEST_PREFIX - len(brand) - 1} characters"
        raise ValueError(msg)
    return prefix


def make(*, brand: str, environment: str, entropy: bytes, pepper: Pepper) -> NewSecret:
    """Write a secret from 32 random bytes and digest it; `brand` is all that stands in front, with the label."""
    if len(entropy) != RANDOM_BYTES:
        msg = f"a secret takes {RANDOM_BYTES} random bytes"
        raise ValueError(msg)
    if len(brand) > _LONGEST_PREFIX or not _PREFIX.fullmatch(brand):
        msg = "nothing that could stand in front of a secret"
        raise ValueError(msg)
    prefix = f"{brand}_{environment}_"
    stem = prefix + _base62(int.from_bytes(entropy, "big"), RANDOM_CHARS)
    text = stem + checksum(stem)
    return NewSecret(
        text=SecretText(text),
        digest=at_rest(fingerprint(text), pepper),
        pepper=pepper.name,
        hint=f"{prefix}…{text[-HINT_TAIL:]}",
    )


def checksum(stem: str) -> str:
    """Six base62 characters of the CRC-32 (ISO 3309) of everything before them."""
    return _base62(zlib.crc32(stem.encode("ascii")), CHECKSUM_CHARS)


def is_well_formed(text: str) -> bool:
    """Whether this could be a secret at all: its shape and its checksum.  It says nothing of trust."""
    if len(text) > LONGEST or not _SECRET.fullmatch(text):
        return False
    return text[-CHECKSUM_CHARS:] == checksum(text[:-CHECKSUM_CHARS])


def fingerprint(text: str) -> bytes:
    """SHA-256 of the presented secret: what verifiers look up, cache and send (R3)."""
    return sha256(text.encode("utf-8", "surrogatepass")).digest()


def at_rest(presented: bytes, pepper: Pepper) -> bytes:
    """What the store keeps: HMAC-SHA-256 (RFC 2104) under the pepper of the secret's SHA-256."""
    return hmac_digest(pepper.value, presented, "sha256")


def _base62(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, rest = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[rest])
    return "".join(reversed(digits))
