"""The counters of keys' limits, as far as the authority lends out of them (F15)."""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any, Final

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from keyturn.core import limit
from keyturn.core.instant import Instant, to_micros
from keyturn.core.limit import Limit
from keyturn.core.share import Balance, Loan
from keyturn.store.begun import Begun
from keyturn.store.tables import keys, limits

_SAVE: Final = (
    update(limits)
    .where(limits.c.number == bindparam("this"))
    .values(arrival=bindparam("arrival"), at=bindparam("at"), loans=bindparam("loans"))
)


class Limits(Begun):
    """`ports.Transaction`'s questions about limits."""

    def limits_of(self, key_ids: Collection[str]) -> Mapping[str, tuple[int, Limit]]:
        """The number and the limit of each of these keys that has one."""
        query = select(keys.c.id, keys.c.number, keys.c.limit).where(keys.c.id.in_(key_ids), keys.c.limit.is_not(None))
        return {row.id: (row.number, limit.parse(row.limit)) for row in self._connection.execute(query)}

    def balances(self, numbers: Collection[int]) -> Mapping[int, Balance]:
        """The counters of these keys, which nobody else touches until the end."""
        found: dict[int, Balance] = {}
        # In one order everywhere, so that no two transactions wait for each other.  Again where one was just forgotten.
        while missing := sorted(set(numbers) - found.keys()):
            new = [{"number": one, "arrival": 0, "at": 0, "loans": "[]"} for one in missing]
            self._connection.execute(self._insert_limits().on_conflict_do_nothing(), new)
            query = select(limits).where(limits.c.number.in_(missing)).order_by(limits.c.number).with_for_update()
            for row in self._connection.execute(query):
                loans = tuple(Loan(**one) for one in json.loads(row.loans))
                found[row.number] = Balance(arrival=row.arrival, at=row.at, loans=loans)
        return found

    def save_balances(self, after: Mapping[int, Balance]) -> None:
        """Write counters back."""
        rows = [
            {
                "this": number,
                "arrival": one.arrival,
                "at": one.at,
                "loans": json.dumps([asdict(each) for each in one.loans], separators=(",", ":")),
            }
            for number, one in after.items()
        ]
        if rows:
            self._connection.execute(_SAVE, rows)

    def forget_balances(self, *, before: Instant) -> int:
        """Drop those that had run empty by then: they say no more than an absent one."""
        return self._connection.execute(delete(limits).where(limits.c.arrival < to_micros(before))).rowcount

    def _insert_limits(self) -> Any:  # noqa: ANN401  # two dialects' statements, alike in what is used of them
        dialect = self._connection.dialect.name
        return sqlite.insert(limits) if dialect == "sqlite" else postgresql.insert(limits)
