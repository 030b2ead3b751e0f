"""The one clock and feed of a deployment, its audit records, and what is done once."""

from sqlalchemy import BigInteger, Boolean, Column, Integer, LargeBinary, PrimaryKeyConstraint, String, Table, Text

from keyturn.store.tables.column import Document, Id, Moment, Serial, metadata

authority = Table(
    "authority",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("rev", BigInteger, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("high_water", Moment, nullable=False),
    Column("rev_at", Moment, nullable=True),
    Column("before_rev_at", Moment, nullable=True),
    Column("deployment_account_id", Id),
    Column("lease_length", BigInteger, nullable=False, server_default="5000000"),
    Column("lease_margin", BigInteger, nullable=False, server_default="50000"),
    Column("peppers", Document, nullable=False, server_default="{}"),
)
leases = Table(
    "leases",
    metadata,
    Column("instance", Id, primary_key=True),
    Column("counter", BigInteger, nullable=False),
    Column("lasts", BigInteger, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("acked_rev", BigInteger, nullable=False),
    Column("applied_rev", BigInteger, nullable=False),
    Column("name", String(80), nullable=False),
    Column("grants", Boolean, nullable=False),
    Column("verifiers", Text, nullable=False),
)
origin = Table(
    "origin",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("written", String(120), nullable=False),
)
limits = Table(
    "limits",
    metadata,
    # No foreign key: its check would wait for whoever holds the key, such as a reset.
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("arrival", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("loans", Text, nullable=False),
)
feed = Table(
    "feed",
    metadata,
    Column("rev", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Moment, nullable=False),
    Column("change", Text, nullable=False),
)
audit = Table(
    "audit",
    metadata,
    Column("number", Serial, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("actor_id", Id, nullable=False),
    Column("user_id", Id, nullable=False),
    Column("channel", String(16), nullable=False),
    Column("address", String(64)),
    Column("session", Id, nullable=False),
    Column("action", String(64), nullable=False),
    Column("outcome", String(64), nullable=False),
    Column("account_id", Id, nullable=False, index=True),
    Column("subject_id", Id, nullable=False, index=True),
    Column("detail", Document, nullable=False),
)
idempotency = Table(
    "idempotency",
    metadata,
    Column("caller", Id, nullable=False),
    Column("idempotency_key", String(255), nullable=False),
    Column("request", LargeBinary(32), nullable=False),
    Column("subject_id", Id, nullable=False),
    Column("at", Moment, nullable=False),
    PrimaryKeyConstraint("caller", "idempotency_key"),
)
