"""Webhooks, and which of them are told of an account."""

from collections.abc import Sequence

from sqlalchemy import RowMapping, delete, func, insert, or_, select, update

from keyturn.core.webhook import Webhook
from keyturn.ports.page import Page
from keyturn.store.begun import Begun, columns, locked, within
from keyturn.store.tables import webhooks


class Webhooks(Begun):
    """`ports.transaction.Transaction`'s questions about webhooks."""

    def webhook(self, webhook_id: str, *, lock: bool = False) -> Webhook | None:
        """One webhook."""
        query = select(webhooks).where(webhooks.c.id == webhook_id)
        found = self._connection.execute(locked(query) if lock else query).mappings().first()
        return None if found is None else _read(found)

    def webhooks(self, *, account_ids: Sequence[str] | None, page: Page) -> Sequence[tuple[int, Webhook]]:
        """Webhooks of these accounts (None: of all), newest first."""
        query = within(select(webhooks), webhooks, account_ids, page)
        return [(row["number"], _read(row)) for row in self._connection.execute(query).mappings()]

    def webhooks_told_of(self, account_id: str) -> Sequence[Webhook]:
        """Those that are told of what happens in this account and are not suspended, in the order they were made."""
        theirs = or_(webhooks.c.account_id == account_id, webhooks.c.every_account)
        query = select(webhooks).where(theirs, webhooks.c.suspended_at.is_(None)).order_by(webhooks.c.number)
        return [_read(row) for row in self._connection.execute(query).mappings()]

    def count_webhooks(self, account_id: str) -> int:
        """How many the account has; the caller holds its lock."""
        query = select(func.count()).where(webhooks.c.account_id == account_id)
        return self._connection.execute(query).scalar_one()

    def insert_webhook(self, webhook: Webhook) -> None:
        """Add a webhook."""
        self._connection.execute(insert(webhooks).values(columns(webhook)))

    def save_webhook(self, webhook: Webhook) -> None:
        """Write a webhook back whole."""
        self._connection.execute(update(webhooks).where(webhooks.c.id == webhook.id).values(columns(webhook)))

    def remove_webhook(self, webhook_id: str) -> None:
        """Drop a webhook; what was told to it stays in the list."""
        self._connection.execute(delete(webhooks).where(webhooks.c.id == webhook_id))


def _read(row: RowMapping) -> Webhook:
    return Webhook(**{name: row[name] for name in Webhook.__slots__})
