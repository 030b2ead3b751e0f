"""Policies: which one is in force (R31), what a change would do (R32), and making it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from keyturn.core import policy as policies
from keyturn.core.account import Account
from keyturn.core.actor import Actor
from keyturn.core.instant import Instant
from keyturn.core.key import Key
from keyturn.core.permission import RIGHT_ACCOUNTS_READ, RIGHT_ADMIN
from keyturn.core.policy import DEFAULT_NAME, Effective, Policy, PolicyFieldError
from keyturn.core.refusal import InvalidField, NameTaken, NotFound, PermissionMissing, PolicyUnknown, Refusal
from keyturn.core.reset import Reset, tighten
from keyturn.flow.authenticator import enrolled
from keyturn.flow.evidence import done, refused
from keyturn.ports.page import Page
from keyturn.ports.transaction import Transaction

_EVERY: Final = Page(size=1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Impact:
    """R32: what a policy, put in place now, would find."""

    keys: int
    """Live keys that follow the policy, by its name or as a floor of theirs."""
    keys_due: tuple[str, ...]
    """Those whose secret is older than `max_age`."""
    owners_over_limit: tuple[str, ...]
    open_resets: tuple[str, ...]
    """Open resets that it would make stricter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafted:
    """A policy as it would be stored, and its impact."""

    policy: Policy
    impact: Impact


def effective(tx: Transaction, account: Account, key_policy: str) -> Effective:
    """R31: the key's policy, else the account's, else the deployment's; floors of both accounts."""
    deployment = tx.account(tx.deployment_account_id) or account
    default = tx.policy(deployment.policy) or _default(tx)
    return policies.resolve(
        key=tx.policy(key_policy) if key_policy else None,
        account=tx.policy(account.policy) if account.policy else None,
        deployment=default,
        floors=floors(tx, account),
    )


def floors(tx: Transaction, account: Account) -> tuple[Policy, ...]:
    """The floors of the deployment and of the account."""
    found = (tx.policy(name) for name in _floor_names(tx, account))
    return tuple(one for one in found if one is not None)


def _floor_names(tx: Transaction, account: Account) -> tuple[str, ...]:
    deployment = tx.account(tx.deployment_account_id) or account
    return tuple(dict.fromkeys(one.floor for one in (deployment, account) if one.floor))


def _governs(tx: Transaction, name: str, key: Key) -> bool:
    """Whether the key follows the policy of that name, or may not be laxer than it."""
    account = tx.account(key.account_id)
    assert account is not None  # noqa: S101  # a foreign key holds it
    return name in _floor_names(tx, account) or effective(tx, account, key.policy).policy.name == name


def effective_for_key(tx: Transaction, key: Key) -> Effective:
    """The policy in force for one key."""
    account = tx.account(key.account_id)
    assert account is not None  # noqa: S101  # a foreign key holds it
    return effective(tx, account, key.policy)


def explain_account(tx: Transaction, actor: Actor, account: Account) -> Effective | Refusal:
    """The policy that new keys of an account follow, to whoever may read it."""
    if account.id != actor.account_id and not actor.may(RIGHT_ACCOUNTS_READ, account.id):
        return NotFound()
    return effective(tx, account, "")


def draft(tx: Transaction, *, actor: Actor, name: str, base: str, fields: Mapping[str, Any]) -> Drafted | Refusal:
    """R32: what storing this policy would change now; writes nothing."""
    if not actor.may(RIGHT_ADMIN, tx.deployment_account_id):
        return PermissionMissing(needed=RIGHT_ADMIN)
    made = _make(tx, name=name, base=base, fields=fields)
    if isinstance(made, Refusal):
        return made
    return Drafted(policy=made, impact=_impact(tx, made))


def store(tx: Transaction, *, actor: Actor, name: str, base: str, fields: Mapping[str, Any]) -> Drafted | Refusal:
    """Add a policy or its next version; open resets of keys that follow it become stricter where it is (R32)."""
    if not actor.may(RIGHT_ADMIN, tx.deployment_account_id):
        refusal = PermissionMissing(needed=RIGHT_ADMIN)
        return refused(tx, actor, "policy.stored", refusal, subject_id=name)
    made = _make(tx, name=name, base=base, fields=fields)
    if isinstance(made, Refusal):
        return refused(tx, actor, "policy.stored", made, subject_id=name)
    impact = _impact(tx, made)
    tx.insert_policy(made, by=actor.id)
    for reset in tx.resets_open():
        if reset.id in impact.open_resets:
            tx.save_reset(_tightened(tx, reset, made))
    detail = {"version": str(made.version), "base": base, "keys_due": str(len(impact.keys_due))}
    done(tx, actor, "policy.stored", account_id=tx.deployment_account_id, subject_id=name, detail=detail)
    return Drafted(policy=made, impact=impact)


def _make(tx: Transaction, *, name: str, base: str, fields: Mapping[str, Any]) -> Policy | Refusal:
    if tx.is_preset(name):
        return NameTaken(field="name")
    before = tx.policy(name)
    base_policy = tx.policy(base) if base else _default(tx)
    if base_policy is None:
        return PolicyUnknown(policy=base)
    version = before.version + 1 if before else 1
    try:
        return policies.from_wire(fields, name=name, base=base_policy, version=version)
    except PolicyFieldError as error:
        return InvalidField(field=error.field, reason=error.reason)


def _default(tx: Transaction) -> Policy:
    return tx.policy(DEFAULT_NAME) or Policy(name=DEFAULT_NAME)


def _impact(tx: Transaction, made: Policy) -> Impact:
    affected = [key for key in _live_keys(tx) if _governs(tx, made.name, key)]
    live: dict[str, int] = {}
    for key in affected:
        live[key.owner_id] = live.get(key.owner_id, 0) + 1
    ids = {key.id for key in affected}
    return Impact(
        keys=len(affected),
        keys_due=tuple(key.id for key in affected if _is_due(key, made, tx.now)),
        owners_over_limit=tuple(owner for owner, count in live.items() if count > made.max_keys_per_user),
        open_resets=tuple(one.id for one in tx.resets_open() if one.key_id in ids and _tightened(tx, one, made) != one),
    )


def _tightened(tx: Transaction, reset: Reset, made: Policy) -> Reset:
    return tighten(reset, made, now=tx.now, enrolled=enrolled(tx, reset.asked_by))


def _live_keys(tx: Transaction) -> list[Key]:
    return [key for key in tx.keys(account_ids=None, owner_id=None, page=_EVERY) if not key.has_ended(tx.now)]


def _is_due(key: Key, policy: Policy, now: Instant) -> bool:
    return policy.max_age is not None and now - key.secrets[-1].created_at >= policy.max_age
