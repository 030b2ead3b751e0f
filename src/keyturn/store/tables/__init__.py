"""The tables, once for SQLite and PostgreSQL.

Instants are BIGINT microseconds since 1970: exact, ordered and alike on both.
"""

from keyturn.store.tables.account import (
    accounts,
    addresses,
    invitations,
    members,
    users,
)
from keyturn.store.tables.authenticator import (
    authenticators,
    challenges,
    recovery_codes,
    spent_captchas,
)
from keyturn.store.tables.column import (
    Document,
    Moment,
    Texts,
    metadata,
)
from keyturn.store.tables.deployment import (
    audit,
    authority,
    feed,
    idempotency,
    leases,
    limits,
    origin,
)
from keyturn.store.tables.key import (
    callers,
    keys,
    secrets,
    uses,
)
from keyturn.store.tables.notice import (
    deliveries,
    letters,
    links,
    notices,
    webhooks,
)
from keyturn.store.tables.reset import (
    holds,
    policies,
    resets,
)
from keyturn.store.tables.session import (
    counters,
    devices,
    identities,
    oidc_tries,
    portals,
    session_proofs,
    sessions,
)

__all__ = [
    "Document",
    "Moment",
    "Texts",
    "accounts",
    "addresses",
    "audit",
    "authenticators",
    "authority",
    "callers",
    "challenges",
    "counters",
    "deliveries",
    "devices",
    "feed",
    "holds",
    "idempotency",
    "identities",
    "invitations",
    "keys",
    "leases",
    "letters",
    "limits",
    "links",
    "members",
    "metadata",
    "notices",
    "oidc_tries",
    "origin",
    "policies",
    "portals",
    "recovery_codes",
    "resets",
    "secrets",
    "session_proofs",
    "sessions",
    "spent_captchas",
    "users",
    "uses",
    "webhooks",
]
