"""Second factors, and what was used up of them."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, LargeBinary, String, Table

from keyturn.store.tables.column import Id, Moment, Name, metadata

authenticators = Table(
    "authenticators",
    metadata,
    Column("id", Id, primary_key=True),
    Column("user_id", Id, ForeignKey("users.id"), nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("name", Name, nullable=False),
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
    Column("user_id", Id, ForeignKey("users.id"), nullable=False, index=True),
)
challenges = Table(
    "challenges",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("purpose", String(16), nullable=False),
    Column("user_id", Id, nullable=False),
    Column("session", Id, nullable=False),
    Column("subject_id", Id, nullable=False),
    Column("ends_at", Moment, nullable=False),
    Index(None, "session"),
)
spent_captchas = Table(
    "spent_captchas",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("ends_at", Moment, nullable=False),
)
