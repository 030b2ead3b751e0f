"""Resets, and the policies and holds that rule them."""

from sqlalchemy import Column, ForeignKey, Index, Integer, PrimaryKeyConstraint, String, Table, text

from keyturn.store.tables.column import Document, Id, Moment, Name, Serial, metadata

resets = Table(
    "resets",
    metadata,
    Column("number", Serial, primary_key=True),
    Column("id", Id, nullable=False, unique=True),
    Column("key_id", Id, ForeignKey("keys.id"), nullable=False),
    Column("account_id", Id, nullable=False),
    Column("owner_id", Id, nullable=False),
    Column("stage", String(16), nullable=False),
    Column("asked_at", Moment, nullable=False),
    Column("lapses_at", Moment, nullable=False),
    Column("minted_at", Moment),
    Column("new_starts_at", Moment),
    Column("old_stops_at", Moment),
    Column("body", Document, nullable=False),
    Column("ordered_by", Id, nullable=False, server_default=""),
    Index(None, "key_id"),
    Index(None, "account_id"),
    # R5: at most one reset per key is open, also where two transactions race.
    Index(
        "ix_resets_open",
        "key_id",
        unique=True,
        sqlite_where=text("stage IN ('asked', 'proven')"),
        postgresql_where=text("stage IN ('asked', 'proven')"),
    ),
    Index(
        "ix_resets_ordered",
        "owner_id",
        sqlite_where=text("stage IN ('asked', 'proven') AND ordered_by <> ''"),
        postgresql_where=text("stage IN ('asked', 'proven') AND ordered_by <> ''"),
    ),
    Index(
        "ix_resets_minted",
        "new_starts_at",
        sqlite_where=text("stage = 'minted'"),
        postgresql_where=text("stage = 'minted'"),
    ),
)
policies = Table(
    "policies",
    metadata,
    Column("name", Name, nullable=False),
    Column("version", Integer, nullable=False),
    Column("base", Name, nullable=False),
    Column("fields", Document, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("created_by", Id, nullable=False),
    PrimaryKeyConstraint("name", "version"),
)
holds = Table(
    "holds",
    metadata,
    Column("user_id", Id, ForeignKey("users.id"), primary_key=True),
    Column("until", Moment, nullable=False),
    Column("policy", Name, nullable=False),
    Column("field", String(64), nullable=False),
)
