"""The hidden half of a key: how it is made, written, checked and digested (R2, R3, R4, K7, K11).

`<brand>_<env>_<43 base62 characters of 256 random bits><6 base62 characters of CRC-32>`, for example
`kt_live_…`.  The brand is stored with the key and never parsed back out of a secret (pitfall 17).
The checksum is for typing errors and leak scanners, never for trust.

At rest there is only `HMAC-SHA-256(pepper, SHA-256(secret))`.
Randomness comes in as an argument, like time.
"""

import re
import zlib
from dataclasses import dataclass
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
_BRAND: Final = re.compile(r"[a-z0-9]{1,16}(?:_[a-z0-9]{1,16}){0,3}", re.ASCII)
_SECRET: Final = re.compile(
    rf"[a-z0-9_]{{1,67}}_(?:live|test)_[0-9A-Za-z]{{{RANDOM_CHARS + CHECKSUM_CHARS}}}", re.ASCII
)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSecret:
    """What minting hands on: the text for its receiver, and all that is kept of it."""

    text: SecretText
    digest: bytes
    pepper: str
    hint: str


def check_brand(brand: str) -> str:
    """The brand unchanged.  Raises ValueError for one that could not stand in front of a secret."""
    if not _BRAND.fullmatch(brand):
        msg = f"not a brand: {brand[:40]!r}; write lower-case letters, digits and single underscores"
        raise ValueError(msg)
    return brand


def make(*, brand: str, environment: str, entropy: bytes, pepper: Pepper) -> NewSecret:
    """Write a secret from 32 random bytes and digest it."""
    if len(entropy) != RANDOM_BYTES:
        msg = f"a secret takes {RANDOM_BYTES} random bytes"
        raise ValueError(msg)
    prefix = f"{check_brand(brand)}_{environment}_"
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
