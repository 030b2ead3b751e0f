"""Talking to a keyturn server over HTTP, plainly or with asyncio.

    with Client("https://keys.example.com", key_file="admin.key") as keyturn:
        made = keyturn.create_key("orders", permissions=["orders:write"])

The key is never logged, never part of an address and never shown by `repr`.
It is not sent over plain HTTP, except to this machine, unless you insist.
"""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeAlias

import httpx2

from keyturn import __version__
from keyturn.sdk.address import NO_ADDRESS, InsecureAddress, check_line, is_loopback
from keyturn.sdk.calls import UNCHANGED, BadArgument, Call, Calls

__all__ = [
    "UNCHANGED",
    "Answer",
    "ApiError",
    "AsyncClient",
    "BadArgument",
    "Client",
    "InsecureAddress",
    "ServerUnreachable",
]

Answer: TypeAlias = dict[str, Any]
"""The JSON object of an answer; empty for an answer without one."""

DEFAULT_TIMEOUT: Final = 30.0
DEFAULT_RETRIES: Final = 2
LONGEST_WAIT: Final = 5.0
_PASSING: Final = frozenset({502, 503, 504})
_PROBLEM_MEMBERS: Final = frozenset({"type", "title", "status", "detail", "code"})


class ApiError(Exception):
    """The server said no.  `code` is stable; decide by it."""

    def __init__(
        self, *, code: str, status: int, title: str, detail: str = "", fields: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(f"{code}: {detail or title}")
        self.code = code
        self.status = status
        self.title = title
        self.detail = detail
        self.fields: Mapping[str, Any] = fields or {}
        """The further members of the problem document: which field, which policy, when."""


class ServerUnreachable(ConnectionError):  # noqa: N818  # says what is wrong with the server
    """No answer came.  What was asked may have happened, unless `never_sent`."""

    def __init__(self, message: str, *, never_sent: bool) -> None:
        super().__init__(message)
        self.never_sent = never_sent


class _Connection:
    """What both clients share: the address, the credential, and how to read an answer."""

    def __init__(
        self, url: str, *, key: str | None, key_file: str | Path | None, allow_plain_http: bool, retries: int
    ) -> None:
        self.url = url.rstrip("/")
        try:
            parsed = httpx2.URL(self.url)
        except httpx2.InvalidURL:
            raise ValueError(NO_ADDRESS) from None
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise ValueError(NO_ADDRESS)
        if parsed.userinfo or "?" in url or "#" in url:
            # Not echoed: what stands there is likely a secret.
            raise ValueError("the address of a server has no user, password, query or fragment")
        if key is not None and key_file is not None:
            raise ValueError("give the key or the file it lies in, not both")
        self.is_plain = parsed.scheme == "http"
        check_line(parsed.scheme, parsed.host, allow_plain_http=allow_plain_http)
        self._key = (Path(key_file).read_text("utf-8") if key_file is not None else key or "").strip()
        if not (self._key.isascii() and self._key.isprintable()) or " " in self._key:
            raise ValueError("what was given as the key is none: it holds a character that no key has")
        self.retries = retries

    def headers(self, call: Call) -> dict[str, str]:
        headers = {"Accept": "application/json", "User-Agent": f"keyturn-sdk/{__version__}"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        if call.idempotency_key:
            headers["Idempotency-Key"] = call.idempotency_key
        return headers

    def request(self, call: Call) -> dict[str, Any]:
        """The arguments of httpx2's `request`."""
        return {
            "method": call.method,
            "url": self.url + call.path,
            "json": call.body,
            "params": call.query or None,
            "headers": self.headers(call),
        }

    def pause(self, call: Call, attempt: int, outcome: httpx2.Response | ServerUnreachable) -> float | None:
        """How long to wait before sending again, or None: nothing is sent twice that could happen twice."""
        if attempt >= self.retries:
            return None
        waiting = 0.1 * 3.0**attempt
        if isinstance(outcome, ServerUnreachable):
            return waiting if call.may_be_repeated or outcome.never_sent else None
        if outcome.status_code not in _PASSING or not call.may_be_repeated:
            return None
        said = outcome.headers.get("Retry-After", "")
        return min(LONGEST_WAIT, float(said)) if said.isascii() and said.isdigit() else waiting

    def __repr__(self) -> str:
        return f"<{self.url}>"


class Client(Calls[Answer]):
    """A keyturn server.  May be shared between threads; close it, or use it in a `with`.

    A call that makes something carries an Idempotency-Key and is sent again, at most `retries` times, where no answer
    came or the server was away for a moment.  Other changes are sent once.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        key_file: str | Path | None = None,
        ca_file: str | Path | None = None,
        allow_plain_http: bool = False,
        timeout: float = DEFAULT_TIMEOUT,
        retries: int = DEFAULT_RETRIES,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        """`ca_file`: the certificates to trust instead of the system's, in PEM."""
        self._connection = _Connection(
            url, key=key, key_file=key_file, allow_plain_http=allow_plain_http, retries=retries
        )
        self._http = httpx2.Client(
            verify=_trust(self._connection, ca_file),
            timeout=timeout,
            transport=transport,
            # A proxy named by the environment would see what plain HTTP carries to this machine.
            trust_env=not self._connection.is_plain,
        )

    def send(self, call: Call) -> Answer:
        attempt = 0
        while True:
            outcome: httpx2.Response | ServerUnreachable
            try:
                outcome = self._http.request(**self._connection.request(call))
            except httpx2.TransportError as error:
                outcome = _unreachable(self._connection, error)
            pause = self._connection.pause(call, attempt, outcome)
            if pause is None:
                return _answer(outcome)
            attempt += 1
            time.sleep(pause)

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self._connection.url!r}, key=…)"


class AsyncClient(Calls[Awaitable[Answer]]):
    """The same calls, to be awaited."""

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        key_file: str | Path | None = None,
        ca_file: str | Path | None = None,
        allow_plain_http: bool = False,
        timeout: float = DEFAULT_TIMEOUT,
        retries: int = DEFAULT_RETRIES,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        """As `Client`."""
        self._connection = _Connection(
            url, key=key, key_file=key_file, allow_plain_http=allow_plain_http, retries=retries
        )
        self._http = httpx2.AsyncClient(
            verify=_trust(self._connection, ca_file),
            timeout=timeout,
            transport=transport,
            trust_env=not self._connection.is_plain,
        )

    async def send(self, call: Call) -> Answer:
        attempt = 0
        while True:
            outcome: httpx2.Response | ServerUnreachable
            try:
                outcome = await self._http.request(**self._connection.request(call))
            except httpx2.TransportError as error:
                outcome = _unreachable(self._connection, error)
            pause = self._connection.pause(call, attempt, outcome)
            if pause is None:
                return _answer(outcome)
            attempt += 1
            await asyncio.sleep(pause)

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncClient({self._connection.url!r}, key=…)"


def is_loopback_url(url: str) -> bool:
    """Whether this is an address of this very machine.  Raises ValueError for what is no address."""
    try:
        return is_loopback(httpx2.URL(url).host)
    except httpx2.InvalidURL:
        raise ValueError(NO_ADDRESS) from None


def _trust(connection: _Connection, ca_file: str | Path | None) -> ssl.SSLContext | bool:
    if ca_file is not None:
        return ssl.create_default_context(cafile=str(ca_file))
    return not connection.is_plain  # over plain HTTP there is nothing to check, and loading certificates takes 20 ms


def _unreachable(connection: _Connection, error: httpx2.TransportError) -> ServerUnreachable:
    never_sent = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout)
    why = str(error) or type(error).__name__
    return ServerUnreachable(f"no answer from {connection.url}: {why}", never_sent=never_sent)


def _answer(outcome: httpx2.Response | ServerUnreachable) -> Answer:
    if isinstance(outcome, ServerUnreachable):
        raise outcome
    document = _document(outcome)
    if outcome.is_success:
        return document
    raise ApiError(
        code=str(document.get("code") or f"http_{outcome.status_code}"),
        status=outcome.status_code,
        title=str(document.get("title") or outcome.reason_phrase),
        detail=str(document.get("detail") or ""),
        fields={name: value for name, value in document.items() if name not in _PROBLEM_MEMBERS},
    )


def _document(response: httpx2.Response) -> Answer:
    try:
        document = response.json()
    except ValueError:
        document = {}
    return document if isinstance(document, dict) else {}
