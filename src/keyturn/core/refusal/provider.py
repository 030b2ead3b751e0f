"""Refused for signing in with a provider."""

from dataclasses import dataclass
from typing import ClassVar

from keyturn.core.refusal.refusal import Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderRefused(Refusal):
    """Not begun in this browser, too late, used before, or not the provider's word.  Which of these is not told."""

    kind: ClassVar[str] = "provider_refused"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "Signing in with the provider did not work; begin again."


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderAway(Refusal):
    kind: ClassVar[str] = "provider_unavailable"
    status: ClassVar[int] = 503
    title: ClassVar[str] = "The provider cannot be reached; sign in another way, or try again."


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityUnknown(Refusal):
    """Nobody signs in with that account of the provider's yet."""

    kind: ClassVar[str] = "identity_unknown"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "Nobody here is known by that account; sign in another way and connect it, or be invited."


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityTaken(Refusal):
    kind: ClassVar[str] = "identity_taken"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "Somebody signs in with that account of the provider's already."
