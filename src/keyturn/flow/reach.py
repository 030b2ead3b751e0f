"""Which accounts a listing is confined to (pitfall 18)."""

from collections.abc import Sequence

from keyturn.core.actor import Actor
from keyturn.core.refusal import NotFound, PermissionMissing, Refusal


def reach(actor: Actor, right: str, account_id: str | None) -> Sequence[str] | Refusal | None:
    """The accounts a listing is confined to; None for all of them."""
    if account_id is not None:
        if not actor.may(right, account_id):
            return NotFound() if account_id != actor.account_id else PermissionMissing(needed=right)
        return (account_id,)
    if actor.reaches_all(right):
        return None
    named = {one.rpartition("@")[2] for one in actor.permissions if "@" in one} | {actor.account_id}
    reached = tuple(sorted(one for one in named if actor.may(right, one)))
    return reached or PermissionMissing(needed=right)
