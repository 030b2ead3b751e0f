"""The nodes that a verifier is attached to and asks, and its credential there.  Standard library only."""

import http.client
import json
import os
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from types import MappingProxyType
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlsplit

from keyturn import __version__
from keyturn.sdk.address import check_address
from keyturn.sdk.clock import boot_micros
from keyturn.sdk.line import CONNECT_SECONDS, HungUp, Line, left
from keyturn.sdk.stream import Stream

FEED_PATH: Final = "/v1/feed"
ASK_SECONDS: Final = 5.0
ALL_SECONDS: Final = 10.0
_SHUNNED: Final = 10_000_000
"""Microseconds for which a node that has let somebody wait in vain is asked after all others."""
_MOST_IDLE: Final = 16
_OK: Final = 200
_BROKEN: Final = (KeyError, TypeError, AttributeError, OverflowError, struct.error)
"""What reading an answer raises that is not as it should be, beside ValueError."""
A = TypeVar("A")


class NodeUnavailable(ConnectionError):  # noqa: N818  # says what is wrong with the nodes
    """No node answered: nothing is known, so nothing is let through."""


class NotAllowed(PermissionError):  # noqa: N818  # says what is wrong with the credential
    """The node does not let this credential attach or ask; `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(f"the verifier's credential is refused: {code}")
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """For how many seconds an answer is waited for."""

    each: float = ASK_SECONDS
    """From one node."""
    together: float = ALL_SECONDS
    """From all of them, one after the other."""


class _Wait(threading.local):
    """Until when this thread waits, by the boot clock; 0 where nothing is said."""

    until = 0


class Nodes:
    """The nodes of a deployment, and the credential to ask them with.  Its `repr` shows no secret."""

    def __init__(
        self,
        urls: str | Sequence[str],
        credential: str,
        *,
        ca_file: str | Path | None = None,
        allow_plain_http: bool,
        patience: Patience = Patience(),
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
        self._patience = patience
        self._wait = _Wait()
        self._first = 0
        # By address: until when it is asked last.
        self._shunned: dict[str, int] = {}
        # By address; None once closed.  Each is one thread's at a time, and threads may come and go.
        self._idle: dict[str, list[Line]] | None = {}

    def anew(self) -> "Nodes":
        """The same without any open connection: a child's own."""
        child = copy(self)
        child._idle = {}  # noqa: SLF001  # our own
        child._shunned = {}  # noqa: SLF001  # as above
        child._proof = token_hex(16)  # noqa: SLF001  # as above
        return child

    def open(self, url: str) -> Stream:
        """The stream to one of them.  Raises Refused, OSError or ValueError."""
        return Stream(self._connect(url), _prefix(url) + FEED_PATH, self.headers())

    def _connect(self, url: str) -> http.client.HTTPConnection:
        """A connection to one of them, not yet opened."""
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        if parts.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=CONNECT_SECONDS, context=self._context)
        return http.client.HTTPConnection(host, port, timeout=CONNECT_SECONDS)

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

    @contextmanager
    def waiting(self, since: int) -> Iterator[None]:
        """Whatever this thread asks within, it has the time of one question for all of it, from then on."""
        self._wait.until = since + _micros(self._patience.together)
        try:
            yield
        finally:
            self._wait.until = 0

    def left(self) -> float:
        """For how many seconds this thread may wait still.  Raises NodeUnavailable once that is over."""
        try:
            return left(self._wait.until or boot_micros() + _micros(self._patience.together))
        except TimeoutError:
            raise NodeUnavailable("no node has an answer in time") from None

    def ask(
        self,
        path: str,
        body: Mapping[str, Any],
        read: Callable[[dict[str, Any]], A],
        *,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> A:
        """What `read` makes of the answer of the first node that has one, in the time that there is for each and all.

        Whoever answered last is asked first, and last of all who has just let somebody wait in vain.  An answer that
        `read` finds broken is none.  Raises NodeUnavailable or NotAllowed, and what else `read` does.
        """
        sent = json.dumps(body, separators=(",", ":")).encode()
        ends, reason = self._wait.until or boot_micros() + _micros(self._patience.together), ""
        each = _micros(self._patience.each)
        for url in self._in_order():
            now = boot_micros()
            until = min(ends, now + each)
            try:
                status, answer = self._ask(url, path, sent, headers, until=until)
                if status == _OK:
                    found = read(answer)
                    self.ask_first(url)
                    self._shunned.pop(url, None)
                    return found
            except (OSError, http.client.HTTPException, ValueError, *_BROKEN) as error:
                reason = type(error).__name__
                if isinstance(error, TimeoutError) and until - now > each // 2:
                    self._shun(url)  # it had time enough
                continue
            reason = str(answer.get("code", status))
            if status in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
                raise NotAllowed(reason)
        raise NodeUnavailable(f"no node has an answer: {reason}")

    def close(self) -> None:
        """Close every connection that is kept, and keep none any more."""
        idle, self._idle = self._idle, None
        for line in [one for kept in (idle or {}).values() for one in kept]:
            line.close()

    def _in_order(self) -> list[str]:
        first, now = self._first, boot_micros()
        turned = self.urls[first:] + self.urls[:first]
        return sorted(turned, key=lambda url: self._shunned.get(url, 0) > now)

    def _shun(self, url: str) -> None:
        """Ask it last for a while, and on none of its lines: who does not answer on one answers on no other."""
        self._shunned[url] = boot_micros() + _SHUNNED
        while (line := self._kept(url)) is not None:
            line.close()

    def _ask(
        self, url: str, path: str, body: bytes, more: Mapping[str, str], *, until: int
    ) -> tuple[int, dict[str, Any]]:
        headers = self.headers() | {"Content-Type": "application/json"} | dict(more)
        while True:
            kept = self._kept(url)
            line = kept or Line(self._connect(url), self._trusted(url), until=until)
            try:
                answer = line.ask(_prefix(url) + path, body, headers, until=until)
            except HungUp:
                line.close()
                if kept is None:
                    raise
                continue  # the node has closed a line that was idle
            except BaseException:
                line.close()
                raise
            self._keep(url, line)
            return answer

    def _trusted(self, url: str) -> ssl.SSLContext | None:
        return self._context if urlsplit(url).scheme == "https" else None

    def _kept(self, url: str) -> Line | None:
        """One that is idle, and no other thread's from now on; one that the node has spoken on, or left, is closed."""
        try:
            while self._idle:
                line = self._idle[url].pop()
                if line.is_idle:
                    return line
                line.close()
        except (KeyError, IndexError):
            pass
        return None

    def _keep(self, url: str, line: Line) -> None:
        idle = self._idle
        if idle is not None and line.is_idle and len(kept := idle.setdefault(url, [])) < _MOST_IDLE:
            kept.append(line)
        else:
            line.close()
        if self._idle is None:
            line.close()  # `close` came in between


def _prefix(url: str) -> str:
    """The path that the address has of itself, where a proxy serves a deployment below one."""
    return quote(urlsplit(url).path.rstrip("/"), safe="/%:@!$&'()*+,;=~")


def _micros(seconds: float) -> int:
    return round(seconds * 1e6)


def credential_from(file: str | Path) -> str:
    """A credential from a file of its own.  Raises OSError."""
    return Path(os.fspath(file)).read_text("utf-8").strip()
