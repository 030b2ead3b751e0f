"""A real HTTP server on the loopback, in threads of its own: what keyturn calls, or what a browser visits, in a test.

Every request that came is kept.  The answer is a function of the request, unless the test said what comes `then`:
another answer, or none until a `Gate` is opened, which makes a slow server.  The port stays the same over `stop` and
`start`.
"""

import http.server
import json
import socket
import ssl
import threading
import urllib.parse
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Self

from tests.certificate import Certificate

_WAIT_SECONDS: Final = 30.0


@dataclass(frozen=True, kw_only=True)
class Request:
    """What came; the names of the headers are in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Of two with one name the last."""
    lines: Sequence[tuple[str, str]]
    """The headers as they came."""
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        """The fields of a form in the body."""
        return dict(urllib.parse.parse_qsl(self.body.decode(), keep_blank_values=True))


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What goes back: text is HTML, a mapping JSON."""

    body: bytes | str | Mapping[str, Any] = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kind = "text/html; charset=utf-8"
        if isinstance(self.body, Mapping):
            kind = "application/json"
        object.__setattr__(self, "headers", {"Content-Type": kind} | dict(self.headers))

    @property
    def sent(self) -> bytes:
        """The body as it goes over the wire."""
        if isinstance(self.body, Mapping):
            return json.dumps(self.body).encode()
        return self.body.encode() if isinstance(self.body, str) else self.body


class Gate:
    """Holds whoever comes to it until the test lets go."""

    def __init__(self) -> None:
        self._arrived = threading.Event()
        self._open = threading.Event()

    def pass_through(self) -> None:
        """Wait here."""
        self._arrived.set()
        self._open.wait()

    def await_arrival(self) -> None:
        """Answer once somebody waits at the gate."""
        assert self._arrived.wait(_WAIT_SECONDS), "nobody came"

    def let_go(self) -> None:
        """Open it for good."""
        self._open.set()


class Loopback:
    """The server.  `with` starts it and ends it."""

    def __init__(
        self, answer: Callable[[Request], Reply], *, tls: Certificate | None = None, keeps: bool = False
    ) -> None:
        """`keeps`: a connection is there for one request after the other."""
        self._answer = answer
        self._keeps = keeps
        self._instead: deque[Reply | Gate] = deque()
        self._tls = tls
        self._server: _Server | None = None
        self._changed = threading.Condition()
        self.heard: list[Request] = []
        self.port = 0

    @property
    def url(self) -> str:
        """Where it is, without a slash at the end."""
        return self.at("127.0.0.1")

    def at(self, host: str) -> str:
        """The same server under another name of this machine."""
        return f"{'http' if self._tls is None else 'https'}://{host}:{self.port}"

    def start(self) -> Self:
        """Listen."""
        self._server = _Server(self.port, self._hear, self._tls, keeps=self._keeps)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def stop(self) -> None:
        """Listen no more, and drop every connection."""
        if self._server is not None:
            self._server.shutdown()
            self._server.drop_connections()
            self._server.server_close()
            self._server = None

    def then(self, *instead: Reply | Gate) -> None:
        """How the next requests are answered, one after the other; a gate holds one back until it is let go."""
        self._instead.extend(instead)

    def await_requests(self, count: int) -> list[Request]:
        """The first `count` requests, once they have come."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.heard) >= count, _WAIT_SECONDS), (
                f"{len(self.heard)} of {count}"
            )
            return self.heard[:count]

    def _hear(self, request: Request) -> Reply:
        with self._changed:
            self.heard.append(request)
            instead = self._instead.popleft() if self._instead else None
            self._changed.notify_all()
        if isinstance(instead, Reply):
            return instead
        if instead is not None:
            instead.pass_through()
        return self._answer(request)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = False  # they are waited for in server_close, so that none outlives its test

    def __init__(self, port: int, hear: Callable[[Request], Reply], tls: Certificate | None, *, keeps: bool) -> None:
        self.hear = hear
        self.keeps = keeps
        self._tls = None if tls is None else tls.server_context()
        self._connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        try:
            if self._tls is not None:
                request = self._tls.wrap_socket(request, server_side=True)
                self._connections.add(request)
            super().finish_request(request, client_address)
        except (ssl.SSLError, OSError):
            pass  # the client left, or does not trust the certificate
        finally:
            request.close()

    def drop_connections(self) -> None:
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def setup(self) -> None:
        super().setup()
        if self.server.keeps:
            self.protocol_version = "HTTP/1.1"

    def _handle(self) -> None:
        parts = urllib.parse.urlsplit(self.path)
        request = Request(
            method=self.command,
            path=parts.path,
            query=dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            lines=self.headers.items(),
            body=self.rfile.read(int(self.headers.get("Content-Length", "0"))),
        )
        reply = self.server.hear(request)
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.sent)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.sent)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = _handle  # noqa: N815  # the names are the standard library's

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name is the standard library's
        """Say nothing."""
