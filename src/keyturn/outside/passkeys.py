"""Passkeys (WebAuthn level 3) by py_webauthn, the extra `passkeys`: what a browser is asked, and what it answers.

Origin and relying party come from the configured base URL only, never from a request (pitfall 21).
The user must have been verified by the authenticator itself: a passkey that was only touched proves nobody.
"""

import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from keyturn.core.account import User
from keyturn.core.authenticator import CHALLENGE_LASTS, Authenticator, NewPasskey

_MILLISECONDS: Final = int(CHALLENGE_LASTS.total_seconds() * 1000)
_PRODUCT: Final = "keyturn"
LONGEST_ID: Final = 1023
"""As WebAuthn allows."""
LONGEST_KEY: Final = 4096


class Passkeys:
    """One relying party: the server as its base URL names it."""

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._rp_id = parts.hostname or ""

    @property
    def why_not(self) -> str:
        """Why passkeys cannot be used here; empty where they can."""
        if find_spec("webauthn") is None:
            return "the extra is not installed: pip install keyturn[passkeys]"
        if not self._rp_id or _is_address(self._rp_id):
            return "base_url does not name a host that passkeys can be bound to"
        return ""

    def to_create(self, user: User, *, challenge: bytes, known: Sequence[bytes]) -> Mapping[str, Any]:
        """What `navigator.credentials.create()` takes."""
        from webauthn import generate_registration_options, options_to_json
        from webauthn.helpers import structs

        options = generate_registration_options(
            rp_id=self._rp_id,
            rp_name=_PRODUCT,
            user_id=user.id.encode(),
            user_name=user.email,
            user_display_name=user.name or user.email,
            challenge=challenge,
            timeout=_MILLISECONDS,
            authenticator_selection=structs.AuthenticatorSelectionCriteria(
                resident_key=structs.ResidentKeyRequirement.PREFERRED,
                user_verification=structs.UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=[structs.PublicKeyCredentialDescriptor(id=one) for one in known],
        )
        made: dict[str, Any] = json.loads(options_to_json(options))
        return made

    def to_get(self, *, challenge: bytes, known: Sequence[bytes]) -> Mapping[str, Any]:
        """What `navigator.credentials.get()` takes."""
        from webauthn import generate_authentication_options, options_to_json
        from webauthn.helpers import structs

        options = generate_authentication_options(
            rp_id=self._rp_id,
            challenge=challenge,
            timeout=_MILLISECONDS,
            allow_credentials=[structs.PublicKeyCredentialDescriptor(id=one) for one in known],
            user_verification=structs.UserVerificationRequirement.REQUIRED,
        )
        made: dict[str, Any] = json.loads(options_to_json(options))
        return made

    def created(self, credential: Mapping[str, Any], *, challenge: bytes) -> NewPasskey | None:
        """The new passkey, or None where anything about it is wrong."""
        from webauthn import verify_registration_response

        if _framed(credential):
            return None
        try:
            made = verify_registration_response(
                credential=dict(credential),
                expected_challenge=challenge,
                expected_rp_id=self._rp_id,
                expected_origin=self._origin,
                require_user_verification=True,
            )
        except Exception:  # noqa: BLE001  # bytes from outside: whatever they break on, they are no passkey
            return None
        if len(made.credential_id) > LONGEST_ID or len(made.credential_public_key) > LONGEST_KEY:
            return None
        return NewPasskey(
            credential_id=made.credential_id, public_key=made.credential_public_key, sign_count=made.sign_count
        )

    def count_shown(
        self, credential: Mapping[str, Any], *, challenge: bytes, passkeys: Sequence[Authenticator]
    ) -> tuple[Authenticator, int] | None:
        """Which of these signed the challenge, and its own count of uses; None where none did."""
        from webauthn import verify_authentication_response

        named = _bytes(credential.get("id"))
        passkey = next((one for one in passkeys if one.credential_id == named), None)
        if passkey is None or _framed(credential):
            return None
        try:
            shown = verify_authentication_response(
                credential=dict(credential),
                expected_challenge=challenge,
                expected_rp_id=self._rp_id,
                expected_origin=self._origin,
                credential_public_key=passkey.public_key,
                credential_current_sign_count=0,  # the core compares the counts
                require_user_verification=True,
            )
        except Exception:  # noqa: BLE001  # as above
            return None
        return passkey, shown.new_sign_count


def challenge_in(credential: Mapping[str, Any]) -> bytes:
    """The challenge that a passkey says it signed; empty where nothing can be read."""
    return _bytes(_client_data(credential).get("challenge"))


def _framed(credential: Mapping[str, Any]) -> bool:
    """Whether the browser was asked by a page inside another site's frame."""
    return _client_data(credential).get("crossOrigin", False) is not False


def _client_data(credential: Mapping[str, Any]) -> Mapping[str, Any]:
    response = credential.get("response")
    try:
        read = json.loads(_bytes(response.get("clientDataJSON") if isinstance(response, dict) else None))
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def _bytes(text: object) -> bytes:
    if not isinstance(text, str):
        return b""
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return b""


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
