"""Keys: show, edit, suspend, resume, revoke; whose they are decides who finds them (pitfall 18)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from keyturn.core import permission
from keyturn.core.actor import Actor, Channel
from keyturn.core.consequence import widens
from keyturn.core.instant import FOREVER, Instant
from keyturn.core.key import Key, Suspension
from keyturn.core.limit import Limit
from keyturn.core.permission import (
    RIGHT_ACCOUNTS_WRITE,
    RIGHT_KEYS_READ,
    RIGHT_KEYS_RESET,
    RIGHT_KEYS_WRITE,
    RIGHT_STAFF_SECURE,
    RIGHT_STAFF_STOP,
)
from keyturn.core.policy import Effective
from keyturn.core.refusal import (
    AllowlistRequired,
    AllowlistTooLong,
    ExpiryRequired,
    InvalidField,
    KeyExpired,
    KeyRevoked,
    NotFound,
    PermissionMissing,
    PolicyUnknown,
    ProofRequired,
    Refusal,
    WiderThanActor,
)
from keyturn.core.reset import check_origin, end, is_asker, is_open
from keyturn.core.secret import SecretText
from keyturn.core.stage import Event
from keyturn.flow.authenticator import check_recent
from keyturn.flow.evidence import done, done_to_key, refused, tell
from keyturn.flow.hold import check_held
from keyturn.flow.policy import effective, effective_for_key
from keyturn.flow.reach import reach
from keyturn.ports.page import Page
from keyturn.ports.transaction import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEdit:
    """What an edit names; an absent field stays."""

    name: str | None = None
    permissions: tuple[str, ...] | None = None
    allowlist: tuple[str, ...] | None = None
    limit: Limit | None = None
    drop_limit: bool = False
    expires_at: Instant | None = None
    policy: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAnswer:
    """A key as it now is, its secret where this call made one, and the revision verifiers learn of it at.

    Who repeats a stop has lost the answer to the first one, and is told the revision by which it stands (F10).
    """

    key: Key
    secret: SecretText | None = None
    secret_shown: bool = False
    rev: int = 0


def find(tx: Transaction, actor: Actor, key_id: str, *, lock: bool = False) -> Key | NotFound:
    """A key the actor may know of.  Absent and foreign look alike."""
    key = tx.key(key_id, lock=lock)
    if key is None or not _knows(actor, key):
        return NotFound()
    return key


def show(tx: Transaction, *, actor: Actor, key_id: str) -> Key | Refusal:
    """One key, to whoever may read keys of its account, and to itself."""
    key = find(tx, actor, key_id)
    if isinstance(key, Refusal):
        return key
    if actor.id != key.id and not actor.may(RIGHT_KEYS_READ, key.account_id):
        return PermissionMissing(needed=RIGHT_KEYS_READ)
    return key


def listing(
    tx: Transaction, *, actor: Actor, account_id: str | None, owner_id: str | None, page: Page
) -> Sequence[Key] | Refusal:
    """Keys of an account; without one, of every account the actor reaches."""
    account_ids = reach(actor, RIGHT_KEYS_READ, account_id)
    if isinstance(account_ids, Refusal):
        return account_ids
    if actor.own_keys_only:
        owner_id = actor.user_id
    return tx.keys(account_ids=account_ids, owner_id=owner_id, page=page)


def edit(tx: Transaction, *, actor: Actor, key_id: str, edit: KeyEdit) -> KeyAnswer | Refusal:
    """Change what a key may do; verifiers follow by the feed (pitfall 26)."""
    key = find(tx, actor, key_id, lock=True)
    if isinstance(key, Refusal):
        return refused(tx, actor, "key.edited", key, subject_id=key_id)
    edited = _edited(key, edit)
    refusal = _check_edit(tx, actor, key, edited)
    if refusal is not None:
        return refused(tx, actor, "key.edited", refusal, subject_id=key_id, account_id=key.account_id)
    if edited != key:
        tx.save_key(edited)
        changed = [name for name in KeyEdit.__slots__ if getattr(edited, name, None) != getattr(key, name, None)]
        done_to_key(tx, actor, "key.edited", edited, detail={"fields": " ".join(changed)})
    followed = edit != KeyEdit(name=edit.name, policy=edit.policy)  # those two are nothing to verifiers
    return KeyAnswer(key=edited, rev=tx.known_by(key.id) if followed else 0)


def suspend(tx: Transaction, *, actor: Actor, key_id: str, reason: str) -> KeyAnswer | Refusal:
    """Stop a key for now: the safe direction, never gated and never limited (R22)."""
    key = find(tx, actor, key_id, lock=True)
    if isinstance(key, Refusal):
        return refused(tx, actor, "key.suspended", key, subject_id=key_id)
    actor = actor.towards(key.account_id)
    refusal: Refusal | None = None
    if actor.id != key.id and not actor.may_stop(key.account_id):
        refusal = PermissionMissing(needed=RIGHT_STAFF_STOP)
    elif key.revoked_at is not None:
        refusal = KeyRevoked(revoked_at=key.revoked_at)
    if refusal is not None:
        return refused(tx, actor, "key.suspended", refusal, subject_id=key_id, account_id=key.account_id)
    if key.suspension is None:
        key = replace(key, suspension=Suspension(at=tx.now, by=actor.id, reason=reason))
        tx.save_key(key)
        done_to_key(tx, actor, "key.suspended", key, detail={"reason": reason})
    return KeyAnswer(key=key, rev=tx.known_by(key.id))


def resume(tx: Transaction, *, actor: Actor, key_id: str) -> KeyAnswer | Refusal:
    """Lift a suspension as a false alarm, with full proof (R22); an open reset of the key ends."""
    key = find(tx, actor, key_id, lock=True)
    if isinstance(key, Refusal):
        return refused(tx, actor, "key.resumed", key, subject_id=key_id)
    refusal = _check_resume(tx, actor, key)
    if refusal is not None:
        return refused(tx, actor, "key.resumed", refusal, subject_id=key_id, account_id=key.account_id)
    if key.suspension is not None:
        end_open_reset(tx, actor, key)
        key = replace(key, suspension=None)
        tx.save_key(key)
        done_to_key(tx, actor, "key.resumed", key)
    return KeyAnswer(key=key, rev=tx.known_by(key.id))


def revoke(tx: Transaction, *, actor: Actor, key_id: str) -> KeyAnswer | Refusal:
    """Stop a key for good.  Its own holder may always do that (R40)."""
    key = find(tx, actor, key_id, lock=True)
    if isinstance(key, Refusal):
        return refused(tx, actor, "key.revoked", key, subject_id=key_id)
    rights = (RIGHT_KEYS_WRITE, RIGHT_KEYS_RESET)
    if actor.id != key.id and not any(actor.may(right, key.account_id) for right in rights):
        refusal = PermissionMissing(needed=RIGHT_KEYS_WRITE)
        return refused(tx, actor, "key.revoked", refusal, subject_id=key_id, account_id=key.account_id)
    if key.revoked_at is None:
        end_open_reset(tx, actor, key)
        key = replace(key, revoked_at=tx.now)
        tx.save_key(key)
        done_to_key(tx, actor, "key.revoked", key)
    return KeyAnswer(key=key, rev=tx.known_by(key.id))


def suspend_account(tx: Transaction, *, actor: Actor, account_id: str, reason: str) -> tuple[int, int] | Refusal:
    """Suspend every live key of an account in one step (F11); how many, and the revision verifiers learn of it at."""
    account = tx.account(account_id)
    actor = actor.towards(account_id)
    rights = (RIGHT_ACCOUNTS_WRITE, RIGHT_STAFF_SECURE)
    if account is None or not any(actor.may(right, account_id) for right in rights):
        missing: Refusal = (
            NotFound() if account_id != actor.account_id else PermissionMissing(needed=RIGHT_ACCOUNTS_WRITE)
        )
        return refused(tx, actor, "account.suspended", missing, subject_id=account_id)
    count, rev = tx.suspend_account(account_id, by=actor.id, reason=reason)
    detail = {"keys": str(count), "reason": reason}
    done(tx, actor, "account.suspended", account_id=account_id, subject_id=account_id, detail=detail)
    tell(tx, actor, "account.suspended", account_id=account_id, owner_id="", detail=detail)
    return count, rev


def _knows(actor: Actor, key: Key) -> bool:
    if actor.id == key.id:
        return True
    if actor.own_keys_only and key.owner_id != actor.user_id:
        return False
    rights = (RIGHT_KEYS_READ, RIGHT_KEYS_WRITE, RIGHT_KEYS_RESET, RIGHT_ACCOUNTS_WRITE)
    return any(actor.may(right, key.account_id) for right in rights)


def check_hands_on(tx: Transaction, actor: Actor, permissions: tuple[str, ...]) -> ProofRequired | None:
    """K2: keyturn's own rights are handed on by a person who has just shown again who they are.

    A key that may reset others is a complete proof (R40): made without one, a session would do for every reset.
    """
    if actor.channel is not Channel.PERSON or not any(map(permission.is_right, permissions)):
        return None
    return check_recent(tx, actor)


def check_policy_choice(tx: Transaction, actor: Actor, policy: str, account_id: str) -> Refusal | None:
    """A key's own policy may be laxer than the account's, so it takes a right over the account."""
    if not policy:
        return None
    if not (actor.in_deployment_account and actor.may(RIGHT_ACCOUNTS_WRITE, account_id)):
        return PermissionMissing(needed=RIGHT_ACCOUNTS_WRITE)
    return None if tx.policy(policy) is not None else PolicyUnknown(policy=policy)


def check_allowlist(in_force: Effective, permissions: tuple[str, ...], allowlist: tuple[str, ...]) -> Refusal | None:
    """R31: an allowlist is no longer than the policy lets it be, and is there where the policy wants one."""
    policy = in_force.policy
    if len(allowlist) > policy.allowlist_max:
        return AllowlistTooLong(limit=policy.allowlist_max, policy=in_force.source("allowlist_max"))
    needing = tuple(one for one in policy.allowlist_required_for if permission.grants(permissions, one))
    if needing and not allowlist:
        return AllowlistRequired(permissions=needing, policy=in_force.source("allowlist_required_for"))
    return None


def _edited(key: Key, edit: KeyEdit) -> Key:
    names = ("name", "permissions", "allowlist", "limit", "expires_at", "policy")
    values = {name: getattr(edit, name) for name in names if getattr(edit, name) is not None}
    if edit.drop_limit:
        values["limit"] = None
    return replace(key, **values)


def _check_edit(tx: Transaction, actor: Actor, key: Key, edited: Key) -> Refusal | None:
    if not actor.may(RIGHT_KEYS_WRITE, key.account_id):
        return PermissionMissing(needed=RIGHT_KEYS_WRITE)
    if key.revoked_at is not None:
        return KeyRevoked(revoked_at=key.revoked_at)
    if tx.now >= key.expires_at:
        return KeyExpired(expired_at=key.expires_at)
    if beyond := actor.rights_beyond(key.permissions):
        return WiderThanActor(beyond=beyond)
    added = tuple(one for one in edited.permissions if not permission.grants(key.permissions, one))
    if beyond := actor.beyond(added):
        return WiderThanActor(beyond=beyond)
    if again := check_hands_on(tx, actor, added):
        return again
    if actor.id == key.id and edited != replace(key, name=edited.name):
        return WiderThanActor(beyond=key.permissions)  # a key does not shed what was put upon it
    if edited.policy != key.policy and (
        refusal := check_policy_choice(tx, actor, edited.policy or key.policy, key.account_id)
    ):
        return refusal
    if edited.expires_at != key.expires_at and edited.expires_at <= tx.now:
        return InvalidField(field="expires_at", reason="lies in the past; revoke the key instead")
    if widens(key, edited) and (waits := check_held(tx, actor, key.owner_id)):
        return waits
    account = tx.account(key.account_id)
    assert account is not None  # noqa: S101  # a foreign key holds it
    in_force = effective(tx, account, edited.policy)
    if in_force.policy.expiry == "required" and edited.expires_at == FOREVER != key.expires_at:
        return ExpiryRequired(policy=in_force.source("expiry"))
    return check_allowlist(in_force, edited.permissions, edited.allowlist)


def _check_resume(tx: Transaction, actor: Actor, key: Key) -> Refusal | None:
    if not actor.may(RIGHT_KEYS_RESET, key.account_id):
        return PermissionMissing(needed=RIGHT_KEYS_RESET)
    if key.revoked_at is not None:
        return KeyRevoked(revoked_at=key.revoked_at)
    if beyond := actor.rights_beyond(key.permissions):
        return WiderThanActor(beyond=beyond)
    account = tx.account(key.account_id)
    if barred := check_origin(actor, effective_for_key(tx, key), account.reset_allowlist if account else ()):
        return barred
    if waits := check_held(tx, actor, key.owner_id):
        return waits
    if actor.channel is Channel.PERSON:
        # A person's full proof is given to a reset; a completed one lifts the suspension.
        latest = tx.latest_reset(key.id)
        proving = latest is not None and is_open(latest, tx.now) and is_asker(latest, actor)
        missing = latest.missing(tx.now) if latest is not None and proving else ("reset",)
        if missing:
            return ProofRequired(missing=missing)
    return None


def end_open_reset(tx: Transaction, actor: Actor, key: Key) -> None:
    """Close a reset that is open, for it is not to go on."""
    latest = tx.latest_reset(key.id)
    if latest is None or not is_open(latest, tx.now):
        return
    ended = end(latest, Event.KEY_ENDED, now=tx.now)
    if not isinstance(ended, Refusal):
        tx.save_reset(ended)
        done_to_key(tx, actor, "reset.ended", key, subject_id=ended.id, detail={"reason": ended.end_reason})
