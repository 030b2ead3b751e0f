"""The history of a key, as its owner may read it: every change and every refused attempt, with its resets."""

from collections.abc import Sequence
from dataclasses import dataclass

from keyturn.core.account import User
from keyturn.core.actor import Actor
from keyturn.core.audit import AuditRecord
from keyturn.core.refusal import Refusal
from keyturn.core.reset import Reset
from keyturn.flow import age as ages
from keyturn.flow.age import AgedKey
from keyturn.ports.page import Page
from keyturn.ports.transaction import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of the history, with who did it where that may be told."""

    record: AuditRecord
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What became of a key, newest first."""

    records: Sequence[Event]
    resets: Sequence[Reset]
    owner: User | None


def of_key(tx: Transaction, *, actor: Actor, key_id: str, page: Page) -> tuple[AgedKey, History] | Refusal:
    """A key with its history, to whoever may read the key."""
    aged = ages.show(tx, actor=actor, key_id=key_id)
    if isinstance(aged, Refusal):
        return aged
    key = aged.key
    resets = [one for _, one in tx.resets(account_ids=None, owner_id=None, key_id=key.id, page=page)]
    records = tx.audit_of((key.id, *(one.id for one in resets)), account_id=key.account_id, page=page)
    names: dict[str, str] = {}
    for one in records:
        if one.user_id and one.user_id not in names:
            user = tx.user(one.user_id)
            names[one.user_id] = user.name if user else ""
    events = [Event(record=one, by=names.get(one.user_id, "")) for one in records]
    return aged, History(records=events, resets=resets, owner=tx.user(key.owner_id))
