"""*This was not me*: a link that can only suspend, for whoever got the mail (R50, R51, pitfall 21)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from keyturn.core.account import Account, Member, Role, User
from keyturn.core.actor import reader
from keyturn.core.key import Key
from keyturn.core.link import LASTS, LinkKind
from keyturn.core.notice import Notice
from keyturn.core.refusal import InvalidField, LinkSpent, NotFound, Refusal
from keyturn.flow import device, not_me
from keyturn.flow import notice as flow
from keyturn.flow.not_me import NotMe
from keyturn.outside.forge import token_digest
from keyturn.ports.page import Page
from keyturn.store.tables import members, metadata
from tests.world import World, sure, unseen, world

_ALL = Page(size=1000)


@dataclass(kw_only=True)
class Here:
    """A customer with an owner, and a member who owns two keys."""

    world: World
    account: Account
    owner: User
    member: User
    keys: tuple[Key, Key]
    secrets: tuple[str, str]

    def mailed(
        self, to: User, kind: str = "reset.asked", *, key: Key | None = None, owner: User | None = None
    ) -> bytes:
        """The digest of the link that `to` gets with a notice."""
        told = Notice(
            kind=kind,
            account_id=self.account.id,
            owner_id=(owner or self.member).id,
            key_id=key.id if key else "",
            detail={},
        )
        one = self.world
        one.store.change(lambda tx: tx.tell(told))
        one.store.change(lambda tx: flow.address(tx, forge=one.forge, limit=1000))
        found = one.store.read(lambda tx: tx.told(account_ids=None, key_id=None, page=_ALL))
        parcel = next(parcel for _, parcel in found if parcel.delivery.user_id == to.id)
        assert parcel.notice is not None
        assert parcel.notice.kind == kind
        return one.forge.link_token(parcel.delivery.link_id)[1]

    def suspend(self, digest: bytes, *, sure: bool = True) -> NotMe | Refusal:
        return self.world.store.change(lambda tx: not_me.suspend(tx, digest, sure=sure, address="192.0.2.7"))

    def show(self, digest: bytes) -> NotMe | Refusal:
        return self.world.store.read(lambda tx: not_me.show(tx, digest))

    def codes(self) -> list[str]:
        return [self.world.code(secret) for secret in self.secrets]

    def everything(self) -> dict[str, list[Any]]:
        """All rows of all tables."""

        def rows(tx: Any) -> dict[str, list[Any]]:
            return {name: tx._connection.execute(table.select()).all() for name, table in metadata.tables.items()}

        return self.world.store.read(rows)


def leave(tx: Any, member: Member) -> None:
    of_theirs = members.c.account_id == member.account_id, members.c.user_id == member.user_id
    tx._connection.execute(members.delete().where(*of_theirs))


@pytest.fixture
def here(database_url: str) -> Iterator[Here]:
    with world(database_url) as one:
        account = one.account()
        owner, member = one.user(account), one.user(account, Role.MEMBER)
        made = [one.key(account_id=account.id, owner_id=member.id) for _ in range(2)]
        keys, secrets = [each.key for each in made], [unseen(each) for each in made]
        one.store.change(lambda tx: flow.address(tx, forge=one.forge, limit=1000))
        yield Here(
            world=one,
            account=account,
            owner=owner,
            member=member,
            keys=(keys[0], keys[1]),
            secrets=(secrets[0], secrets[1]),
        )


def test_r50_a_notice_about_a_key_stops_that_key_and_nothing_else(here: Here) -> None:
    person = here.world.sign_in(here.member)
    digests = [here.mailed(reader, key=here.keys[0]) for reader in (here.member, here.owner)]
    for digest in digests:
        shown = sure(here.show(digest))
        assert ([key.id for key in shown.keys], shown.whole_person) == ([here.keys[0].id], False)
    done = sure(here.suspend(digests[1]))
    assert done.stopped
    assert here.codes() == ["suspended", "valid"]
    assert here.world.store.read(lambda tx: tx.session_stands(person.session, 1))
    held = here.world.get(here.keys[0].id).suspension
    assert held is not None
    assert (held.by, held.reason) == (here.owner.id, "not_me")
    (record,) = here.world.audit(subject_id=here.keys[0].id)[-1:]
    assert (record.action, record.user_id, record.address, record.channel, record.outcome) == (
        "key.suspended",
        here.owner.id,
        "192.0.2.7",
        "person",
        "done",
    )


def test_r50_any_other_notice_stops_all_that_is_the_reader_s(here: Here) -> None:
    one = here.world
    sessions = [one.sign_in(here.member).session for _ in range(2)]
    others = one.sign_in(here.owner).session
    known = one.store.change(lambda tx: device.new(tx, here.member.id, one.forge))
    digest = here.mailed(here.member, "user.password_changed")
    shown = sure(here.show(digest))
    assert ({key.id for key in shown.keys}, shown.whole_person) == ({key.id for key in here.keys}, True)
    sure(here.suspend(digest))
    assert here.codes() == ["suspended", "suspended"]
    stand = one.store.read(lambda tx: [tx.session_stands(each, 1) for each in (*sessions, others)])
    assert stand == [False, False, True]
    assert one.store.read(lambda tx: tx.device(token_digest(known))) is None, "the browser may be the stranger's"
    told = [notice.kind for _, notice in one.store.change(lambda tx: tx.new_notices(limit=100))]
    assert sorted(told) == ["key.suspended", "key.suspended", "user.not_me"], "told again, to every address"


def test_r50_doing_it_again_changes_nothing_more(here: Here) -> None:
    for kind, key in (("reset.asked", here.keys[0]), ("session.started", None)):
        here.world.sign_in(here.member)
        digest = here.mailed(here.member, kind, key=key)
        first = sure(here.suspend(digest))
        before = here.everything()
        assert sure(here.suspend(digest)) == first
        assert here.everything() == before


def test_r50_a_key_that_is_suspended_or_revoked_stays_as_it_is(here: Here) -> None:
    one = here.world
    sure(one.on_key("suspend", one.root, here.keys[0].id, reason="by hand"))
    sure(one.on_key("revoke", one.root, here.keys[1].id))
    before = [one.get(key.id) for key in here.keys]
    sure(here.suspend(here.mailed(here.member, "session.started")))
    assert [one.get(key.id) for key in here.keys] == before


def test_r51_pitfall_21_looking_does_nothing_however_often(here: Here) -> None:
    digest = here.mailed(here.member, key=here.keys[0])
    before = here.everything()
    for _ in range(5):
        sure(here.show(digest))
    assert here.everything() == before


def test_r51_a_button_alone_does_nothing(here: Here) -> None:
    digest = here.mailed(here.member, key=here.keys[0])
    assert here.suspend(digest, sure=False) == InvalidField(
        field="sure", reason="tick the box as well: programs that open mails press buttons too"
    )
    assert here.codes() == ["valid", "valid"]
    assert here.world.audit()[-1].outcome == "invalid_field"


def test_r50_the_link_can_resume_nothing_and_read_nothing(here: Here) -> None:
    """Its actor holds no right at all, and what stops is lifted with full proof only."""
    digest = here.mailed(here.member, key=here.keys[0])
    sure(here.suspend(digest))
    link = here.world.store.read(lambda tx: tx.link(digest))
    assert link is not None
    assert link.kind is LinkKind.NOT_ME
    actor = reader(link.user_id, None, account_id=link.account_id)
    for step, words in (("resume", {}), ("revoke", {}), ("suspend", {"reason": "x"})):
        assert isinstance(here.world.on_key(step, actor, here.keys[1].id, **words), Refusal), step
    assert here.codes() == ["suspended", "valid"]


def test_a_link_that_is_none_or_another_or_over_stops_nothing(here: Here) -> None:
    one = here.world
    digest = here.mailed(here.member, key=here.keys[0])
    audited = len(one.audit())
    assert here.suspend(b"x" * 32) == NotFound()
    assert here.show(b"x" * 32) == NotFound()
    assert len(one.audit()) == audited
    one.clock.advance(LASTS[LinkKind.NOT_ME])
    assert here.suspend(digest) == LinkSpent()
    assert here.show(digest) == LinkSpent()
    assert [(each.action, each.outcome) for each in one.audit()[audited:]] == [("link.not_me", "link_spent")]
    assert here.codes() == ["valid", "valid"]


def test_pitfall_18_whoever_has_left_the_account_stops_none_of_its_keys(here: Here) -> None:
    one = here.world
    digest = here.mailed(here.owner, key=here.keys[0])
    one.store.change(lambda tx: leave(tx, Member(account_id=here.account.id, user_id=here.owner.id, role=Role.OWNER)))
    assert sure(here.suspend(digest)).keys == ()
    assert here.codes() == ["valid", "valid"]


def test_an_administrator_who_was_an_owner_stops_the_keys_of_others_no_more(here: Here) -> None:
    one = here.world
    digest = here.mailed(here.owner, key=here.keys[0])
    member = Member(account_id=here.account.id, user_id=here.owner.id, role=Role.ADMIN)
    one.store.change(lambda tx: leave(tx, member))
    one.store.change(lambda tx: tx.insert_member(member))
    assert sure(here.suspend(digest)).keys == ()
