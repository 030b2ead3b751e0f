"""Idempotency-Key (R15): a retry is answered from what the first request made, never with a secret again."""

from dataclasses import dataclass

from keyturn.core.refusal import IdempotencyKeyReused, Refusal
from keyturn.ports.remembered import Remembered
from keyturn.ports.transaction import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Once:
    """A request that is to be carried out once.  Scoped to its caller (pitfall 16)."""

    caller: str
    idempotency_key: str
    request: bytes
    """A digest of method, address and body."""


def replayed(tx: Transaction, once: Once | None) -> str | Refusal | None:
    """The id of what the same request made before; a refusal where it was another request; None for a new one."""
    if once is None:
        return None
    earlier = tx.recall(once.caller, once.idempotency_key)
    if earlier is None:
        return None
    if earlier.request != once.request:
        return IdempotencyKeyReused()
    return earlier.subject_id


def remember(tx: Transaction, once: Once | None, subject_id: str) -> None:
    """Keep what the request made."""
    if once is not None:
        tx.remember(once.caller, once.idempotency_key, Remembered(request=once.request, subject_id=subject_id))
