"""The mail server keeps mails, and misbehaves when it is told to; smtplib is the client here."""

import smtplib
import threading
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from tests.certificate import Certificate, self_signed
from tests.mailbox import Mailbox, Manner, Security


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with Mailbox() as server:
        yield server


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return self_signed(tmp_path)


def _message(subject: str = "Grüße") -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = "keyturn@example.test"
    message["To"] = "ada@example.test"
    message.set_content("Look here: https://example.test/a?b=1&c=2.\nOr (https://example.test/b)\n")
    message.add_alternative(
        '<p><a href="https://example.test/a?b=1&amp;c=2">a</a> <a href="https://example.test/c">c</a>', subtype="html"
    )
    return message


def _send(mailbox: Mailbox, message: EmailMessage | None = None) -> None:
    with smtplib.SMTP("127.0.0.1", mailbox.port, timeout=20) as client:
        client.send_message(message or _message())


def test_a_mail_is_kept_parsed(mailbox: Mailbox) -> None:
    _send(mailbox)
    (mail,) = mailbox.await_mails(to="ada@example.test")
    assert (mail.sender, mail.recipients, mail.subject) == ("keyturn@example.test", ("ada@example.test",), "Grüße")
    assert not mail.encrypted
    assert "Look here" in mail.text
    assert mail.html.startswith("<p>")
    assert mail.links == ("https://example.test/a?b=1&c=2", "https://example.test/b", "https://example.test/c")
    assert mail.link("/c") == "https://example.test/c"
    with pytest.raises(AssertionError, match="/b"):
        mail.link("https:")
    assert not mailbox.mails_to("eve@example.test")


def test_it_refuses_for_now_then_accepts(mailbox: Mailbox) -> None:
    mailbox.then(Manner.REFUSE_FOR_NOW)
    with pytest.raises(smtplib.SMTPDataError, match="451"):
        _send(mailbox)
    _send(mailbox)
    assert (mailbox.attempts, len(mailbox.mails)) == (2, 1)


def test_it_refuses_for_good(mailbox: Mailbox) -> None:
    mailbox.then(Manner.REFUSE)
    with pytest.raises(smtplib.SMTPDataError, match="550"):
        _send(mailbox)
    assert not mailbox.mails


def test_it_refuses_who_is_unknown() -> None:
    with Mailbox(unknown=frozenset({"ada@example.test"})) as mailbox, pytest.raises(smtplib.SMTPRecipientsRefused):
        _send(mailbox)


def test_it_lies(mailbox: Mailbox) -> None:
    mailbox.then(Manner.LIE)
    with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionResetError)):
        _send(mailbox)
    assert [mail.subject for mail in mailbox.mails] == ["Grüße"]
    _send(mailbox)
    assert len(mailbox.mails) == 2


def test_it_is_slow_until_it_is_let_go(mailbox: Mailbox) -> None:
    mailbox.then(Manner.HOLD)
    sender = threading.Thread(target=_send, args=(mailbox,))
    sender.start()
    mailbox.await_attempts(1)
    assert not mailbox.mails
    mailbox.let_go()
    sender.join()
    assert len(mailbox.mails) == 1


def test_whoever_does_not_wait_has_delivered_nothing(mailbox: Mailbox) -> None:
    mailbox.then(Manner.HOLD)
    client = smtplib.SMTP("127.0.0.1", mailbox.port, timeout=20)
    client.ehlo_or_helo_if_needed()
    client.mail("keyturn@example.test")
    client.rcpt("ada@example.test")
    assert client.docmd("DATA")[0] == 354
    client.send(b"Subject: given up\r\n\r\nx\r\n.\r\n")
    mailbox.await_attempts(1)
    client.close()
    _send(mailbox)
    mailbox.let_go()
    assert [mail.subject for mail in mailbox.await_mails()] == ["Grüße"]


def test_it_is_down_and_comes_back_on_its_port(mailbox: Mailbox) -> None:
    port = mailbox.port
    waiting = smtplib.SMTP("127.0.0.1", port, timeout=20)
    mailbox.stop()
    with pytest.raises(smtplib.SMTPServerDisconnected):
        waiting.noop()
    waiting.close()
    with pytest.raises(ConnectionRefusedError):
        _send(mailbox)
    mailbox.start()
    assert mailbox.port == port
    _send(mailbox)
    assert len(mailbox.mails) == 1


def test_starttls_and_a_password(certificate: Certificate) -> None:
    with (
        Mailbox(security=Security.STARTTLS, certificate=certificate, user="keyturn", password="Sesam") as mailbox,
        smtplib.SMTP("127.0.0.1", mailbox.port, timeout=20) as client,
    ):
        with pytest.raises(smtplib.SMTPSenderRefused, match="STARTTLS"):
            client.send_message(_message())
        client.starttls(context=certificate.client_context())
        with pytest.raises(smtplib.SMTPSenderRefused, match="Authentication required"):
            client.send_message(_message())
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login("keyturn", "wrong")
        client.login("keyturn", "Sesam")
        client.send_message(_message())
        assert [(mail.encrypted, mail.user) for mail in mailbox.mails] == [(True, "keyturn")]


def test_tls_from_the_first_byte(certificate: Certificate) -> None:
    with Mailbox(security=Security.TLS, certificate=certificate, user="keyturn", password="Sesam") as mailbox:
        with smtplib.SMTP_SSL("127.0.0.1", mailbox.port, timeout=20, context=certificate.client_context()) as client:
            client.login("keyturn", "Sesam")
            client.send_message(_message())
        assert mailbox.mails[0].encrypted
