"""From a session's token to the person behind it, for every face alike; that it is in use is written down."""

from contextlib import suppress
from typing import Final

from keyturn.core.actor import Actor
from keyturn.edge.node import Node
from keyturn.flow import session as sessions
from keyturn.outside.forge import token_digest
from keyturn.ports.store import StoreUnavailable

PREFIX: Final = "kts_"


def signed_in(node: Node, token: str, *, address: str | None) -> Actor | None:
    """Who speaks through the session of that token, or None.  Raises StoreUnavailable."""
    digest = token_digest(token)
    actor, due = node.store.glance(
        lambda tx: (sessions.whose(tx, digest, address=address), sessions.is_due(tx, digest))
    )
    if due:
        note_use(node, digest)
    return actor


def note_use(node: Node, digest: bytes) -> None:
    """Write down that the session is in use.  Where that fails it ends the earlier, and what was asked is answered."""
    with suppress(StoreUnavailable):
        node.store.change(lambda tx: sessions.seen(tx, digest, spans=node.settings.sessions))
