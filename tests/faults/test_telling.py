"""R51: the server killed between a mail server's "taken" and its own writing that down."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from sqlalchemy import create_engine, text

from keyturn.outside import clock
from keyturn.server import Leave
from tests.mailbox import Mailbox
from tests.serving import Serving


class Killing(Mailbox):
    """Keeps the first mail, and kills its sender before it can hear so."""

    def __init__(self) -> None:
        super().__init__()
        self.victim: Serving | None = None

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  # aiosmtpd's
        """The mail is taken, whoever lives to hear it."""
        said = await super().handle_DATA(server, session, envelope)
        if self.victim is not None:
            self.victim.kill()
            self.victim = None
        return said


@pytest.fixture
def box() -> Iterator[Killing]:
    with Killing() as box:
        yield box


@pytest.fixture
def serving(tmp_path: Path, database_url: str, box: Killing, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    (tmp_path / "keyturn.toml").write_text(
        f'mail = "smtp://127.0.0.1:{box.port}"\nbase_url = "https://keys.example.com"\n'
    )
    monkeypatch.chdir(tmp_path)
    server = Serving(folder=tmp_path / "data", database_url=database_url)
    yield server
    server.kill()


def test_r51_killed_after_a_mail_was_taken_it_comes_at_most_once_more(
    serving: Serving, box: Killing, database_url: str
) -> None:
    serving.start()
    box.victim = serving
    serving.create(name="first")
    assert serving.died(within=30)
    (first,) = box.mails
    _let_leases_run_out(database_url)
    serving.start()
    serving.create(name="second")
    mails = box.await_mails(3)
    assert [mail.message["Message-ID"] == first.message["Message-ID"] for mail in mails] == [True, True, False]
    assert mails[0].raw == mails[1].raw, "the same mail"
    assert [mail.subject.partition(" (")[0] for mail in mails] == ["New API key: first"] * 2 + ["New API key: second"]
    (link,) = mails[0].links
    assert link.startswith("https://keys.example.com/links/ktl_")


def test_what_is_under_way_may_take_as_long_as_is_left_all_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the signal on, and however many wait one after the other; who fails without one begins at its end."""
    now = 1_000_000
    monkeypatch.setattr(clock, "boot_micros", lambda: now)
    told, failed = Leave(12), Leave(12)
    told.begin()
    now += 9_000_000
    told.begin()
    assert (told.left, failed.left) == (3, 12)
    now += 9_000_000
    assert (told.left, failed.left) == (0, 3)


def _let_leases_run_out(url: str) -> None:
    """As if the time had passed: nobody wants to wait for it here."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        held = connection.execute(text("UPDATE deliveries SET leased_until = 0 WHERE leased_until IS NOT NULL"))
        assert held.rowcount == 1
    engine.dispose()
