"""The outbox: what is to be told, to whom, and what became of it (R50, R51)."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    and_,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from keyturn.core.delivery import Backlog, Delivery, Means, Parcel, State
from keyturn.core.instant import Instant
from keyturn.core.letter import Letter
from keyturn.core.notice import Notice
from keyturn.ports.page import Page
from keyturn.store.begun import Begun, Seen, columns, locked, within
from keyturn.store.tables import deliveries, letters, notices

_INSERT_NOTICES = insert(notices).inline()
_NEW: Final = {"notices": ~notices.c.addressed, "letters": ~letters.c.addressed}
_earlier = deliveries.alias("earlier")


class Notices(Begun):
    """`ports.transaction.Transaction`'s questions about notices, letters and their deliveries."""

    def __init__(self, connection: Connection, seen: Seen) -> None:
        super().__init__(connection, seen)
        self._notices: list[Notice] = []

    def tell(self, notice: Notice) -> None:
        """Put a notice into the outbox."""
        self._notices.append(notice)

    def send(self, letter: Letter) -> None:
        """Put a letter into the outbox."""
        self._connection.execute(insert(letters).values(columns(letter) | {"at": self._now}))

    def new_notices(self, *, limit: int) -> Sequence[tuple[int, Notice]]:
        """The oldest notices that nobody has worked the addresses of out yet, each with its number."""
        found = self._connection.execute(_new(select(notices), "notices", notices.c.number, limit)).mappings()
        return [(row["number"], _read(Notice, row)) for row in found]

    def new_letters(self, *, limit: int) -> Sequence[tuple[int, Letter]]:
        """The oldest letters that are no deliveries yet."""
        found = self._connection.execute(_new(select(letters), "letters", letters.c.number, limit)).mappings()
        return [(row["number"], _read(Letter, row)) for row in found]

    def insert_deliveries(self, made: Sequence[Delivery]) -> None:
        """Add deliveries."""
        if made:
            self._connection.execute(insert(deliveries), [_to_row(one) for one in made])

    def addressed(self, *, notice_numbers: Sequence[int] = (), letter_numbers: Sequence[int] = ()) -> None:
        """Write down that their deliveries are made."""
        for table, numbers in ((notices, notice_numbers), (letters, letter_numbers)):
            if numbers:
                self._connection.execute(update(table).where(table.c.number.in_(numbers)).values(addressed=True))

    def to_be_told(self) -> tuple[bool, frozenset[Means]]:
        """Whether anything has no deliveries yet, and by which means something is due now."""
        new = select(exists(select(notices.c.number).where(_NEW["notices"]))).scalar_subquery()
        fresh = select(exists(select(letters.c.number).where(_NEW["letters"]))).scalar_subquery()
        due = [exists(select(deliveries.c.number).where(self._is_due(means))) for means in Means]
        row = self._connection.execute(select(or_(new, fresh), *due)).one()
        return bool(row[0]), frozenset(means for means, is_due in zip(Means, row[1:], strict=True) if is_due)

    def next_delivery(self, means: Means) -> Delivery | None:
        """The next one to make, locked against other workers; one to the same place waits for those before it."""
        query = (
            select(deliveries)
            .where(self._is_due(means))
            .order_by(deliveries.c.in_order, deliveries.c.number)  # letters first: somebody is waiting for them
            .limit(1)
        )
        found = self._connection.execute(locked(query, skip_locked=True)).mappings().first()
        return None if found is None else _read_delivery(found)

    def delivery(self, delivery_id: str, *, lock: bool = False) -> Delivery | None:
        """One delivery."""
        query = select(deliveries).where(deliveries.c.id == delivery_id)
        found = self._connection.execute(locked(query) if lock else query).mappings().first()
        return None if found is None else _read_delivery(found)

    def save_delivery(self, delivery: Delivery) -> None:
        """Write a delivery back whole."""
        self._connection.execute(update(deliveries).where(deliveries.c.id == delivery.id).values(_to_row(delivery)))

    def parcel(self, delivery: Delivery) -> Parcel:
        """The delivery with what it tells."""
        if delivery.notice_number is not None:
            query: Select[Any] = select(notices).where(notices.c.number == delivery.notice_number)
            row = self._connection.execute(query).mappings().one()
            return Parcel(delivery=delivery, at=row["at"], notice=_read(Notice, row))
        query = select(letters).where(letters.c.number == delivery.letter_number)
        row = self._connection.execute(query).mappings().one()
        return Parcel(delivery=delivery, at=row["at"], letter=_read(Letter, row))

    def told(
        self, *, account_ids: Sequence[str] | None, key_id: str | None, page: Page
    ) -> Sequence[tuple[int, Parcel]]:
        """Deliveries of notices of these accounts (None: of all), newest first."""
        query = select(deliveries).where(deliveries.c.notice_number.is_not(None))
        if key_id is not None:
            query = query.where(
                deliveries.c.notice_number.in_(select(notices.c.number).where(notices.c.key_id == key_id))
            )
        query = within(query, deliveries, account_ids, page)
        found = self._connection.execute(query).mappings().all()
        return [(row["number"], self.parcel(_read_delivery(row))) for row in found]

    def backlog(self) -> Sequence[Backlog]:
        """What waits, by each means; what has no deliveries yet counts among the mails."""
        query = select(deliveries.c.means, func.count(), func.min(deliveries.c.made_at))
        query = query.where(deliveries.c.state == State.WAITING.value).group_by(deliveries.c.means)
        found = {Means(means): (count, oldest) for means, count, oldest in self._connection.execute(query)}
        for table in (notices, letters):
            new = select(func.count(), func.min(table.c.at)).where(_NEW[table.name])
            count, oldest = self._connection.execute(new).one()
            if count:
                waiting, since = found.get(Means.MAIL, (0, oldest))
                found[Means.MAIL] = (waiting + count, min(since, oldest))
        return [Backlog(means=means, waiting=count, oldest_at=oldest) for means, (count, oldest) in found.items()]

    def forget_told(self, *, before: Instant) -> int:
        """Drop what was told, refused or given up before that instant."""
        ended = and_(deliveries.c.state != State.WAITING.value, deliveries.c.settled_at < before)
        count = self._connection.execute(delete(deliveries).where(ended)).rowcount
        for table, number in ((notices, deliveries.c.notice_number), (letters, deliveries.c.letter_number)):
            done = and_(table.c.addressed, table.c.at < before, ~exists(select(number).where(number == table.c.number)))
            self._connection.execute(delete(table).where(done))
        return count

    def _is_due(self, means: Means) -> ColumnElement[bool]:
        waits_for_another = exists(
            select(_earlier.c.number).where(
                _earlier.c.means == deliveries.c.means,
                _earlier.c.to == deliveries.c.to,
                _earlier.c.state == State.WAITING.value,
                _earlier.c.in_order,
                _earlier.c.number < deliveries.c.number,
            )
        )
        return and_(
            deliveries.c.means == means.value,
            deliveries.c.state == State.WAITING.value,
            deliveries.c.due_at <= self._now,
            or_(deliveries.c.leased_until.is_(None), deliveries.c.leased_until <= self._now),
            or_(~deliveries.c.in_order, ~waits_for_another),
        )

    def _flush_notices(self) -> None:
        if self._notices:
            self._connection.execute(_INSERT_NOTICES, [columns(one) | {"at": self._now} for one in self._notices])


def _new(query: Select[Any], name: str, number: ColumnElement[int], limit: int) -> Select[Any]:
    return locked(query.where(_NEW[name]).order_by(number).limit(limit), skip_locked=True)


def _read(kind: type[Any], row: RowMapping) -> Any:  # noqa: ANN401  # a value of that kind
    return kind(**{name: row[name] for name in kind.__slots__})


def _read_delivery(row: RowMapping) -> Delivery:
    values = {name: row[name] for name in Delivery.__slots__}
    return Delivery(**values | {"means": Means(row["means"]), "state": State(row["state"])})


def _to_row(delivery: Delivery) -> dict[str, Any]:
    return columns(delivery) | {"means": delivery.means.value, "state": delivery.state.value}
