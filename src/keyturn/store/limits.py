"""The counters of keys' limits, as far as the authority lends out of them (F15)."""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from keyturn.core import limit
from keyturn.core.instant import Instant, to_micros
from keyturn.core.limit import Limit
from keyturn.core.share import Balance, Loan
from keyturn.ports.store import CounterHeld
from keyturn.store.begun import Begun, locked
from keyturn.store.database import is_lock_timeout
from keyturn.store.tables import keys, limits

_SAVE: Final = (
    update(limits)
    .where(limits.c.number == bindparam("this"))
    .values(arrival=bindparam("arrival"), at=bindparam("at"), loans=bindparam("loans"))
)


class Limits(Begun):
    """`ports.transaction.Transaction`'s questions about limits."""

    def limits_of(self, key_ids: Collection[str]) -> Mapping[str, tuple[int, Limit]]:
        """The number and the limit of each of these keys that has one."""
        query = select(keys.c.id, keys.c.number, keys.c.limit).where(keys.c.id.in_(key_ids), keys.c.limit.is_not(None))
        return {row.id: (row.number, limit.parse(row.limit)) for row in self._connection.execute(query)}

    def free_balances(self, numbers: Collection[int]) -> Mapping[int, Balance]:
        """Those of these keys' counters that there are and nobody else holds; nobody touches them until the end."""
        return self._locked_balances(numbers, skip_locked=True)

    def balances(self, numbers: Collection[int], *, patience: timedelta) -> Mapping[int, Balance]:
        """The counters of these keys, which nobody else touches until the end.

        Raises CounterHeld where somebody else holds one for longer than `patience`.
        """
        if not self._is_sqlite:  # there one writes at a time anyway
            self._connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{patience // timedelta(milliseconds=1)}ms'")
        found: dict[int, Balance] = {}
        try:
            # In one order everywhere, so that no two transactions wait for each other.
            while missing := sorted(set(numbers) - found.keys()):  # again where one was just forgotten
                new = [{"number": one, "arrival": 0, "at": 0, "loans": "[]"} for one in missing]
                self._connection.execute(self._insert_limits().on_conflict_do_nothing(), new)
                found |= self._locked_balances(missing)
        except DBAPIError as error:
            if is_lock_timeout(error):
                raise CounterHeld from error
            raise
        return found

    def _locked_balances(self, numbers: Collection[int], *, skip_locked: bool = False) -> dict[int, Balance]:
        query = select(limits).where(limits.c.number.in_(numbers)).order_by(limits.c.number)
        return {
            row.number: Balance(
                arrival=row.arrival, at=row.at, loans=tuple(Loan(**one) for one in json.loads(row.loans))
            )
            for row in self._connection.execute(locked(query, skip_locked=skip_locked))
        }

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
        """Drop those that had run empty by then: they say no more than an absent one.  It waits for none in use."""
        empty = select(limits.c.number).where(limits.c.arrival < to_micros(before)).order_by(limits.c.number)
        free = locked(empty, skip_locked=True).scalar_subquery()
        return self._connection.execute(delete(limits).where(limits.c.number.in_(free))).rowcount

    def _insert_limits(self) -> Any:  # noqa: ANN401  # two dialects' statements, alike in what is used of them
        return sqlite.insert(limits) if self._is_sqlite else postgresql.insert(limits)

    @property
    def _is_sqlite(self) -> bool:
        return self._connection.dialect.name == "sqlite"
