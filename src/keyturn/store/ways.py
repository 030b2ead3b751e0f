"""Ways of use, counted: how often, and when last, something was used from one address for one thing by one program.

Whoever calls decides how many ways there are, so of each thing only so many are kept; the rest are counted together.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from sqlalchemy import Dialect, Table, bindparam, case
from sqlalchemy.dialects import postgresql, sqlite

WAY: Final = ("address", "permission", "user_agent")
Way = tuple[str, ...]


def way(row: Mapping[Any, Any]) -> Way:
    """The way of use that this row counts."""
    return tuple(row[name] for name in WAY)


def bounded(rows: Iterable[Mapping[str, Any]], known: Iterable[Way], *, most: int) -> list[dict[str, Any]]:
    """The rows of one thing, a way each; what finds no room beside the `known` ways is counted together."""
    ways = set(known)
    kept: dict[Way, dict[str, Any]] = {}
    for row in rows:
        found = way(row)
        if found not in ways and len(ways) >= most:
            found = ("",) * len(WAY)
        ways.add(found)
        before = kept.setdefault(found, {**row, **dict(zip(WAY, found, strict=True)), "count": 0})
        before["count"] += row["count"]
        before["last_seen"] = max(before["last_seen"], row["last_seen"])
    return list(kept.values())


def added(table: Table, dialect: Dialect) -> Any:  # noqa: ANN401  # two dialects' statements
    """Add a row's count to what is counted already."""
    insert = postgresql.insert if dialect.name == "postgresql" else sqlite.insert
    statement = insert(table).values({one.name: bindparam(one.name) for one in table.columns})
    c, new = table.c, statement.excluded
    return statement.on_conflict_do_update(
        index_elements=list(table.primary_key.columns),
        set_={
            "count": c.count + new.count,
            "last_seen": case((c.last_seen < new.last_seen, new.last_seen), else_=c.last_seen),
        },
    )
