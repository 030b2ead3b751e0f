"""Mails as a real mail server, a folder or a console gets them; what they say and what they never do."""

import ast
import io
import re
import ssl
import stat
from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from keyturn.core.account import Account, User
from keyturn.core.delivery import Attempt, Delivery, Means, Parcel, Result
from keyturn.core.instant import FOREVER, Instant
from keyturn.core.key import Key, Secret
from keyturn.core.letter import Letter
from keyturn.core.notice import Notice
from keyturn.outside import mail as mails
from keyturn.outside import words
from keyturn.outside.mail import Console, MailFolder, MailSender, SmtpServer, Transport, compose, transport
from keyturn.ports.sender import Consignment
from keyturn.settings import SettingError, Settings
from tests.certificate import Certificate, self_signed
from tests.dripping import dripping
from tests.mailbox import Mailbox, Manner, Security
from tests.world import T0

SRC = Path(__file__).parents[2] / "src" / "keyturn"
FROM = "keyturn@keys.example.com"
KEY = Key(
    number=1,
    id="key_1",
    account_id="acc_1",
    owner_id="usr_1",
    name="trading",
    environment="live",
    brand="kt",
    permissions=("orders:write",),
    allowlist=(),
    limit=None,
    policy="",
    expires_at=FOREVER,
    created_at=T0,
    created_by="usr_1",
    secrets=(
        Secret(
            version=1,
            digest=b"d" * 32,
            pepper="p0001",
            hint="kt_live_…abcd",
            created_at=T0,
            starts_at=T0,
            dangerous_starts_at=T0,
        ),
    ),
)
NOTICE = Notice(
    kind="reset.minted",
    account_id="acc_1",
    owner_id="usr_1",
    key_id="key_1",
    detail={"reason": "leaked", "new_starts_at": "2030-01-02T00:00:00Z", "session": "ses_1"},
    actor_id="usr_1",
    address="192.0.2.1",
)


def consignment(to: str = "anna@example.com", **changes: Any) -> Consignment:
    """A notice on its way, changed in one thing."""
    delivery = Delivery(id="dlv_1", means=Means.MAIL, to=to, made_at=T0, due_at=T0)
    parcel = Parcel(delivery=delivery, at=T0, notice=changes.pop("notice", NOTICE), letter=changes.pop("letter", None))
    plain: dict[str, Any] = {
        "parcel": parcel,
        "key": KEY,
        "account": Account(id="acc_1", name="Müller & Söhne", created_at=T0),
        "user": User(id="usr_1", email=to, name="Anna", created_at=T0),
        "link_token": "ktl_token",
    }
    return Consignment(**plain | changes)


def said(one: Consignment, base_url: str = "https://keys.example.com") -> Any:
    """The mail, read back from its bytes."""
    return message_from_bytes(compose(one, sent_from=FROM, base_url=base_url).as_bytes(), policy=default)


def part(mail: Any, kind: str) -> str:
    return str(mail.get_body((kind,)).get_content())


def at(language: str, *, days: int = 0, zone: str = "UTC") -> str:
    """An instant as that language writes it."""
    return words.load(language).to_the_second(Instant(T0 + timedelta(days=days)), ZoneInfo(zone))


def send(way: Transport, one: Consignment | None = None) -> Attempt:
    return MailSender(way, FROM, lambda: "https://keys.example.com").send(one or consignment())


# What it says


def test_r50_a_mail_says_what_happened_when_by_whom_and_from_where() -> None:
    mail = said(consignment())
    assert mail["Subject"] == "New secret for trading (kt_live_…abcd)"
    assert mail["From"] == f"keyturn <{FROM}>"
    assert (mail["To"], mail["Message-ID"]) == ("anna@example.com", "<dlv_1@keys.example.com>")
    assert mail["Date"].datetime == T0
    assert mail["Auto-Submitted"] == "auto-generated"
    for text in (part(mail, "plain"), part(mail, "html")):
        for wanted in ("trading", "kt_live_…abcd", at("en"), "you", "192.0.2.1", "leaked", at("en", days=1)):
            assert wanted in text, wanted
        assert "ses_1" not in text, "what people have no use for is for the audit log"
    assert "Müller &amp; Söhne" in part(mail, "html")
    assert part(mail, "html").count("<a ") == 1


def test_each_fact_has_a_line_of_its_own_and_so_has_the_link() -> None:
    lines = part(said(consignment()), "plain").splitlines()
    facts = [line for line in lines if line.startswith("  ")]
    assert [line.partition(":")[0].strip() for line in facts][:4] == ["Key", "Account", "When", "Done by"]
    assert facts[-1] == "  This was not me: https://keys.example.com/links/ktl_token"
    assert (lines[1], lines[-3]) == ("", "")
    letter = Letter(kind="password", to="anna@example.com", link_id="lnk_1")
    text = part(said(consignment(notice=None, letter=letter, key=None, account=None, user=None)), "plain")
    assert "\n\n\n" not in text


def test_r50_a_mail_speaks_the_reader_s_language_and_reckons_in_their_zone() -> None:
    anna = User(
        id="usr_1",
        email="anna@example.com",
        name="Anna",
        created_at=T0,
        language="de",
        time_zone="Europe/Berlin",
    )
    mail = said(consignment(user=anna))
    assert mail["Subject"] == "Neues Geheimnis für trading (kt_live_…abcd)"
    assert at("de", zone="Europe/Berlin") in part(mail, "plain")
    assert "01:00:00" in part(mail, "plain")
    assert '<html lang="de">' in part(mail, "html")
    nowhere = said(consignment(user=replace(anna, language="xx", time_zone="Moon/Tranquility")))
    assert at("en") in part(nowhere, "plain")


def test_r51_the_mail_of_one_delivery_is_the_same_every_time() -> None:
    assert said(consignment()).as_bytes() == said(consignment()).as_bytes()


def test_r50_who_did_it_is_named() -> None:
    stories = {
        "the reader": ("usr_1", "", "Done by: you"),
        "keyturn": ("system", "", "Done by: keyturn itself, by the rules"),
        "somebody else": ("usr_2", "Bob \u202e", "Done by: Bob \\u202e"),
        "nobody knows": ("", "", ""),
    }
    for story, (actor_id, actor, line) in stories.items():
        text = part(said(consignment(notice=replace(NOTICE, actor_id=actor_id), actor=actor)), "plain")
        assert (line in text) if line else ("Done by" not in text), story


def test_pitfall_21_without_an_address_of_its_own_a_mail_has_no_link() -> None:
    mail = said(consignment(), base_url="")
    assert "http" not in part(mail, "plain")
    assert "Open the dashboard" in part(mail, "plain")
    assert "<a " not in part(mail, "html")
    assert "ktl_token" not in mail.as_string()


EVIL = "a\u202egnp\r\nBcc: all@example.com\x00<script>alert(1)</script>"


def test_pitfall_27_other_people_s_words_turn_nothing_around_and_add_no_header() -> None:
    account = Account(id="acc_1", name=EVIL, created_at=T0)
    user = User(id="usr_1", email="anna@example.com", name=EVIL, created_at=T0)
    detail = {"name": EVIL, "reason": EVIL, "new_starts_at": EVIL}
    invitation = Letter(kind="invitation", to="anna@example.com", detail={"account": EVIL, "by": EVIL})
    for one in (
        consignment(key=replace(KEY, name=EVIL), account=account, user=user, notice=replace(NOTICE, detail=detail)),
        consignment(notice=None, letter=invitation),
        consignment(notice=replace(NOTICE, kind=EVIL)),
    ):
        mail = said(one)
        assert mail["Bcc"] is None
        assert "\\u202e" in mail["Subject"]
        for text in (mail["Subject"], part(mail, "plain"), part(mail, "html")):
            assert "\u202e" not in text
            assert "\x00" not in text
        assert "<script>" not in part(mail, "html")


def test_r50_a_kind_without_words_of_its_own_is_told_by_its_name() -> None:
    mail = said(consignment(notice=replace(NOTICE, kind="moon.risen")))
    assert mail["Subject"] == "Something changed: moon.risen"


def told_kinds() -> set[str]:
    """Every kind that some flow puts into the outbox, read from the code."""
    found = set()
    for path in (SRC / "flow").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if name in (
                "done_to_key",
                "_written",
                "_notice",
                "_tell",
                "tell",
                "tell_of_key",
                "done_to_person",
                "_saved",
            ):
                texts = [one.value for one in ast.walk(node) if isinstance(one, ast.Constant)]
                found |= {text for text in texts if isinstance(text, str) and re.fullmatch(r"[a-z_]+\.[a-z_]+", text)}
    return found


@pytest.mark.parametrize("kind", sorted(told_kinds()))
def test_r50_every_kind_that_is_told_has_words(kind: str) -> None:
    for language in words.LANGUAGES:
        assert words.load(language).has(f"notice.{kind}.subject"), (language, kind)
        assert words.load(language).has(f"notice.{kind}.text"), (language, kind)


def test_every_mail_can_be_written_in_every_language() -> None:
    written = 0
    for language in words.LANGUAGES:
        catalogue = words.load(language)
        for key in catalogue.texts:
            part_, _, last = key.rpartition(".")
            if last != "subject":
                continue
            kind = part_.partition(".")[2]
            letter = Letter(kind=kind, to="anna@example.com", language=language)
            of_letter = key.startswith("letter.")
            one = consignment(
                notice=None if of_letter else replace(NOTICE, kind=kind), letter=letter if of_letter else None
            )
            assert "{" not in said(one)["Subject"]
            written += 1
    assert written > 50


# By SMTP


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return self_signed(tmp_path_factory.mktemp("certificate"))


def server_of(box: Mailbox, **changes: Any) -> SmtpServer:
    plain: dict[str, Any] = {"host": "127.0.0.1", "port": box.port, "implicit_tls": False}
    return SmtpServer(**plain | changes)


def test_a_mail_arrives_by_smtp_as_it_was_written() -> None:
    with Mailbox() as box:
        assert send(server_of(box)) == Attempt(result=Result.TAKEN, said="250")
        (mail,) = box.mails
        assert (mail.sender, mail.recipients) == (FROM, ("anna@example.com",))
        assert mail.link("/links/") == "https://keys.example.com/links/ktl_token"
        server_of(box).check()
        assert len(box.mails) == 1, "a check sends nothing"


def test_what_the_server_says_decides() -> None:
    with Mailbox(unknown=frozenset({"nobody@example.com"})) as box:
        box.then(Manner.REFUSE_FOR_NOW, Manner.REFUSE, Manner.LIE)
        assert send(server_of(box)) == Attempt(result=Result.DEFERRED, said="451")
        assert send(server_of(box)) == Attempt(result=Result.REFUSED, said="550")
        assert send(server_of(box)).result is Result.UNREACHABLE
        assert send(server_of(box), consignment("nobody@example.com")) == Attempt(result=Result.REFUSED, said="550")
        assert len(box.mails) == 1, "the one it lied about"
        box.stop()
        assert send(server_of(box)) == Attempt(result=Result.UNREACHABLE, said="ConnectionRefusedError")


def test_addresses_in_other_scripts_arrive_and_what_is_none_is_refused() -> None:
    with Mailbox() as box:
        assert send(server_of(box), consignment("anna@müller.example")).result is Result.TAKEN
        assert send(server_of(box), consignment("änna@example.com")).result is Result.TAKEN
        assert [mail.recipients for mail in box.mails] == [("anna@xn--mller-kva.example",), ("änna@example.com",)]
        assert box.mails[0].message["To"] == "anna@xn--mller-kva.example"
        for bad in ("anna", "anna@", "@example.com", "a b@exam ple.com", "anna@example.com\nBcc: b@example.com"):
            assert send(server_of(box), consignment(bad)).result is Result.REFUSED, bad
        assert len(box.mails) == 2


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.TLS])
def test_by_tls_the_server_is_known_by_its_certificate(
    security: Security, certificate: Certificate, tmp_path: Path
) -> None:
    password = tmp_path / "password"
    password.write_text("a mail password\n")
    trusted = certificate.client_context()
    way: dict[str, Any] = {"implicit_tls": security is Security.TLS, "user": "keyturn", "password_file": password}
    with Mailbox(security=security, certificate=certificate, user="keyturn", password="a mail password") as box:
        stranger = send(server_of(box, **way, host="localhost"))
        assert stranger == Attempt(result=Result.UNREACHABLE, said="SSLCertVerificationError")
        assert send(server_of(box, **way, host="localhost", context=trusted)).result is Result.TAKEN
        assert (box.mails[0].encrypted, box.mails[0].user) == (True, "keyturn")
        password.write_text("another")
        wrong = send(server_of(box, **way, host="localhost", context=trusted))
        assert wrong == Attempt(result=Result.UNREACHABLE, said="SMTPAuthenticationError 535")
        assert len(box.mails) == 1


def test_neither_password_nor_mail_goes_in_the_clear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    password = tmp_path / "password"
    password.write_text("a mail password")
    with Mailbox() as box:
        assert send(server_of(box, user="keyturn", password_file=password)).said == "SSLError"
        monkeypatch.setattr(mails, "_LOOPBACK", frozenset())  # as if it were another machine
        assert send(server_of(box)).said == "SSLError"
        assert box.attempts == 0


def test_r51_a_server_that_drips_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mails, "_ALL_SECONDS", 0.3)
    with dripping(b"220 ") as port:
        attempt = send(SmtpServer(host="127.0.0.1", port=port, implicit_tls=False))
    assert attempt.result is Result.UNREACHABLE


# Into a folder, onto the console


def test_a_folder_keeps_each_delivery_once_and_closed_to_others(tmp_path: Path) -> None:
    way = MailFolder(path=tmp_path / "mails", most=2)
    assert send(way).result is Result.TAKEN
    assert send(way).result is Result.TAKEN
    (file,) = (tmp_path / "mails").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [mail["To"] for _, mail in way.newest(limit=5)] == ["anna@example.com"]
    for day in (1, 2):
        later = consignment(f"day{day}@example.com")
        delivery = replace(later.parcel.delivery, id=f"dlv_{day + 1}")
        parcel = replace(later.parcel, at=T0 + timedelta(days=day), delivery=delivery)
        send(way, replace(later, parcel=parcel))
    assert [mail["To"] for _, mail in way.newest(limit=5)] == ["day2@example.com", "day1@example.com"]
    assert len(way.newest(limit=1)) == 1


def test_a_folder_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "mails").write_text("in the way")
    assert send(MailFolder(path=tmp_path / "mails")).result is Result.UNREACHABLE


def test_a_console_shows_headers_and_text() -> None:
    out = io.StringIO()
    assert send(Console(out)).result is Result.TAKEN
    assert out.getvalue().startswith("To: anna@example.com\nSubject: New secret for trading")
    assert "/links/ktl_token" in out.getvalue()


# Settings


def test_the_setting_names_the_way(tmp_path: Path) -> None:
    def way(**flags: object) -> Any:
        return transport(Settings.load({"data": tmp_path, **flags}, environ={}))

    assert way() == MailFolder(path=tmp_path / "mails", most=1000)
    assert way(mail="file:/var/mails") == MailFolder(path=Path("/var/mails"))
    assert isinstance(way(mail="console:"), Console)
    smtp = way(mail="smtp://key%40turn@mail.example.com")
    assert (smtp.host, smtp.port, smtp.implicit_tls, smtp.user) == ("mail.example.com", 587, False, "key@turn")
    assert smtp.context.verify_mode is ssl.CERT_REQUIRED
    assert smtp.context.check_hostname
    smtps = way(mail="smtps://mail.example.com:2465", mail_password_file=tmp_path / "password")
    assert (smtps.port, smtps.implicit_tls, smtps.password_file) == (2465, True, tmp_path / "password")


@pytest.mark.parametrize(
    "flags",
    [
        {"mail": "smtp://user:password@mail.example.com"},
        {"mail": "smtp:"},
        {"mail": "http://mail.example.com"},
        {"mail": "file:"},
        {"mail_from": "keyturn"},
        {"mail_from": "a b@example.com"},
        {"show_mails": "perhaps"},
    ],
    ids=str,
)
def test_a_setting_that_cannot_be_used_is_named(flags: dict[str, str]) -> None:
    (name,) = flags
    with pytest.raises(SettingError, match=f"^{name}: "):
        Settings.load(flags, environ={})
