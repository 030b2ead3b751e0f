"""What every request must be in form before anything looks at what it says: one strict reading below the framework.

Refused here: bodies over 64 KiB, other media types than JSON, what is not UTF-8 or not JSON, fields named twice,
NaN and infinity, nesting deeper than 32, numbers no 64 bits hold, lone surrogates, NUL; secrets in the URL; two
`Authorization` headers.
"""

import asyncio
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from contextlib import suppress
from typing import Any, Final, NoReturn

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keyturn.api.problem import field_name, problem_bytes, problem_headers
from keyturn.core.refusal import (
    BodyTooLarge,
    DuplicateField,
    DuplicateHeader,
    InvalidHeader,
    KeyInQuery,
    MalformedBody,
    Refusal,
    UnsupportedMediaType,
)
from keyturn.edge.url import url_holds_secret
from keyturn.edge.visit import ARRIVED_REV

MOST_BYTES: Final = 65_536
DEEPEST: Final = 32
BODY_SECONDS: Final = 30
_DRAINED: Final = 16 * MOST_BYTES
_DRAIN_SECONDS: Final = 2
_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
_SINGLE: Final = ("authorization", "idempotency-key", "content-type", "content-length", "x-keyturn-credential")
_LARGEST: Final = 2**63 - 1
_MOST_DIGITS: Final = 20

PARSED: Final = "keyturn.body"
"""Where on the scope the parsed body stands."""


class _RefusedForm(Exception):  # noqa: N818  # a "no" on its way out of the reader
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.kind)
        self.refusal = refusal


class StrictBody:
    """ASGI middleware: passes on requests of good form, answers the others."""

    def __init__(self, app: ASGIApp, *, applied_rev: Callable[[], int], base_url: str = "") -> None:
        self._app = app
        self._applied_rev = applied_rev
        self._base_url = base_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope[ARRIVED_REV] = self._applied_rev()
        try:
            check_headers(scope["headers"])
            check_url(scope)
            scope, receive = await self._read(scope, receive)
        except _RefusedForm as refused:
            await _answer(refused.refusal, receive, send, base_url=self._base_url)
            return
        await self._app(scope, receive, send)

    async def _read(self, scope: Scope, receive: Receive) -> tuple[Scope, Receive]:
        headers = dict(scope["headers"])
        if int(headers.get(b"content-length", b"0")) > MOST_BYTES:
            _refuse(BodyTooLarge())
        if scope["method"] not in _WITH_BODY:
            return scope, receive
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _gather(receive)
        except TimeoutError:
            _refuse(MalformedBody(reason="it did not arrive in time"))
        if body:
            _check_media_type(headers.get(b"content-type", b""))
            scope[PARSED] = parse(body)
        else:
            # An empty body says as much as {}: a call that needs a field will miss it by name.
            body = b"{}"
            scope[PARSED] = {}
            kept = [
                (name, value) for name, value in scope["headers"] if name not in (b"content-type", b"content-length")
            ]
            scope["headers"] = [*kept, (b"content-type", b"application/json"), (b"content-length", b"2")]
        return scope, _Replay(body, receive)


class _Replay:
    """The body once more, whole; afterwards only the end of the connection."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._message: Message | None = {"type": "http.request", "body": body, "more_body": False}
        self._receive = receive

    async def __call__(self) -> Message:
        message, self._message = self._message, None
        return message or await self._receive()


def check_headers(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Refuse what must stand once and stands twice."""
    seen: set[bytes] = set()
    for name, value in headers:
        if name in seen and name.decode("latin-1") in _SINGLE:
            _refuse(DuplicateHeader(header=name.decode("latin-1")))
        seen.add(name)
        if name == b"content-length" and not (value.isdigit() and len(value) < _MOST_DIGITS):
            _refuse(InvalidHeader(header="content-length"))


def check_url(scope: Mapping[str, Any]) -> None:
    """Refuse a secret in the query string or the path: addresses are logged and shared."""
    if url_holds_secret(scope):
        _refuse(KeyInQuery())


def parse(body: bytes) -> Any:  # noqa: ANN401  # any JSON
    """Read JSON strictly.  Raises the edge's own exception with the refusal to answer."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        _refuse(MalformedBody(reason="it is not UTF-8"))
    if _depth(text) > DEEPEST:
        _refuse(MalformedBody(reason=f"it is nested deeper than {DEEPEST}"))
    try:
        parsed = json.loads(
            text,
            object_pairs_hook=_each_once,
            parse_constant=lambda _: _refuse(MalformedBody(reason="NaN and infinity are no JSON")),
            parse_int=_whole,
            parse_float=_finite,
        )
    except (ValueError, RecursionError):
        _refuse(MalformedBody(reason="it is not JSON"))
    if "\\u" in text:
        _check_texts(parsed)
    return parsed


def refusal_of(body: bytes) -> Refusal | None:
    """Why the body cannot be read, or None."""
    try:
        parse(body)
    except _RefusedForm as refused:
        return refused.refusal
    return None


def _depth(text: str) -> int:
    if text.count("[") + text.count("{") <= DEEPEST:
        return 0
    depth = deepest = 0
    quoted = escaped = False
    for char in text:  # one pass: a pattern that backtracks would let one request stop the server
        if quoted:
            quoted = escaped or char != '"'
            escaped = char == "\\" and not escaped
        elif char == '"':
            quoted = True
        elif char in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in "]}":
            depth -= 1
    return deepest


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                _refuse(DuplicateField(field=field_name([name])))
            seen.add(name)
    return found


def _whole(text: str) -> int:
    if len(text) > _MOST_DIGITS or abs(int(text)) > _LARGEST:
        _refuse(MalformedBody(reason="a number is out of range"))
    return int(text)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        _refuse(MalformedBody(reason="a number is out of range"))
    return number


def _check_texts(value: object) -> None:
    """Escapes can write what UTF-8 cannot hold, and what databases do not."""
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
            _refuse(MalformedBody(reason="a text holds NUL or half a character"))
    elif isinstance(value, dict):
        for name, inner in value.items():
            _check_texts(name)
            _check_texts(inner)
    elif isinstance(value, list):
        for inner in value:
            _check_texts(inner)


def _check_media_type(value: bytes) -> None:
    kind, _, parameters = value.decode("latin-1").partition(";")
    charset = re.search(r"charset\s*=\s*\"?([^\s\";]+)", parameters, re.IGNORECASE)
    if kind.strip().lower() != "application/json" or (charset and charset[1].lower() not in ("utf-8", "utf8")):
        _refuse(UnsupportedMediaType())


async def _gather(receive: Receive) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            _refuse(MalformedBody(reason="it ended early"))
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > MOST_BYTES:
            _refuse(BodyTooLarge())
        if not message.get("more_body", False):
            return b"".join(chunks)


async def _answer(refusal: Refusal, receive: Receive, send: Send, *, base_url: str) -> None:
    document = problem_bytes(refusal, base_url=base_url)
    headers: MutableMapping[str, str] = problem_headers(refusal) | {"content-length": str(len(document))}
    too_large = isinstance(refusal, BodyTooLarge)
    if too_large:
        headers["connection"] = "close"
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": encoded})
    await send({"type": "http.response.body", "body": document, "more_body": True})
    if too_large:
        await _drain(receive)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _drain(receive: Receive) -> None:
    """Take some of what is still coming: closing on a caller who is writing would cost it the answer."""
    drained = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            while drained < _DRAINED:
                message = await receive()
                drained += len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return


def _refuse(refusal: Refusal) -> NoReturn:
    raise _RefusedForm(refusal)
