"""The quick way to verify over HTTP: a plain, warm request is answered before any ASGI scope is built.

Sound because it is so narrow.  A request is answered here only if it arrived whole, at a message boundary, with
nothing before it still unanswered, and if its head is of one canonical form that no two parsers read differently: known
request line, `Name: value` lines of visible ASCII, one Host, one Content-Length in digits, none of Transfer-Encoding,
Expect, Upgrade, and no header that matters twice.  Everything else goes on untouched to httptools and the careful way
(`verifying.py`), which would have given the same answer.

Callers send the same head again and again, so its reading is remembered by its SHA-256, without any secret.
"""

import re
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from typing import Any, ClassVar, Final

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from keyturn.api.problem import problem_bytes, problem_headers
from keyturn.api.verdict import (
    AUTHZ,
    VERIFIES,
    Hot,
    Question,
    Remembered,
    authz_of,
    body_of,
    may_verify_all,
    secret_of,
    wanted_permissions,
)
from keyturn.api.verifying import read_gateway_question
from keyturn.core.client_address import behind, canonical, told
from keyturn.core.refusal import HeadTooLarge, MalformedRequest, Refusal
from keyturn.verify.decision import ASK, MISS, RATE_LIMITED, VALID, Verdict

_VERIFY_LINE: Final = b"POST /v1/verify HTTP/1.1"
_AUTHZ_LINE: Final = re.compile(rb"[A-Z]{3,7} /v1/authz(?:/[0-9A-Za-z._~/-]*)? HTTP/1\.1")
_HEADER: Final = re.compile(rb"([0-9A-Za-z-]+): ([\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)")
_END: Final = b"\r\n\r\n"
_NEVER: Final = frozenset({b"transfer-encoding", b"expect", b"upgrade", b"te", b"trailer", b"connection"})
_ONCE: Final = frozenset(
    {b"host", b"content-length", b"content-type", b"authorization", b"x-api-key"}
    | {b"x-keyturn-credential", b"x-keyturn-permission", b"x-forwarded-for", b"user-agent", b"idempotency-key"}
)
_MOST_BODY: Final = 4096
_MOST_HEAD: Final = 8192
_ALWAYS: Final = b"cache-control: no-store\r\nx-content-type-options: nosniff\r\nreferrer-policy: no-referrer\r\n"
_JSON: Final = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n" + _ALWAYS
_PHRASES: Final = {200: b"OK", 401: b"Unauthorized", 403: b"Forbidden", 429: b"Too Many Requests"}


_MOST_HEAD_BYTES: Final = 262_144
"""A head that goes on beyond this is cut off: the parser would keep all of it."""


class _Asked(msgspec.Struct, forbid_unknown_fields=True, frozen=True, gc=False):
    """The plain form of a question; anything else is for the careful way."""

    key: str
    permissions: tuple[str, ...] = ()
    ip: str | None = None


@dataclass(frozen=True, slots=True)
class _Head:
    """What a head said, without its secrets."""

    credential: bytes
    """The fingerprint of the caller's credential; empty for none."""
    length: int
    forwarded: tuple[bytes, ...]
    question: Question | None
    """For `/v1/authz` the question but for the address; None for `/v1/verify`."""


@dataclass(frozen=True, slots=True)
class _Request:
    """What a whole request said, without its secrets."""

    head: _Head
    length: int
    secret: bytes
    """The fingerprint of the key under test."""
    malformed: bool
    wanted: tuple[str, ...]
    ip: str | None


class _Date:
    """The header lines that every answer begins with, as last written."""

    headers: ClassVar[Any] = None
    written: ClassVar[bytes] = b""


class HotProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with the quick way in front."""

    def __init__(self, *, hot: Hot, **arguments: Any) -> None:  # noqa: ANN401  # uvicorn's own
        super().__init__(**arguments)
        self._hot = hot
        self._between = True
        self._in_head = False
        self._unread = 0
        self._answered = 0
        self._seen = 0
        self._watch: Any = None
        self._trusted = False
        self._peer = ""

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401  # asyncio's transport, or uvloop's
        """Also begin to watch for idleness: uvicorn's own timer starts after a request of its own only."""
        super().connection_made(transport)
        self._peer = self.client[0] if self.client else ""
        self._trusted = self._hot.gateways.admits(self._peer)
        self._watch = self.loop.call_later(self.timeout_keep_alive, self._close_if_idle)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop watching."""
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """The parser is inside a request from here on."""
        self._between = False
        self._in_head = True
        self._unread = 0
        self._answered += 1
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Trailers are dropped: nobody reads them, and there may be any number of them (RFC 9110, 6.5.1)."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._in_head = False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """What comes of a body has limits of its own."""
        self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """And outside again."""
        super().on_message_complete()
        self._between = True
        self._unread = 0

    def data_received(self, data: bytes) -> None:
        """Answer what is plain and warm, in turn; from the first that is not, hand the rest on."""
        while self._between and self._is_quiet() and not self.flow.write_paused:
            found = answer(self._hot, data, trusted=self._trusted, peer=self._peer)
            if found is None:
                break
            head, rest, length = found
            self._write(head, rest)
            if length == len(data):
                return
            data = data[length:]
        self._unread += len(data)
        super().data_received(data)
        if self._unread > _MOST_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(HeadTooLarge())

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # uvicorn's own
        """Answer what the parser cannot read as everything else is answered that is refused."""
        self._refuse(MalformedRequest())

    def _refuse(self, refusal: Refusal) -> None:
        if self._owes_another():
            self.transport.close()
            return
        body = problem_bytes(refusal, base_url=self._hot.base_url)
        lines = _lines([(name.encode(), text.encode()) for name, text in problem_headers(refusal).items()])
        line = b"HTTP/1.1 %d %s\r\n" % (refusal.status, HTTPStatus(refusal.status).phrase.encode())
        head, rest = _with_length(line + lines + _ALWAYS + b"connection: close\r\n", body)
        self.transport.write(head + _lines(self.server_state.default_headers) + rest)
        self.transport.close()

    def _write(self, head: bytes, rest: bytes) -> None:
        self._answered += 1
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        headers = self.server_state.default_headers
        if headers is not _Date.headers:  # uvicorn makes a new list each second
            _Date.headers, _Date.written = headers, _lines(headers)
        self.transport.write(head + _Date.written + rest)

    def _is_quiet(self) -> bool:
        """Whether nothing is being answered.  uvicorn says None before its first request, against its own types."""
        cycle: Any = self.cycle
        return cycle is None or cycle.response_complete

    def _owes_another(self) -> bool:
        """Whether what is said now would be taken for the answer to an earlier request, or for a part of one."""
        cycle: Any = self.cycle
        return not self._is_quiet() and bool(self.pipeline or cycle.response_started or not cycle.more_body)

    def _close_if_idle(self) -> None:
        # A head that never ends counts as idle too; a body that never ends has a time limit of its own.
        if self._answered == self._seen and self._is_quiet():
            self.transport.close()
            return
        self._seen = self._answered
        self._watch = self.loop.call_later(self.timeout_keep_alive, self._close_if_idle)


_heads = Remembered()
_requests = Remembered()
_wanted = Remembered()
_addresses = Remembered()
_decode = msgspec.json.Decoder(_Asked).decode


def answer(hot: Hot, data: bytes, *, trusted: bool, peer: str) -> tuple[bytes, bytes, int] | None:
    """The answer, in two parts between which the date goes, to the request that `data` begins with, and its length.

    None to hand it on.
    """
    mark = sha256(data).digest()
    request: _Request | None = _requests.get(mark)
    if request is None:
        request = _read(data)
        if request is None:
            return None
        if request.length == len(data):
            _requests.put(mark, request)
    head, verifier, holder = request.head, hot.verifier, hot.holder
    # The time is read before the lease, and that before the entry (F3).
    boot = hot.boot()
    if boot >= holder.deadline:
        return None
    now = boot + holder.ahead
    # Whether the store has to be asked is seen before anything is decided:
    # who hands on has used nothing up.
    entry = verifier.held(request.secret)
    if entry is None and not request.malformed and not verifier.knows(request.secret, now=now):
        return None
    asker = None if trusted else _asker(hot, head, peer, now)
    if not trusted and asker is None:
        return None
    question = head.question
    if entry is None:
        verdict = verifier.malformed() if request.malformed else verifier.verify_fingerprint(request.secret, now=now)
    elif question is None:
        verdict = verifier.decide(entry, request.wanted, request.ip, "", now)
    else:
        ip = told(head.forwarded, hot.hops) if head.forwarded else None
        verdict = verifier.decide(entry, question.wanted, ip, question.user_agent, now)
    if verdict is MISS or verdict[0] == ASK:
        if asker is not None:
            verifier.undo(asker, VERIFIES, _asker_ip(hot, head, peer), "")
        return None
    written = _write_verdict(hot, verdict, now) if question is None else _write_authz(hot, verdict)
    return (*written, request.length)


def _asker(hot: Hot, head: _Head, peer: str, now: int) -> Verdict | None:
    """The verdict on the credential, where it is accepted and serves every account."""
    entry = hot.verifier.held(head.credential)
    if entry is None or not may_verify_all(hot, entry):
        return None
    # Asked anew each time: a credential that was stopped meanwhile is refused.
    verdict = hot.verifier.decide(entry, VERIFIES, _asker_ip(hot, head, peer), "", now)
    return verdict if verdict[0] == VALID else None


def _asker_ip(hot: Hot, head: _Head, peer: str) -> str | None:
    return behind(peer, head.forwarded, hot.proxies) if head.forwarded else _canonical(peer)


def _read(data: bytes) -> _Request | None:
    end = data.find(_END, 0, _MOST_HEAD)
    if end < 0:
        return None
    raw = data[:end]
    mark = sha256(raw).digest()
    head: _Head | None = _heads.get(mark)
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
    return _Request(head, length, secret, malformed=not secret, wanted=(), ip=None)


def _read_body(head: _Head, body: bytes, length: int) -> _Request | None:
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
    ip = _canonical(asked.ip) if asked.ip is not None else None
    if wanted is None or (ip is None and asked.ip is not None):
        return None
    secret = secret_of(asked.key)
    return _Request(head, length, secret, malformed=not secret, wanted=wanted, ip=ip)


def _write_verdict(hot: Hot, verdict: Verdict, now: int) -> tuple[bytes, bytes]:
    code, entry, profile, _ = verdict
    if code == RATE_LIMITED:
        return _with_length(_JSON, body_of(verdict, None))
    written: tuple[bytes, bytes] | None = hot.written.get((code, entry, profile))
    if written is None:
        body = body_of(verdict, None)
        limited = code == VALID and profile.limit is not None
        written = (b"", body[:-1]) if limited else _with_length(_JSON, body)
        hot.written.put((code, entry, profile), written)
    if written[0]:
        return written
    # `remaining` stands last in the body, so only the end has to be written each time.
    last = b',"remaining":%d}' % hot.verifier.remaining(verdict, now=now)
    start = written[1]
    return _JSON, b"content-length: %d\r\n\r\n%s%s" % (len(start) + len(last), start, last)


def _write_authz(hot: Hot, verdict: Verdict) -> tuple[bytes, bytes]:
    code, entry, profile, _ = verdict
    limited = code == RATE_LIMITED
    written: tuple[bytes, bytes] | None = None if limited else hot.written.get((AUTHZ, code, entry, profile))
    if written is None:
        status, headers, body = authz_of(verdict, hot.base_url)
        written = _with_length(b"HTTP/1.1 %d %s\r\n" % (status, _PHRASES[status]) + _lines(headers) + _ALWAYS, body)
        if not limited:
            hot.written.put((AUTHZ, code, entry, profile), written)
    return written


def _read_head(raw: bytes) -> _Head | None:
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


def _verify_head(headers: dict[bytes, bytes]) -> _Head | None:
    length = headers.get(b"content-length", b"")
    if headers.get(b"content-type") != b"application/json" or not length.isdigit() or len(length) > 4:  # digits
        return None
    if not 0 < int(length) <= _MOST_BODY:
        return None
    return _Head(_credential(headers.get(b"authorization", b"")), int(length), _forwarded(headers), None)


def _authz_head(headers: dict[bytes, bytes], *, head_only: bool) -> _Head | None:
    if head_only or headers.get(b"content-length", b"0") != b"0":
        return None
    question = read_gateway_question(headers, None)
    if isinstance(question, Refusal):
        return None
    shown = headers.get(b"x-keyturn-credential", b"")
    credential = _credential(shown if shown.lower().startswith(b"bearer ") else b"Bearer " + shown)
    return _Head(credential, 0, _forwarded(headers), question)


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


def _canonical(text: str) -> str | None:
    known: str | None = _addresses.get(text)
    if known is None:
        known = canonical(text)
        if known is not None:
            _addresses.put(text, known)
    return known


def _with_length(head: bytes, body: bytes) -> tuple[bytes, bytes]:
    return head, b"content-length: %d\r\n\r\n%s" % (len(body), body)


def _lines(headers: list[tuple[bytes, bytes]]) -> bytes:
    return b"".join(b"%s: %s\r\n" % one for one in headers)
