"""New secrets and ids from the operating system's CSPRNG (K7), and the peppers that protect digests (R3)."""

import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from hashlib import sha256
from hmac import digest as hmac_digest
from pathlib import Path
from typing import Final

from keyturn.core import public_key
from keyturn.core import secret as core_secret
from keyturn.core.public_key import PublicKey
from keyturn.core.secret import ALPHABET, RANDOM_BYTES, Kept, NewSecret, Pepper

ID_CHARS: Final = 20
"""20 base62 characters: 119 bits, so ids can neither be guessed nor meet."""
_PEPPER_BYTES: Final = 32
_SESSION_PREFIX: Final = "kts_"
DEVICE_PREFIX: Final = "ktd_"
LINK_PREFIX: Final = "ktl_"
PORTAL_PREFIX: Final = "ktp_"


_DERIVED_FROM: Final = frozenset({"lnk", "aut", "whk"})
"""Ids that something secret is worked out from: each names its pepper, so that the peppers can be rotated (R3)."""
_PEPPER_NAME: Final = re.compile(r"[0-9A-Za-z-]{1,30}", re.ASCII)


class SystemForge:
    """`ports.forge.Forge` on `secrets`.  Peppers come newest first; new digests are made with the newest."""

    def __init__(self, pepper: Pepper, *older: Pepper) -> None:
        self._pepper = pepper
        self._peppers = (pepper, *older)
        self._by_name = {one.name: one for one in self._peppers}

    def secret(self, *, brand: str, environment: str) -> NewSecret:
        """A new secret, never seen before."""
        entropy = secrets.token_bytes(RANDOM_BYTES)
        return core_secret.make(brand=brand, environment=environment, entropy=entropy, pepper=self._pepper)

    def public_key(self, brought: PublicKey) -> Kept:
        """What is kept of a customer's public key."""
        return public_key.keep(brought.raw, pepper=self._pepper)

    def id(self, prefix: str) -> str:
        """A new id such as `key_…`; one that something is derived from ends in the name of its pepper."""
        made = f"{prefix}_" + "".join(secrets.choice(ALPHABET) for _ in range(ID_CHARS))
        return f"{made}_{self._pepper.name}" if prefix in _DERIVED_FROM else made

    def token(self) -> tuple[str, bytes]:
        """A session token and the digest it is known by."""
        return _token(_SESSION_PREFIX)

    def device_token(self) -> tuple[str, bytes]:
        """The token that a browser is known by once its owner has signed in, and its digest."""
        return _token(DEVICE_PREFIX)

    def portal_token(self) -> tuple[str, bytes]:
        """The token of a portal's link, which is in one answer and nowhere else, and its digest."""
        return _token(PORTAL_PREFIX)

    def derived(self, purpose: str, name: str) -> bytes:
        """32 bytes that only the holder of the pepper can know, the same every time.

        What must be known again (a link's token, a TOTP secret, a webhook's signing key) is worked out from an id that
        is stored, so that the database holds nothing that could be used by whoever reads it.  An id that `name` begins
        with tells the pepper; anything else is derived from the newest, and differs once there is a newer one.
        """
        _, _, tag = name.replace("\n", " ").partition(" ")[0].rpartition("_")
        return _derive(self._by_name.get(tag, self._pepper), purpose, name)

    def derived_by_each(self, purpose: str, name: str) -> Sequence[bytes]:
        """The same by every pepper there is, newest first: for digests whose row names none."""
        return [_derive(one, purpose, name) for one in self._peppers]

    def link_token(self, link_id: str) -> tuple[str, bytes]:
        """The token of a mailed link and the digest it is known by: worked out, so that it is stored nowhere."""
        text = LINK_PREFIX + urlsafe_b64encode(self.derived("link", link_id)).decode().rstrip("=")
        return text, token_digest(text)


def _token(prefix: str) -> tuple[str, bytes]:
    text = prefix + secrets.token_urlsafe(RANDOM_BYTES)
    return text, token_digest(text)


def _derive(pepper: Pepper, purpose: str, name: str) -> bytes:
    return hmac_digest(pepper.value, f"keyturn {purpose}\n{name}".encode(), "sha256")


def token_digest(text: str) -> bytes:
    """What is stored of a session token: it has 256 random bits, so a plain SHA-256 is enough."""
    return sha256(text.encode("utf-8", "surrogatepass")).digest()


def load_peppers(folder: Path, *, may_make: bool = True) -> Sequence[Pepper]:
    """The peppers of a data folder, newest first; where there is none and one may be made, the first one is.

    Each is a file `peppers/<name>` of 64 hexadecimal digits, mode 0600, the newest last by name.  Raises OSError, or
    ValueError for a file that is none.
    """
    folder = folder / "peppers"
    if may_make:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    there = folder.iterdir() if folder.is_dir() else ()
    names = sorted((file.name for file in there if not file.name.startswith(".")), reverse=True)
    if not names and may_make:
        names = [_make_pepper(folder)]
    for name in names:
        if not _PEPPER_NAME.fullmatch(name):
            msg = f"{folder / name}: the name of a pepper has 1 to 30 letters, digits and hyphens"
            raise ValueError(msg)
    return [_read_pepper(folder / name) for name in names]


def _make_pepper(folder: Path) -> str:
    name = "p0001"
    file = folder / name
    file.touch(mode=0o600, exist_ok=False)
    file.write_text(secrets.token_hex(_PEPPER_BYTES) + "\n", encoding="ascii")
    return name


def _read_pepper(file: Path) -> Pepper:
    try:
        value = bytes.fromhex(file.read_text(encoding="ascii").strip())
    except (ValueError, UnicodeDecodeError):
        value = b""
    if len(value) != _PEPPER_BYTES:
        msg = f"{file} does not hold a pepper: 64 hexadecimal digits"
        raise ValueError(msg)
    return Pepper(file.name, value)
