"""Resets and their proofs, as they are asked for and shown."""

from typing import Annotated, Literal

from pydantic import Field

from keyturn.api.schemas.field import AnyPassword, Code, Credential, Moment, Networks, Permissions, ReasonGiven, Span
from keyturn.api.schemas.form import Form, Shown
from keyturn.api.schemas.key import Brings
from keyturn.api.schemas.receipt import ReceiptShown
from keyturn.core.reset import Reason


class Narrow(Form):
    """What a reset takes away in the same step; it never widens."""

    permissions: Permissions | None = None
    allowlist: Networks | None = None
    expires_at: Moment | None = None


class AskReset(Brings):
    """Ask for a reset; the reason decides the order."""

    reason: ReasonGiven
    grace: Span | None = None
    expected_version: int | None = Field(default=None, ge=1, le=2**31 - 1)
    narrow: Narrow | None = None
    waive_cool_down: bool = False
    suspend_created_since: Moment | None = None
    claim: bool = Field(
        default=False,
        description="Order it for the key's owner to claim: no secret is made now.  A grace counts from now, and by its"
        " end the old secret stops, claimed or not.",
    )


class AskOwnReset(Form):
    """A key asks for its own reset."""

    reason: ReasonGiven = Reason.ROUTINE.value
    grace: Span | None = None
    expected_version: int | None = Field(default=None, ge=1, le=2**31 - 1)


class ShowProof(Form):
    """One proof of who asks; each kind has its field.

    `email_link` without a token mails one.  `recovery_code` stands for `totp` or `passkey`, and is spent.
    """

    kind: Literal["password", "captcha", "email_link", "totp", "passkey", "recovery_code", "administrator"]
    password: AnyPassword | None = None
    captcha: Annotated[str | None, Field(max_length=8192, description="What the CAPTCHA's widget answered.")] = None
    token: Annotated[str | None, Field(max_length=128, description="The token at the end of the mailed link.")] = None
    code: Code | None = None
    credential: Credential | None = None


class GapShown(Shown):
    """A stretch in which no secret of the key is accepted."""

    since: str
    until: str | None


class UseShown(Shown):
    """Who still uses the old secret."""

    address: str
    permission: str
    user_agent: str
    last_seen: str
    count: int


class ProofShown(Shown):
    """A proof that was accepted."""

    kind: str
    at: str


class ResetShown(Shown):
    """A reset as it stands.  Before it is minted its dates are a plan: what they would be if it were minted now."""

    id: str
    key_id: str
    account_id: str
    owner_id: str
    reason: str
    channel: str
    asked_by: str | None
    ordered_by: str | None
    claimed_at: str | None
    stage: Literal["asked", "proven", "minted", "settled", "ended"]
    missing: list[str]
    policy: str
    asked_at: str
    lapses_at: str
    old_version: int | None
    new_version: int | None
    minted_at: str | None
    new_starts_at: str | None
    old_stops_at: str | None
    gap: GapShown | None
    first_used_at: str | None
    ended_at: str | None
    end_reason: str | None
    used_by: list[UseShown]
    proofs: list[ProofShown]


class PreviewField(Shown):
    """A value that decides the dates, and the policy that made it so."""

    value: str
    policy: str


class PreviewShown(Shown):
    """What a reset would do if it were asked and minted now; nothing has been asked."""

    key_id: str
    version: int
    reason: str
    order: Literal["revoke_first", "create_first", "two_step"]
    missing: list[str]
    policy: str
    cool_down: PreviewField
    cool_down_scope: PreviewField
    grace: PreviewField
    waits_for_first_use: bool
    new_starts_at: str
    dangerous_starts_at: str
    old_stops_at: str | None
    gap: GapShown | None
    called_by: list[UseShown]
    untouched: list[str]


class MintedReset(ResetShown):
    """A reset, with the new secret where this very call has minted it."""

    secret: str | None
    secret_shown: bool
    receipt: ReceiptShown | None
