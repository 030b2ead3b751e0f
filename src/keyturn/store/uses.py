"""Last uses, and who uses a watched secret (R20, R33)."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import and_, bindparam, or_, select, tuple_, update

from keyturn.core.instant import Instant
from keyturn.ports.use import Use
from keyturn.store.begun import Begun, columns, locked, parts
from keyturn.store.tables import keys, secrets, uses
from keyturn.store.ways import WAY, Way, added, bounded, way

MOST_USES = 100
"""How many ways of use are kept for one watched secret."""


class Uses(Begun):
    """`ports.transaction.Transaction`'s questions about use."""

    def add_uses(self, batch: Sequence[Use]) -> None:
        """Add to the tally of watched secrets, at most `MOST_USES` ways each; the rest together."""
        found: defaultdict[tuple[int, int], list[dict[str, Any]]] = defaultdict(list)
        for use in batch:
            found[use.key_number, use.version].append(columns(use))
        known = self._ways_of(found)
        rows = [row for of, of_secret in found.items() for row in bounded(of_secret, known.get(of, ()), most=MOST_USES)]
        if rows:
            # In one order everywhere, as for callers.
            rows.sort(key=lambda row: (row["key_number"], row["version"], *way(row)))
            self._connection.execute(added(uses, self._connection.dialect), rows)

    def _ways_of(self, watched: Collection[tuple[int, int]]) -> Mapping[tuple[int, int], set[Way]]:
        c = uses.c
        known: defaultdict[tuple[int, int], set[Way]] = defaultdict(set)
        for part in parts(sorted(watched)):
            this = tuple_(c.key_number, c.version).in_(part)
            query = select(c.key_number, c.version, *(c[name] for name in WAY)).where(this)
            for row in self._connection.execute(query).mappings():
                known[row["key_number"], row["version"]].add(way(row))
        return known

    def touch_secrets(self, last_uses: Mapping[tuple[int, int], Instant]) -> None:
        """Note the last use of secrets, by their keys' numbers and their versions; never earlier than known.

        Whoever would stop one of them waits until this transaction ends.
        """
        c, at = secrets.c, bindparam("at", type_=secrets.c.last_used_at.type)
        fresher = or_(c.last_used_at.is_(None), c.last_used_at < at)
        this = and_(c.key_number == bindparam("of"), c.version == bindparam("of_version"), fresher)
        rows = [{"of": one[0], "of_version": one[1], "at": last_uses[one]} for one in sorted(last_uses)]
        if rows:
            self._connection.execute(update(secrets).where(this).values(last_used_at=at), rows)

    def known_numbers(self, numbers: Iterable[int]) -> frozenset[int]:
        """Those that are a key's."""
        c = keys.c
        found = (
            self._connection.execute(select(c.number).where(c.number.in_(part))).scalars()
            for part in parts(sorted(set(numbers)))
        )
        return frozenset(number for part in found for number in part)

    def touch(self, last_uses: Mapping[int, Instant]) -> frozenset[int]:
        """Note the last use of keys, by number; never earlier than known.  Those that somebody holds are left out.

        The answer is what was left out: whoever acts with a key, or changes it, is not waited for.
        """
        c, at = keys.c, bindparam("at", type_=keys.c.last_used_at.type)
        wanted = sorted(last_uses)
        free: set[int] = set()
        for part in parts(wanted):
            query = locked(select(c.number).where(c.number.in_(part)).order_by(c.number), skip_locked=True)
            free.update(self._connection.execute(query).scalars())
        fresher = or_(c.last_used_at.is_(None), c.last_used_at < at)
        rows = [{"of": number, "at": last_uses[number]} for number in wanted if number in free]
        if rows:
            self._connection.execute(
                update(keys).where(c.number == bindparam("of"), fresher).values(last_used_at=at), rows
            )
        return self.known_numbers(frozenset(wanted) - free)

    def uses(self, key_number: int, version: int) -> Sequence[Use]:
        """How this secret was used while it was watched, latest first."""
        this = and_(uses.c.key_number == key_number, uses.c.version == version)
        query = select(uses).where(this).order_by(uses.c.last_seen.desc())
        return [Use(**row) for row in self._connection.execute(query).mappings()]
