"""Second factors, as they are enrolled and shown."""

from typing import Literal

from keyturn.api.schemas.field import Code, Credential, Name
from keyturn.api.schemas.form import Form, Shown


class EnrolTotp(Form):
    """An authenticator app."""

    name: Name


class ConfirmTotp(Form):
    """A first code of it."""

    code: Code


class EnrolPasskey(Form):
    """A new passkey."""

    name: Name
    credential: Credential


class RenameAuthenticator(Form):
    """What it is called."""

    name: Name


class AuthenticatorShown(Shown):
    """A second factor."""

    id: str
    kind: Literal["totp", "passkey"]
    name: str
    made_at: str
    last_used_at: str | None


class AuthenticatorsShown(Shown):
    """The second factors of the caller."""

    items: list[AuthenticatorShown]
    recovery_codes_left: int


class TotpShown(AuthenticatorShown):
    """An app's secret, which is shown this once: as text, and as the address that a QR code holds."""

    secret: str
    uri: str


class EnrolledShown(AuthenticatorShown):
    """A second factor that proves from now on; with the first one, recovery codes, which are shown this once."""

    recovery_codes: list[str]


class RecoveryCodesShown(Shown):
    """A set of recovery codes, which is shown this once."""

    codes: list[str]
