"""Passwords, as they are changed."""

from typing import Annotated, Any

from pydantic import Field

from keyturn.api.schemas.field import AnyPassword, Password, ShownText
from keyturn.api.schemas.form import Form, Shown


class ChangePassword(Form):
    """Another password of one's own; the present one proves."""

    password: AnyPassword
    new_password: Password
    remember_device: bool = False


class ForgotPassword(Form):
    """Whom to mail a link for a new password."""

    user: Annotated[str, Field(min_length=1, max_length=320, examples=["trader@example.com"])]


class SetPasswordAnew(Form):
    """A new password, by the token of a mailed link."""

    token: ShownText
    password: Password
    totp: ShownText | None = None
    recovery_code: ShownText | None = None
    passkey: dict[str, Any] | None = Field(default=None, description="What a passkey answers, as WebAuthn writes it.")


class SetPassword(Form):
    """Another password."""

    password: Password


class PasswordAnew(Shown):
    """Whose password was set, and a token by which this program is known at sign-in."""

    user_id: str
    device_token: str
