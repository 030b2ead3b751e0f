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

_MOST_HEAD: Final = 65_536
_LONGEST_LINE: Final = 64 * 1024 * 1024
_MOST_BODY: Final = 65_536
_AT_ONCE: Final = 262_144
_SEND_SECONDS: Final = 2.0
_OK: Final = 200


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
        """Open it on a connection that is not open yet.  Raises Refused, OSError or ValueError."""
        connection.connect()
        self._socket: socket.socket = connection.sock
        self._arrived = b""
        self._chunks = _Chunks()
        lines = [f"POST {path} HTTP/1.1", f"Host: {connection.host}:{connection.port}", "Transfer-Encoding: chunked"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        try:
            self._socket.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
            self._read_head()
            self._socket.setblocking(False)
        except BaseException:
            self.close()
            raise

    def send(self, line: bytes) -> None:
        """One line, its end included; waits a moment at most where the other side is slow to take it."""
        rest = memoryview(b"%x\r\n%s\r\n" % (len(line), line))
        while rest:
            try:
                rest = rest[self._socket.send(rest) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                if not _ready(_SEND_SECONDS, writes=self._socket):
                    raise TimeoutError("the other side takes nothing any more") from None
            except ssl.SSLWantReadError:
                if not _ready(_SEND_SECONDS, self._socket):
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
        """Take what is there; False at the end."""
        while True:
            try:
                part = self._socket.recv(_AT_ONCE)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return True
            if not part:
                return False
            self._arrived += part
            if len(part) < _AT_ONCE and not isinstance(self._socket, ssl.SSLSocket):
                return True

    def _take(self) -> tuple[list[bytes], bool]:
        self._arrived = self._chunks.feed(self._arrived)
        *lines, self._chunks.text = self._chunks.text.split(b"\n")
        if len(self._chunks.text) > _LONGEST_LINE:
            raise ValueError("a line that does not end")
        return lines, self._chunks.ended

    def _read_head(self) -> None:
        while (end := self._arrived.find(b"\r\n\r\n")) < 0:
            if len(self._arrived) > _MOST_HEAD:
                raise ValueError("a head that does not end")
            self._arrived += self._more()
        first, *fields = self._arrived[:end].decode("latin-1").split("\r\n")
        self._arrived = self._arrived[end + 4 :]
        version, _, rest = first.partition(" ")
        status = rest[:3]
        if version != "HTTP/1.1" or not status.isdigit():
            raise ValueError("no HTTP/1.1")
        named = {name.strip().lower(): value.strip() for name, _, value in (one.partition(":") for one in fields)}
        if int(status) != _OK:
            raise Refused(self._problem(named, status))
        if named.get("transfer-encoding", "").lower() != "chunked":
            raise ValueError("an answer that has an end")

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
        part = self._socket.recv(_AT_ONCE)
        if not part:
            raise ConnectionResetError("the other side has gone")
        return part


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
        self.text = b""
        self.ended = False
        self._left = 0

    def feed(self, data: bytes) -> bytes:
        """Add what is whole to `text`; answers what is not."""
        while data and not self.ended:
            if self._left:
                part = data[: self._left]
                # The two bytes that end a chunk are counted in, and are no text.
                self.text += part[: max(0, self._left - 2)]
                self._left -= len(part)
                data = data[len(part) :]
                continue
            size, found, rest = data.partition(b"\r\n")
            if not found:
                if len(data) > _MOST_SIZE:
                    raise ValueError("no chunk")
                return data
            length = int(size.partition(b";")[0], 16)
            if length < 0:
                raise ValueError("no chunk")
            self.ended = not length
            self._left = length + 2 if length else 0
            data = rest
        return data


_MOST_SIZE: Final = 1024
