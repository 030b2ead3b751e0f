"""Users: who a person is, and where they belong."""

from collections.abc import Sequence
from dataclasses import dataclass

from keyturn.core.account import RIGHTS, Member, Role, User
from keyturn.core.actor import Actor, Channel
from keyturn.core.permission import RIGHT_ACCOUNTS_READ, RIGHT_ACCOUNTS_WRITE, RIGHT_ADMIN
from keyturn.core.refusal import NameTaken, NotFound, PermissionMissing, Refusal, WiderThanActor
from keyturn.flow.evidence import done, refused
from keyturn.flow.reach import reach
from keyturn.ports import Forge, Page, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class UserWish:
    """A person to add to an account."""

    email: str
    name: str
    role: Role
    account_id: str | None
    password: str
    """Its stored form, or empty for none."""


def create(tx: Transaction, *, actor: Actor, wish: UserWish, forge: Forge) -> tuple[User, Member] | Refusal:
    """Add a user as a member of an account."""
    account_id = wish.account_id or actor.account_id
    if tx.account(account_id) is None or not actor.may(RIGHT_ACCOUNTS_WRITE, account_id):
        foreign = account_id != actor.account_id
        refusal: Refusal = NotFound() if foreign else PermissionMissing(needed=RIGHT_ACCOUNTS_WRITE)
        return refused(tx, actor, "user.created", refusal, subject_id=account_id)
    if beyond := _beyond_role(tx, actor, account_id, wish.role):
        wider = WiderThanActor(beyond=beyond)
        return refused(tx, actor, "user.created", wider, subject_id=account_id, account_id=account_id)
    if tx.user_by_email(wish.email) is not None:
        taken = NameTaken(field="email")
        return refused(tx, actor, "user.created", taken, subject_id=account_id, account_id=account_id)
    user = User(id=forge.id("usr"), email=wish.email, name=wish.name, created_at=tx.now)
    member = Member(account_id=account_id, user_id=user.id, role=wish.role)
    tx.insert_user(user, password=wish.password)
    tx.insert_member(member)
    detail = {"role": wish.role.value}
    done(tx, actor, "user.created", account_id=account_id, subject_id=user.id, detail=detail)
    return user, member


def show(tx: Transaction, *, actor: Actor, user_id: str) -> tuple[User, Sequence[Member]] | Refusal:
    """One user with the memberships the actor may see; oneself always."""
    user = tx.user(user_id)
    visible = _visible_members(tx, actor, user_id)
    return (user, visible) if user is not None and visible else NotFound()


def listing(
    tx: Transaction, *, actor: Actor, account_id: str | None, page: Page
) -> Sequence[tuple[int, tuple[User, Sequence[Member]]]] | Refusal:
    """Users of an account, or of every account the actor may read, with the memberships the actor may know of."""
    account_ids = reach(actor, RIGHT_ACCOUNTS_READ, account_id)
    if isinstance(account_ids, Refusal):
        return account_ids
    found = tx.users(account_ids=account_ids, page=page)
    return [(number, (user, _visible_members(tx, actor, user.id))) for number, user in found]


def set_password(
    tx: Transaction, *, actor: Actor, user_id: str, password: str
) -> tuple[User, Sequence[Member]] | Refusal:
    """Put another password in place; every session of the user ends.

    Only for those who administer an account the user belongs to: a person's own change comes with its proofs.
    """
    user = tx.user(user_id)
    accounts = [one.account_id for one in tx.members(user_id=user_id)]
    if user is None or not any(actor.may(RIGHT_ACCOUNTS_READ, one) for one in accounts):
        return refused(tx, actor, "user.password_set", NotFound(), subject_id=user_id)
    if not all(actor.may(RIGHT_ACCOUNTS_WRITE, one) for one in accounts) or actor.channel is Channel.PERSON:
        refusal = PermissionMissing(needed=RIGHT_ACCOUNTS_WRITE)
        return refused(tx, actor, "user.password_set", refusal, subject_id=user_id, account_id=accounts[0])
    roles = {one.account_id: one.role for one in tx.members(user_id=user_id)}
    if beyond := tuple(right for one, role in roles.items() for right in _beyond_role(tx, actor, one, role)):
        wider = WiderThanActor(beyond=beyond)
        return refused(tx, actor, "user.password_set", wider, subject_id=user_id, account_id=accounts[0])
    tx.set_password(user_id, password)
    tx.end_sessions(user_id=user_id)
    done(tx, actor, "user.password_set", account_id=accounts[0], subject_id=user_id)
    return user, _visible_members(tx, actor, user_id)


def _beyond_role(tx: Transaction, actor: Actor, account_id: str, role: Role) -> tuple[str, ...]:
    """What the role would let a person do that the actor may not: nobody makes somebody mightier than themselves."""
    if actor.in_deployment_account and RIGHT_ADMIN in actor.permissions:
        return ()
    if account_id == tx.deployment_account_id and account_id != actor.account_id:
        return (RIGHT_ADMIN,)
    return actor.beyond(RIGHTS[role])


def _visible_members(tx: Transaction, actor: Actor, user_id: str) -> Sequence[Member]:
    members = tx.members(user_id=user_id)
    own = user_id == actor.user_id
    return [one for one in members if own or actor.may(RIGHT_ACCOUNTS_READ, one.account_id)]
