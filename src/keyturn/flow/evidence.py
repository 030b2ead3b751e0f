"""Writing down what was done or refused, and telling the owner of it: the last step of every flow."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from keyturn.core import audit
from keyturn.core.actor import Actor
from keyturn.core.audit import AuditRecord
from keyturn.core.key import Key
from keyturn.core.notice import Notice
from keyturn.core.permission import RIGHT_AUDIT_READ
from keyturn.core.refusal import Refusal
from keyturn.flow.reach import reach
from keyturn.ports.page import Page
from keyturn.ports.transaction import Transaction

R = TypeVar("R", bound=Refusal)
LONGEST_SUBJECT = 64


def refused(
    tx: Transaction, actor: Actor, action: str, refusal: R, *, subject_id: str, account_id: str | None = None
) -> R:
    """Record a refused attempt and hand the refusal on."""
    tx.record(
        audit.record(
            actor,
            action,
            at=tx.now,
            account_id=actor.account_id if account_id is None else account_id,
            subject_id=subject_id[:LONGEST_SUBJECT],
            refusal=refusal,
        )
    )
    return refusal


def done(
    tx: Transaction,
    actor: Actor,
    action: str,
    *,
    account_id: str,
    subject_id: str,
    detail: Mapping[str, str] | None = None,
) -> None:
    """Record a change."""
    tx.record(audit.record(actor, action, at=tx.now, account_id=account_id, subject_id=subject_id, detail=detail))


def done_to_key(
    tx: Transaction,
    actor: Actor,
    action: str,
    key: Key,
    *,
    subject_id: str | None = None,
    detail: Mapping[str, str] | None = None,
) -> None:
    """Record a change that the key's owner is to be told of (R50)."""
    detail = detail or {}
    done(tx, actor, action, account_id=key.account_id, subject_id=subject_id or key.id, detail=detail)
    tell_of_key(tx, actor, action, key, detail=detail)


def tell_of_key(tx: Transaction, actor: Actor, kind: str, key: Key, *, detail: Mapping[str, str]) -> None:
    """Tell of what happened to a key and was written down already."""
    tell(tx, actor, kind, account_id=key.account_id, owner_id=key.owner_id, key_id=key.id, detail=detail)


def tell(
    tx: Transaction,
    actor: Actor,
    kind: str,
    *,
    account_id: str,
    owner_id: str,
    key_id: str = "",
    detail: Mapping[str, str] | None = None,
) -> None:
    """Tell whom it concerns of what was written down already (R50).

    Where it is about no key, `owner_id` is the person it happened to, or empty for an affair of the account.
    """
    tx.tell(
        Notice(
            kind=kind,
            account_id=account_id,
            owner_id=owner_id,
            key_id=key_id,
            detail=detail or {},
            actor_id=actor.id,
            address=actor.address or "",
        )
    )


def done_to_person(
    tx: Transaction,
    actor: Actor,
    action: str,
    *,
    account_id: str,
    user_id: str,
    subject_id: str | None = None,
    detail: Mapping[str, str] | None = None,
) -> None:
    """Record a change that this person is to be told of (R50)."""
    detail = detail or {}
    done(tx, actor, action, account_id=account_id, subject_id=subject_id or user_id, detail=detail)
    tell(tx, actor, action, account_id=account_id, owner_id=user_id, detail=detail)


def trail(
    tx: Transaction, *, actor: Actor, account_id: str | None, subject_id: str | None, page: Page
) -> Sequence[tuple[int, AuditRecord]] | Refusal:
    """Read the records of the accounts that the actor may audit."""
    account_ids = reach(actor, RIGHT_AUDIT_READ, account_id)
    if isinstance(account_ids, Refusal):
        return account_ids
    return tx.audit(account_ids=account_ids, subject_id=subject_id, page=page)
