"""Until when dangerous changes of a person's keys wait."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from keyturn.core.consequence import Hold
from keyturn.store.begun import Begun, columns
from keyturn.store.tables import holds


class Holds(Begun):
    """`ports.transaction.Transaction`'s questions about holds."""

    def hold(self, user_id: str) -> Hold | None:
        """The person's hold, where it is still on."""
        query = select(holds).where(holds.c.user_id == user_id, holds.c.until > self._now)
        found = self._connection.execute(query).mappings().first()
        return None if found is None else Hold(**found)

    def save_hold(self, hold: Hold) -> None:
        """Put a hold in place; a later end stands."""
        dialect: Any = postgresql if self._connection.dialect.name == "postgresql" else sqlite
        statement = dialect.insert(holds).values(columns(hold))
        given = {name: statement.excluded[name] for name in ("until", "policy", "field")}
        later = holds.c.until < statement.excluded.until
        self._connection.execute(statement.on_conflict_do_update(index_elements=["user_id"], set_=given, where=later))
