"""Keys with their age and what is coming for them (K14), as a person sees them."""

from collections.abc import Sequence
from dataclasses import dataclass

from keyturn.core.actor import Actor
from keyturn.core.age import Age, Coming, age, coming
from keyturn.core.consequence import Hold
from keyturn.core.key import Key
from keyturn.core.refusal import Refusal
from keyturn.flow import key as keys
from keyturn.flow.policy import effective_for_key
from keyturn.ports.page import Page
from keyturn.ports.transaction import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class AgedKey:
    """A key and its dates."""

    key: Key
    age: Age
    coming: tuple[Coming, ...]


def show(tx: Transaction, *, actor: Actor, key_id: str) -> AgedKey | Refusal:
    """One key, to whoever may read it."""
    key = keys.show(tx, actor=actor, key_id=key_id)
    return key if isinstance(key, Refusal) else aged(tx, key)


def listing(
    tx: Transaction, *, actor: Actor, account_id: str | None, owner_id: str | None, page: Page
) -> Sequence[AgedKey] | Refusal:
    """A page of keys, newest first."""
    found = keys.listing(tx, actor=actor, account_id=account_id, owner_id=owner_id, page=page)
    if isinstance(found, Refusal):
        return found
    holds = {owner: tx.hold(owner) for owner in {one.owner_id for one in found}}
    return [_aged(tx, one, holds[one.owner_id]) for one in found]


def aged(tx: Transaction, key: Key) -> AgedKey:
    """The key with its age and what is coming, by the policy in force."""
    return _aged(tx, key, tx.hold(key.owner_id))


def _aged(tx: Transaction, key: Key, hold: Hold | None) -> AgedKey:
    in_force = effective_for_key(tx, key)
    return AgedKey(key=key, age=age(key, in_force, now=tx.now), coming=coming(key, in_force, now=tx.now, hold=hold))
