"""Users: who a person is, and where they belong."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from keyturn.core.account import Member, Role, User
from keyturn.core.actor import Actor, Channel
from keyturn.core.password import Fitted
from keyturn.core.permission import RIGHT_ACCOUNTS_READ, RIGHT_ACCOUNTS_WRITE
from keyturn.core.refusal import NameTaken, NotFound, PermissionMissing, Refusal
from keyturn.flow.evidence import done, refused
from keyturn.flow.member import add, check_administers, check_role
from keyturn.flow.reach import reach
from keyturn.ports.forge import Forge
from keyturn.ports.page import Page
from keyturn.ports.transaction import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class UserWish:
    """A person to add to an account."""

    email: str
    name: str
    role: Role
    account_id: str | None
    password: Fitted
    """Its stored form, or empty for none; or why it is not taken."""
    username: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserEdit:
    """What an edit names; None stays, an empty text drops."""

    name: str | None = None
    username: str | None = None
    language: str | None = None
    time_zone: str | None = None


def create(tx: Transaction, *, actor: Actor, wish: UserWish, forge: Forge) -> tuple[User, Member] | Refusal:
    """Add a user as a member of an account.

    Only the operator gives them a password: it is not yet shown whose address that is, and whoever knew a password of
    it would be its owner wherever else they are let in.  The others mail an invitation.
    """
    account_id = wish.account_id or actor.account_id
    if tx.account(account_id) is None or not actor.may(RIGHT_ACCOUNTS_WRITE, account_id):
        foreign = account_id != actor.account_id
        missing: Refusal = NotFound() if foreign else PermissionMissing(needed=RIGHT_ACCOUNTS_WRITE)
        return refused(tx, actor, "user.created", missing, subject_id=account_id)
    if refusal := check_role(tx, actor, account_id, wish.role):
        return refused(tx, actor, "user.created", refusal, subject_id=account_id, account_id=account_id)
    if wish.password and not actor.in_deployment_account:
        missing = PermissionMissing(needed=RIGHT_ACCOUNTS_WRITE)
        return refused(tx, actor, "user.created", missing, subject_id=account_id, account_id=account_id)
    if tx.user_by_email(wish.email) is not None:
        taken = NameTaken(field="email")
        return refused(tx, actor, "user.created", taken, subject_id=account_id, account_id=account_id)
    if wish.username and tx.user_by_username(wish.username) is not None:
        taken = NameTaken(field="username")
        return refused(tx, actor, "user.created", taken, subject_id=account_id, account_id=account_id)
    if isinstance(wish.password, Refusal):
        return refused(tx, actor, "user.created", wish.password, subject_id=account_id, account_id=account_id)
    user = User(id=forge.id("usr"), email=wish.email, name=wish.name, username=wish.username, created_at=tx.now)
    member = Member(account_id=account_id, user_id=user.id, role=wish.role)
    tx.insert_user(user, password=wish.password)
    detail = {"role": wish.role.value}
    done(tx, actor, "user.created", account_id=account_id, subject_id=user.id, detail=detail)
    add(tx, actor=actor, member=member, forge=forge)
    return user, member


def show(tx: Transaction, *, actor: Actor, user_id: str) -> tuple[User, Sequence[Member]] | Refusal:
    """One user with the memberships the actor may see; oneself always."""
    user = tx.user(user_id)
    visible = visible_members(tx, actor, user_id)
    return (user, visible) if user is not None and visible else NotFound()


def listing(
    tx: Transaction, *, actor: Actor, account_id: str | None, page: Page
) -> Sequence[tuple[int, tuple[User, Sequence[Member]]]] | Refusal:
    """Users of an account, or of every account the actor may read, with the memberships the actor may know of."""
    account_ids = reach(actor, RIGHT_ACCOUNTS_READ, account_id)
    if isinstance(account_ids, Refusal):
        return account_ids
    found = tx.users(account_ids=account_ids, page=page)
    return [(number, (user, visible_members(tx, actor, user.id))) for number, user in found]


def edit(tx: Transaction, *, actor: Actor, user_id: str, edit: UserEdit) -> tuple[User, Sequence[Member]] | Refusal:
    """Change how somebody is called and in which language and zone they read: one's own, or as who administers them."""
    tx.lock_owner(user_id)  # it is written back whole, and another address must not be undone by that
    user = tx.user(user_id)
    own = actor.channel is Channel.PERSON and actor.user_id == user_id
    refusal = None if own else check_administers(tx, actor, user_id)
    if user is None or refusal is not None:
        return refused(tx, actor, "user.edited", refusal or NotFound(), subject_id=user_id)
    names = ("name", "username", "language", "time_zone")
    edited = replace(user, **{name: getattr(edit, name) for name in names if getattr(edit, name) is not None})
    if edited.username and edited.username != user.username and tx.user_by_username(edited.username) is not None:
        return refused(tx, actor, "user.edited", NameTaken(field="username"), subject_id=user_id)
    if edited != user:
        tx.save_user(edited)
        changed = " ".join(name for name in names if getattr(edited, name) != getattr(user, name))
        done(tx, actor, "user.edited", account_id=actor.account_id, subject_id=user_id, detail={"fields": changed})
    return edited, visible_members(tx, actor, user_id)


def visible_members(tx: Transaction, actor: Actor, user_id: str) -> Sequence[Member]:
    """The memberships of a user that the actor may know of."""
    members = tx.members(user_id=user_id)
    own = user_id == actor.user_id
    return [one for one in members if own or actor.may(RIGHT_ACCOUNTS_READ, one.account_id)]
