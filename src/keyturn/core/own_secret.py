"""A secret that the customer chose (R42c): its form, what makes it good enough, and what is kept of it.

Presented as `<brand>_own_<label>_<secret>`.  `own` stands in no brand and no label, and this label has no underscore,
so whoever verifies from afar can read the label without knowing which labels there are: only a known one ever costs an
Argon2id.

What people choose can be guessed, so what lies at rest is slow to try:
`HMAC-SHA-256(pepper, Argon2id(SHA-256(presented), salt of the label))`.
A second such mark, salted for the whole deployment, tells whether the secret was ever seen here, under any label.
The Argon2id itself is reckoned outside; here stands what goes into it and what is made of it.
"""

import re
from dataclasses import dataclass
from hashlib import sha256
from hmac import digest as hmac_digest
from typing import Final

from keyturn.core.secret import LONGEST_LABEL, OWN, Kept, Pepper, SecretKind, check_label, is_well_formed

SHORTEST: Final = 32
LONGEST: Final = 128
JUDGED: Final = 48
"""How many characters are judged at most: judging takes time that grows with the square of the length and worse."""
LEAST_SCORE: Final = 4
LEAST_BITS: Final = 80.0
SALT_BYTES: Final = 16
_LABEL: Final = rf"[a-z0-9]{{1,{LONGEST_LABEL}}}"
_TEXT: Final = re.compile(rf"[!-~]{{{SHORTEST},{LONGEST}}}", re.ASCII)
# The first `_own_` is the one: the brand in front of it has none.
_PRESENTED: Final = re.compile(rf"[a-z0-9_]{{1,67}}?_{OWN}_({_LABEL})_[!-~]{{{SHORTEST},{LONGEST}}}", re.ASCII)
_AT_REST: Final = b"keyturn own secret\0"
_SEEN: Final = b"keyturn own secret seen\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """A customer's own secret as it was reckoned: digests and a judgement, no secret."""

    made: Kept | None
    """All that would be kept of it; None where nothing was reckoned, since it could not be taken anyway."""
    seen: tuple[bytes, ...] = ()
    """Under each pepper, the newest first, the mark by which it would be known again."""
    is_strong: bool = False


def check_own_label(label: str) -> str:
    """The label unchanged.  Raises ValueError for one that an own secret could not be told by."""
    if "_" in check_label(label):
        msg = "the label of an own secret has no underscore: it ends at the first one"
        raise ValueError(msg)
    return label


def prefix(brand: str, label: str) -> str:
    """What stands in front of every secret of this key; it is stored with the key."""
    return f"{brand}_{OWN}_{check_own_label(label)}"


def label_of(presented: str) -> str:
    """The label of a presented own secret, or empty for what is none."""
    if is_well_formed(presented):
        return ""  # made here, and behind a label of two words it may look like either
    found = _PRESENTED.fullmatch(presented)
    return found[1] if found else ""


def is_presentable(text: str) -> bool:
    """Whether this could be a secret of either kind: the form, nothing of trust."""
    return is_well_formed(text) or bool(label_of(text))


def is_strong(text: str, *, presented: str, score: int, bits: float) -> bool:
    """Whether it may be brought, whoever has it already: `score` and `bits` are an estimate of the first `JUDGED`."""
    plain = bool(_TEXT.fullmatch(text)) and not is_presentable(text) and not is_well_formed(presented)
    return plain and score >= LEAST_SCORE and bits >= LEAST_BITS


def salt(deployment: str, label: str) -> bytes:
    """Of one label in one deployment: alike for every secret of it, and never stored."""
    return sha256(_AT_REST + deployment.encode() + b"\0" + label.encode()).digest()[:SALT_BYTES]


def seen_salt(deployment: str) -> bytes:
    """Of a whole deployment: by it a secret is known again under another label."""
    return sha256(_SEEN + deployment.encode()).digest()[:SALT_BYTES]


def at_rest(stretched: bytes, pepper: Pepper) -> bytes:
    """What the store keeps of the stretched secret.  No fingerprint that anyone presents can come out as this."""
    return hmac_digest(pepper.value, _AT_REST + stretched, "sha256")


def seen_at_rest(stretched: bytes, pepper: Pepper) -> bytes:
    """The mark by which it is known again, from the secret stretched with `seen_salt`."""
    return hmac_digest(pepper.value, _SEEN + stretched, "sha256")


def keep(stretched: bytes, *, prefix: str, seen: bytes, pepper: Pepper) -> Kept:
    """All that is kept.  The hint shows nothing of it: each character of a chosen secret counts."""
    return Kept(
        digest=at_rest(stretched, pepper),
        pepper=pepper.name,
        hint=f"{prefix}_…",
        kind=SecretKind.OWN,
        seen=seen,
    )
