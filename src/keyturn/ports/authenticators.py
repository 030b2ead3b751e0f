"""Authenticators, by their standards."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from keyturn.core.account import User
from keyturn.core.authenticator import Authenticator, NewPasskey
from keyturn.core.instant import Instant
from keyturn.core.secret import SecretText


class Authenticators(Protocol):
    """Second factors by their standards: TOTP (RFC 6238), passkeys (WebAuthn), recovery codes.

    They have no outage.  Where passkeys cannot be used, `no_passkeys` says why, and nobody is proved by one.
    """

    @property
    def no_passkeys(self) -> str: ...
    def totp_secret(self, authenticator_id: str) -> SecretText: ...
    def totp_uri(self, authenticator_id: str, *, user_name: str) -> SecretText: ...
    def totp_step(self, authenticator_id: str, code: str, *, now: Instant) -> int | None: ...
    def new_recovery_codes(self) -> Sequence[SecretText]: ...
    def recovery_digest(self, user_id: str, code: str) -> bytes: ...
    def recovery_digests(self, user_id: str, code: str) -> Sequence[bytes]: ...
    def new_challenge(self) -> bytes: ...
    def to_create(self, user: User, *, challenge: bytes, known: Sequence[bytes]) -> Mapping[str, Any]:
        """What `navigator.credentials.create()` takes, in its JSON form."""
        ...

    def to_get(self, *, challenge: bytes, known: Sequence[bytes]) -> Mapping[str, Any]:
        """What `navigator.credentials.get()` takes, in its JSON form."""
        ...

    def challenge_in(self, credential: Mapping[str, Any]) -> bytes:
        """The challenge that a passkey says it signed; empty where it says nothing that can be read."""
        ...

    def created(self, credential: Mapping[str, Any], *, challenge: bytes) -> NewPasskey | None:
        """The new passkey, or None where anything about it is wrong."""
        ...

    def count_shown(
        self, credential: Mapping[str, Any], *, challenge: bytes, passkeys: Sequence[Authenticator]
    ) -> tuple[Authenticator, int] | None:
        """Which of these passkeys signed the challenge, and its own count of uses; None where none did."""
        ...
