"""A real mail server on the loopback that keeps what it was given, and can be told to be slow, to refuse and to lie.

It runs in a thread of its own.  The port stays the same over `stop` and `start`: a mail server that is down and comes
back.
"""

import asyncio
import email
import email.policy
import re
import socket
import threading
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass
from email.message import EmailMessage
from enum import Enum, auto
from html.parser import HTMLParser
from typing import Any, Final, Self, TypeVar

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.certificate import Certificate

_WAIT_SECONDS: Final = 30.0
_LINK: Final = re.compile(r"https?://[^\s<>\"]+")
_T = TypeVar("_T")


class Manner(Enum):
    """What happens to a mail once all of it is there."""

    ACCEPT = auto()
    REFUSE_FOR_NOW = auto()
    """451: try again later."""
    REFUSE = auto()
    """550: never."""
    LIE = auto()
    """The mail is kept, and the connection closed before the answer: its sender cannot know."""
    HOLD = auto()
    """No answer until `let_go`; it is kept only then, where its sender is still there."""


class Security(Enum):
    """How a client has to speak."""

    PLAIN = auto()
    STARTTLS = auto()
    TLS = auto()
    """From the first byte on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """What was delivered, and how."""

    sender: str
    recipients: tuple[str, ...]
    raw: bytes
    encrypted: bool
    user: str
    """Who signed in to deliver it; empty for nobody."""

    @property
    def message(self) -> EmailMessage:
        """It parsed."""
        return email.message_from_bytes(self.raw, policy=email.policy.default)

    @property
    def subject(self) -> str:
        return str(self.message["Subject"])

    @property
    def text(self) -> str:
        """The part for readers of plain text; empty where there is none."""
        return self._part("plain")

    @property
    def html(self) -> str:
        """The part in HTML; empty where there is none."""
        return self._part("html")

    @property
    def links(self) -> tuple[str, ...]:
        """Every address that a reader can follow, those of the text first, none twice."""
        targets = _Targets()
        targets.feed(self.html)
        written = [found.rstrip(".,;:!?)") for found in _LINK.findall(self.text)]
        return tuple(dict.fromkeys([*written, *targets.found]))

    def link(self, containing: str) -> str:
        """The one link with this in it."""
        found = [link for link in self.links if containing in link]
        assert len(found) == 1, f"{containing}: {found or self.links}"
        return found[0]

    def _part(self, kind: str) -> str:
        part = self.message.get_body((kind,))
        return "" if part is None else str(part.get_content())


class _Targets(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if tag == "a" and name == "href" and value]


class Mailbox:
    """The server.  `with` starts it and ends it."""

    def __init__(
        self,
        *,
        security: Security = Security.PLAIN,
        certificate: Certificate | None = None,
        user: str = "",
        password: str = "",
        unknown: frozenset[str] = frozenset(),
    ) -> None:
        self.port = 0
        self.mails: list[Mail] = []
        self.attempts = 0
        """How many mails came whole, whatever became of them."""
        self._security = security
        self._context = None if certificate is None else certificate.server_context()
        self._credentials = (user.encode(), password.encode())
        self._unknown = unknown
        self._manners: deque[Manner] = deque()
        self._changed = threading.Condition()
        self._released = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._server: asyncio.Server | None = None
        self._clients: list[SMTP] = []

    # -- what a test says

    def then(self, *manners: Manner) -> None:
        """How the next mails are met, one after the other; those after them are accepted."""
        self._manners.extend(manners)

    def let_go(self) -> None:
        """Answer for every mail that is held."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._released.set)

    def await_attempts(self, count: int) -> None:
        """Answer once so many mails have come whole, whatever became of them."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.attempts >= count, _WAIT_SECONDS), f"{self.attempts} of {count}"

    def await_mails(self, count: int = 1, *, to: str = "") -> list[Mail]:
        """The mails to this address, or all, once there are so many."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.mails_to(to)) >= count, _WAIT_SECONDS), (
                f"{count} mails to {to or 'anybody'} were to come, there are {[mail.subject for mail in self.mails]}"
            )
            return self.mails_to(to)

    def mails_to(self, address: str = "") -> list[Mail]:
        """The mails that are there, to this address or all."""
        return [mail for mail in self.mails if not address or address in mail.recipients]

    # -- the server

    def start(self) -> Self:
        """Listen, on the port of before."""
        self._released = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._do(self._listen())
        return self

    def stop(self) -> None:
        """Listen no more, and drop every connection."""
        if self._loop is None or self._thread is None:
            return
        self._do(self._leave())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _do(self, work: Coroutine[Any, Any, _T]) -> _T:
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_WAIT_SECONDS)

    async def _listen(self) -> asyncio.Server:
        listening = socket.create_server(("127.0.0.1", self.port))
        self.port = listening.getsockname()[1]
        implicit = self._context if self._security is Security.TLS else None
        return await asyncio.get_running_loop().create_server(self._meet, sock=listening, ssl=implicit)

    async def _leave(self) -> None:
        assert self._server is not None
        self._server.close()
        for client in self._clients:
            if isinstance(client.transport, asyncio.Transport):
                client.transport.abort()
        self._clients.clear()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _meet(self) -> SMTP:
        starttls = self._security is Security.STARTTLS
        client = SMTP(
            self,
            hostname="mail.test",
            enable_SMTPUTF8=True,
            tls_context=self._context if starttls else None,
            require_starttls=starttls,
            auth_require_tls=starttls,
            authenticator=self._authenticate if self._credentials[0] else None,
            loop=self._loop,
        )
        self._clients.append(client)
        return client

    # -- what aiosmtpd asks

    def _authenticate(self, _server: SMTP, _session: Session, _envelope: Envelope, _way: str, said: Any) -> AuthResult:
        right = isinstance(said, LoginPassword) and (said.login, said.password) == self._credentials
        return AuthResult(success=right, handled=False, auth_data=said)

    async def handle_MAIL(  # noqa: N802  # the name is aiosmtpd's
        self, _server: SMTP, session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Whoever has to sign in has."""
        if self._credentials[0] and not session.authenticated:
            return "530 5.7.0 Authentication required"
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(  # noqa: N802  # the name is aiosmtpd's
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Everybody has a mailbox here, but for those who are said not to."""
        if address in self._unknown:
            return "550 5.1.1 No such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  # the same
        """All of the mail is there."""
        manner = self._manners.popleft() if self._manners else Manner.ACCEPT
        with self._changed:
            self.attempts += 1
            self._changed.notify_all()
        if manner is Manner.REFUSE_FOR_NOW:
            return "451 4.3.0 Try again later"
        if manner is Manner.REFUSE:
            return "550 5.7.1 Not here"
        if manner is Manner.HOLD:
            await self._released.wait()
        self._keep(session, envelope)
        if manner is Manner.LIE and isinstance(server.transport, asyncio.Transport):
            server.transport.abort()
        return "250 OK"

    def _keep(self, session: Session, envelope: Envelope) -> None:
        said: Any = session.auth_data
        mail = Mail(
            sender=str(envelope.mail_from),
            recipients=tuple(envelope.rcpt_tos),
            raw=envelope.original_content or b"",
            encrypted=session.ssl is not None or self._security is Security.TLS,
            user=said.login.decode() if isinstance(said, LoginPassword) else "",
        )
        with self._changed:
            self.mails.append(mail)
            self._changed.notify_all()
