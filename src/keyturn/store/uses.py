"""Last uses, and who uses a watched secret (R20, R33)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import and_, bindparam, case, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from keyturn.core.instant import Instant
from keyturn.ports import Use
from keyturn.store.begun import Begun, columns
from keyturn.store.tables import keys, secrets, uses

_AT_ONCE = 500
MOST_USES = 100
"""How many ways of use are kept for one watched secret."""


class Uses(Begun):
    """`ports.Transaction`'s questions about use."""

    def add_uses(self, batch: Sequence[Use]) -> None:
        """Add to the tally of watched secrets, at most `MOST_USES` ways each."""
        for use in batch:
            this = and_(uses.c.key_number == use.key_number, uses.c.version == use.version)
            kinds = self._connection.execute(select(func.count()).select_from(uses).where(this)).scalar_one()
            row = columns(use)
            way = and_(*(uses.c[name] == row[name] for name in ("address", "permission", "user_agent")))
            if kinds >= MOST_USES and self._connection.execute(select(uses.c.count).where(this, way)).first() is None:
                row |= {"address": "", "permission": "", "user_agent": ""}  # the rest of them together
            self._connection.execute(self._upsert_use(row))
        # Last, and in one trip: whoever would stop one of these secrets waits from here on.
        latest: dict[tuple[int, int], Instant] = {}
        for use in batch:
            secret = (use.key_number, use.version)
            latest[secret] = max(use.last_seen, latest.get(secret, use.last_seen))
        self._touch_secrets(latest)

    def _touch_secrets(self, latest: Mapping[tuple[int, int], Instant]) -> None:
        c, at = secrets.c, bindparam("at", type_=secrets.c.last_used_at.type)
        fresher = or_(c.last_used_at.is_(None), c.last_used_at < at)
        this = and_(c.key_number == bindparam("of"), c.version == bindparam("of_version"), fresher)
        rows = [{"of": one[0], "of_version": one[1], "at": latest[one]} for one in sorted(latest)]
        if rows:
            self._connection.execute(update(secrets).where(this).values(last_used_at=at), rows)

    def _upsert_use(self, row: Mapping[str, Any]) -> Any:  # noqa: ANN401  # two dialects' statements
        dialect = postgresql if self._connection.dialect.name == "postgresql" else sqlite
        statement = dialect.insert(uses).values(row)
        seen = case(
            (uses.c.last_seen < statement.excluded.last_seen, statement.excluded.last_seen), else_=uses.c.last_seen
        )
        return statement.on_conflict_do_update(
            index_elements=list(uses.primary_key.columns),
            set_={"count": uses.c.count + statement.excluded.count, "last_seen": seen},
        )

    def known_numbers(self, numbers: Iterable[int]) -> frozenset[int]:
        """Those that are a key's."""
        c, wanted = keys.c, sorted(set(numbers))
        some = (wanted[at : at + _AT_ONCE] for at in range(0, len(wanted), _AT_ONCE))
        found = (self._connection.execute(select(c.number).where(c.number.in_(part))).scalars() for part in some)
        return frozenset(number for part in found for number in part)

    def touch(self, last_uses: Mapping[int, Instant]) -> None:
        """Note the last use of keys, by number; never earlier than known."""
        c, at = keys.c, bindparam("at", type_=keys.c.last_used_at.type)
        fresher = or_(c.last_used_at.is_(None), c.last_used_at < at)
        touched = update(keys).where(c.number == bindparam("of"), fresher).values(last_used_at=at)
        # In one order everywhere, as for callers; and in one trip, for whoever would stop one of them waits.
        rows = [{"of": number, "at": last_uses[number]} for number in sorted(last_uses)]
        if rows:
            self._connection.execute(touched, rows)

    def uses(self, key_number: int, version: int) -> Sequence[Use]:
        """How this secret was used while it was watched, latest first."""
        this = and_(uses.c.key_number == key_number, uses.c.version == version)
        query = select(uses).where(this).order_by(uses.c.last_seen.desc())
        return [Use(**row) for row in self._connection.execute(query).mappings()]
