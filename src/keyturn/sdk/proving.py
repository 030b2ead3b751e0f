"""The calls of the API by which a person proves who they are, and keeps what they prove it with."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Generic

from keyturn.sdk.call import A, Call, delete, get, given, once, part, post

Credential = Mapping[str, Any]
"""What a browser's passkey call answered, in the JSON form of WebAuthn."""


class ProvingCalls(ABC, Generic[A]):
    """A part of `Calls`."""

    @abstractmethod
    def send(self, call: Call) -> A:
        """Send one call and answer its JSON object; raises `ApiError` where the server said no."""

    # Proofs of a reset

    def prove_reset(
        self,
        reset_id: str,
        *,
        kind: str,
        password: str | None = None,
        captcha: str | None = None,
        token: str | None = None,
        code: str | None = None,
        credential: Credential | None = None,
        idempotency_key: str | None = None,
    ) -> A:
        """Add one proof of who asks; each kind has its field.  `email_link` without a token mails one."""
        body = given(kind=kind, password=password, captcha=captcha, token=token, code=code, credential=credential)
        return self.send(once(f"/v1/resets/{part(reset_id)}/proofs", body, idempotency_key))

    def ask_passkey_for_reset(self, reset_id: str) -> A:
        """What a browser's passkey call takes to prove this reset."""
        return self.send(post(f"/v1/resets/{part(reset_id)}/proofs/passkey"))

    def get_captcha(self) -> A:
        """A CAPTCHA to solve."""
        return self.send(get("/v1/captcha"))

    # In a session, once more

    def show_again(
        self, *, kind: str, password: str | None = None, code: str | None = None, credential: Credential | None = None
    ) -> A:
        """Show again who is there; what changes second factors takes this within the last ten minutes."""
        body = given(kind=kind, password=password, code=code, credential=credential)
        return self.send(post("/v1/sessions/current/proofs", body))

    def ask_passkey(self) -> A:
        """What a browser's passkey call takes for that."""
        return self.send(post("/v1/sessions/current/proofs/passkey"))

    # Second factors

    def list_authenticators(self) -> A:
        """One's own second factors: `items` and `recovery_codes_left`."""
        return self.send(get("/v1/authenticators"))

    def enrol_totp(self, name: str) -> A:
        """Begin with a TOTP app; the answer has its `secret` and its `uri`, once."""
        return self.send(post("/v1/authenticators/totp", {"name": name}))

    def confirm_totp(self, authenticator_id: str, code: str) -> A:
        """Show the app's first code; the answer has `recovery_codes` with the first second factor, once."""
        return self.send(post(f"/v1/authenticators/totp/{part(authenticator_id)}/confirm", {"code": code}))

    def begin_passkey(self) -> A:
        """What a browser's passkey call takes to make a new one."""
        return self.send(post("/v1/authenticators/passkeys/challenge"))

    def enrol_passkey(self, name: str, credential: Credential) -> A:
        """Take a new passkey; the answer has `recovery_codes` with the first second factor, once."""
        return self.send(post("/v1/authenticators/passkeys", {"name": name, "credential": credential}))

    def make_recovery_codes(self) -> A:
        """Another set of `codes`, shown this once; the earlier set is worth nothing any more."""
        return self.send(post("/v1/authenticators/recovery-codes"))

    def rename_authenticator(self, authenticator_id: str, name: str) -> A:
        return self.send(Call(method="PATCH", path=f"/v1/authenticators/{part(authenticator_id)}", body={"name": name}))

    def remove_authenticator(self, authenticator_id: str) -> A:
        """Take a second factor away; with the last one go the recovery codes."""
        return self.send(delete(f"/v1/authenticators/{part(authenticator_id)}"))
