"""The nodes that a verifier is attached to and asks, and its credential there.  Standard library only."""

import http.client
import json
import os
import ssl
from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from secrets import token_hex
from typing import Any, Final
from urllib.parse import urlsplit

from keyturn import __version__
from keyturn.sdk.address import check_address

FEED_PATH: Final = "/v1/feed"
ASK_SECONDS: Final = 5.0
_CONNECT_SECONDS: Final = 2.0
_MOST_IDLE: Final = 16
_OK: Final = 200


class NodeUnavailable(ConnectionError):  # noqa: N818  # says what is wrong with the nodes
    """No node answered: nothing is known, so nothing is let through."""


class NotAllowed(PermissionError):  # noqa: N818  # says what is wrong with the credential
    """The node does not let this credential attach or ask; `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(f"the verifier's credential is refused: {code}")
        self.code = code


class Nodes:
    """The nodes of a deployment, and the credential to ask them with.  Its `repr` shows no secret."""

    def __init__(
        self, urls: str | Sequence[str], credential: str, *, ca_file: str | Path | None = None, allow_plain_http: bool
    ) -> None:
        listed = [urls] if isinstance(urls, str) else list(urls)
        if not listed:
            raise ValueError("name at least one node")
        self.urls = tuple(one.rstrip("/") for one in listed)
        for one in self.urls:
            check_address(one, allow_plain_http=allow_plain_http)
        self._credential = credential
        self._proof = token_hex(16)
        self._context = ssl.create_default_context(cafile=ca_file)
        self._first = 0
        # By address; None once closed.  Each is one thread's at a time, and threads may come and go.
        self._idle: dict[str, list[http.client.HTTPConnection]] | None = {}

    def anew(self) -> "Nodes":
        """The same without any open connection: a child's own."""
        child = copy(self)
        child._idle = {}  # noqa: SLF001  # our own
        child._proof = token_hex(16)  # noqa: SLF001  # as above
        return child

    def connect(self, url: str, *, timeout: float = _CONNECT_SECONDS) -> http.client.HTTPConnection:
        """A connection to one of them, not yet opened."""
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        if parts.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=timeout, context=self._context)
        return http.client.HTTPConnection(host, port, timeout=timeout)

    def headers(self) -> dict[str, str]:
        """What every request shows: the credential, and of which instance it is.

        Instances are named in receipts; who shows this is the one that it was when it attached.
        """
        return {
            "Authorization": f"Bearer {self._credential}",
            "User-Agent": f"keyturn-verifier/{__version__}",
            "X-Keyturn-Instance": self._proof,
        }

    def ask_first(self, url: str) -> None:
        """From now on this one is asked before the others: there the lease is known."""
        self._first = self.urls.index(url) if url in self.urls else self._first

    def ask(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer of the first node that has one.  Raises NodeUnavailable or NotAllowed."""
        sent = json.dumps(body, separators=(",", ":")).encode()
        first, reason = self._first, ""
        for turn in range(len(self.urls)):
            at = (first + turn) % len(self.urls)
            try:
                status, answer = self._ask(self.urls[at], path, sent)
            except (OSError, http.client.HTTPException, ValueError) as error:
                reason = type(error).__name__
                continue
            if status == _OK:
                self._first = at
                return answer
            reason = str(answer.get("code", status))
            if status in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
                raise NotAllowed(reason)
        raise NodeUnavailable(f"no node has an answer: {reason}")

    def close(self) -> None:
        """Close every connection that is kept, and keep none any more."""
        idle, self._idle = self._idle, None
        for connection in [one for kept in (idle or {}).values() for one in kept]:
            connection.close()

    def _ask(self, url: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        while True:
            kept = self._kept(url)
            connection = kept or self.connect(url, timeout=ASK_SECONDS)
            try:
                connection.request("POST", path, body, self.headers() | {"Content-Type": "application/json"})
                response = connection.getresponse()
                answer = json.loads(response.read() or b"{}")
            except (OSError, http.client.HTTPException, ValueError):
                connection.close()
                if kept is None:
                    raise
                continue  # the node may just have closed a connection that was idle
            self._keep(url, connection)
            return response.status, answer if isinstance(answer, dict) else {}

    def _kept(self, url: str) -> http.client.HTTPConnection | None:
        """One that is idle, and no other thread's from now on."""
        try:
            return self._idle[url].pop() if self._idle else None
        except (KeyError, IndexError):
            return None

    def _keep(self, url: str, connection: http.client.HTTPConnection) -> None:
        idle = self._idle
        if idle is not None and len(kept := idle.setdefault(url, [])) < _MOST_IDLE:
            kept.append(connection)
        else:
            connection.close()
        if self._idle is None:
            connection.close()  # `close` came in between


def credential_from(file: str | Path) -> str:
    """A credential from a file of its own.  Raises OSError."""
    return Path(os.fspath(file)).read_text("utf-8").strip()
