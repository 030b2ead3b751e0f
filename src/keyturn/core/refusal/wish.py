"""Refused for what was asked for."""

from dataclasses import dataclass
from typing import ClassVar

from keyturn.core.refusal.refusal import Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Widening(Refusal):
    """R23: a reset may narrow, never widen."""

    kind: ClassVar[str] = "widening_refused"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "A reset may narrow a key, never widen it."
    field: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GraceTooLong(Refusal):
    kind: ClassVar[str] = "grace_too_long"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "The policy allows a shorter grace."
    grace_max: str
    policy: str
    field: str = "grace_max"


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowlistRequired(Refusal):
    kind: ClassVar[str] = "allowlist_required"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "A key with these permissions needs an allowlist."
    permissions: tuple[str, ...]
    policy: str
    field: str = "allowlist_required_for"


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowlistTooLong(Refusal):
    kind: ClassVar[str] = "allowlist_too_long"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "The allowlist has more entries than the policy allows."
    limit: int
    policy: str
    field: str = "allowlist_max"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiryRequired(Refusal):
    kind: ClassVar[str] = "expiry_required"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "The policy wants every key to have an expiry."
    policy: str
    field: str = "expiry"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSecretRefused(Refusal):
    """R42: one answer, and the same work, whether it is too easy to guess or somebody has used it here before."""

    kind: ClassVar[str] = "own_secret_refused"
    status: ClassVar[int] = 422
    title: ClassVar[str] = (
        "An own secret has 32 to 128 visible ASCII characters, is hard to guess (80 bits) and was never used here."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class InvalidField(Refusal):
    """A field has a value that cannot be used."""

    kind: ClassVar[str] = "invalid_field"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "A field has a value that cannot be used."
    field: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownField(Refusal):
    kind: ClassVar[str] = "unknown_field"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "The body has a field that this call does not know."
    field: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyUnknown(Refusal):
    kind: ClassVar[str] = "policy_unknown"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "There is no policy of that name."
    policy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyKeyReused(Refusal):
    kind: ClassVar[str] = "idempotency_key_reused"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "This Idempotency-Key was used for a different request."
