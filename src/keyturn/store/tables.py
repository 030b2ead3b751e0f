"""The tables, once for SQLite and PostgreSQL.

Instants are BIGINT microseconds since 1970: exact, ordered and alike on both.
"""

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)

from keyturn.core.instant import Instant, from_micros, to_micros

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Moment(TypeDecorator[Instant]):
    """An instant as BIGINT microseconds."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: Instant | None, dialect: Dialect) -> int | None:  # noqa: ARG002  # SQLAlchemy's interface
        return None if value is None else to_micros(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> Instant | None:  # noqa: ARG002  # as above
        return None if value is None else from_micros(value)


class Texts(TypeDecorator[tuple[str, ...]]):
    """A tuple of strings as a JSON array."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, dialect: Dialect) -> str | None:  # noqa: ARG002  # as above
        return None if value is None else json.dumps(list(value), separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Dialect) -> tuple[str, ...] | None:  # noqa: ARG002  # as above
        return None if value is None else tuple(json.loads(value))


class Document(TypeDecorator[Mapping[str, Any]]):
    """A JSON object as text: written whole, read whole, never searched in."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Mapping[str, Any] | None, dialect: Dialect) -> str | None:  # noqa: ARG002  # as above
        return None if value is None else json.dumps(value, separators=(",", ":"), sort_keys=True)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Mapping[str, Any] | None:  # noqa: ARG002  # as above
        return None if value is None else json.loads(value)


_Serial = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only for INTEGER
_Id = String(64)
_Name = String(200)

authority = Table(
    "authority",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("rev", BigInteger, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("high_water", Moment, nullable=False),
    Column("deployment_account_id", _Id),
)

feed = Table(
    "feed",
    metadata,
    Column("rev", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Moment, nullable=False),
    Column("change", Text, nullable=False),
)

accounts = Table(
    "accounts",
    metadata,
    Column("number", _Serial, primary_key=True),
    Column("id", _Id, nullable=False, unique=True),
    Column("name", _Name, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("policy", _Name, nullable=False, server_default=""),
    Column("floor", _Name, nullable=False, server_default=""),
    Column("reset_allowlist", Texts, nullable=False),
    Column("max_keys_per_user", Integer),
)

users = Table(
    "users",
    metadata,
    Column("number", _Serial, primary_key=True),
    Column("id", _Id, nullable=False, unique=True),
    Column("email", String(320), nullable=False, unique=True),
    Column("name", _Name, nullable=False),
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
    Column("account_id", _Id, ForeignKey("accounts.id"), nullable=False),
    Column("user_id", _Id, ForeignKey("users.id"), nullable=False),
    Column("role", String(16), nullable=False),
    PrimaryKeyConstraint("account_id", "user_id"),
    Index(None, "user_id"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("digest", LargeBinary(32), nullable=False, unique=True),
    Column("user_id", _Id, ForeignKey("users.id"), nullable=False, index=True),
    Column("account_id", _Id, ForeignKey("accounts.id"), nullable=False),
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
    Column("id", _Id, primary_key=True),
    Column("digest", LargeBinary(32), nullable=False, unique=True),
    Column("user_id", _Id, ForeignKey("users.id"), nullable=False, index=True),
    Column("made_at", Moment, nullable=False),
    Column("seen_at", Moment, nullable=False),
)

invitations = Table(
    "invitations",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("account_id", _Id, ForeignKey("accounts.id"), nullable=False, index=True),
    Column("email", String(320), nullable=False),
    Column("role", String(16), nullable=False),
    Column("invited_by", _Id, nullable=False, index=True),
    Column("made_at", Moment, nullable=False),
    Column("ends_at", Moment, nullable=False),
    Column("ended_at", Moment),
    Column("accepted_by", _Id, nullable=False),
)

identities = Table(
    "identities",
    metadata,
    Column("issuer", String(2000), nullable=False),
    Column("subject", String(255), nullable=False),
    Column("user_id", _Id, ForeignKey("users.id"), nullable=False, index=True),
    Column("email", String(320), nullable=False),
    Column("made_at", Moment, nullable=False),
    PrimaryKeyConstraint("issuer", "subject"),
)

oidc_tries = Table(
    "oidc_tries",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("provider", String(32), nullable=False),
    Column("ends_at", Moment, nullable=False, index=True),
    Column("user_id", _Id, nullable=False),
    Column("session", _Id, nullable=False),
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

keys = Table(
    "keys",
    metadata,
    Column("number", _Serial, primary_key=True),
    Column("id", _Id, nullable=False, unique=True),
    Column("account_id", _Id, ForeignKey("accounts.id"), nullable=False),
    Column("owner_id", _Id, ForeignKey("users.id"), nullable=False),
    Column("name", _Name, nullable=False),
    Column("environment", String(8), nullable=False),
    Column("brand", String(80), nullable=False),
    Column("permissions", Texts, nullable=False),
    Column("allowlist", Texts, nullable=False),
    Column("limit", String(40)),
    Column("policy", _Name, nullable=False, server_default=""),
    Column("expires_at", Moment, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("created_by", _Id, nullable=False),
    Column("suspended_at", Moment),
    Column("suspended_by", _Id),
    Column("suspended_reason", _Name),
    Column("suspended_reset", _Id),
    Column("revoked_at", Moment),
    Column("last_used_at", Moment),
    Column("label", String(32), nullable=False, server_default=""),
    Column("own_label", String(32)),  # the label once more, where it has to be nobody else's (R42)
    Index("ix_keys_own_label", "own_label", unique=True),
    Index(None, "account_id"),
    Index(None, "owner_id"),
    Index(None, "created_by"),
)

secrets = Table(
    "secrets",
    metadata,
    Column("key_number", _Serial, ForeignKey("keys.number"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("pepper", String(40), nullable=False),
    Column("hint", String(120), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("starts_at", Moment, nullable=False),
    Column("dangerous_starts_at", Moment, nullable=False),
    Column("stops_at", Moment, nullable=False),
    Column("stopped_at", Moment),
    Column("stop_reason", String(20)),
    Column("replaced_by", _Id, nullable=False, server_default=""),
    Column("watched", Boolean, nullable=False),
    Column("rev", BigInteger, nullable=False),
    Column("last_used_at", Moment),
    Column("kind", String(16), nullable=False, server_default="made"),
    Column("public_key", LargeBinary(32)),
    Column("seen", LargeBinary(32)),
    PrimaryKeyConstraint("key_number", "version"),
    UniqueConstraint("digest"),
    Index("ix_secrets_public_key", "public_key", unique=True),
    Index("ix_secrets_seen", "seen", unique=True),
)

resets = Table(
    "resets",
    metadata,
    Column("number", _Serial, primary_key=True),
    Column("id", _Id, nullable=False, unique=True),
    Column("key_id", _Id, ForeignKey("keys.id"), nullable=False),
    Column("account_id", _Id, nullable=False),
    Column("owner_id", _Id, nullable=False),
    Column("stage", String(16), nullable=False),
    Column("asked_at", Moment, nullable=False),
    Column("lapses_at", Moment, nullable=False),
    Column("minted_at", Moment),
    Column("new_starts_at", Moment),
    Column("old_stops_at", Moment),
    Column("body", Document, nullable=False),
    Column("ordered_by", _Id, nullable=False, server_default=""),
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
    Column("name", _Name, nullable=False),
    Column("version", Integer, nullable=False),
    Column("base", _Name, nullable=False),
    Column("fields", Document, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("created_by", _Id, nullable=False),
    PrimaryKeyConstraint("name", "version"),
)

audit = Table(
    "audit",
    metadata,
    Column("number", _Serial, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("actor_id", _Id, nullable=False),
    Column("user_id", _Id, nullable=False),
    Column("channel", String(16), nullable=False),
    Column("address", String(64)),
    Column("session", _Id, nullable=False),
    Column("action", String(64), nullable=False),
    Column("outcome", String(64), nullable=False),
    Column("account_id", _Id, nullable=False, index=True),
    Column("subject_id", _Id, nullable=False, index=True),
    Column("detail", Document, nullable=False),
)

notices = Table(
    "notices",
    metadata,
    Column("number", _Serial, primary_key=True),
    Column("at", Moment, nullable=False, index=True),
    Column("kind", String(64), nullable=False),
    Column("account_id", _Id, nullable=False),
    Column("owner_id", _Id, nullable=False),
    Column("key_id", _Id, nullable=False),
    Column("detail", Document, nullable=False),
    Column("actor_id", _Id, nullable=False),
    Column("address", String(64), nullable=False),
    Column("addressed", Boolean, nullable=False, server_default=false()),
    Index("ix_notices_new", "number", sqlite_where=text("NOT addressed"), postgresql_where=text("NOT addressed")),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("caller", _Id, nullable=False),
    Column("idempotency_key", String(255), nullable=False),
    Column("request", LargeBinary(32), nullable=False),
    Column("subject_id", _Id, nullable=False),
    Column("at", Moment, nullable=False),
    PrimaryKeyConstraint("caller", "idempotency_key"),
)

uses = Table(
    "uses",
    metadata,
    Column("key_number", _Serial, ForeignKey("keys.number"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("address", String(64), nullable=False),
    Column("permission", String(120), nullable=False),
    Column("user_agent", String(200), nullable=False),
    Column("last_seen", Moment, nullable=False),
    Column("count", BigInteger, nullable=False),
    PrimaryKeyConstraint("key_number", "version", "address", "permission", "user_agent"),
)

holds = Table(
    "holds",
    metadata,
    Column("user_id", _Id, ForeignKey("users.id"), primary_key=True),
    Column("until", Moment, nullable=False),
    Column("policy", _Name, nullable=False),
    Column("field", String(64), nullable=False),
)

callers = Table(
    "callers",
    metadata,
    Column("key_number", _Serial, ForeignKey("keys.number"), nullable=False),
    Column("hour", Moment, nullable=False, index=True),
    Column("address", String(64), nullable=False),
    Column("permission", String(120), nullable=False),
    Column("user_agent", String(200), nullable=False),
    Column("last_seen", Moment, nullable=False),
    Column("count", BigInteger, nullable=False),
    PrimaryKeyConstraint("key_number", "hour", "address", "permission", "user_agent"),
)

links = Table(
    "links",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("digest", LargeBinary(32), nullable=False, unique=True),
    Column("kind", String(16), nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("ends_at", Moment, nullable=False),
    Column("user_id", _Id, nullable=False),
    Column("account_id", _Id, nullable=False),
    Column("subject_id", _Id, nullable=False),
    Column("session", _Id, nullable=False),
    Column("email", String(320), nullable=False),
    Column("used_at", Moment),
    Index(None, "subject_id"),
)

portals = Table(
    "portals",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("digest", LargeBinary(32), nullable=False, unique=True),
    Column("account_id", _Id, ForeignKey("accounts.id"), nullable=False),
    Column("user_id", _Id, ForeignKey("users.id"), nullable=False),
    Column("by", _Id, nullable=False),
    Column("by_version", Integer, nullable=False),
    Column("made_at", Moment, nullable=False, index=True),
    Column("ends_at", Moment, nullable=False),
    Column("vouched", Document, nullable=False),
    Column("embed_origin", String(300), nullable=False),
    Column("return_url", String(2000), nullable=False),
    Column("opened_at", Moment),
    Column("session", _Id, nullable=False, index=True),
)

addresses = Table(
    "addresses",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("user_id", _Id, ForeignKey("users.id"), nullable=False, index=True),
    Column("email", String(320), nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("confirmed_at", Moment),
    Column("removed_at", Moment),
)

letters = Table(
    "letters",
    metadata,
    Column("number", _Serial, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("kind", String(64), nullable=False),
    Column("to", String(320), nullable=False),
    Column("language", String(8), nullable=False),
    Column("link_id", _Id, nullable=False),
    Column("detail", Document, nullable=False),
    Column("addressed", Boolean, nullable=False, server_default=false()),
    Index("ix_letters_new", "number", sqlite_where=text("NOT addressed"), postgresql_where=text("NOT addressed")),
)

_waits = text("state = 'waiting'")
deliveries = Table(
    "deliveries",
    metadata,
    Column("number", _Serial, primary_key=True),
    Column("id", _Id, nullable=False, unique=True),
    Column("means", String(16), nullable=False),
    Column("to", String(320), nullable=False),
    Column("user_id", _Id, nullable=False),
    Column("account_id", _Id, nullable=False),
    Column("link_id", _Id, nullable=False),
    Column("notice_number", _Serial, ForeignKey("notices.number")),
    Column("letter_number", _Serial, ForeignKey("letters.number")),
    Column("made_at", Moment, nullable=False),
    Column("due_at", Moment, nullable=False),
    Column("in_order", Boolean, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("first_tried_at", Moment),
    Column("leased_until", Moment),
    Column("leased_by", _Id, nullable=False),
    Column("state", String(16), nullable=False),
    Column("settled_at", Moment),
    Column("said", String(120), nullable=False),
    UniqueConstraint("notice_number", "means", "to"),  # R51: no doubles, whoever addresses it
    UniqueConstraint("letter_number"),
    Index(None, "account_id"),
    Index("ix_deliveries_waiting", "means", "to", "number", sqlite_where=_waits, postgresql_where=_waits),
    Index("ix_deliveries_due", "means", "due_at", sqlite_where=_waits, postgresql_where=_waits),
)

authenticators = Table(
    "authenticators",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("user_id", _Id, ForeignKey("users.id"), nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("name", _Name, nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("confirmed_at", Moment),
    Column("last_used_at", Moment),
    Column("step", BigInteger, nullable=False),
    Column("credential_id", LargeBinary(1023), unique=True),
    Column("public_key", LargeBinary(4096), nullable=False),
    Column("sign_count", BigInteger, nullable=False),
)

recovery_codes = Table(
    "recovery_codes",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("user_id", _Id, ForeignKey("users.id"), nullable=False, index=True),
)

challenges = Table(
    "challenges",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("purpose", String(16), nullable=False),
    Column("user_id", _Id, nullable=False),
    Column("session", _Id, nullable=False),
    Column("subject_id", _Id, nullable=False),
    Column("ends_at", Moment, nullable=False),
    Index(None, "session"),
)

spent_captchas = Table(
    "spent_captchas",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("ends_at", Moment, nullable=False),
)

session_proofs = Table(
    "session_proofs",
    metadata,
    Column("session_id", _Id, ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("at", Moment, nullable=False),
    PrimaryKeyConstraint("session_id", "kind"),
)

webhooks = Table(
    "webhooks",
    metadata,
    Column("number", _Serial, primary_key=True),
    Column("id", _Id, nullable=False, unique=True),
    Column("account_id", _Id, ForeignKey("accounts.id"), nullable=False, index=True),
    Column("url", String(1000), nullable=False),
    Column("events", Texts, nullable=False),
    Column("every_account", Boolean, nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("version", Integer, nullable=False),
    Column("signs_from", Integer, nullable=False),
    Column("rotated_at", Moment),
    Column("failing_since", Moment),
    Column("suspended_at", Moment),
)
