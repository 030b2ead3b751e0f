"""The outbox: what is still to be told (R50, R51)."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select

from keyturn.core.letter import Letter
from keyturn.core.notice import Notice
from keyturn.store.begun import Begun, Seen, columns
from keyturn.store.tables import letters, outbox

_INSERT_OUTBOX = insert(outbox).inline()


class Notices(Begun):
    """`ports.Transaction`'s questions about notices."""

    def __init__(self, connection: Connection, seen: Seen) -> None:
        super().__init__(connection, seen)
        self._notices: list[Notice] = []

    def tell(self, notice: Notice) -> None:
        """Put a notice into the outbox."""
        self._notices.append(notice)

    def send(self, letter: Letter) -> None:
        """Put a letter into the outbox."""
        self._connection.execute(insert(letters).values(columns(letter) | {"at": self._now}))

    def has_notices(self) -> bool:
        """Whether anything waits to be told."""
        return self._connection.execute(select(outbox.c.number).limit(1)).first() is not None

    def take_notices(self, *, limit: int) -> Sequence[Notice]:
        """The oldest notices, taken out: they are told once this transaction commits."""
        query = select(outbox).order_by(outbox.c.number).limit(limit).with_for_update(skip_locked=True)
        found = self._connection.execute(query).all()
        taken = [row.number for row in found]
        self._connection.execute(delete(outbox).where(outbox.c.number.in_(taken)))
        return [
            Notice(
                kind=row.kind, account_id=row.account_id, owner_id=row.owner_id, key_id=row.key_id, detail=row.detail
            )
            for row in found
        ]

    def _flush_notices(self) -> None:
        if self._notices:
            self._connection.execute(_INSERT_OUTBOX, [columns(one) | {"at": self._now} for one in self._notices])
