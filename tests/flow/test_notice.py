"""Telling, from the row that a flow wrote to what a real mail server was given (R50, R51)."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from keyturn.core.account import Account, Role, User
from keyturn.core.delivery import LEASE, PAUSES, TRIED_FOR, Attempt, Means, Parcel, Result, State
from keyturn.core.instant import Instant, later
from keyturn.core.key import Key
from keyturn.core.letter import Letter
from keyturn.core.link import LASTS, Link, LinkKind
from keyturn.core.notice import Notice
from keyturn.edge.metrics import Metrics
from keyturn.flow import notice as flow
from keyturn.flow.telling import Teller, Turn
from keyturn.outside.forge import token_digest
from keyturn.outside.mail import MailSender, SmtpServer
from keyturn.ports.page import Page
from keyturn.ports.sender import Consignment
from keyturn.ports.store import StoreUnavailable
from keyturn.store.transaction import SqlTransaction
from tests.mailbox import Mailbox, Manner
from tests.world import World, sure, world

BASE = "https://keys.example.com"


@dataclass(kw_only=True)
class Here:
    """A customer with an owner, a member who owns a key, and the mail server of all."""

    world: World
    box: Mailbox
    account: Account
    owner: User
    member: User
    key: Key

    def teller(self, sender: Any = None) -> Teller:
        return Teller(self.world.store, self.world.forge, {Means.MAIL: sender or self.sender()})

    def sender(self) -> MailSender:
        server = SmtpServer(host="127.0.0.1", port=self.box.port, implicit_tls=False)
        return MailSender(server, "keyturn@keys.example.com", lambda: BASE)

    def tell(self, kind: str = "key.suspended", **changes: Any) -> None:
        plain = {"account_id": self.account.id, "owner_id": self.member.id, "key_id": self.key.id, "detail": {}}
        self.world.store.change(lambda tx: tx.tell(Notice(kind=kind, **plain | changes)))

    def run(self, teller: Teller | None = None) -> list[Turn]:
        """Address what is new and make whatever is due."""
        teller = teller or self.teller()
        turns: list[Turn] = []
        teller.look()
        while (turn := teller.tell(Means.MAIL)) is not Turn.IDLE:
            turns.append(turn)
        return turns

    def told(self) -> list[Parcel]:
        """Every delivery of a notice, oldest first."""
        found = self.world.store.read(lambda tx: tx.told(account_ids=None, key_id=None, page=Page(size=1000)))
        return [parcel for _, parcel in reversed(found)]

    def link(self, token: str) -> Link:
        """The link with that token."""
        found = self.world.store.read(lambda tx: tx.link(token_digest(token)))
        assert found is not None
        return found

    def states(self) -> list[State]:
        return [parcel.delivery.state for parcel in self.told()]


@pytest.fixture
def here(database_url: str) -> Iterator[Here]:
    with world(database_url) as one, Mailbox() as box:
        account = one.account()
        owner, member = one.user(account), one.user(account, Role.MEMBER)
        made = one.key(account_id=account.id, owner_id=member.id)
        here = Here(world=one, box=box, account=account, owner=owner, member=member, key=made.key)
        here.run()
        box.mails.clear()
        one.store.change(lambda tx: tx.forget_told(before=later(tx.now, timedelta(1))))
        yield here


def ids(box: Mailbox) -> list[str]:
    return [str(mail.message["Message-ID"]) for mail in box.mails]


def test_r50_every_address_of_the_owner_and_of_the_account_s_owners_is_told_once(here: Here) -> None:
    second = here.world.user(here.account)
    here.world.user(here.account, Role.ADMIN)
    here.run()
    here.box.mails.clear()
    here.tell()
    here.run()
    assert sorted(mail.recipients[0] for mail in here.box.mails) == sorted(
        [here.member.email, here.owner.email, second.email]
    )
    here.tell("session.started", key_id="")
    here.run()
    assert [mail.recipients for mail in here.box.mails[3:]] == [(here.member.email,)], "a person's own affair"
    here.run()
    assert len(here.box.mails) == 4
    assert len(set(ids(here.box))) == 4


def test_r50_an_owner_who_owns_the_key_is_told_once(here: Here) -> None:
    here.tell(owner_id=here.owner.id)
    here.run()
    assert [mail.recipients for mail in here.box.mails] == [(here.owner.email,)]


def test_r50_an_address_that_two_people_share_is_told_once(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SqlTransaction, "addresses_of", lambda *_: ["us@example.com", "US@example.com"])
    here.tell()
    here.run()
    assert [mail.recipients for mail in here.box.mails] == [("us@example.com",)]


def test_r50_a_mail_has_one_link_and_it_is_this_was_not_me(here: Here) -> None:
    here.tell()
    here.run()
    tokens = set()
    for mail in here.box.mails:
        (link,) = mail.links
        assert link.startswith(f"{BASE}/links/ktl_")
        assert link in mail.text
        assert f'href="{link}"' in mail.html
        tokens.add(link.rpartition("/")[2])
    assert len(tokens) == 2, "each reader has their own"
    for token in tokens:
        found = here.link(token)
        assert (found.kind, found.subject_id, found.account_id) == (LinkKind.NOT_ME, here.key.id, here.account.id)
        assert found.ends_at == later(here.world.clock(), LASTS[LinkKind.NOT_ME])
        assert found.user_id in (here.owner.id, here.member.id)


def test_r51_a_mail_server_that_is_down_delays_mails_and_nothing_else(here: Here) -> None:
    here.box.stop()
    one = here.world
    machine = one.machine(here.account, here.owner)
    for _ in range(2):
        sure(one.ask(machine, here.key))
    assert here.run() == [Turn.AWAY, Turn.AWAY]
    assert here.run() == [], "it waits before it tries again"
    to_owner = [parcel for parcel in here.told() if parcel.delivery.user_id == here.owner.id]
    wanted = [parcel.notice.kind for parcel in to_owner if parcel.notice]
    assert wanted.count("reset.minted") == 2
    for pause in PAUSES[1:3]:
        one.clock.advance(pause)
        here.run()
    here.box.start()
    one.clock.advance(timedelta(hours=1))
    here.run()
    subjects = [mail.message["X-Keyturn-Event"] for mail in here.box.mails_to(here.owner.email)]
    assert subjects == wanted, "each once, in order"
    assert len(set(ids(here.box))) == len(here.box.mails)
    assert set(here.states()) == {State.TOLD}


def test_r51_a_mail_that_is_put_off_or_refused_is_tried_again_or_ended(
    here: Here, caplog: pytest.LogCaptureFixture
) -> None:
    here.tell(owner_id=here.owner.id)
    here.box.then(Manner.REFUSE_FOR_NOW, Manner.REFUSE)
    with caplog.at_level(logging.WARNING, logger="keyturn"):
        teller = here.teller()
        assert here.run(teller) == [Turn.MADE]
        assert (here.states(), here.told()[0].delivery.said) == ([State.WAITING], "451")
        here.world.clock.advance(PAUSES[0])
        here.run(teller)
    assert (here.states(), here.told()[0].delivery.said) == ([State.REFUSED], "550")
    assert here.box.mails == []
    assert teller.counts == {(Means.MAIL, "deferred"): 1, (Means.MAIL, "refused"): 1}
    assert "550" in caplog.text
    assert here.owner.email not in caplog.text


def test_r51_a_mail_whose_acceptance_got_lost_comes_once_more_as_the_same_mail(here: Here) -> None:
    here.tell(owner_id=here.owner.id)
    here.box.then(Manner.LIE)
    assert here.run() == [Turn.AWAY]
    here.world.clock.advance(PAUSES[0])
    here.run()
    first, second = here.box.mails
    assert first.message["Message-ID"] == second.message["Message-ID"]
    assert first.message["Date"] == second.message["Date"]
    assert first.links == second.links
    here.run()
    assert len(here.box.mails) == 2


def test_r51_after_three_days_it_is_given_up(here: Here) -> None:
    here.box.stop()
    here.tell(owner_id=here.owner.id)
    here.run()
    here.world.clock.advance(TRIED_FOR)
    here.run()
    assert here.states() == [State.GIVEN_UP]


def test_r51_two_workers_never_make_one_delivery_at_the_same_time(here: Here) -> None:
    here.tell(owner_id=here.owner.id)
    one, forge = here.world.store, here.world.forge
    here.teller().look()
    taken = one.change(lambda tx: flow.take(tx, Means.MAIL, by="first", forge=forge))
    assert taken is not None
    assert one.change(lambda tx: flow.take(tx, Means.MAIL, by="second", forge=forge)) is None
    here.world.clock.advance(LEASE)
    again = one.change(lambda tx: flow.take(tx, Means.MAIL, by="second", forge=forge))
    assert again is not None
    assert again.parcel.delivery.id == taken.parcel.delivery.id
    refused, lost = Attempt(result=Result.REFUSED), Attempt(result=Result.TAKEN)
    name = taken.parcel.delivery.id
    assert one.change(lambda tx: flow.settle(tx, name, refused, by="first")) is None, "the lease is another's by now"
    assert here.states() == [State.WAITING]
    assert one.change(lambda tx: flow.settle(tx, name, lost, by="first")) is not None, "what was taken is taken"
    assert one.change(lambda tx: flow.settle(tx, name, refused, by="second")) is None
    assert one.change(lambda tx: flow.settle(tx, name, lost, by="first")) is None, "it was written down already"
    assert here.states() == [State.TOLD]


def test_what_waits_and_what_came_of_it_can_be_watched(here: Here) -> None:
    teller = here.teller()
    here.box.then(Manner.REFUSE_FOR_NOW)
    here.tell(owner_id=here.owner.id)
    here.run(teller)
    here.world.clock.advance(timedelta(minutes=2))
    here.tell(owner_id=here.owner.id)
    teller.measure()
    metrics = Metrics(cast("Any", SimpleNamespace(verifier=here.world.verifier, teller=teller, clock=Now(here.world))))
    said = metrics.text().decode()
    assert 'keyturn_deliveries_total{means="mail",result="deferred"} 1.0' in said
    assert 'keyturn_outbox_waiting{means="mail"} 2.0' in said
    assert 'keyturn_outbox_oldest_seconds{means="mail"} 120.0' in said
    assert 'keyturn_outbox_waiting{means="webhook"} 0.0' in said
    assert "@" not in said


@dataclass(frozen=True)
class Now:
    """The world's clock as a node has it."""

    world: World

    def now(self) -> Instant:
        return self.world.clock()


class Failing:
    """A sender with a bug, and one whose store goes away while it sends."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.sent: list[str] = []

    def send(self, consignment: Consignment) -> Attempt:
        self.sent.append(consignment.parcel.delivery.id)
        if self.error is not None:
            raise self.error
        return Attempt(result=Result.TAKEN)


def test_r51_a_bug_in_one_mail_keeps_no_other_from_being_sent(here: Here, caplog: pytest.LogCaptureFixture) -> None:
    here.tell()
    sender = Failing(ValueError(here.owner.email))
    assert here.run(here.teller(sender)) == [Turn.MADE, Turn.MADE]
    assert here.states() == [State.WAITING] * 2
    assert "ValueError at" in caplog.text
    assert here.owner.email not in caplog.text


def test_r51_what_an_outage_kept_from_being_written_down_is_written_later(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.tell(owner_id=here.owner.id)
    teller = here.teller(sender := Failing())
    teller.look()

    def away(*_: object, **__: object) -> None:
        raise StoreUnavailable

    with monkeypatch.context() as patched:
        patched.setattr(flow, "settle", away)
        with pytest.raises(StoreUnavailable):
            teller.tell(Means.MAIL)
        with pytest.raises(StoreUnavailable):
            teller.look()
    here.world.clock.advance(LEASE)
    assert here.run(teller) == []
    assert here.states() == [State.TOLD]
    assert len(sender.sent) == 1


def letter(here: Here, kind: str, **changes: Any) -> Letter:
    """A letter with a link."""
    one = here.world

    def send(tx: Any) -> Letter:
        link = Link(
            id=one.forge.id("lnk"),
            kind=LinkKind(kind),
            made_at=tx.now,
            ends_at=later(tx.now, LASTS[LinkKind(kind)]),
            email="new@example.com",
        )
        _text, digest = one.forge.link_token(link.id)
        tx.insert_link(link, digest=digest)
        made = Letter(kind=kind, to=link.email, link_id=link.id, **changes)
        tx.send(made)
        return made

    return one.store.change(send)


def test_r51_a_letter_has_its_own_link_and_waits_behind_no_notice(here: Here) -> None:
    here.tell(owner_id=here.owner.id)
    letter(here, "invitation", language="de", detail={"account": "Müller & Söhne"})
    teller = here.teller()
    teller.look()
    teller.tell(Means.MAIL)
    (mail,) = here.box.mails
    assert mail.recipients == ("new@example.com",)
    assert mail.subject == "Einladung zu Müller & Söhne"
    assert "Müller &amp; Söhne" in mail.html
    (link,) = mail.links
    assert here.link(link.rpartition("/")[2]).kind is LinkKind.INVITATION


def test_r51_a_letter_whose_link_has_ended_is_not_sent_any_more(here: Here) -> None:
    made = letter(here, "proof")
    here.box.stop()
    here.run()
    here.box.start()
    here.world.clock.advance(LASTS[LinkKind.PROOF])
    assert here.run() == []
    assert here.box.mails == []
    waiting = here.world.store.read(lambda tx: tx.backlog())
    assert waiting == []
    assert made.kind == "proof"
