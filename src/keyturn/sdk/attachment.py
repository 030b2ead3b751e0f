"""How a verifier is attached to a node: one stream, kept up by a thread, and questions beside it.

Nothing here decides anything: `verify.holder` says what a message means for the lease.  Standard library only.
"""

import http.client
import json
import logging
import os
import ssl
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import asdict
from pathlib import Path
from secrets import token_hex
from typing import Any, Final
from urllib.parse import urlsplit

from keyturn import __version__
from keyturn.core import feed
from keyturn.core.feed import KeyState, SecretState
from keyturn.core.instant import EPOCH, FOREVER, from_text
from keyturn.core.lease import FOR_GOOD, Acknowledgement, Denial, Grant, Push, Terms
from keyturn.core.share import HOLD, Rest, Share, Wish
from keyturn.sdk.address import check_address
from keyturn.sdk.clock import boot_id, boot_micros, wall_micros
from keyturn.sdk.stream import Refused, Stream, Wake
from keyturn.verify.borrower import Lend
from keyturn.verify.decision import CODES, VALID, Verdict
from keyturn.verify.entry import Profile, pack
from keyturn.verify.holder import Alarm, Holder
from keyturn.verify.memory import Fill
from keyturn.verify.message import give_backs, read, reports, write
from keyturn.verify.shares import Shares
from keyturn.verify.verifier import Verifier

FEED_PATH: Final = "/v1/feed"
_CONNECT_SECONDS: Final = 2.0
_ASK_SECONDS: Final = 5.0
_LONGEST_PAUSE: Final = 1.0
_SOON: Final = 20_000
"""Microseconds until a renewal before its turn."""
_MOST_IDLE: Final = 16
_OK: Final = 200
_NOTHING: Final = Profile((), (), None)
log = logging.getLogger("keyturn.sdk")


class NodeUnavailable(ConnectionError):  # noqa: N818  # says what is wrong with the nodes
    """No node answered: nothing is known, so nothing is let through."""


class NotAllowed(PermissionError):  # noqa: N818  # says what is wrong with the credential
    """The node does not let this credential attach or ask; `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(f"the verifier's credential is refused: {code}")
        self.code = code


class TooManyGuesses(Exception):  # noqa: N818  # says what stands in the way
    """So many wrong secrets came for a label that the next one waits (R42)."""

    def __init__(self, wait: int) -> None:
        super().__init__("too many wrong secrets")
        self.wait = wait


class Unleased(Exception):  # noqa: N818  # says what stands in the way
    """The node that was asked knows of no lease of this process, and tells it nothing to remember (F12)."""


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
            connection = kept or self.connect(url, timeout=_ASK_SECONDS)
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


class Attachment:
    """The stream to one node at a time, in a thread of its own from `start` on."""

    def __init__(self, nodes: Nodes, holder: Holder, verifier: Verifier, shares: Shares) -> None:
        self.node = ""
        """The node it is attached to; empty while there is none."""
        self.refused = ""
        """Why the last node has refused the credential."""
        self.joined = threading.Event()
        """Set once a lease is held for the first time."""
        self._nodes = nodes
        self._holder = holder
        self._verifier = verifier
        self._shares = shares
        self._stopping = threading.Event()
        self._wake = Wake()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; the process may end without waiting for it."""
        self._thread = threading.Thread(target=self._attach, name="keyturn feed", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Drop the lease, report a last time, and end the stream."""
        self._holder.deadline = 0
        self._stopping.set()
        self._wake()
        if self._thread is not None:
            self._thread.join(_ASK_SECONDS)

    def _attach(self) -> None:
        """Be attached to one node after the other."""
        at, pause = 0, 0.0
        while not self._stopping.wait(pause):
            url = self._nodes.urls[at % len(self._nodes.urls)]
            began = boot_micros()
            try:
                stream = Stream(self._nodes.connect(url), FEED_PATH, self._nodes.headers())
                try:
                    self.node, self.refused = url, ""
                    self._follow(stream)
                finally:
                    self._holder.disconnected()
                    stream.close()
            except Refused as error:
                self.refused = error.code
                log.warning("%s refuses this verifier: %s", url, error.code)
            except (OSError, ValueError) as error:
                log.info("the stream to %s ended: %s", url, type(error).__name__)
            self.node = ""
            self._tell_alarms()
            at += 1
            # At once to the next one, which may be up; slower the longer none of them lets us stay.
            stayed = boot_micros() - began > self._holder.terms.length
            pause = 0.0 if stayed else min(_LONGEST_PAUSE, pause * 2 or 0.02)
        self._wake.close()

    def _follow(self, stream: Stream) -> None:
        """Renew and follow the feed until either side ends it."""
        renew_at = heard_at = boot_micros()
        give_back_at = heard_at + HOLD
        while True:
            now = boot_micros()
            if self._stopping.is_set():
                self._leave(stream)
                return
            if now - heard_at > self._holder.terms.length:
                raise TimeoutError("the node says nothing any more")
            if now >= renew_at:
                stream.send(write(self._holder.renewal(now, wall=wall_micros(), machine=boot_id())))
                renew_at = now + self._holder.terms.renew_every
                self._nodes.ask_first(self.node)
                self._tell_alarms()
                self._report(stream)
            if now >= give_back_at:  # by its own clock: lenders know a loan for KEPT, renewals may be further apart
                self._give_back(stream, self._shares.overdue(now + self._holder.ahead))
                give_back_at = now + HOLD
            lines = stream.lines((min(renew_at, give_back_at) - now) / 1e6, self._wake)
            if lines is None:
                return
            for line in lines:
                heard_at = boot_micros()
                if not self._hear(line, stream):
                    renew_at = min(renew_at, heard_at + _SOON)  # a gap, or no lease: ask again
            renew_at = min(renew_at, heard_at + self._holder.terms.renew_every)  # by the terms that may just have come

    def _hear(self, line: bytes, stream: Stream) -> bool:
        """Take one message; False where another renewal is wanted before its turn."""
        try:
            message = read(line)
        except (ValueError, RecursionError):
            self._holder.drop(Alarm.FORGED)
            raise ValueError("a line that is no message") from None
        answer: Acknowledgement | None = None
        match message:
            case Grant():
                answer = self._holder.granted(message, boot_micros())
            case Push():
                answer = self._holder.pushed(message)
            case Denial():
                self._holder.denied(message)
            case Terms():
                self._holder.terms = message
                return True
            case _:
                self._holder.drop(Alarm.FORGED)
                raise ValueError("a message that nodes do not send")
        if answer is None:
            return False
        stream.send(write(answer))
        if isinstance(message, Grant):
            self.joined.set()
        return True

    def _leave(self, stream: Stream) -> None:
        """Memory answers nothing any more, whatever will come: no reset need wait for it (F5)."""
        self._holder.deadline = 0  # here, where grants are taken: one may have come since `stop`
        self._report(stream)
        self._give_back(stream, self._shares.drain())
        stream.send(write(Acknowledgement(epoch=self._verifier.epoch, rev=FOR_GOOD)))

    def _report(self, stream: Stream) -> None:
        """Tell what was counted; what cannot be told is lost with the stream, and nothing waits for it."""
        for one in reports(self._verifier.drain_uses(), self._verifier.drain_callers()):
            stream.send(write(one))

    def _give_back(self, stream: Stream, rests: Sequence[Rest]) -> None:
        """Tell what is spent no more of shares; what cannot be told is made up for by time."""
        for one in give_backs(rests):
            stream.send(write(one))

    def _tell_alarms(self) -> None:
        for alarm in self._holder.told():
            log.error("the lease was dropped: %s", alarm.value)


def filler(nodes: Nodes, verifier: Verifier, *, label: str) -> Callable[[bytes], Fill]:
    """What asks a node about a secret that is not known here (F4).

    It raises NodeUnavailable, NotAllowed, TooManyGuesses or Unleased.
    """

    def find(fingerprint: bytes) -> Fill:
        asked = {"key_sha256": fingerprint.hex()} | ({"label": label} if label else {})
        answer = nodes.ask(f"{FEED_PATH}/fill", asked)
        try:
            if "retry_after" in answer:
                raise TooManyGuesses(int(answer["retry_after"]) * 1_000_000)
            if answer.get("unleased") is True:
                raise Unleased
            state = None if answer["state"] is None else feed.from_plain(answer["state"])
            if not isinstance(state, feed.KeyState | None):
                raise NodeUnavailable("an answer that is none")
            # Of another epoch it may not be kept: as old as can be, so that it is decided by and forgotten.
            rev = int(answer["rev"]) if answer["epoch"] == verifier.epoch else -1
            return Fill(
                rev=rev,
                state=state,
                version=int(answer["version"]),
                time=int(answer["time"]),
                epoch=int(answer["epoch"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise NodeUnavailable("an answer that is none") from error

    return find


def lender(nodes: Nodes) -> Lend:
    """What asks a node for shares of limits (F15).  It raises NodeUnavailable or NotAllowed."""

    def lend(wishes: Sequence[Wish], rests: Sequence[Rest]) -> Sequence[Share]:
        asked = {"wishes": [asdict(one) for one in wishes], "rests": [asdict(one) for one in rests]}
        answer = nodes.ask(f"{FEED_PATH}/share", asked)
        try:
            return [_share(one) for one in answer["shares"]]
        except (KeyError, TypeError, ValueError) as error:
            raise NodeUnavailable("an answer that is none") from error

    return lend


def _share(told: Mapping[str, Any]) -> Share:
    numbers = {name: int(told[name]) for name in ("requests", "interval", "window", "others", "wait")}
    if min(numbers.values()) < 0:
        raise ValueError("less than nothing")
    return Share(key_id=str(told["key_id"]), loan=str(told["loan"]), **numbers)


def told_verdict(answer: Mapping[str, Any]) -> Verdict:
    """The verdict that a node has written.  Raises NodeUnavailable for what is none."""
    code = answer.get("code")
    if code not in CODES or answer.get("valid") is not (code == VALID):
        raise NodeUnavailable("an answer that is none")
    try:
        wait = int(answer.get("retry_after", 0)) * 1_000_000
        if answer.get("key_id") is None:
            return Verdict(code, b"", _NOTHING, wait)
        profile = Profile(tuple(answer["permissions"]), (), None)
        return Verdict(code, pack(_state(answer), _secret(answer), 0), profile, wait)
    except (KeyError, TypeError, ValueError, AttributeError, struct.error) as error:
        raise NodeUnavailable("an answer that is none") from error


def _state(answer: Mapping[str, Any]) -> KeyState:
    expires_at = answer.get("expires_at")
    return KeyState(
        number=0,
        key_id=answer["key_id"],
        account_id=answer["account_id"],
        owner_id=answer["owner_id"],
        environment=answer["environment"],
        permissions=(),
        allowlist=(),
        limit=None,
        expires_at=from_text(expires_at) if expires_at else FOREVER,
        suspended=False,
        revoked=False,
        secrets=(),
    )


def _secret(answer: Mapping[str, Any]) -> SecretState:
    replaced_at = answer.get("replaced_at")
    return SecretState(
        version=answer["version"],
        starts_at=EPOCH,
        dangerous_starts_at=EPOCH,
        stops_at=from_text(replaced_at) if replaced_at else FOREVER,
        stopped=bool(replaced_at),
        replaced_by=answer.get("reset_id") or "",
        watched=False,
    )


def credential_from(file: str | Path) -> str:
    """A credential from a file of its own.  Raises OSError."""
    return Path(os.fspath(file)).read_text("utf-8").strip()
