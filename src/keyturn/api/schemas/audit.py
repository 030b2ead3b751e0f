"""Audit records, as they are shown."""

from keyturn.api.schemas.form import Shown


class AuditShown(Shown):
    """One record of the audit log."""

    number: int
    at: str
    actor_id: str
    user_id: str
    channel: str
    address: str | None
    session: str
    action: str
    outcome: str
    account_id: str
    subject_id: str
    detail: dict[str, str]
