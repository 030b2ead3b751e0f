"""What a change of an account brings about for its keys (K15), in the transaction of the change itself.

Each function is called by the one place that makes the change, after it has made it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from keyturn.core import claim as claims
from keyturn.core import consequence
from keyturn.core.account import Member, Role
from keyturn.core.actor import SYSTEM, Actor
from keyturn.core.consequence import RULE_FIELDS, Cause
from keyturn.core.feed import Predicate
from keyturn.core.instant import later, to_text
from keyturn.core.key import Key
from keyturn.core.policy import Effective
from keyturn.core.reset import Asking, Reason, Reset, Step
from keyturn.flow.claim import order_written
from keyturn.flow.evidence import done, done_to_key, tell
from keyturn.flow.policy import effective
from keyturn.flow.step import lapse
from keyturn.ports.forge import Forge
from keyturn.ports.transaction import Transaction

MANAGERS: Final = frozenset({Role.OWNER, Role.ADMIN})
"""Whose keys a new member of the account comes to share: they see and touch each other's."""
FEW: Final = 20
"""Up to so many keys each have a feed entry of their own; of more, one entry tells whose keys to ask about again."""

_InForce = Callable[[str, str], Effective]


def after_password_change(tx: Transaction, *, actor: Actor, user_id: str, forge: Forge) -> None:
    """The person's own keys, in every account, as each one's policy says under `on_password_change`.

    A first password changes nothing that anybody knew, so it brings nothing about: call this for the later ones.
    """
    keys = tx.live_keys([user_id], lock=True)
    in_force = _policies(tx)
    _befall(tx, actor, Cause.PASSWORD_CHANGED, keys, in_force, among=Predicate(owner_id=user_id), forge=forge)
    _hold_person(tx, actor, Cause.PASSWORD_CHANGED, user_id, keys, in_force)


def after_member_added(tx: Transaction, *, actor: Actor, member: Member, forge: Forge) -> None:
    """The account's shared keys, as each one's policy says under `on_member_added`."""
    members = tx.members(account_id=member.account_id)
    managers = frozenset(one.user_id for one in members if one.role in MANAGERS)
    found = tx.live_keys(sorted(managers), account_id=member.account_id, lock=True)
    keys = [one for one in found if consequence.is_shared(one, managers=managers, newcomer=member.user_id)]
    in_force = _policies(tx)
    _befall(tx, actor, Cause.MEMBER_ADDED, keys, in_force, among=Predicate(account_id=member.account_id), forge=forge)
    policies = [in_force(one.account_id, one.policy) for one in keys]
    for user_id in sorted({one.owner_id for one in keys} | {member.user_id}):
        _hold(tx, actor, Cause.MEMBER_ADDED, user_id, policies, account_id=member.account_id)


def after_account_change(tx: Transaction, *, actor: Actor, user_id: str, cause: Cause) -> None:
    """Another address or second factor: the hold that the policies in force want under `hold_after_account_change`."""
    _hold_person(tx, actor, cause, user_id, tx.live_keys([user_id], lock=True), _policies(tx))


def _policies(tx: Transaction) -> _InForce:
    """The policy in force by account and key policy, each worked out once."""
    known: dict[tuple[str, str], Effective] = {}

    def in_force(account_id: str, policy: str) -> Effective:
        if (account_id, policy) not in known:
            account = tx.account(account_id)
            assert account is not None  # noqa: S101  # a foreign key holds it
            known[account_id, policy] = effective(tx, account, policy)
        return known[account_id, policy]

    return in_force


def _befall(
    tx: Transaction,
    actor: Actor,
    cause: Cause,
    keys: Sequence[Key],
    in_force: _InForce,
    *,
    among: Predicate,
    forge: Forge,
) -> None:
    """Order a reset of each key, or set the end of its secrets, as its policy says."""
    opened = {one.key_id: one for one in tx.resets_open_of([key.id for key in keys])}
    changed: list[Key] = []
    for key in keys:
        by = in_force(key.account_id, key.policy)
        after = _befallen(tx, actor, cause, key, by, opened.get(key.id), forge)
        if after != key:
            changed.append(after)
    if len(changed) > FEW:
        tx.save_ends(changed, among)
        return
    for key in changed:
        tx.save_key(key)


def _befallen(
    tx: Transaction, actor: Actor, cause: Cause, key: Key, by: Effective, latest: Reset | None, forge: Forge
) -> Key:
    rule = consequence.rule(by, cause)
    if rule is None or rule.effect == "hold" or all(one.is_over(tx.now) for one in key.secrets):
        return key
    field = RULE_FIELDS[cause]
    why = {"cause": cause.value, "policy": by.source(field), "field": field, "by": actor.id}
    if rule.effect == "reset":
        asking = Asking(reason=Reason.POLICY, grace=rule.after)
        latest = lapse(tx, latest, key)
        reset_id = forge.id("rst")
        ordered = claims.order(key, asking, by=SYSTEM, effective=by, latest=latest, reset_id=reset_id, now=tx.now)
        assert isinstance(ordered, Step)  # noqa: S101  # only live keys were asked for
        if cause is Cause.PASSWORD_CHANGED and not ordered.reset.waits:
            ordered = replace(ordered, reset=_let_go(tx, ordered.reset))  # what was proved with the old one
        order_written(tx, SYSTEM, ordered, why=why)
        return ordered.key
    stopped = consequence.stop(key, rule, now=tx.now)
    if stopped != key:
        until = to_text(later(tx.now, rule.after))
        done_to_key(tx, SYSTEM, "key.end_set", stopped, detail=why | {"until": until})
    return stopped


def _let_go(tx: Transaction, reset: Reset) -> Reset:
    released = claims.let_go(reset, now=tx.now)
    assert isinstance(released, Reset)  # noqa: S101  # it is open
    return released


def _hold_person(
    tx: Transaction, actor: Actor, cause: Cause, user_id: str, keys: Iterable[Key], in_force: _InForce
) -> None:
    """The longest hold that the policies of this person's accounts and keys want."""
    accounts = [one.account_id for one in tx.members(user_id=user_id)]
    policies = [in_force(one, "") for one in accounts] + [in_force(one.account_id, one.policy) for one in keys]
    _hold(tx, actor, cause, user_id, policies, account_id=accounts[0] if accounts else "")


def _hold(
    tx: Transaction, actor: Actor, cause: Cause, user_id: str, policies: Iterable[Effective], *, account_id: str
) -> None:
    wanted = consequence.hold(policies, cause, user_id=user_id, now=tx.now)
    before = tx.hold(user_id)
    if wanted is None or (before is not None and before.until >= wanted.until):
        return
    tx.save_hold(wanted)
    detail = {"cause": cause.value, "policy": wanted.policy, "field": wanted.field, "until": to_text(wanted.until)}
    done(tx, SYSTEM, "user.held", account_id=account_id, subject_id=user_id, detail=detail | {"by": actor.id})
    tell(tx, SYSTEM, "user.held", account_id=account_id, owner_id=user_id, detail=detail)
