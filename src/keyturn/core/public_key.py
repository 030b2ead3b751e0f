"""A customer's own public key (R42b): Ed25519 (RFC 8032), read, checked and digested.

A public key is public.  It is never accepted as if it were a secret: what is stored of it is digested in a form that no
presented text and no presented fingerprint can come out as, and a decision tells by a flag of its own whether a request
was signed.

Refused are keys that a signature of anybody would fit, or of somebody else: points of small order, points with a part
of small order, and encodings that are not the one way to write their point.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error
from dataclasses import dataclass
from hmac import digest as hmac_digest
from typing import Final

from keyturn.core.secret import HINT_TAIL, Kept, Pepper, SecretKind

ALGORITHM: Final = "ed25519"
BYTES: Final = 32
LONGEST_TEXT: Final = 1024
_AT_REST: Final = b"keyturn public key ed25519\0"
_DER: Final = bytes.fromhex("302a300506032b6570032100")  # SubjectPublicKeyInfo of Ed25519 (RFC 8410)
_PEM: Final = re.compile(r"-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]*)-----END PUBLIC KEY-----", re.ASCII)
_PRIME: Final = 2**255 - 19
_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
_D: Final = -121665 * pow(121666, -1, _PRIME) % _PRIME
_ROOT_OF_MINUS_ONE: Final = pow(2, (_PRIME - 1) // 4, _PRIME)
_Point = tuple[int, int, int, int]
_IDENTITY: Final[_Point] = (0, 1, 1, 0)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One that was read and checked."""

    raw: bytes


def parse(text: str) -> PublicKey:
    """A public key in PEM, or its 32 bytes in base64.

    Raises ValueError with a sentence for a person; never with the text, which may be a private key by mistake.
    """
    text = text.strip()
    if "PRIVATE KEY" in text:
        raise ValueError("that is a private key; consider it leaked, make another and send its public half")
    pem = _PEM.fullmatch(text)
    try:
        raw = b64decode(_padded(pem[1] if pem else text), validate=True)
    except (Error, ValueError):
        raw = b""
    if raw.startswith(_DER):
        raw = raw[len(_DER) :]
    elif pem:
        raw = b""
    if len(raw) != BYTES:
        raise ValueError("write an Ed25519 public key in PEM, or its 32 bytes in base64")
    check(raw)
    return PublicKey(raw)


def check(raw: bytes) -> None:
    """Raise ValueError for a key that only its owner's signatures would not be safe with."""
    point = _decode(raw)
    if point is None or _is_identity(point) or not _is_identity(_times(_ORDER, point)):
        raise ValueError("this is no public key that is safe to verify with")


def at_rest(raw: bytes, pepper: Pepper) -> bytes:
    """What stands where a secret's digest stands.  It has no use but to be unlike every other."""
    return hmac_digest(pepper.value, _AT_REST + raw, "sha256")


def keep(raw: bytes, *, pepper: Pepper) -> Kept:
    """All that is kept: the key itself, which is public."""
    return Kept(
        digest=at_rest(raw, pepper),
        pepper=pepper.name,
        hint=f"{ALGORITHM}_…{to_text(raw)[-HINT_TAIL:]}",
        kind=SecretKind.PUBLIC_KEY,
        public_key=raw,
    )


def to_text(raw: bytes) -> str:
    """In base64, without padding."""
    return b64encode(raw).decode("ascii").rstrip("=")


def _padded(text: str) -> str:
    plain = "".join(text.split()).replace("-", "+").replace("_", "/").rstrip("=")
    return plain + "=" * (-len(plain) % 4)


# Twisted Edwards arithmetic in extended coordinates (RFC 8032, section 5.1).  Only public values are reckoned with, so
# nothing here has to take the same time for every input.


def _decode(raw: bytes) -> _Point | None:
    """The point, also of an encoding that is not canonical.

    Those have a y below 19, or x = 0; none of these points is of prime order, so `check` refuses them all.
    """
    y = int.from_bytes(raw, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _PRIME) % _PRIME
    x = pow(square, (_PRIME + 3) // 8, _PRIME)
    if (x * x - square) % _PRIME:
        x = x * _ROOT_OF_MINUS_ONE % _PRIME
    if (x * x - square) % _PRIME:
        return None
    if x & 1 != sign:
        x = _PRIME - x
    return x, y, 1, x * y % _PRIME


def _add(one: _Point, other: _Point) -> _Point:
    a = (one[1] - one[0]) * (other[1] - other[0]) % _PRIME
    b = (one[1] + one[0]) * (other[1] + other[0]) % _PRIME
    c = 2 * one[3] * other[3] * _D % _PRIME
    d = 2 * one[2] * other[2] % _PRIME
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _PRIME, g * h % _PRIME, f * g % _PRIME, e * h % _PRIME


def _times(factor: int, point: _Point) -> _Point:
    product = _IDENTITY
    while factor:
        if factor & 1:
            product = _add(product, point)
        point = _add(point, point)
        factor >>= 1
    return product


def _is_identity(point: _Point) -> bool:
    return point[0] % _PRIME == 0 and (point[1] - point[2]) % _PRIME == 0
