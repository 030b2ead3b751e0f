"""Invitations by mail: who may make them, who may accept them, and how they end."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from keyturn.core.account import Account, Role, User
from keyturn.core.actor import Actor
from keyturn.core.invitation import MOST_OPEN
from keyturn.core.link import LASTS, Link, LinkKind
from keyturn.core.refusal import (
    AlreadyMember,
    LinkSpent,
    NameTaken,
    NotFound,
    PasswordUnfit,
    PermissionMissing,
    PersonRequired,
    ProofRequired,
    Refusal,
    TooManyInvitations,
    TooManyRequests,
)
from keyturn.core.session import Spans, Visitor
from keyturn.core.throttle import FREE, QUIET, Counted
from keyturn.flow import invitation as flow
from keyturn.flow import member as members
from keyturn.flow import session as sessions
from keyturn.flow.invitation import Newcomer
from keyturn.outside.forge import token_digest
from keyturn.store.transaction import SqlTransaction
from tests.world import World, sure

HERE = Visitor(address="192.0.2.1")


@pytest.fixture
def account(here: World) -> Account:
    return here.account()


@pytest.fixture
def owner(here: World, account: Account) -> User:
    return here.user(account)


def invite(here: World, actor: Actor, account: Account, email: str = "new@example.com", role: Role = Role.ADMIN) -> Any:
    here.prove_again(actor)
    return here.store.change(
        lambda tx: flow.invite(
            tx, actor=actor, account_id=account.id, email=email, role=role, language="de", forge=here.forge
        )
    )


def test_k2_who_is_to_manage_the_account_is_not_invited_with_no_more_than_a_session(
    here: World, account: Account, owner: User
) -> None:
    """Whoever manages it resets its keys: a thief of an open session would prove with a password of their own."""
    session = here.sign_in(owner)

    def invited(role: Role) -> Any:
        return here.store.change(
            lambda tx: flow.invite(
                tx,
                actor=session,
                account_id=account.id,
                email=f"{role.value}@example.com",
                role=role,
                language="en",
                forge=here.forge,
            )
        )

    for role in (Role.OWNER, Role.ADMIN):
        assert invited(role) == ProofRequired(missing=("password",)), role
    for role in (Role.MEMBER, Role.AUDITOR):
        assert invited(role).role is role
    here.prove_again(session)
    assert invited(Role.OWNER).role is Role.OWNER
    here.clock.advance(timedelta(minutes=10))
    assert invited(Role.ADMIN) == ProofRequired(missing=("password",))
    assert records(here, "invitation.made").count("proof_required") == 3


def mailed(here: World) -> list[str]:
    """The tokens of the letters written so far, oldest first."""

    def links(tx: SqlTransaction) -> list[Link | None]:
        return [tx.link_by_id(one.link_id) for _, one in tx.new_letters(limit=1000)]

    return [here.forge.link_token(one.id)[0] for one in here.store.read(links) if one is not None]


def accept(here: World, token: str, **who: Any) -> Any:
    newcomer = Newcomer(**{"name": "New", "username": "", "password": "stored"} | who)
    return here.store.change(
        lambda tx: flow.accept_anew(
            tx,
            digest=token_digest(token),
            newcomer=newcomer,
            visitor=HERE,
            spans=Spans(),
            forge=here.forge,
        )
    )


def join(here: World, actor: Actor, token: str) -> Any:
    return here.store.change(lambda tx: flow.join(tx, actor=actor, digest=token_digest(token), forge=here.forge))


def opened(here: World, token: str) -> Any:
    return here.store.read(lambda tx: flow.opened(tx, token_digest(token)))


def records(here: World, action: str) -> list[str]:
    return [one.outcome for one in here.audit() if one.action == action]


def test_whoever_is_invited_becomes_a_user_and_a_member_once(here: World, account: Account, owner: User) -> None:
    made = sure(invite(here, here.sign_in(owner), account))
    (token,) = mailed(here)
    letter = here.store.read(lambda tx: tx.new_letters(limit=1))[0][1]
    assert (letter.kind, letter.to, letter.language) == ("invitation", "new@example.com", "de")
    assert letter.detail["account"] == account.name
    said = sure(opened(here, token))
    assert (said.invitation.id, said.account.id, said.is_user) == (made.id, account.id, False)
    assert opened(here, token) == said  # looking does not use it
    unfit = PasswordUnfit(reason="common", least=15, most=1024)
    assert accept(here, token, password=unfit) == unfit
    answer = sure(accept(here, token, username="new.one"))
    actor = here.store.read(lambda tx: sessions.whose(tx, token_digest(answer.token), address=None))
    assert actor is not None
    assert (actor.account_id, answer.session.role, answer.session.how) == (account.id, Role.ADMIN, ("invitation",))
    user = here.store.read(lambda tx: tx.user(actor.user_id))
    assert user is not None
    assert (user.email, user.username) == ("new@example.com", "new.one")
    assert accept(here, token) == opened(here, token) == LinkSpent()
    assert accept(here, "ktl_none") == NotFound()
    assert records(here, "invitation.accepted") == ["password_unfit", "done", "link_spent", "not_found"]
    told = [one.kind for _, one in here.store.read(lambda tx: tx.new_notices(limit=100))]
    assert "member.added" in told


def test_who_is_a_user_already_joins_signed_in(here: World, account: Account, owner: User) -> None:
    known = here.user(here.account())
    sure(invite(here, here.sign_in(owner), account, known.email, Role.MEMBER))
    (token,) = mailed(here)
    assert sure(opened(here, token)).is_user
    assert accept(here, token) == NameTaken(field="email")  # nobody takes over an address by a link alone
    assert join(here, here.root, token) == PersonRequired()
    assert join(here, here.sign_in(owner), token) == AlreadyMember()
    member = sure(join(here, here.sign_in(known), token))
    assert (member.account_id, member.user_id, member.role) == (account.id, known.id, Role.MEMBER)
    assert join(here, here.sign_in(known), token) == LinkSpent()
    taken = invite(here, here.sign_in(owner), account, known.email)
    assert taken == AlreadyMember()


def test_nobody_invites_mightier_than_themselves(here: World, account: Account, owner: User) -> None:
    admin = here.sign_in(here.user(account, Role.ADMIN))
    keeper = here.machine(account, owner, "*:write", "keyturn.accounts:write")
    outsider = here.sign_in(here.user(here.account()))
    assert invite(here, admin, account) == PermissionMissing(needed="keyturn.accounts:write")
    assert invite(here, outsider, account) == NotFound()
    assert invite(here, keeper, account, role=Role.OWNER).kind == "wider_than_actor"
    assert invite(here, keeper, account, role=Role.MEMBER).role is Role.MEMBER
    assert invite(here, here.sign_in(owner), account, role=Role.SUPPORT).kind == "invalid_field"
    assert invite(here, here.sign_in(owner), here.operator).kind == "not_found"
    assert len(mailed(here)) == 1


def test_an_invitation_ends_when_withdrawn_replaced_or_late(here: World, account: Account, owner: User) -> None:
    as_owner = here.sign_in(owner)
    first = sure(invite(here, as_owner, account))
    second = sure(invite(here, as_owner, account))

    def listed() -> list[str]:
        found = sure(here.store.read(lambda tx: flow.listing(tx, actor=as_owner, account_id=account.id)))
        return [one.id for one in found]

    assert listed() == [second.id]
    old, token = mailed(here)
    assert accept(here, old) == LinkSpent()

    def withdraw(actor: Actor, invitation_id: str = second.id) -> Any:
        return here.store.change(
            lambda tx: flow.withdraw(tx, actor=actor, account_id=account.id, invitation_id=invitation_id)
        )

    assert withdraw(here.sign_in(here.user(here.account()))) == withdraw(as_owner, "inv_none") == NotFound()
    assert withdraw(here.sign_in(here.user(account, Role.ADMIN))).kind == "permission_missing"
    assert withdraw(as_owner).id == second.id
    assert withdraw(as_owner) == withdraw(as_owner, first.id) == LinkSpent()
    assert accept(here, token) == LinkSpent()
    assert listed() == []
    sure(invite(here, as_owner, account, "late@example.com"))
    here.clock.advance(LASTS[LinkKind.INVITATION])
    assert accept(here, mailed(here)[-1]) == LinkSpent()
    stranger = here.sign_in(here.user(here.account()))
    assert here.store.read(lambda tx: flow.listing(tx, actor=stranger, account_id=account.id)) == NotFound()


def test_no_account_mails_without_end(here: World, account: Account, owner: User) -> None:
    as_owner = here.sign_in(owner)
    for n in range(MOST_OPEN):
        sure(invite(here, as_owner, account, f"n{n}@example.com"))
    assert invite(here, as_owner, account, "more@example.com") == TooManyInvitations(limit=MOST_OPEN)
    assert not isinstance(invite(here, as_owner, account, "n0@example.com"), Refusal)  # again to the same


def test_pitfall_21_no_other_link_is_an_invitation(here: World, account: Account, owner: User) -> None:
    made = sure(invite(here, here.sign_in(owner), account))
    token, digest = here.forge.link_token("lnk_other")

    def plant(tx: SqlTransaction) -> None:
        link = Link(id="lnk_other", kind=LinkKind.NOT_ME, made_at=tx.now, ends_at=made.ends_at, subject_id=made.id)
        tx.insert_link(link, digest=digest)

    here.store.change(plant)
    assert accept(here, token) == NotFound()


def test_r25_what_a_leaked_key_invited_comes_to_nothing(here: World, account: Account, owner: User) -> None:
    keeper = here.machine(account, owner, "*:admin", "keyturn.accounts:write", "keyturn.audit:read")
    since = here.clock()
    here.clock.advance(timedelta(minutes=1))
    sure(invite(here, keeper, account))
    kept = sure(invite(here, here.sign_in(owner), account, "kept@example.com"))
    sure(here.ask(here.root, keeper.id, "leaked", suspend_created_since=since))
    first, second = mailed(here)
    assert accept(here, first) == LinkSpent()
    assert sure(opened(here, second)).invitation.id == kept.id
    assert records(here, "invitation.withdrawn") == ["done"]


def test_a_name_that_is_taken_is_refused_and_the_link_goes_on(here: World, account: Account, owner: User) -> None:
    here.store.change(lambda tx: tx.save_user(replace(owner, username="taken")))
    sure(invite(here, here.sign_in(owner), account))
    (token,) = mailed(here)
    assert accept(here, token, username="taken") == NameTaken(field="username")
    assert not isinstance(accept(here, token, username="free"), Refusal)


@pytest.mark.parametrize("how", ["removed", "demoted"])
def test_nobody_comes_in_at_the_word_of_who_has_no_say_any_more(
    here: World, account: Account, owner: User, how: str
) -> None:
    """A way back that somebody laid before they were shown out leads nowhere; what others offered stands."""
    leaver = here.user(account)
    sure(invite(here, here.sign_in(leaver), account, "back@example.com", Role.OWNER))
    sure(invite(here, here.sign_in(owner), account, "other@example.com"))
    back, other = mailed(here)
    with_whom: dict[str, Any] = {"actor": here.sign_in(owner), "account_id": account.id, "user_id": leaver.id}
    if how == "removed":
        sure(here.store.change(lambda tx: members.remove(tx, **with_whom)))
    else:
        here.prove_again(with_whom["actor"])
        sure(here.store.change(lambda tx: members.edit(tx, **with_whom, role=Role.ADMIN)))
    assert accept(here, back) == LinkSpent()
    assert records(here, "invitation.withdrawn") == ["done"]
    sure(accept(here, other))


def test_k8_nobody_is_mailed_without_end_and_no_other_account_is_kept_from_it(
    here: World, account: Account, owner: User
) -> None:
    actor = here.sign_in(owner)
    for _ in range(FREE[Counted.LETTERS]):
        sure(invite(here, actor, account))
    assert isinstance(invite(here, actor, account), TooManyRequests)
    assert len(mailed(here)) == FREE[Counted.LETTERS]
    sure(invite(here, actor, account, "other@example.com"))
    another = here.account()
    sure(invite(here, here.sign_in(here.user(another)), another))
    here.clock.advance(QUIET[Counted.LETTERS])
    sure(invite(here, here.sign_in(owner), account))
