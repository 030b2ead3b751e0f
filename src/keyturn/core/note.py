"""Signed notes: a text that a person can read, and below it who says so (C2SP `signed-note`, Ed25519).

    a text of one or more lines

    — name base64(key id ‖ signature)

The key id is the first four bytes of SHA-256(name ‖ newline ‖ 0x01 ‖ public key).
The signature is of the text with its last newline, as RFC 8032 makes it.  Signing and checking are done outside.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

_ED25519: Final = b"\x01"
_ID_BYTES: Final = 4
_KEY_BYTES: Final = 32
_NAME: Final = re.compile(r"[!-*,-~]+", re.ASCII)
_SIGNATURE: Final = re.compile(r"— ([^ +\n]+) ([A-Za-z0-9+/=]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteKey:
    """Whose signature it is: a name without spaces and plus signs, and an Ed25519 public key."""

    name: str
    public_key: bytes

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or len(self.public_key) != _KEY_BYTES:
            msg = "a name without spaces and plus signs, and 32 bytes of public key"
            raise ValueError(msg)

    @property
    def id(self) -> bytes:
        """By which a signature names its key."""
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.public_key).digest()[:_ID_BYTES]

    def to_text(self) -> str:
        """`name+id+base64`, as verifiers of notes take it."""
        return f"{self.name}+{self.id.hex()}+{b64encode(_ED25519 + self.public_key).decode()}"


def key_from_text(text: str) -> NoteKey:
    """The inverse of `NoteKey.to_text`.  Raises ValueError."""
    try:
        name, key_id, encoded = text.strip().split("+", 2)
        raw = b64decode(encoded, validate=True)
        key = NoteKey(name=name, public_key=raw[1:])
    except (ValueError, Error):
        key, raw, key_id = None, b"", ""
    if key is None or raw[:1] != _ED25519 or key.id.hex() != key_id:
        msg = "not a key of notes: name+id+base64"
        raise ValueError(msg)
    return key


def signed(text: str, key: NoteKey, sign: Callable[[bytes], bytes]) -> str:
    """The note.  `text` ends in a newline; `sign` makes an Ed25519 signature with the private key of `key`."""
    signature = b64encode(key.id + sign(text.encode())).decode()
    return f"{text}\n— {key.name} {signature}\n"


def read(note: str, key: NoteKey, matches: Callable[[bytes, bytes], bool]) -> str:
    """The text of a note that `key` has signed.  Raises ValueError for any other.

    `matches(signature, message)` checks with the public key of `key`.
    """
    text, found, lines = note.rpartition("\n\n")
    for line in lines.splitlines() if found else ():
        signature = _SIGNATURE.fullmatch(line)
        if signature is None:
            break
        try:
            raw = b64decode(signature[2], validate=True)
        except Error:
            break
        if signature[1] == key.name and raw[:_ID_BYTES] == key.id and matches(raw[_ID_BYTES:], f"{text}\n".encode()):
            return f"{text}\n"
    msg = f"no note that {key.name} has signed"
    raise ValueError(msg)
