"""Portals, as they are asked for and shown."""

from typing import Literal

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from keyturn.api.schemas.field import Address, Id, Moment, Origin
from keyturn.api.schemas.form import Form, Shown

_PORTAL_EXAMPLE: JsonDict = {
    "account_id": "acc_3fJq0Zb7Yc2Lw9Xn4Tk1",
    "proofs": [{"kind": "password", "at": "2030-01-31T12:00:00Z"}],
}


class VouchedProof(Form):
    """One fact about who this is, as the operator's own sign-in has seen it."""

    kind: Literal["password", "totp", "passkey", "captcha", "email_link"]
    at: Moment


class CreatePortalSession(Form):
    """The pages of one person's keys, for somebody whom the operator knows."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, json_schema_extra={"examples": [_PORTAL_EXAMPLE]}
    )

    account_id: Id
    user_id: Id | None = Field(
        default=None, description="A member of the account; may be left out where it has one owner: them."
    )
    proofs: tuple[VouchedProof, ...] = Field(
        default=(), max_length=5, strict=False, description="What you have seen this person show, and when."
    )
    embed_origin: Origin | None = Field(
        default=None, description="The one origin whose pages may frame it; the setting `portal_origins` names it."
    )
    return_url: Address | None = Field(
        default=None, description="Where its pages lead back to; the setting `portal_origins` names its origin."
    )


class VouchedShown(Shown):
    """A proof that an operator vouches for."""

    kind: str
    at: str


class PortalShown(Shown):
    """A link that opens once.  The address is a secret until then, in this answer and nowhere else."""

    id: str
    account_id: str
    user_id: str
    url: str
    made_at: str
    ends_at: str
    """Until when it may be opened; what it opens lasts for 30 minutes."""
    proofs: list[VouchedShown]
    """Those that count for a reset as things stand; the person is asked for the rest."""
    embed_origin: str | None
    return_url: str | None
