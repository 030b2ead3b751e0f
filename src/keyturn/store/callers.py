"""Who used a key of late, in buckets of an hour: shown before a reset, never decided by."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import and_, bindparam, case, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from keyturn.core.instant import EPOCH, Instant
from keyturn.ports import Caller
from keyturn.store.begun import Begun, columns
from keyturn.store.tables import callers

MOST_CALLERS: Final = 50
"""How many ways of use are kept of one key in one hour."""
_HOUR: Final = timedelta(hours=1)
_AT_ONCE: Final = 500
_WAY: Final = ("address", "permission", "user_agent")
_Row = dict[str, Any]


class Callers(Begun):
    """`ports.Transaction`'s questions about callers."""

    def add_callers(self, batch: Sequence[Caller]) -> None:
        """Add to the tally of the hour, at most `MOST_CALLERS` ways a key; the rest together."""
        found: defaultdict[tuple[int, Instant], list[_Row]] = defaultdict(list)
        for one in batch:
            hour = _hour(one.last_seen)
            found[one.key_number, hour].append(columns(one) | {"hour": hour})
        known = self._known_ways(found)
        rows = [row for bucket, of_key in found.items() for row in _bounded(of_key, known.get(bucket, set()))]
        if rows:
            # In one order everywhere, so that two nodes that write at once wait rather than lock each other up.
            rows.sort(key=lambda row: (row["key_number"], row["hour"], *_way(row)))
            self._connection.execute(self._upsert_caller(), rows)

    def callers(self, key_number: int, *, since: Instant) -> Sequence[Caller]:
        """Who used the key since then, to the hour, latest first."""
        c = callers.c
        last_seen, count = func.max(c.last_seen, type_=c.last_seen.type), func.sum(c.count)
        this = and_(c.key_number == key_number, c.hour >= _hour(since), c.last_seen >= since)
        query = select(*(c[name] for name in _WAY), last_seen.label("last_seen"), count.label("count")).where(this)
        query = query.group_by(*(c[name] for name in _WAY)).order_by(last_seen.desc()).limit(MOST_CALLERS)
        return [
            Caller(key_number=key_number, **row | {"count": int(row["count"])})
            for row in map(dict, self._connection.execute(query).mappings())
        ]

    def forget_callers(self, *, before: Instant) -> int:
        """Drop the hours that ended before then."""
        return self._connection.execute(delete(callers).where(callers.c.hour < _hour(before))).rowcount

    def _known_ways(self, buckets: Iterable[tuple[int, Instant]]) -> Mapping[tuple[int, Instant], set[tuple[str, ...]]]:
        c = callers.c
        known: defaultdict[tuple[int, Instant], set[tuple[str, ...]]] = defaultdict(set)
        by_hour: defaultdict[Instant, list[int]] = defaultdict(list)
        for number, hour in buckets:
            by_hour[hour].append(number)
        some = ((hour, chunk) for hour, numbers in by_hour.items() for chunk in _some(numbers))
        for hour, numbers in some:
            this = and_(c.hour == hour, c.key_number.in_(numbers))
            for row in self._connection.execute(select(c.key_number, *(c[name] for name in _WAY)).where(this)):
                known[row.key_number, hour].add((row.address, row.permission, row.user_agent))
        return known

    def _upsert_caller(self) -> Any:  # noqa: ANN401  # two dialects' statements
        dialect = postgresql if self._connection.dialect.name == "postgresql" else sqlite
        statement = dialect.insert(callers).values({one.name: bindparam(one.name) for one in callers.columns})
        c = callers.c
        seen = case((c.last_seen < statement.excluded.last_seen, statement.excluded.last_seen), else_=c.last_seen)
        return statement.on_conflict_do_update(
            index_elements=list(callers.primary_key.columns),
            set_={"count": c.count + statement.excluded.count, "last_seen": seen},
        )


def _some(numbers: Sequence[int]) -> Iterable[Sequence[int]]:
    """As many at a time as a statement takes."""
    return (numbers[at : at + _AT_ONCE] for at in range(0, len(numbers), _AT_ONCE))


def _hour(at: Instant) -> Instant:
    return Instant(at - (at - EPOCH) % _HOUR)


def _way(row: _Row) -> tuple[str, ...]:
    return tuple(row[name] for name in _WAY)


def _bounded(rows: Sequence[_Row], known: set[tuple[str, ...]]) -> list[_Row]:
    """The rows of one key and hour; what finds no room any more is counted together."""
    kept: dict[tuple[str, ...], _Row] = {}
    for row in rows:
        way = _way(row)
        if way not in known and len(known) >= MOST_CALLERS:
            way = ("",) * len(_WAY)
        known.add(way)
        before = kept.setdefault(way, row | dict(zip(_WAY, way, strict=True)) | {"count": 0})
        before["count"] += row["count"]
        before["last_seen"] = max(before["last_seen"], row["last_seen"])
    return list(kept.values())
