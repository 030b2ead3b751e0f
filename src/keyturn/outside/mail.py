"""Mails on their way out: by SMTP, into a folder, or onto the console (R50, R51).

Every mail of one delivery is the same mail: the same Message-ID and the same date.  Where the answer to it gets lost it
is sent once more, and the reader's program, or the reader, sees that it is the same.
"""

import os
import re
import smtplib
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as WIRE
from email.policy import SMTPUTF8 as WIRE_UTF8
from pathlib import Path
from typing import IO, Final, Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from keyturn.core.delivery import Attempt, Result
from keyturn.core.visible import visible
from keyturn.outside import folder
from keyturn.outside.cut_off import CutOff
from keyturn.outside.mail_text import write
from keyturn.ports.sender import Consignment
from keyturn.settings import Settings

FOLDER: Final = "mails"
"""Below the data folder: where mails lie when nothing else is set."""
MOST_KEPT: Final = 1000
_PORTS: Final = {"smtp": 587, "smtps": 465}
_ADDRESS: Final = re.compile(r"[^\s@<>()\[\]\\,:;\"]{1,64}@[^\s@<>()\[\]\\,:;\"]{1,253}")
_ANSWER_SECONDS: Final = 20
_ALL_SECONDS: Final = 60
"""For one mail from connecting to the last answer, however slowly the server speaks: less than the lease."""
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class Transport(Protocol):
    """By which a finished mail leaves."""

    def deliver(self, mail: EmailMessage, *, name: str) -> Attempt: ...


@dataclass(frozen=True, slots=True)
class MailSender:
    """`ports.sender.Sender` for mails."""

    transport: Transport
    sent_from: str
    base_url: Callable[[], str]
    """What links begin with; empty where the server does not know its address."""

    def send(self, consignment: Consignment) -> Attempt:
        """Write the mail and try once to deliver it."""
        delivery = consignment.parcel.delivery
        try:
            mail = compose(consignment, sent_from=self.sent_from, base_url=self.base_url())
        except ValueError:
            return Attempt(result=Result.REFUSED, said="no mail can be written to that address")
        name = f"{consignment.parcel.at:%Y%m%dT%H%M%S.%f}-{delivery.id}"
        return self.transport.deliver(mail, name=name)


def compose(consignment: Consignment, *, sent_from: str, base_url: str) -> EmailMessage:
    """The mail, the same every time.  Raises ValueError for an address that cannot stand in a header."""
    parcel = consignment.parcel
    said = write(consignment, base_url=base_url)
    mail = EmailMessage(policy=WIRE)
    mail["Subject"] = said.subject
    mail["From"] = Address("keyturn", addr_spec=sent_from)
    mail["To"] = _address(parcel.delivery.to)
    mail["Date"] = parcel.at
    mail["Message-ID"] = f"<{parcel.delivery.id}@{sent_from.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    if parcel.notice is not None:
        mail["X-Keyturn-Event"] = visible(parcel.notice.kind)
    mail.set_content(said.text)
    mail.add_alternative(said.html, subtype="html")
    mail.set_boundary(f"=_{parcel.delivery.id}")  # the same every time, byte for byte
    return mail


def _address(text: str) -> Address:
    if not _ADDRESS.fullmatch(text) or not text.isprintable():
        msg = "no address"
        raise ValueError(msg)
    local, _, domain = text.rpartition("@")
    return Address(username=local, domain=domain if domain.isascii() else domain.encode("idna").decode("ascii"))


# -- by SMTP


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpServer:
    """`ports`-less: one mail, one conversation, so that no mail stands in for another's trouble."""

    host: str
    port: int
    implicit_tls: bool
    user: str = ""
    password_file: Path | None = None
    context: ssl.SSLContext = field(default_factory=ssl.create_default_context)

    def deliver(self, mail: EmailMessage, *, name: str) -> Attempt:  # noqa: ARG002  # as the protocol says
        """One conversation.  What the server says decides; an answer that got lost is no answer."""
        try:
            with self._signed_in() as server:
                server.send_message(mail)
        except smtplib.SMTPRecipientsRefused as error:
            return _of_code(next(iter(error.recipients.values()))[0])
        except (smtplib.SMTPDataError, smtplib.SMTPSenderRefused) as error:
            return _of_code(error.smtp_code)
        except smtplib.SMTPNotSupportedError:
            return Attempt(result=Result.REFUSED, said="the server takes no such address")
        except (smtplib.SMTPException, OSError, ValueError) as error:
            return Attempt(result=Result.UNREACHABLE, said=_name_of(error))
        return Attempt(result=Result.TAKEN, said="250")

    def check(self) -> None:
        """Connect and sign in, and send nothing.  Raises OSError, SMTPException or ValueError."""
        with self._signed_in() as server:
            server.noop()

    @contextmanager
    def _signed_in(self) -> Iterator[smtplib.SMTP]:
        with (
            CutOff(_ALL_SECONDS) as cut_off,
            _Smtp(self.host, self.port, cut_off, self.context if self.implicit_tls else None) as it,
        ):
            if not self.implicit_tls:
                self._start_tls(it)
            if self.user and self.password_file is not None:
                it.login(self.user, self.password_file.read_text("utf-8").strip())
            yield it

    def _start_tls(self, server: smtplib.SMTP) -> None:
        server.ehlo()
        if server.has_extn("starttls"):
            server.starttls(context=self.context)
            server.ehlo()
        elif self.user or self.host not in _LOOPBACK:
            # Whoever sits in between may have taken the offer out: neither password nor mail goes in the clear.
            msg = "the server offers no STARTTLS"
            raise ssl.SSLError(msg)


class _Smtp(smtplib.SMTP):
    """A conversation that can be cut off from its first byte on, whatever TLS is laid over it later."""

    def __init__(self, host: str, port: int, cut_off: CutOff, context: ssl.SSLContext | None) -> None:
        self._cut_off = cut_off
        self._context = context
        super().__init__(host, port, timeout=_ANSWER_SECONDS)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        line = socket.create_connection((host, port), timeout)
        self._cut_off.watch(line)
        return line if self._context is None else self._context.wrap_socket(line, server_hostname=host)

    def __exit__(self, *what: object) -> None:
        with suppress(smtplib.SMTPException, OSError, ValueError):
            self.quit()  # the mail is taken or not by now, whatever comes of this
        self.close()


def _of_code(code: int) -> Attempt:
    """RFC 5321, 4.2.1: 5 is for good, 4 for now."""
    result = Result.REFUSED if 500 <= code <= 599 else Result.DEFERRED
    return Attempt(result=result, said=str(code))


def _name_of(error: Exception) -> str:
    """What kind of trouble; never its text, which may hold an address."""
    code = getattr(error, "smtp_code", None)
    return f"{type(error).__name__} {code}" if code else type(error).__name__


# -- into a folder, onto the console


@dataclass(frozen=True, slots=True, kw_only=True)
class MailFolder:
    """Each mail a file that only its owner can read.  One delivery is one file, however often it is made."""

    path: Path
    most: int | None = None
    """How many are kept; the oldest go first."""

    def deliver(self, mail: EmailMessage, *, name: str) -> Attempt:  # as the protocol says
        """Write it, whole or not at all."""
        try:
            self.check()
            folder.replace_secret(self.path / f"{name}.eml", mail.as_bytes(policy=WIRE_UTF8).decode("utf-8"))
            if self.most is not None:
                for old in sorted(self.path.glob("*.eml"))[: -self.most]:
                    old.unlink(missing_ok=True)
        except OSError as error:
            return Attempt(result=Result.UNREACHABLE, said=_name_of(error))
        return Attempt(result=Result.TAKEN, said="written")

    def check(self) -> None:
        """Make sure of the folder.  Raises OSError."""
        folder.make(self.path)
        if not os.access(self.path, os.W_OK | os.X_OK):
            msg = "cannot be written"
            raise PermissionError(msg)

    def newest(self, *, limit: int) -> list[tuple[str, EmailMessage]]:
        """The newest mails first with their names, for the page that shows them."""
        from email import message_from_bytes

        files = sorted(self.path.glob("*.eml"), reverse=True)[:limit]
        return [(file.stem, message_from_bytes(file.read_bytes(), policy=WIRE_UTF8)) for file in files]


@dataclass(frozen=True, slots=True)
class Console:
    """Mails as text on standard error."""

    out: IO[str] = sys.stderr

    def deliver(self, mail: EmailMessage, *, name: str) -> Attempt:  # noqa: ARG002  # as the protocol says
        """Print headers and text."""
        body = mail.get_body(("plain",))
        said = "" if body is None else body.get_content()
        print(f"To: {mail['To']}\nSubject: {mail['Subject']}\n\n{said}", file=self.out, flush=True)
        return Attempt(result=Result.TAKEN, said="printed")

    def check(self) -> None:
        """It is always there."""


def transport(settings: Settings) -> SmtpServer | MailFolder | Console:
    """What the setting `mail` names; where it is empty, a folder.  Raises OSError for certificates it cannot read."""
    parts = urlsplit(settings.mail)
    if parts.scheme in _PORTS:
        return _smtp(parts, settings)
    if parts.scheme == "file":
        return MailFolder(path=Path(settings.mail.partition(":")[2]).expanduser())
    return Console() if parts.scheme else MailFolder(path=settings.data / FOLDER, most=MOST_KEPT)


def _smtp(parts: SplitResult, settings: Settings) -> SmtpServer:
    return SmtpServer(
        host=parts.hostname or "",
        port=parts.port or _PORTS[parts.scheme],
        implicit_tls=parts.scheme == "smtps",
        user=unquote(parts.username or ""),
        password_file=settings.mail_password_file,
        context=ssl.create_default_context(cafile=settings.mail_ca),
    )
