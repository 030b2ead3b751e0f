"""Resets, open and done."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, Text, and_, bindparam, insert, or_, select, type_coerce, update

from keyturn.core.reset import Reset
from keyturn.core.stage import OPEN, Stage
from keyturn.ports.page import Page
from keyturn.store import rows
from keyturn.store.begun import Begun, Seen, locked, parts, within
from keyturn.store.tables import resets

_OPEN_STAGES = tuple(stage.value for stage in OPEN)
# Of the way every reset takes, built once.
_LATEST_RESET = select(resets).where(resets.c.key_id == bindparam("key_id")).order_by(resets.c.number.desc()).limit(1)
_INSERT_RESET = insert(resets).inline()


class Resets(Begun):
    """`ports.transaction.Transaction`'s questions about resets."""

    def __init__(self, connection: Connection, seen: Seen) -> None:
        super().__init__(connection, seen)
        # Written together before the commit, or before something asks for them.
        self._new_resets: dict[str, Reset] = {}
        self._changed_resets: dict[str, Reset] = {}

    def reset(self, reset_id: str, *, lock: bool = False) -> Reset | None:
        """One reset."""
        query = select(resets).where(resets.c.id == reset_id)
        return self._first_reset(locked(query) if lock else query)

    def latest_reset(self, key_id: str) -> Reset | None:
        """The key's newest reset."""
        self._flush_resets()
        found = self._connection.execute(_LATEST_RESET, {"key_id": key_id}).mappings().first()
        return None if found is None else rows.read_reset(found)

    def reset_of_version(self, key_id: str, version: int) -> Reset | None:
        """The reset that minted this version, where it has not ended."""
        stages = (Stage.MINTED.value, Stage.SETTLED.value)
        this = and_(resets.c.key_id == key_id, resets.c.stage.in_(stages))
        query = select(resets).where(this).order_by(resets.c.number.desc())
        found = (rows.read_reset(row) for row in self._find_resets(query))
        return next((one for one in found if one.new_version == version), None)

    def waiting_reset(self, key_id: str) -> Reset | None:
        """The key's newest reset that is minted and not yet written down as settled."""
        this = and_(resets.c.key_id == key_id, resets.c.stage == Stage.MINTED.value)
        return self._first_reset(select(resets).where(this).order_by(resets.c.number.desc()))

    def resets(
        self, *, account_ids: Sequence[str] | None, owner_id: str | None, key_id: str | None, page: Page
    ) -> Sequence[tuple[int, Reset]]:
        """Resets of these accounts (None: of all), newest first, each with its number for the next page."""
        query = within(select(resets), resets, account_ids, page)
        if owner_id is not None:
            query = query.where(resets.c.owner_id == owner_id)
        if key_id is not None:
            query = query.where(resets.c.key_id == key_id)
        return [(row["number"], rows.read_reset(row)) for row in self._find_resets(query)]

    def resets_waiting(
        self, *, account_ids: Sequence[str] | None, owner_id: str | None, page: Page
    ) -> Sequence[tuple[int, Reset]]:
        """Open ones that the system ordered, claimed or not, newest first."""
        query = within(select(resets), resets, account_ids, page)
        query = query.where(resets.c.stage.in_(_OPEN_STAGES), resets.c.ordered_by != "", resets.c.lapses_at > self._now)
        if owner_id is not None:
            query = query.where(resets.c.owner_id == owner_id)
        return [(row["number"], rows.read_reset(row)) for row in self._find_resets(query)]

    def resets_due(self, *, limit: int) -> Sequence[Reset]:
        """Open ones that have lapsed, and minted ones that have started: by date done, not yet written down."""
        lapsed = and_(resets.c.stage.in_(_OPEN_STAGES), resets.c.lapses_at <= self._now)
        started = and_(resets.c.stage == Stage.MINTED.value, resets.c.new_starts_at <= self._now)
        query = select(resets).where(or_(lapsed, started)).order_by(resets.c.number).limit(limit)
        return [rows.read_reset(row) for row in self._find_resets(query)]

    def resets_open(self) -> Sequence[Reset]:
        """Every open reset, locked (R32)."""
        query = select(resets).where(resets.c.stage.in_(_OPEN_STAGES), resets.c.lapses_at > self._now)
        return [rows.read_reset(row) for row in self._find_resets(locked(query.order_by(resets.c.number)))]

    def resets_open_of(self, key_ids: Sequence[str]) -> Sequence[Reset]:
        """The resets of these keys that are open or have lapsed unnoticed."""
        found: list[Reset] = []
        for some in parts(key_ids):
            query = select(resets).where(resets.c.stage.in_(_OPEN_STAGES), resets.c.key_id.in_(some))
            found += [rows.read_reset(row) for row in self._find_resets(query)]
        return found

    def resets_in_handover(self) -> Sequence[Reset]:
        """Minted or settled ones whose old secret still goes on, under a policy that ends it when it is quiet (R33)."""
        stages = (Stage.MINTED.value, Stage.SETTLED.value)
        # The one look into a body: graces may run for years, and those of policies without `quiet_after` never end so.
        quiet = type_coerce(resets.c.body, Text).not_like('%"quiet_after":null%')
        handover = and_(resets.c.stage.in_(stages), resets.c.old_stops_at > self._now, quiet)
        query = select(resets).where(handover).order_by(resets.c.number.desc())
        return [rows.read_reset(row) for row in self._find_resets(query)]

    def _first_reset(self, query: Select[Any]) -> Reset | None:
        found = self._find_resets(query.limit(1))
        return rows.read_reset(found[0]) if found else None

    def insert_reset(self, reset: Reset) -> None:
        """Add a reset."""
        self._new_resets[reset.id] = reset

    def save_reset(self, reset: Reset) -> None:
        """Write a reset back whole."""
        unwritten = self._new_resets if reset.id in self._new_resets else self._changed_resets
        unwritten[reset.id] = reset

    def _flush_resets(self) -> None:
        # What has ended is written first: it makes room for the one open reset that a key may have.
        for one in self._changed_resets.values():
            self._connection.execute(update(resets).where(resets.c.id == one.id).values(rows.reset_row(one)))
        if self._new_resets:
            plain: dict[int, dict[str, Any]] = {}  # many resets at once share their policies
            for one in self._new_resets.values():
                if id(one.policy) not in plain:
                    plain[id(one.policy)] = rows.policy_to_plain(one.policy)
            new = [rows.reset_row(one, policy=plain[id(one.policy)]) for one in self._new_resets.values()]
            self._connection.execute(_INSERT_RESET, new)
        self._new_resets, self._changed_resets = {}, {}

    def _find_resets(self, query: Select[Any]) -> list[RowMapping]:
        self._flush_resets()
        return list(self._connection.execute(query).mappings())
