"""Values of the core in their wire form."""

from keyturn.api.shown.fleet import (
    fence,
    fleet,
    terms,
)
from keyturn.api.shown.keys import (
    aged_key,
    changed_key,
    created_key,
    key,
)
from keyturn.api.shown.notices import (
    notice,
    webhook,
)
from keyturn.api.shown.people import (
    account,
    address,
    invitation,
    member,
    membership,
    removed_member,
    user,
)
from keyturn.api.shown.receipts import (
    receipt,
)
from keyturn.api.shown.records import (
    audit,
)
from keyturn.api.shown.resets import (
    listed_reset,
    moved_reset,
    preview,
    reset,
)
from keyturn.api.shown.sessions import (
    authenticator,
    enrolled,
    new_session,
    portal,
    session,
)
from keyturn.api.shown.wire import (
    T,
    Wire,
    listing,
    when,
)

__all__ = [
    "T",
    "Wire",
    "account",
    "address",
    "aged_key",
    "audit",
    "authenticator",
    "changed_key",
    "created_key",
    "enrolled",
    "fence",
    "fleet",
    "invitation",
    "key",
    "listed_reset",
    "listing",
    "member",
    "membership",
    "moved_reset",
    "new_session",
    "notice",
    "portal",
    "preview",
    "receipt",
    "removed_member",
    "reset",
    "session",
    "terms",
    "user",
    "webhook",
    "when",
]
