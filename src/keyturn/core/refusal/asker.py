"""Refused for who asks, and what they may do."""

from dataclasses import dataclass
from typing import ClassVar

from keyturn.core.instant import Instant
from keyturn.core.refusal.refusal import Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Unauthenticated(Refusal):
    """One answer for strangers: absent, unknown, malformed, revoked or expired credentials look alike (R52)."""

    kind: ClassVar[str] = "unauthenticated"
    status: ClassVar[int] = 401
    title: ClassVar[str] = "Show a valid credential."


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialReplaced(Refusal):
    """The whole old secret was presented after it stopped (R52)."""

    kind: ClassVar[str] = "replaced"
    status: ClassVar[int] = 401
    title: ClassVar[str] = "This secret was replaced by a reset."
    replaced_at: Instant
    reset_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PermissionMissing(Refusal):
    kind: ClassVar[str] = "permission_missing"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "The credential lacks a right that this call needs."
    needed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WiderThanActor(Refusal):
    """No child is wider than its parent (pitfall 8)."""

    kind: ClassVar[str] = "wider_than_actor"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "A credential cannot hand out, or reset a key that holds, more than it holds itself."
    beyond: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpsRequired(Refusal):
    """A secret is handed out over HTTPS only (K11)."""

    kind: ClassVar[str] = "https_required"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "This answer would hold a secret, so it is given over HTTPS only."


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginRefused(Refusal):
    """The address is not one from which a reset may start (K9)."""

    kind: ClassVar[str] = "reset_origin_refused"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "Resets may not start from this address; suspending is possible from anywhere."
    policy: str
    field: str = "reset_origin"


@dataclass(frozen=True, slots=True, kw_only=True)
class ManualResetForbidden(Refusal):
    """R43: people may not start resets under this policy."""

    kind: ClassVar[str] = "manual_reset_forbidden"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "The policy leaves resets to automation and support."
    policy: str
    field: str = "manual"


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfResetForbidden(Refusal):
    """R40: whoever holds a stolen key could take its successor."""

    kind: ClassVar[str] = "self_reset_forbidden"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "The policy does not let a key reset itself; it may always revoke itself."
    policy: str
    field: str = "self_reset"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSecretForbidden(Refusal):
    """R42: secrets are made here, unless the policy allows customers to choose them."""

    kind: ClassVar[str] = "own_secret_forbidden"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "The policy does not let customers choose their own secrets."
    policy: str
    field: str = "own_secret"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdministratorTooNew(Refusal):
    """R24: two administrators are two people, and not one who makes another one for the purpose."""

    kind: ClassVar[str] = "administrator_too_new"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "This takes an administrator who was one before the reset was asked for."
    asked_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonRequired(Refusal):
    """A key never proves for a person, nor speaks for one (R40)."""

    kind: ClassVar[str] = "person_required"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "Only a signed-in person can do this; a key cannot."


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialRequired(Refusal):
    """An operator's program opens portals for people it knows; people sign in themselves."""

    kind: ClassVar[str] = "credential_required"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "Only a key can do this; a signed-in person cannot."


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountHeld(Refusal):
    """After a change of password, address or second factor; suspending, revoking and narrowing stay free."""

    kind: ClassVar[str] = "account_held"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The account has changed lately, so what widens a key has to wait."
    until: Instant
    policy: str
    field: str
