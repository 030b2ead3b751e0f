"""Accounts and the people in them."""

from sqlalchemy import Column, ForeignKey, Index, Integer, PrimaryKeyConstraint, String, Table, Text

from keyturn.store.tables.column import Id, Moment, Name, Serial, Texts, metadata

accounts = Table(
    "accounts",
    metadata,
    Column("number", Serial, primary_key=True),
    Column("id", Id, nullable=False, unique=True),
    Column("name", Name, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("policy", Name, nullable=False, server_default=""),
    Column("floor", Name, nullable=False, server_default=""),
    Column("reset_allowlist", Texts, nullable=False),
    Column("max_keys_per_user", Integer),
)
users = Table(
    "users",
    metadata,
    Column("number", Serial, primary_key=True),
    Column("id", Id, nullable=False, unique=True),
    Column("email", String(320), nullable=False, unique=True),
    Column("name", Name, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("password", Text, nullable=False),
    Column("username", String(32)),
    Column("language", String(8), nullable=False, server_default=""),
    Column("time_zone", String(64), nullable=False, server_default=""),
    Column("changed_at", Moment),
    Index("uq_users_username", "username", unique=True),
)
members = Table(
    "members",
    metadata,
    Column("account_id", Id, ForeignKey("accounts.id"), nullable=False),
    Column("user_id", Id, ForeignKey("users.id"), nullable=False),
    Column("role", String(16), nullable=False),
    PrimaryKeyConstraint("account_id", "user_id"),
    Index(None, "user_id"),
)
invitations = Table(
    "invitations",
    metadata,
    Column("id", Id, primary_key=True),
    Column("account_id", Id, ForeignKey("accounts.id"), nullable=False, index=True),
    Column("email", String(320), nullable=False),
    Column("role", String(16), nullable=False),
    Column("invited_by", Id, nullable=False, index=True),
    Column("made_at", Moment, nullable=False),
    Column("ends_at", Moment, nullable=False),
    Column("ended_at", Moment),
    Column("accepted_by", Id, nullable=False),
)
addresses = Table(
    "addresses",
    metadata,
    Column("id", Id, primary_key=True),
    Column("user_id", Id, ForeignKey("users.id"), nullable=False, index=True),
    Column("email", String(320), nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("confirmed_at", Moment),
    Column("removed_at", Moment),
)
