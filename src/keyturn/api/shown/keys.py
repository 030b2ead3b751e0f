"""Keys and their secrets, as the API shows them."""

from keyturn.api.shown.wire import Wire, when
from keyturn.core import limit as limits
from keyturn.core import public_key
from keyturn.core.instant import Instant
from keyturn.core.key import Key, Secret, status
from keyturn.edge.node import Node
from keyturn.edge.receipt import ReceiptDue
from keyturn.edge.visit import Committed
from keyturn.flow.age import AgedKey
from keyturn.flow.key import KeyAnswer


def key(one: Key, now: Instant) -> Wire:
    """A key; never a digest."""
    held = one.suspension
    newest = one.secrets[-1]
    return {
        "id": one.id,
        "account_id": one.account_id,
        "owner_id": one.owner_id,
        "name": one.name,
        "environment": one.environment,
        "label": one.label or None,
        "kind": one.kind.value,
        "status": status(one, now),
        "version": one.version,
        "hint": newest.hint,
        "permissions": list(one.permissions),
        "allowlist": list(one.allowlist),
        "limit": limits.to_text(one.limit) if one.limit else None,
        "policy": one.policy or None,
        "expires_at": when(one.expires_at),
        "created_at": when(one.created_at),
        "created_by": one.created_by,
        "last_used_at": when(one.last_used_at),
        "suspended": held
        and {"at": when(held.at), "by": held.by, "reason": held.reason, "reset_id": held.reset_id or None},
        "revoked_at": when(one.revoked_at),
        "secrets": [_secret(secret) for secret in one.secrets],
    }


def aged_key(one: AgedKey, now: Instant) -> Wire:
    """A key with its age and what is coming for it."""
    age = one.age
    shown_age = {
        "since": when(age.since),
        "state": age.state.value,
        "due_at": when(age.due_at),
        "then": age.then or None,
        "policy": age.policy,
    }
    coming = [
        {"at": when(each.at), "what": each.what, "policy": each.policy or None, "field": each.field or None}
        for each in one.coming
    ]
    return key(one.key, now) | {"age": shown_age, "coming": coming}


def _secret(one: Secret) -> Wire:
    return {
        "version": one.version,
        "hint": one.hint,
        "created_at": when(one.created_at),
        "starts_at": when(one.starts_at),
        "dangerous_starts_at": when(one.dangerous_starts_at),
        "stops_at": when(one.stops_at),
        "stopped_at": when(one.stopped_at),
        "stop_reason": one.stop_reason.value if one.stop_reason else None,
        "replaced_by": one.replaced_by or None,
        "last_used_at": when(one.last_used_at),
        "public_key": public_key.to_text(one.public_key) if one.public_key else None,
    }


def created_key(answer: KeyAnswer, now: Instant) -> Wire:
    """A new key with its secret, this once."""
    secret = answer.secret.reveal if answer.secret else None
    return key(answer.key, now) | {"secret": secret, "secret_shown": answer.secret_shown}


def changed_key(answer: KeyAnswer, committed: Committed, node: Node) -> Wire:
    """A key after a stop or a resume, and the receipt due of how it now stands; of a name or a policy there is none."""
    held = answer.key.suspension
    stopped = answer.key.revoked_at or (held.at if held else None)
    due = None
    if answer.rev:
        due = ReceiptDue(
            key_id=answer.key.id,
            rev=answer.rev,
            epoch=committed.epoch,
            durability=node.durability,
            stopped_at=stopped,
        )
    return key(answer.key, committed.at) | {"receipt": due}
