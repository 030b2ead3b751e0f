"""Plain connections to a server, and requests to verify as they go over them."""

import json
import socket
from dataclasses import dataclass
from typing import Any, Self

from tests.serving import Serving

_VARIES = frozenset({"date", "x-request-id", "retry-after"})


@dataclass(frozen=True)
class Got:
    """One answer as it came over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def quick(self) -> bool:
        """Whether it came the quick way: only the careful one numbers its requests."""
        return "x-request-id" not in self.headers

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def said(self) -> tuple[int, dict[str, str], bytes]:
        """What must not depend on the way."""
        return self.status, {name: text for name, text in self.headers.items() if name not in _VARIES}, self.body


class Wire:
    """A plain connection."""

    def __init__(self, server: Serving) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._kept = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> Self:
        """Send as one piece."""
        self._socket.sendall(data)
        return self

    def get(self, *, head_only: bool = False) -> Got:
        """The next answer."""
        while b"\r\n\r\n" not in self._kept:
            self._more()
        head, _, self._kept = self._kept.partition(b"\r\n\r\n")
        line, *lines = head.decode("latin-1").split("\r\n")
        headers: dict[str, str] = {}
        for one in lines:
            name, _, text = one.partition(": ")
            assert name not in headers
            headers[name] = text
        length = 0 if head_only else int(headers["content-length"])
        while len(self._kept) < length:
            self._more()
        body, self._kept = self._kept[:length], self._kept[length:]
        return Got(int(line.split()[1]), headers, body)

    def ended(self) -> bool:
        """Whether the server has closed and said nothing more."""
        return not self._kept and self._socket.recv(1) == b""

    def _more(self) -> None:
        part = self._socket.recv(65536)
        if not part:
            msg = f"the connection ended; so far: {self._kept[:200]!r}"
            raise ConnectionError(msg)
        self._kept += part


def http_request(line: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    lines = [line, "Host: x", *(f"{name}: {text}" for name, text in headers.items())]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def verify_request(server: Serving, asked: object, *, key: str = "", **headers: str) -> bytes:
    body = asked if isinstance(asked, bytes) else json.dumps(asked).encode()
    own = {"Authorization": f"Bearer {key or server.admin_key}", "Content-Type": "application/json"}
    return http_request("POST /v1/verify HTTP/1.1", own | {k.replace("_", "-"): v for k, v in headers.items()}, body)


def authz_request(server: Serving, key: str, *, line: str = "GET /v1/authz HTTP/1.1", **headers: str) -> bytes:
    own = {"Authorization": f"Bearer {key}", "X-Keyturn-Credential": server.admin_key}
    return http_request(line, own | {name.replace("_", "-"): text for name, text in headers.items()})


def carefully(request: bytes) -> bytes:
    """The same request in a dress that the quick way does not know: two spaces before a header that means nothing."""
    line, _, rest = request.partition(b"\r\n")
    return line + b"\r\nX-Nothing:  at all\r\n" + rest


def ask(server: Serving, request: bytes) -> Got:
    with Wire(server) as wire:
        return wire.send(request).get()


def let_read(server: Serving) -> None:
    """Have it read what was sent so far as a piece of its own: it reads in the order in which things come."""
    assert ask(server, http_request("GET /livez HTTP/1.1", {})).status == 200


def warm_key(server: Serving, **wish: object) -> dict[str, Any]:
    """A new key that memory knows already."""
    made = server.create(**wish)
    assert server.verdict(made["secret"]) == "valid"
    return made
