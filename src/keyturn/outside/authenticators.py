"""Second factors by their standards: TOTP by pyotp (RFC 6238), passkeys, recovery codes.

Nothing that could be used by whoever reads the database is stored: a TOTP secret is worked out from the pepper and
the authenticator's id, a recovery code is known by a digest under the pepper.
"""

import secrets
from base64 import b32encode
from collections.abc import Mapping, Sequence
from typing import Any, Final

from keyturn.core.account import User
from keyturn.core.authenticator import (
    RECOVERY_CHARS,
    RECOVERY_CODES,
    TOTP_DIGITS,
    TOTP_SECONDS,
    TOTP_SECRET_BYTES,
    TOTP_WINDOW,
    Authenticator,
    NewPasskey,
    read_code,
    read_totp,
)
from keyturn.core.instant import Instant
from keyturn.core.secret import SecretText
from keyturn.outside.passkeys import Passkeys, challenge_in
from keyturn.ports.forge import Forge

ISSUER: Final = "keyturn"
_CHALLENGE_BYTES: Final = 32
_GROUP: Final = 4
_CODE_BYTES: Final = RECOVERY_CHARS * 5 // 8


class SystemAuthenticators:
    """`ports.authenticators.Authenticators`."""

    def __init__(self, forge: Forge, *, base_url: str) -> None:
        self._forge = forge
        self._passkeys = Passkeys(base_url)

    @property
    def no_passkeys(self) -> str:
        """Why passkeys cannot be used here; empty where they can."""
        return self._passkeys.why_not

    def totp_secret(self, authenticator_id: str) -> SecretText:
        """The secret as a person types it into an app."""
        return SecretText(b32encode(self._forge.derived("totp", authenticator_id)[:TOTP_SECRET_BYTES]).decode())

    def totp_uri(self, authenticator_id: str, *, user_name: str) -> SecretText:
        """The secret as an app reads it from a QR code."""
        from pyotp import TOTP

        app = TOTP(self.totp_secret(authenticator_id).reveal, digits=TOTP_DIGITS, interval=TOTP_SECONDS)
        return SecretText(app.provisioning_uri(name=user_name, issuer_name=ISSUER))

    def totp_step(self, authenticator_id: str, code: str, *, now: Instant) -> int | None:
        """The time step that this is the code of, at most one away from now; None for a wrong code."""
        from pyotp import TOTP, OTPVerificationError

        app = TOTP(self.totp_secret(authenticator_id).reveal, digits=TOTP_DIGITS, interval=TOTP_SECONDS)
        try:
            return app.verify_and_get_timecode(read_totp(code), for_time=now, valid_window=TOTP_WINDOW)
        except OTPVerificationError:
            return None

    def new_recovery_codes(self) -> Sequence[SecretText]:
        """A set of them, in groups that can be read out."""
        return [SecretText(_grouped(secrets.token_bytes(_CODE_BYTES))) for _ in range(RECOVERY_CODES)]

    def recovery_digest(self, user_id: str, code: str) -> bytes:
        """What is stored of a user's new recovery code."""
        return self.recovery_digests(user_id, code)[0]

    def recovery_digests(self, user_id: str, code: str) -> Sequence[bytes]:
        """What may be stored of one, by whichever pepper was the newest then."""
        return self._forge.derived_by_each("recovery code", f"{user_id}\n{read_code(code)}")

    def new_challenge(self) -> bytes:
        """What a passkey is to sign."""
        return secrets.token_bytes(_CHALLENGE_BYTES)

    def challenge_in(self, credential: Mapping[str, Any]) -> bytes:
        """The challenge that a passkey says it signed."""
        return challenge_in(credential)

    def to_create(self, user: User, *, challenge: bytes, known: Sequence[bytes]) -> Mapping[str, Any]:
        """What `navigator.credentials.create()` takes."""
        return self._passkeys.to_create(user, challenge=challenge, known=known)

    def to_get(self, *, challenge: bytes, known: Sequence[bytes]) -> Mapping[str, Any]:
        """What `navigator.credentials.get()` takes."""
        return self._passkeys.to_get(challenge=challenge, known=known)

    def created(self, credential: Mapping[str, Any], *, challenge: bytes) -> NewPasskey | None:
        """The new passkey, or None where anything about it is wrong."""
        return self._passkeys.created(credential, challenge=challenge)

    def count_shown(
        self, credential: Mapping[str, Any], *, challenge: bytes, passkeys: Sequence[Authenticator]
    ) -> tuple[Authenticator, int] | None:
        """Which of these passkeys signed the challenge, and its own count of uses."""
        return self._passkeys.count_shown(credential, challenge=challenge, passkeys=passkeys)


def _grouped(entropy: bytes) -> str:
    text = b32encode(entropy).decode()
    return "-".join(text[at : at + _GROUP] for at in range(0, len(text), _GROUP))
