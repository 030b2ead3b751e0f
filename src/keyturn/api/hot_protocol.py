"""uvicorn's protocol for HTTP/1.1, with the quick way in front (`hot.py`)."""

from http import HTTPStatus
from typing import Any, ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from keyturn.api.hot import ALWAYS, answer, header_lines, with_length
from keyturn.api.problem import problem_bytes, problem_headers
from keyturn.api.verdict import Hot
from keyturn.core.refusal import HeadTooLarge, MalformedRequest, Refusal

_MOST_HEAD_BYTES: Final = 262_144
"""A head that goes on beyond this is cut off: the parser would keep all of it."""


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
        lines = header_lines([(name.encode(), text.encode()) for name, text in problem_headers(refusal).items()])
        line = b"HTTP/1.1 %d %s\r\n" % (refusal.status, HTTPStatus(refusal.status).phrase.encode())
        head, rest = with_length(line + lines + ALWAYS + b"connection: close\r\n", body)
        self.transport.write(head + header_lines(self.server_state.default_headers) + rest)
        self.transport.close()

    def _write(self, head: bytes, rest: bytes) -> None:
        self._answered += 1
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        headers = self.server_state.default_headers
        if headers is not _Date.headers:  # uvicorn makes a new list each second
            _Date.headers, _Date.written = headers, header_lines(headers)
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
