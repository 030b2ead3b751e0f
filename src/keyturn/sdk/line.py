"""A line to one node, for one question after the other: each has an end, however slowly the node speaks.

What it says counts against one time and one length, of head and body together.  The system looks names up in a time of
its own.  Nothing in HTTP/1.1 ties an answer to its question but the order in which they come: a line on which more has
come than was asked for is never asked again.  Standard library only.
"""

import http.client
import io
import json
import socket
import ssl
from collections.abc import Mapping
from typing import Any, Final

from keyturn.sdk.clock import boot_micros

CONNECT_SECONDS: Final = 2.0
MOST_ANSWER: Final = 1_048_576
_GONE: Final = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)


class HungUp(ConnectionError):  # noqa: N818  # says what the other side did
    """The node has closed the line before it said a word."""


class Line:
    """Open from the start on.  One thread's at a time."""

    def __init__(self, connection: http.client.HTTPConnection, context: ssl.SSLContext | None, *, until: int) -> None:
        """Open it before that time of the boot clock; the connection is not open yet.  Raises OSError."""
        self._socket = _Patient(_opened(connection.host, connection.port, context, until))
        self._connection = connection
        self._connection.response_class = _Answer
        self._connection.sock = self._socket

    @property
    def is_idle(self) -> bool:
        """Whether the next that comes on it will answer the next question.

        It is not where the node has hung up, nor where it has said anything since it answered.
        """
        return self._connection.sock is not None and self._socket.is_quiet

    def ask(self, path: str, body: bytes, headers: Mapping[str, str], *, until: int) -> tuple[int, dict[str, Any]]:
        """The status and the answer, which have come by that time of the boot clock.

        Raises HungUp, OSError (a TimeoutError once the time is over), HTTPException or ValueError.
        """
        self._socket.begin(until)
        try:
            self._connection.request("POST", path, body, headers)
            with self._connection.getresponse() as response:
                return response.status, _document(response)
        except _GONE as error:
            if self._socket.heard:
                raise
            raise HungUp("the line was closed") from error

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def left(until: int) -> float:
    """Seconds until a time of the boot clock.  Raises TimeoutError once it is over."""
    rest = until - boot_micros()
    if rest <= 0:
        raise TimeoutError("the time is over")
    return rest / 1e6


class _Patient:
    """What `http.client` needs of a socket."""

    def __init__(self, line: socket.socket) -> None:
        self.heard = 0
        """How much has come in answer to this question."""
        self._line = line
        self._until = 0
        self._said_more = False

    @property
    def is_quiet(self) -> bool:
        """Whether nothing has come that is not read yet, its end included."""
        if self._said_more or (isinstance(self._line, ssl.SSLSocket) and self._line.pending()):
            return False
        try:
            self._line.settimeout(0)
            socket.socket.recv(self._line, 1, socket.MSG_PEEK)  # below TLS
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def more(self) -> None:
        """What was read for an answer went on after its end."""
        self._said_more = True

    def begin(self, until: int) -> None:
        """Another question."""
        self.heard, self._until = 0, until

    def wait(self) -> None:
        """Let the next step end in time."""
        self._line.settimeout(left(self._until))

    def sendall(self, data: bytes) -> None:
        self.wait()
        self._line.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return _Buffered(self, _Reader(self, self._line.makefile("rb", buffering=0)))

    def close(self) -> None:
        self._line.close()


class _Reader(io.RawIOBase):
    """What comes from it, as far as time and length allow."""

    def __init__(self, owner: _Patient, raw: socket.SocketIO) -> None:
        self._owner = owner
        self._raw = raw
        self._ended = False

    def end(self) -> None:
        """Nothing more is wanted."""
        self._ended = True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401  # as its base has it
        if self._ended:
            return 0
        self._owner.wait()
        count = self._raw.readinto(buffer)
        self._owner.heard += count or 0
        if self._owner.heard > MOST_ANSWER:
            raise ValueError("an answer that does not end")
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Buffered(io.BufferedReader):
    """The same, some at a time; what is over when it is closed would be lost to whoever reads next."""

    def __init__(self, owner: _Patient, raw: _Reader) -> None:
        super().__init__(raw)
        self._owner = owner
        self._reader = raw

    def close(self) -> None:
        if not self.closed:
            self._reader.end()
            if self.peek(1):
                self._owner.more()
        super().close()


class _Answer(http.client.HTTPResponse):
    """The final one, whatever is said before it, such as 103 Early Hints (RFC 9110, section 15.2)."""

    def begin(self) -> None:
        super().begin()
        while self.status < http.client.OK:
            if self.status == http.client.SWITCHING_PROTOCOLS:
                raise ValueError("an answer in another protocol")
            self.headers = None  # type: ignore[assignment]  # it begins anew where there are none
            super().begin()


def _opened(host: str, port: int, context: ssl.SSLContext | None, until: int) -> socket.socket:
    """A connection to the first of its addresses that takes one."""
    reason = OSError("a name without an address")
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        seconds = min(CONNECT_SECONDS, left(until))
        line = socket.socket(family, kind, protocol)
        try:
            line.settimeout(seconds)
            line.connect(address)
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line.settimeout(left(until))
            return line if context is None else context.wrap_socket(line, server_hostname=host)
        except OSError as error:
            line.close()
            reason = error
    raise reason


def _document(response: http.client.HTTPResponse) -> dict[str, Any]:
    """The JSON object of an answer; empty where it is none."""
    said = response.read(MOST_ANSWER)
    if response.length:
        raise ValueError("an answer that is cut short, or too long")
    try:
        answer = json.loads(said or b"{}")
    except RecursionError:
        raise ValueError("an answer that is nested without an end") from None
    return answer if isinstance(answer, dict) else {}
