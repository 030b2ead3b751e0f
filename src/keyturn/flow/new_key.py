"""A new key: whose it is, what it may be, and its first secret (K2, K10, R31, R42)."""

from dataclasses import dataclass

from keyturn.core.account import Account, Role, key_limit
from keyturn.core.actor import Actor
from keyturn.core.instant import FOREVER, Instant
from keyturn.core.key import Key, secret_of
from keyturn.core.limit import Limit
from keyturn.core.permission import RIGHT_ACCOUNTS_WRITE, RIGHT_KEYS_WRITE
from keyturn.core.policy import allows_own_secret
from keyturn.core.refusal import (
    ExpiryRequired,
    IdempotencyKeyReused,
    InvalidField,
    KeyLimitReached,
    NotFound,
    PermissionMissing,
    Refusal,
    WiderThanActor,
)
from keyturn.flow.bring import Bring, check_policy, first_secret, is_same, text_of
from keyturn.flow.evidence import done_to_key, refused
from keyturn.flow.hold import starts_at
from keyturn.flow.key import KeyAnswer, check_allowlist, check_hands_on, check_policy_choice
from keyturn.flow.policy import effective, floors
from keyturn.flow.replay import Once, remember, replayed
from keyturn.ports.forge import Forge
from keyturn.ports.transaction import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyWish:
    """What a new key is to be.  None takes the default."""

    name: str
    environment: str
    permissions: tuple[str, ...]
    allowlist: tuple[str, ...]
    limit: Limit | None
    expires_at: Instant | None
    policy: str
    account_id: str | None
    owner_id: str | None
    label: str = ""
    """The customer's own, in a form that `core.secret.check_label` takes (R42)."""


def create(
    tx: Transaction,
    *,
    actor: Actor,
    wish: KeyWish,
    brand: str,
    forge: Forge,
    once: Once | None,
    bring: Bring | None = None,
) -> KeyAnswer | Refusal:
    """Issue a key with its first secret, or with what the customer brings in its place (R42)."""
    earlier = replayed(tx, once)
    if isinstance(earlier, str) and (key := tx.key(earlier)) is not None:
        if is_same(bring, key):
            return KeyAnswer(key=key, secret_shown=bring is None)
        earlier = IdempotencyKeyReused()
    placed = earlier if isinstance(earlier, Refusal) else _place(tx, actor, wish)
    if isinstance(placed, Refusal):
        return refused(tx, actor, "key.created", placed, subject_id=wish.account_id or "")
    account, owner_id = placed
    tx.lock_owner(owner_id)
    first = _check_new(tx, actor, wish, account=account, owner_id=owner_id, bring=bring) or first_secret(
        tx, bring, brand=brand, label=wish.label, environment=wish.environment, forge=forge
    )
    if isinstance(first, Refusal):
        return refused(tx, actor, "key.created", first, subject_id=account.id, account_id=account.id)
    prefix, made = first
    key = tx.insert_key(
        Key(
            number=0,
            id=forge.id("key"),
            account_id=account.id,
            owner_id=owner_id,
            name=wish.name,
            environment=wish.environment,
            brand=prefix,
            label=wish.label,
            permissions=wish.permissions,
            allowlist=wish.allowlist,
            limit=wish.limit,
            policy=wish.policy,
            expires_at=wish.expires_at or FOREVER,
            created_at=tx.now,
            created_by=actor.through or actor.id,
            secrets=(secret_of(made, version=1, now=tx.now, starts_at=starts_at(tx, actor, owner_id)),),
        )
    )
    remember(tx, once, key.id)
    done_to_key(tx, actor, "key.created", key, detail={} if bring is None else {"kind": key.kind.value})
    return KeyAnswer(key=key, secret=text_of(made), rev=tx.rev_of(key.id))


def may_bring_secret(tx: Transaction, *, actor: Actor, wish: KeyWish) -> bool:
    """Whether it is worth reckoning with an own secret for such a key: that takes its time, and is done outside."""
    placed = _place(tx, actor, wish)
    return not isinstance(placed, Refusal) and allows_own_secret(effective(tx, placed[0], wish.policy).policy)


def _place(tx: Transaction, actor: Actor, wish: KeyWish) -> tuple[Account, str] | Refusal:
    """The account and owner of a new key; another's needs the right over it (pitfall 7)."""
    account_id = wish.account_id or actor.account_id
    if account_id != actor.account_id and not actor.may(RIGHT_ACCOUNTS_WRITE, account_id):
        return NotFound()
    account = tx.account(account_id)
    if account is None:
        return NotFound()
    if account_id == actor.account_id and not actor.may(RIGHT_KEYS_WRITE, account_id):
        return PermissionMissing(needed=RIGHT_KEYS_WRITE)
    members = tx.members(account_id=account_id)
    if wish.owner_id is None:
        if account_id == actor.account_id:
            return account, actor.user_id
        owners = [one.user_id for one in members if one.role is Role.OWNER]
        return account, (owners or [actor.user_id])[0]
    if wish.owner_id != actor.user_id and not actor.may(RIGHT_ACCOUNTS_WRITE, account_id):
        return PermissionMissing(needed=RIGHT_ACCOUNTS_WRITE)
    if wish.owner_id not in {one.user_id for one in members}:
        return InvalidField(field="owner_id", reason="no member of the account")
    return account, wish.owner_id


def _check_new(
    tx: Transaction, actor: Actor, wish: KeyWish, *, account: Account, owner_id: str, bring: Bring | None
) -> Refusal | None:
    if beyond := actor.beyond(wish.permissions):
        return WiderThanActor(beyond=beyond)
    refusal = check_hands_on(tx, actor, wish.permissions) or check_policy_choice(tx, actor, wish.policy, account.id)
    if refusal is not None:
        return refusal
    in_force = effective(tx, account, wish.policy)
    of_account = effective(tx, account, "")  # the limit is the user's, so no single key's policy may move it (K10)
    limit = key_limit(account, of_account.policy, floors(tx, account))
    if tx.count_live_keys(owner_id) >= limit:
        return KeyLimitReached(limit=limit, policy=of_account.source("max_keys_per_user"))
    if in_force.policy.expiry == "required" and wish.expires_at in (None, FOREVER):
        return ExpiryRequired(policy=in_force.source("expiry"))
    if wish.expires_at is not None and wish.expires_at <= tx.now:
        return InvalidField(field="expires_at", reason="lies in the past")
    return check_policy(bring, in_force) or check_allowlist(in_force, wish.permissions, wish.allowlist)
