"""Accounts: made by the operator, edited by those who hold the right over them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from keyturn.core import allowlist
from keyturn.core.account import Account, Member
from keyturn.core.actor import Actor, Channel
from keyturn.core.permission import RIGHT_ACCOUNTS_READ, RIGHT_ACCOUNTS_WRITE, RIGHT_ADMIN
from keyturn.core.refusal import NotFound, PermissionMissing, PolicyUnknown, Refusal
from keyturn.flow.authenticator import check_recent
from keyturn.flow.evidence import done, refused
from keyturn.flow.hold import check_held
from keyturn.flow.reach import reach
from keyturn.ports.forge import Forge
from keyturn.ports.page import Page
from keyturn.ports.transaction import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountEdit:
    """What an edit names; None stays."""

    name: str | None = None
    policy: str | None = None
    floor: str | None = None
    reset_allowlist: tuple[str, ...] | None = None
    max_keys_per_user: int | None = None
    drop_max_keys_per_user: bool = False


def create(tx: Transaction, *, actor: Actor, wish: AccountEdit, forge: Forge) -> Account | Refusal:
    """Add an account.  Only who may write every account may add one."""
    if not (actor.in_deployment_account and actor.may(RIGHT_ACCOUNTS_WRITE, tx.deployment_account_id)):
        refusal: Refusal = PermissionMissing(needed=RIGHT_ACCOUNTS_WRITE)
        return refused(tx, actor, "account.created", refusal, subject_id="")
    account = _edited(Account(id=forge.id("acc"), name=wish.name or "", created_at=tx.now), wish)
    if unknown := _unknown_policy(tx, account):
        return refused(tx, actor, "account.created", unknown, subject_id="")
    tx.insert_account(account)
    done(tx, actor, "account.created", account_id=account.id, subject_id=account.id)
    return account


def show(tx: Transaction, *, actor: Actor, account_id: str) -> Account | Refusal:
    """One account, to its members and to those who may read it."""
    account = tx.account(account_id)
    if account is None or not (account_id == actor.account_id or actor.may(RIGHT_ACCOUNTS_READ, account_id)):
        return NotFound()
    if not actor.may(RIGHT_ACCOUNTS_READ, account_id):
        return PermissionMissing(needed=RIGHT_ACCOUNTS_READ)
    return account


def own(tx: Transaction, *, actor: Actor) -> Sequence[tuple[Account, Member]]:
    """Every account that the person behind the actor is a member of."""
    members = tx.members(user_id=actor.user_id)
    found = ((tx.account(one.account_id), one) for one in members)
    return [(account, member) for account, member in found if account is not None]


def listing(tx: Transaction, *, actor: Actor, page: Page) -> Sequence[tuple[int, Account]] | Refusal:
    """Every account the actor may read."""
    if actor.in_deployment_account and actor.may(RIGHT_ACCOUNTS_READ, tx.deployment_account_id):
        return tx.accounts(account_ids=None, page=page)
    account_ids = reach(actor, RIGHT_ACCOUNTS_READ, None)
    return account_ids if isinstance(account_ids, Refusal) else tx.accounts(account_ids=account_ids, page=page)


def edit(tx: Transaction, *, actor: Actor, account_id: str, edit: AccountEdit) -> Account | Refusal:
    """Change an account: policy, floor, where resets may start, how many keys a user may have."""
    account = tx.account(account_id, lock=True)
    if account is None or not (account_id == actor.account_id or actor.may(RIGHT_ACCOUNTS_WRITE, account_id)):
        return refused(tx, actor, "account.edited", NotFound(), subject_id=account_id)
    edited = _edited(account, edit)
    refusal = _check_edit(tx, actor, account, edited)
    if refusal is not None:
        return refused(tx, actor, "account.edited", refusal, subject_id=account_id, account_id=account_id)
    if edited != account:
        tx.save_account(edited)
        changed = [name for name in Account.__slots__ if getattr(edited, name) != getattr(account, name)]
        done(
            tx,
            actor,
            "account.edited",
            account_id=account_id,
            subject_id=account_id,
            detail={name: str(getattr(edited, name)) for name in changed},
        )
    return edited


def _check_edit(tx: Transaction, actor: Actor, account: Account, edited: Account) -> Refusal | None:
    if not actor.may(RIGHT_ACCOUNTS_WRITE, account.id):
        return PermissionMissing(needed=RIGHT_ACCOUNTS_WRITE)
    governed = ("policy", "floor", "max_keys_per_user")
    loosens = any(getattr(edited, name) != getattr(account, name) for name in governed)
    of_deployment = account.id == tx.deployment_account_id
    if loosens and of_deployment and not actor.may(RIGHT_ADMIN, account.id):
        return PermissionMissing(needed=RIGHT_ADMIN)
    if loosens and not actor.in_deployment_account:
        # What the operator set for a customer is not the customer's to change (K10).
        return PermissionMissing(needed=RIGHT_ACCOUNTS_WRITE)
    if refusal := _check_origins(tx, actor, account, edited):
        return refusal
    return _unknown_policy(tx, edited)


def _check_origins(tx: Transaction, actor: Actor, account: Account, edited: Account) -> Refusal | None:
    """K9: where resets may start is changed by a person who has just shown again who they are."""
    if edited.reset_allowlist == account.reset_allowlist:
        return None
    if actor.channel is Channel.PERSON and (again := check_recent(tx, actor)):
        return again
    widened = not allowlist.covers(account.reset_allowlist, edited.reset_allowlist)
    return check_held(tx, actor) if widened else None


def _edited(account: Account, edit: AccountEdit) -> Account:
    names = ("name", "policy", "floor", "reset_allowlist", "max_keys_per_user")
    values = {name: getattr(edit, name) for name in names if getattr(edit, name) is not None}
    if edit.drop_max_keys_per_user:
        values["max_keys_per_user"] = None
    return replace(account, **values)


def _unknown_policy(tx: Transaction, account: Account) -> PolicyUnknown | None:
    for name in (account.policy, account.floor):
        if name and tx.policy(name) is None:
            return PolicyUnknown(policy=name)
    return None
