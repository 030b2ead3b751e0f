"""The audit record, and what was answered before."""

from collections.abc import Sequence

from sqlalchemy import Connection, and_, delete, insert, select

from keyturn.core.audit import AuditRecord
from keyturn.core.instant import Instant
from keyturn.ports.page import Page
from keyturn.ports.remembered import Remembered
from keyturn.store import rows
from keyturn.store.begun import Begun, Seen, columns, within
from keyturn.store.outcome import Trace
from keyturn.store.tables import audit, idempotency

_INSERT_AUDIT = insert(audit).inline()


class Evidence(Begun):
    """`ports.transaction.Transaction`'s questions about what was done and answered."""

    def __init__(self, connection: Connection, seen: Seen) -> None:
        super().__init__(connection, seen)
        self._records: list[AuditRecord] = []

    @property
    def trace(self) -> Trace:
        """By which to find out whether this was committed."""
        return Trace(mark=self.mark, record=self._records[-1] if self._records else None)

    def record(self, record: AuditRecord) -> None:
        """Append an audit record."""
        self._records.append(record)

    def audit(
        self, *, account_ids: Sequence[str] | None, subject_id: str | None, page: Page
    ) -> Sequence[tuple[int, AuditRecord]]:
        """Audit records of these accounts (None: of all), newest first."""
        query = within(select(audit), audit, account_ids, page)
        if subject_id is not None:
            query = query.where(audit.c.subject_id == subject_id)
        return [(row["number"], rows.read_audit(row)) for row in self._connection.execute(query).mappings()]

    def audit_of(self, subject_ids: Sequence[str], *, account_id: str, page: Page) -> Sequence[AuditRecord]:
        """The records of any of these subjects within one account, newest first."""
        this = and_(audit.c.subject_id.in_(subject_ids), audit.c.account_id == account_id)
        query = select(audit).where(this).order_by(audit.c.number.desc()).limit(page.size)
        return [rows.read_audit(row) for row in self._connection.execute(query).mappings()]

    def recall(self, caller: str, idempotency_key: str) -> Remembered | None:
        """What this caller asked under that key before."""
        this = and_(idempotency.c.caller == caller, idempotency.c.idempotency_key == idempotency_key)
        found = self._connection.execute(select(idempotency).where(this)).first()
        return None if found is None else Remembered(request=bytes(found.request), subject_id=found.subject_id)

    def remember(self, caller: str, idempotency_key: str, remembered: Remembered) -> None:
        """Keep an answer for a replay."""
        row = {"caller": caller, "idempotency_key": idempotency_key, "at": self._now}
        row |= {"request": remembered.request, "subject_id": remembered.subject_id}
        self._connection.execute(insert(idempotency).values(row))

    def forget_replays(self, *, before: Instant) -> int:
        """Drop what was remembered before that instant."""
        return self._connection.execute(delete(idempotency).where(idempotency.c.at < before)).rowcount

    def _flush_records(self) -> None:
        if self._records:
            self._connection.execute(_INSERT_AUDIT, [columns(one) for one in self._records])
