"""The record of every change and every refused attempt to change (K30)."""

from collections.abc import Mapping
from dataclasses import dataclass

from keyturn.core.actor import Actor
from keyturn.core.instant import Instant
from keyturn.core.refusal import Refusal

DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """Who did, or was refused, what to whom, and when.  Never holds a secret, nor a digest of one."""

    at: Instant
    actor_id: str
    user_id: str
    channel: str
    address: str | None
    session: str
    action: str
    """Noun and verb: `reset.minted`, `key.created`."""
    outcome: str
    """`done`, or the kind of the refusal."""
    account_id: str
    subject_id: str
    detail: Mapping[str, str]


def record(
    actor: Actor,
    action: str,
    *,
    at: Instant,
    account_id: str,
    subject_id: str,
    refusal: Refusal | None = None,
    detail: Mapping[str, str] | None = None,
) -> AuditRecord:
    """The record of one change, or of one attempt that was refused."""
    return AuditRecord(
        at=at,
        actor_id=actor.id,
        user_id=actor.user_id,
        channel=actor.channel.value,
        address=actor.address,
        session=actor.session,
        action=action,
        outcome=DONE if refusal is None else refusal.kind,
        account_id=account_id,
        subject_id=subject_id,
        detail=dict(detail or {}) | ({"through": actor.through} if actor.through else {}),
    )
