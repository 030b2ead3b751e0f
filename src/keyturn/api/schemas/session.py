"""Signing in, and sessions as they are shown."""

from typing import Annotated, Any, Literal

from pydantic import Field

from keyturn.api.schemas.field import AnyPassword, Code, Credential, Id, ShownText
from keyturn.api.schemas.form import Form, Shown


class ShowAgain(Form):
    """Once more who is there, in a session that is signed in."""

    kind: Literal["password", "totp", "passkey", "recovery_code"]
    password: AnyPassword | None = None
    code: Code | None = None
    credential: Credential | None = None


class SignIn(Form):
    """Open a session with a password."""

    user: Annotated[str, Field(min_length=1, max_length=320, examples=["trader@example.com"])]
    password: AnyPassword
    account_id: Id | None = None
    totp: ShownText | None = None
    recovery_code: ShownText | None = None
    captcha: Annotated[str, Field(max_length=8192)] | None = Field(
        default=None, description="What solves the challenge of `GET /v1/captcha`; asked for by `captcha_required`."
    )
    device: ShownText | None = Field(default=None, description="The `device_token` of an earlier sign-in.")
    remember_device: bool = False


class ChooseAccount(Form):
    """For which account a session is to speak."""

    account_id: Id


class SessionShown(Shown):
    """A session of one's own, without its token."""

    id: str
    user_id: str
    account_id: str
    role: str
    kind: Literal["person", "portal"]
    how: list[str]
    current: bool
    started_at: str
    seen_at: str
    idle_ends_at: str
    ends_at: str
    address: str | None
    user_agent: str


class NewSession(SessionShown):
    """A session with its token, which is shown this once."""

    token: str
    device_token: str | None


class SessionsShown(Shown):
    """Every session that is on."""

    items: list[SessionShown]


class CaptchaShown(Shown):
    """A CAPTCHA to solve; with ALTCHA `parameters` and `signature` are its challenge."""

    provider: Literal["altcha", "turnstile", "hcaptcha", "recaptcha"]
    site_key: str | None = None
    parameters: dict[str, Any] | None = None
    signature: str | None = None


class SessionProofShown(Shown):
    """What was shown again, until when it counts as recent, and the session's new token, which is shown this once."""

    kind: str
    at: str
    recent_until: str
    token: str
