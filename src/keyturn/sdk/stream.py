"""One HTTP request whose body and answer are both lines, for as long as they like (RFC 9112, chunked both ways).

One thread sends and receives, waiting for either: a TLS connection must not be used by two at once.
Standard library only.
"""

import http.client
import json
import selectors
import socket
import ssl
from collections.abc import Mapping
from typing import Final

from keyturn.sdk.clock import boot_micros
from keyturn.sdk.line import CONNECT_SECONDS, left

_MOST_HEAD: Final = 65_536
_LONGEST_LINE: Final = 32 * 1024 * 1024
"""Longer than 500 keys with as many networks and permissions as a key may have."""
_MOST_BODY: Final = 65_536
_AT_ONCE: Final = 262_144
_SEND_SECONDS: Final = 2.0
_LINE_SECONDS: Final = 5.0
_OK: Final = 200
_SWITCHED: Final = "101"


class Refused(Exception):  # noqa: N818  # says what the other side said
    """The answer was no stream; `code` is the problem's, or the status."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Wake:
    """Ends a wait from another thread."""

    def __init__(self) -> None:
        self._receiving, self._sending = socket.socketpair()
        self._receiving.setblocking(False)
        self._sending.setblocking(False)

    def __call__(self) -> None:
        """End the wait that is under way, or the next one."""
        try:
            self._sending.send(b"\0")
        except (BlockingIOError, OSError):
            return  # it is awake already, or gone

    def fileno(self) -> int:
        """To wait for."""
        return self._receiving.fileno()

    def clear(self) -> None:
        """What woke it has been seen to."""
        try:
            while self._receiving.recv(64):
                pass
        except (BlockingIOError, OSError):
            return

    def close(self) -> None:
        """Give both ends back."""
        self._receiving.close()
        self._sending.close()


class Stream:
    """An open stream.  Every method may raise OSError, and ValueError where the other side speaks no HTTP."""

    def __init__(self, connection: http.client.HTTPConnection, path: str, headers: Mapping[str, str]) -> None:
        """Open it on a connection that is not open yet; once it is, the answer begins in its `timeout`, as a whole.

        Raises Refused, OSError or ValueError.
        """
        connection.connect()
        self._socket: socket.socket = connection.sock
        self._arrived = b""
        self._heads = 0
        self._chunks = _Chunks()
        self._searched = 0
        lines = [f"POST {path} HTTP/1.1", f"Host: {_host(connection)}", "Transfer-Encoding: chunked"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        try:
            self._until = boot_micros() + round((self._socket.gettimeout() or CONNECT_SECONDS) * 1e6)
            self._socket.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
            self._read_head()
            self._socket.setblocking(False)
        except BaseException:
            self.close()
            raise

    def send(self, line: bytes) -> None:
        """One line, its end included; waits a moment at most where the other side is slow to take it."""
        until = boot_micros() + round(_LINE_SECONDS * 1e6)
        rest = memoryview(b"%x\r\n%s\r\n" % (len(line), line))
        while rest:
            try:
                rest = rest[self._socket.send(rest) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                if not _ready(min(_SEND_SECONDS, left(until)), writes=self._socket):
                    raise TimeoutError("the other side takes nothing any more") from None
            except ssl.SSLWantReadError:
                if not _ready(min(_SEND_SECONDS, left(until)), self._socket):
                    raise TimeoutError("the other side says nothing any more") from None

    def lines(self, seconds: float, wake: Wake) -> list[bytes] | None:
        """What has come, waiting at most so long; None once the other side has ended it."""
        lines, ended = self._take()
        if lines or ended:
            return lines or None
        ready = _ready(max(0.0, seconds), self._socket, wake)
        if wake in ready:
            wake.clear()
        if self._socket in ready and not self._receive():
            lines, _ = self._take()
            return lines or None
        lines, ended = self._take()
        return None if ended and not lines else lines

    def close(self) -> None:
        """End it."""
        self._socket.close()

    def _receive(self) -> bool:
        """Take some of what is there; False at the end.

        What is left there ends the next wait at once: TLS keeps nothing back, since none of its records is longer.
        """
        try:
            part = self._socket.recv(_AT_ONCE)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return True
        self._arrived += part
        return bool(part)

    def _take(self) -> tuple[list[bytes], bool]:
        self._arrived = self._chunks.feed(self._arrived)
        text = self._chunks.text
        end = text.rfind(b"\n", self._searched)
        lines = bytes(text[:end]).split(b"\n") if end >= 0 else []
        del text[: end + 1]
        self._searched = len(text)
        if self._searched > _LONGEST_LINE:
            raise ValueError("a line that does not end")
        return lines, self._chunks.ended

    def _read_head(self) -> None:
        status, fields = self._next_head()
        while http.client.CONTINUE <= int(status) < _OK and status != _SWITCHED:  # RFC 9110, section 15.2
            status, fields = self._next_head()
        named = {name.strip().lower(): value.strip() for name, _, value in (one.partition(":") for one in fields)}
        if int(status) != _OK:
            raise Refused(self._problem(named, status))
        if named.get("transfer-encoding", "").lower() != "chunked":
            raise ValueError("an answer that has an end")

    def _next_head(self) -> tuple[str, list[str]]:
        """The status and the fields of the answer, or of what is said before it."""
        while (end := self._arrived.find(b"\r\n\r\n")) < 0 and self._heads + len(self._arrived) <= _MOST_HEAD:
            self._arrived += self._more()
        if end < 0:
            raise ValueError("a head that does not end")
        self._heads += end + 4
        first, *fields = self._arrived[:end].decode("latin-1").split("\r\n")
        self._arrived = self._arrived[end + 4 :]
        version, _, rest = first.partition(" ")
        status = rest[:3]
        if version != "HTTP/1.1" or not status.isdigit():
            raise ValueError("no HTTP/1.1")
        return status, fields

    def _problem(self, headers: Mapping[str, str], status: str) -> str:
        """The code of a problem document, or the status of any other refusal."""
        length = headers.get("content-length", "")
        wanted = min(int(length), _MOST_BODY) if length.isascii() and length.isdigit() else 0
        try:
            while len(self._arrived) < wanted:
                self._arrived += self._more()
            problem = json.loads(self._arrived[:wanted] or b"{}")
        except (OSError, ValueError, RecursionError):
            return status
        code = problem.get("code") if isinstance(problem, dict) else None
        return code if isinstance(code, str) else status

    def _more(self) -> bytes:
        self._socket.settimeout(left(self._until))
        part = self._socket.recv(_AT_ONCE)
        if not part:
            raise ConnectionResetError("the other side has gone")
        return part


def _host(connection: http.client.HTTPConnection) -> str:
    """As a request names it: an IPv6 address in brackets and without a zone (RFC 9112, section 3.2; RFC 6874)."""
    host, _, _ = connection.host.partition("%")
    if ":" in host:
        return f"[{host}]:{connection.port}"
    return f"{host if host.isascii() else host.encode('idna').decode('ascii')}:{connection.port}"


def _ready(seconds: float, *reads: socket.socket | Wake, writes: socket.socket | None = None) -> list[object]:
    """Which of them may go on, waiting at most so long; however many files this process has open."""
    with selectors.DefaultSelector() as selector:
        for one in reads:
            selector.register(one, selectors.EVENT_READ)
        if writes is not None:
            selector.register(writes, selectors.EVENT_WRITE)
        return [key.fileobj for key, _ in selector.select(seconds)]


class _Chunks:
    """The chunked coding, read as it comes (RFC 9112, section 7.1)."""

    def __init__(self) -> None:
        self.text = bytearray()
        self.ended = False
        self._left = 0

    def feed(self, data: bytes) -> bytes:
        """Add what is whole to `text`; answers what is not."""
        at = 0
        while at < len(data) and not self.ended:
            if self._left:
                part = data[at : at + self._left]
                # The two bytes that end a chunk are counted in, and are no text.
                self.text += part[: max(0, self._left - 2)]
                self._left -= len(part)
                at += len(part)
                continue
            end = data.find(b"\r\n", at, at + _MOST_SIZE)
            if end < 0:
                if len(data) - at > _MOST_SIZE:
                    raise ValueError("no chunk")
                break
            length = int(data[at:end].partition(b";")[0], 16)
            if length < 0:
                raise ValueError("no chunk")
            self.ended = not length
            self._left = length + 2 if length else 0
            at = end + 2
        return data[at:]


_MOST_SIZE: Final = 1024
