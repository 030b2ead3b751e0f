"""Who used a key of late, in buckets of an hour: shown before a reset, never decided by."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import and_, delete, func, select

from keyturn.core.instant import EPOCH, Instant
from keyturn.ports.use import Caller
from keyturn.store.begun import Begun, columns, parts
from keyturn.store.tables import callers
from keyturn.store.ways import WAY, Way, added, bounded, way

MOST_CALLERS: Final = 50
"""How many ways of use are kept of one key in one hour."""
_HOUR: Final = timedelta(hours=1)
_Row = dict[str, Any]


class Callers(Begun):
    """`ports.transaction.Transaction`'s questions about callers."""

    def add_callers(self, batch: Sequence[Caller]) -> None:
        """Add to the tally of the hour, at most `MOST_CALLERS` ways a key; the rest together."""
        found: defaultdict[tuple[int, Instant], list[_Row]] = defaultdict(list)
        for one in batch:
            hour = _hour(one.last_seen)
            found[one.key_number, hour].append(columns(one) | {"hour": hour})
        known = self._known_ways(found)
        rows = [
            row for bucket, of_key in found.items() for row in bounded(of_key, known.get(bucket, ()), most=MOST_CALLERS)
        ]
        if rows:
            # In one order everywhere, so that two nodes that write at once wait rather than lock each other up.
            rows.sort(key=lambda row: (row["key_number"], row["hour"], *way(row)))
            self._connection.execute(added(callers, self._connection.dialect), rows)

    def callers(self, key_number: int, *, since: Instant) -> Sequence[Caller]:
        """Who used the key since then, to the hour, latest first."""
        c = callers.c
        last_seen, count = func.max(c.last_seen, type_=c.last_seen.type), func.sum(c.count)
        this = and_(c.key_number == key_number, c.hour >= _hour(since), c.last_seen >= since)
        query = select(*(c[name] for name in WAY), last_seen.label("last_seen"), count.label("count")).where(this)
        query = query.group_by(*(c[name] for name in WAY)).order_by(last_seen.desc()).limit(MOST_CALLERS)
        return [
            Caller(key_number=key_number, **row | {"count": int(row["count"])})
            for row in map(dict, self._connection.execute(query).mappings())
        ]

    def forget_callers(self, *, before: Instant) -> int:
        """Drop the hours that ended before then."""
        return self._connection.execute(delete(callers).where(callers.c.hour < _hour(before))).rowcount

    def _known_ways(self, buckets: Iterable[tuple[int, Instant]]) -> Mapping[tuple[int, Instant], set[Way]]:
        c = callers.c
        known: defaultdict[tuple[int, Instant], set[Way]] = defaultdict(set)
        by_hour: defaultdict[Instant, list[int]] = defaultdict(list)
        for number, hour in buckets:
            by_hour[hour].append(number)
        some = ((hour, chunk) for hour, numbers in by_hour.items() for chunk in parts(numbers))
        for hour, numbers in some:
            this = and_(c.hour == hour, c.key_number.in_(numbers))
            for row in self._connection.execute(
                select(c.key_number, *(c[name] for name in WAY)).where(this)
            ).mappings():
                known[row["key_number"], hour].add(way(row))
        return known


def _hour(at: Instant) -> Instant:
    return Instant(at - (at - EPOCH) % _HOUR)
