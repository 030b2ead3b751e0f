"""Audit records, as the API shows them."""

from keyturn.api.shown.wire import Wire, when
from keyturn.core.audit import AuditRecord


def audit(number: int, one: AuditRecord) -> Wire:
    """One audit record."""
    return {
        "number": number,
        "at": when(one.at),
        "actor_id": one.actor_id,
        "user_id": one.user_id,
        "channel": one.channel,
        "address": one.address,
        "session": one.session,
        "action": one.action,
        "outcome": one.outcome,
        "account_id": one.account_id,
        "subject_id": one.subject_id,
        "detail": dict(one.detail),
    }
