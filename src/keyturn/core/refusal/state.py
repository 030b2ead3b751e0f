"""Refused for the state of what is asked about: absent, taken, ended or full."""

from dataclasses import dataclass
from typing import ClassVar

from keyturn.core.instant import Instant
from keyturn.core.refusal.refusal import Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class TooManyAddresses(Refusal):
    kind: ClassVar[str] = "too_many_addresses"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "No more addresses can be told; remove one first."
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NotFound(Refusal):
    """Absent and somebody else's look alike (pitfall 18)."""

    kind: ClassVar[str] = "not_found"
    status: ClassVar[int] = 404
    title: ClassVar[str] = "There is no such thing here."


@dataclass(frozen=True, slots=True, kw_only=True)
class NameTaken(Refusal):
    kind: ClassVar[str] = "name_taken"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "That name is in use already."
    field: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKeyUsed(Refusal):
    """R42: each secret of each key is a new one, and so is each public key."""

    kind: ClassVar[str] = "public_key_used"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "This public key was brought here before; make a new pair."


@dataclass(frozen=True, slots=True, kw_only=True)
class AlreadyMember(Refusal):
    kind: ClassVar[str] = "already_member"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "This person is a member of the account already."


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressUnconfirmed(Refusal):
    """Nobody signs in with an address that no mail has reached."""

    kind: ClassVar[str] = "address_unconfirmed"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "Open the link that was mailed to this address first."


@dataclass(frozen=True, slots=True, kw_only=True)
class LastOwner(Refusal):
    """An account without an owner would be nobody's to look after."""

    kind: ClassVar[str] = "last_owner"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "An account keeps at least one owner; name another one first."


@dataclass(frozen=True, slots=True, kw_only=True)
class TooManyInvitations(Refusal):
    kind: ClassVar[str] = "too_many_invitations"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "Too many invitations are open; withdraw some."
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRevoked(Refusal):
    kind: ClassVar[str] = "key_revoked"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The key is revoked; nothing brings it back."
    revoked_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyExpired(Refusal):
    kind: ClassVar[str] = "key_expired"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The key has expired; a reset never revives one."
    expired_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyChanged(Refusal):
    """The key has moved on since the caller looked, or since this request arrived (R14, R15).

    A server that had been cut off may not have heard yet of what the caller knows.  Whoever means the key as it is now
    asks again with `expected_version`, which alone decides then.
    """

    kind: ClassVar[str] = "key_changed"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The key has moved on; look at it again."
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookLimitReached(Refusal):
    kind: ClassVar[str] = "webhook_limit_reached"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "This account has as many webhooks as allowed."
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyLimitReached(Refusal):
    kind: ClassVar[str] = "key_limit_reached"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "This user has as many live keys as allowed."
    limit: int
    policy: str
    field: str = "max_keys_per_user"
