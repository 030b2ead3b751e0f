"""Reading a request of the one form that the quick way answers (`hot.py`): no two parsers read it differently.

Known request line, `Name: value` lines of visible ASCII, one Host, one Content-Length in digits, none of
Transfer-Encoding, Expect, Upgrade, and no header that matters twice.

Callers send the same head again and again, so its reading is remembered by its SHA-256, without any secret.
"""

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import msgspec

from keyturn.api.verdict import Question, Remembered, secret_of, wanted_permissions
from keyturn.api.verifying import read_gateway_question
from keyturn.core.client_address import canonical
from keyturn.core.refusal import Refusal

_VERIFY_LINE: Final = b"POST /v1/verify HTTP/1.1"
_AUTHZ_LINE: Final = re.compile(rb"[A-Z]{3,7} /v1/authz(?:/[0-9A-Za-z._~/-]*)? HTTP/1\.1")
_HEADER: Final = re.compile(rb"([0-9A-Za-z-]+): ([\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)")
_END: Final = b"\r\n\r\n"
_NEVER: Final = frozenset(
    {b"transfer-encoding", b"expect", b"upgrade", b"te", b"trailer", b"connection", b"x-keyturn-applied"}
)
_ONCE: Final = frozenset(
    {b"host", b"content-length", b"content-type", b"authorization", b"x-api-key"}
    | {b"x-keyturn-credential", b"x-keyturn-permission", b"x-forwarded-for", b"user-agent", b"idempotency-key"}
)
_MOST_BODY: Final = 4096
_MOST_HEAD: Final = 8192


class _Asked(msgspec.Struct, forbid_unknown_fields=True, frozen=True, gc=False):
    """The plain form of a question; anything else is for the careful way."""

    key: str
    permissions: tuple[str, ...] = ()
    ip: str | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """What a head said, without its secrets."""

    credential: bytes
    """The fingerprint of the caller's credential; empty for none."""
    length: int
    forwarded: tuple[bytes, ...]
    question: Question | None
    """For `/v1/authz` the question but for the address; None for `/v1/verify`."""


@dataclass(frozen=True, slots=True)
class PlainRequest:
    """What a whole request said, without its secrets."""

    head: Head
    length: int
    secret: bytes
    """The fingerprint of the key under test."""
    malformed: bool
    wanted: tuple[str, ...]
    ip: str | None


_heads = Remembered()
_wanted = Remembered()
_addresses = Remembered()
_decode = msgspec.json.Decoder(_Asked).decode


def read_plain(data: bytes) -> PlainRequest | None:
    """What the request says that `data` begins with; None where it is of another form, or not whole."""
    end = data.find(_END, 0, _MOST_HEAD)
    if end < 0:
        return None
    raw = data[:end]
    mark = sha256(raw).digest()
    head: Head | None = _heads.get(mark)
    if head is None:
        head = _read_head(raw)
        if head is None:
            return None
        _heads.put(mark, head)
    length = end + 4 + head.length
    if len(data) < length:
        return None
    if head.question is None:
        return _read_body(head, data[end + 4 : length], length)
    secret = head.question.secret
    return PlainRequest(head, length, secret, malformed=not secret, wanted=(), ip=None)


def _read_body(head: Head, body: bytes, length: int) -> PlainRequest | None:
    try:
        asked = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    # msgspec keeps the last of two.  Each name and each text has two quotes: one too many shows.  Escapes can write
    # what the careful way refuses (NUL, half a character), so they are left to it.
    quotes = 4 + (4 if asked.ip is not None else 0) + (2 + 2 * len(asked.permissions) if asked.permissions else 0)
    if body.count(b'"') != quotes or b"\\" in body:
        return None
    wanted = _wanted_of(asked.permissions) if asked.permissions else ()
    ip = canonical_address(asked.ip) if asked.ip is not None else None
    if wanted is None or (ip is None and asked.ip is not None):
        return None
    secret = secret_of(asked.key)
    return PlainRequest(head, length, secret, malformed=not secret, wanted=wanted, ip=ip)


def _read_head(raw: bytes) -> Head | None:
    line, *lines = raw.split(b"\r\n")
    is_verify = line == _VERIFY_LINE
    if not is_verify and not _AUTHZ_LINE.fullmatch(line):
        return None
    headers: dict[bytes, bytes] = {}
    for one in lines:
        found = _HEADER.fullmatch(one)
        if found is None:
            return None
        name = found[1].lower()
        keeps = name == b"connection" and found[2].lower() == b"keep-alive"
        if (name in _NEVER and not keeps) or (name in _ONCE and name in headers):
            return None
        headers[name] = found[2]
    if b"host" not in headers:
        return None
    return _verify_head(headers) if is_verify else _authz_head(headers, head_only=line.startswith(b"HEAD "))


def _verify_head(headers: dict[bytes, bytes]) -> Head | None:
    length = headers.get(b"content-length", b"")
    if headers.get(b"content-type") != b"application/json" or not length.isdigit() or len(length) > 4:  # digits
        return None
    if not 0 < int(length) <= _MOST_BODY:
        return None
    return Head(_credential(headers.get(b"authorization", b"")), int(length), _forwarded(headers), None)


def _authz_head(headers: dict[bytes, bytes], *, head_only: bool) -> Head | None:
    if head_only or headers.get(b"content-length", b"0") != b"0":
        return None
    question = read_gateway_question(headers, None)
    if isinstance(question, Refusal):
        return None
    shown = headers.get(b"x-keyturn-credential", b"")
    credential = _credential(shown if shown.lower().startswith(b"bearer ") else b"Bearer " + shown)
    return Head(credential, 0, _forwarded(headers), question)


def _credential(value: bytes) -> bytes:
    scheme, _, shown = value.partition(b" ")
    return secret_of(shown.strip().decode("latin-1")) if scheme.lower() == b"bearer" else b""


def _forwarded(headers: dict[bytes, bytes]) -> tuple[bytes, ...]:
    said = headers.get(b"x-forwarded-for")
    return () if said is None else (said,)


def _wanted_of(texts: tuple[str, ...]) -> tuple[str, ...] | None:
    wanted = _wanted.get(texts)
    if wanted is None:
        try:
            wanted = wanted_permissions(texts)
        except ValueError:
            return None
        _wanted.put(texts, wanted)
    return wanted


def canonical_address(text: str) -> str | None:
    """The one form of an address; None for what is none.  It is remembered."""
    known: str | None = _addresses.get(text)
    if known is None:
        known = canonical(text)
        if known is not None:
            _addresses.put(text, known)
    return known
