"""Connections byte by byte: a caller who writes what no client would, and an API that agrees to all."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, Self

from tests.gateways.program import Gateway

PATIENCE: Final = 60.0
"""For how many seconds something is waited for that is sure to come."""
_ANSWERS: Final = (0, 1)  # DATA, HEADERS
_ENDS: Final = (3, 7)  # RST_STREAM, GOAWAY
_LENGTH: Final = 9  # of the head of a frame


class AgreeingApi:
    """An API that keeps whatever comes, and becomes whatever it is asked to: a tunnel, another protocol.

    One connection is one entry of `heard`, which is whole once the connection is over.
    """

    def __init__(self) -> None:
        self.heard: list[bytearray] = []
        self._server: _Server | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _Connection)
        self._server.api = self
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    api: AgreeingApi
    daemon_threads = True


class _Connection(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        self._heard = bytearray()
        self.server.api.heard.append(self._heard)
        with suppress(OSError):
            while self._one():
                pass

    def _one(self) -> bool:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += (line := self._line())
            if not line:
                return False
        fields = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(b":") for line in head.split(b"\r\n"))
        }
        if b"upgrade" in fields or head.startswith(b"CONNECT "):
            answer = b"200 OK\r\n\r\n"
            if b"upgrade" in fields:
                answer = b"101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n" % fields[b"upgrade"]
            self.wfile.write(b"HTTP/1.1 " + answer)
            while self._line().strip():  # what follows goes past every gateway: one more head is enough
                pass
            return False
        self._body(fields)
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        return True

    def _body(self, fields: dict[bytes, bytes]) -> None:
        if fields.get(b"transfer-encoding") != b"chunked":
            self._keep(self.rfile.read(int(fields.get(b"content-length", b"0"))))
            return
        while size := int(self._line(), 16):
            self._keep(self.rfile.read(size + 2))
        while self._line().strip():  # the trailers
            pass

    def _line(self) -> bytes:
        return self._keep(self.rfile.readline())

    def _keep(self, came: bytes) -> bytes:
        self._heard += came
        return came


@contextmanager
def connected(gateway: Gateway) -> Iterator[socket.socket]:
    """A caller's connection to a gateway."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE) as connection:
        yield connection


def said(gateway: Gateway, *written: bytes) -> bytes:
    """All that a gateway answers until it closes the connection: the last that is written should ask it to.

    The next is written once something has come, as a protocol that follows is begun after the answer that allows it.
    """
    with connected(gateway) as connection:
        answer = b""
        with suppress(ConnectionError):  # it may have closed before it was told everything
            for piece in written:
                connection.sendall(piece)
                answer += connection.recv(65536)
            while came := connection.recv(65536):
                answer += came
        return answer


def head(gateway: Gateway, line: str, *, key: str = "", **fields: str) -> bytes:
    """The head of a request; `_` in a name is written as `-`."""
    lines = [line, f"Host: 127.0.0.1:{gateway.port}", *([f"Authorization: Bearer {key}"] if key else [])]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def http2(*, key: str, trailer: tuple[str, str]) -> bytes:
    """A connection's beginning without TLS, and on it a GET with a trailer.  Its headers are not compressed."""
    fields = [(":method", "GET"), (":scheme", "http"), (":path", "/orders"), (":authority", "localhost")]
    fields += [("authorization", f"Bearer {key}")]
    return b"".join(
        [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            _frame(4, 0, 0, b""),
            _frame(1, 4, 1, _block(fields)),
            _frame(1, 5, 1, _block([trailer])),
        ]
    )


def await_http2(connection: socket.socket) -> None:
    """Read until the request of `http2` is over, or the connection is."""
    stream = connection.makefile("rb")
    while len(begun := stream.read(_LENGTH)) == _LENGTH and not begun.startswith(b"HTTP/"):
        stream.read(int.from_bytes(begun[:3], "big"))
        kind, flags, number = begun[3], begun[4], int.from_bytes(begun[5:], "big")
        if (kind in _ANSWERS and flags & 1 and number == 1) or kind in _ENDS:
            return
    stream.read()


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def _block(fields: list[tuple[str, str]]) -> bytes:
    words = [(name.encode(), value.encode()) for name, value in fields]
    return b"".join(b"\0%c%s%c%s" % (len(name), name, len(value), value) for name, value in words)
