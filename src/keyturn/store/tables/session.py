"""Sessions and the ways into one, devices, and what is counted of failures."""

from sqlalchemy import Column, ForeignKey, Integer, LargeBinary, PrimaryKeyConstraint, String, Table

from keyturn.store.tables.column import Document, Id, Moment, Texts, metadata

sessions = Table(
    "sessions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("digest", LargeBinary(32), nullable=False, unique=True),
    Column("user_id", Id, ForeignKey("users.id"), nullable=False, index=True),
    Column("account_id", Id, ForeignKey("accounts.id"), nullable=False),
    Column("role", String(16), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("stage", String(32), nullable=False),
    Column("version", Integer, nullable=False),
    Column("how", Texts, nullable=False),
    Column("refused_steps", Integer, nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("seen_at", Moment, nullable=False),
    Column("idle_ends_at", Moment, nullable=False),
    Column("ends_at", Moment, nullable=False, index=True),
    Column("address", String(64)),
    Column("user_agent", String(200), nullable=False),
    Column("vouched", Document, nullable=False),
)
devices = Table(
    "devices",
    metadata,
    Column("id", Id, primary_key=True),
    Column("digest", LargeBinary(32), nullable=False, unique=True),
    Column("user_id", Id, ForeignKey("users.id"), nullable=False, index=True),
    Column("made_at", Moment, nullable=False),
    Column("seen_at", Moment, nullable=False),
)
identities = Table(
    "identities",
    metadata,
    Column("issuer", String(2000), nullable=False),
    Column("subject", String(255), nullable=False),
    Column("user_id", Id, ForeignKey("users.id"), nullable=False, index=True),
    Column("email", String(320), nullable=False),
    Column("made_at", Moment, nullable=False),
    PrimaryKeyConstraint("issuer", "subject"),
)
oidc_tries = Table(
    "oidc_tries",
    metadata,
    Column("id", Id, primary_key=True),
    Column("provider", String(32), nullable=False),
    Column("ends_at", Moment, nullable=False, index=True),
    Column("user_id", Id, nullable=False),
    Column("session", Id, nullable=False),
    Column("link_digest", LargeBinary(32), nullable=False),
)
counters = Table(
    "counters",
    metadata,
    Column("counted", String(16), nullable=False),
    Column("subject", LargeBinary(32), nullable=False),
    Column("failures", Integer, nullable=False),
    Column("last_failed_at", Moment, index=True),
    PrimaryKeyConstraint("counted", "subject"),
)
portals = Table(
    "portals",
    metadata,
    Column("id", Id, primary_key=True),
    Column("digest", LargeBinary(32), nullable=False, unique=True),
    Column("account_id", Id, ForeignKey("accounts.id"), nullable=False),
    Column("user_id", Id, ForeignKey("users.id"), nullable=False),
    Column("by", Id, nullable=False),
    Column("by_version", Integer, nullable=False),
    Column("made_at", Moment, nullable=False, index=True),
    Column("ends_at", Moment, nullable=False),
    Column("vouched", Document, nullable=False),
    Column("embed_origin", String(300), nullable=False),
    Column("return_url", String(2000), nullable=False),
    Column("opened_at", Moment),
    Column("session", Id, nullable=False, index=True),
)
session_proofs = Table(
    "session_proofs",
    metadata,
    Column("session_id", Id, ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("at", Moment, nullable=False),
    PrimaryKeyConstraint("session_id", "kind"),
)
