"""What the API takes and answers, as pydantic models: the edge is the only place that knows them.

Texts are read by the core's own parsers; a value that cannot be used is a 422 that names its field.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any, Generic, Literal, TypeVar
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, WithJsonSchema
from pydantic.config import JsonDict

from keyturn.core import allowlist, duration, instant, own_secret, password, permission, portal, public_key
from keyturn.core import limit as limits
from keyturn.core.account import Role, parse_username
from keyturn.core.address import parse_email
from keyturn.core.limit import Limit
from keyturn.core.public_key import PublicKey
from keyturn.core.reset import Reason
from keyturn.core.secret import LONGEST_LABEL, SecretText, check_label
from keyturn.edge.url import holds_secret
from keyturn.outside.words import LANGUAGES

T = TypeVar("T")
_PORTAL_EXAMPLE: JsonDict = {
    "account_id": "acc_3fJq0Zb7Yc2Lw9Xn4Tk1",
    "proofs": [{"kind": "password", "at": "2030-01-31T12:00:00Z"}],
}
LONGEST_NAME = 200
_KEY_EXAMPLE: JsonDict = {
    "name": "trading bot",
    "permissions": ["orders:write", "*:read"],
    "allowlist": ["192.0.2.0/24"],
}


def _text(parse: Callable[[str], T]) -> Callable[[Any], T]:
    def read(value: Any) -> T:  # noqa: ANN401  # anything may be sent
        if not isinstance(value, str):
            msg = "write a text"
            raise ValueError(msg)  # noqa: TRY004  # pydantic takes a ValueError
        return parse(value)

    return read


def texts(parse: Callable[[list[str]], tuple[str, ...]]) -> Callable[[Any], tuple[str, ...]]:
    """A list of texts, read by a parser of the core's."""

    def read(value: Any) -> tuple[str, ...]:  # noqa: ANN401  # as above
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            msg = "write a list of texts"
            raise ValueError(msg)
        return parse(value)

    return read


def _limit(value: Any) -> Limit:  # noqa: ANN401  # as above
    if isinstance(value, dict) and value.keys() == {"requests", "window"}:
        value = f"{value['requests']}/{value['window']}"
    return _text(limits.parse)(value)


def _name(value: str) -> str:
    if not value.strip() or len(value) > LONGEST_NAME or not value.isprintable():
        msg = f"1 to {LONGEST_NAME} printable characters"
        raise ValueError(msg)
    return _no_secret(value)


def _no_secret(value: str) -> str:
    if holds_secret(value):
        msg = "that is a secret; consider it leaked and reset its key"
        raise ValueError(msg)
    return value


def _language(value: str) -> str:
    if value not in LANGUAGES:
        msg = f"one of {', '.join(LANGUAGES)}"
        raise ValueError(msg)
    return value


def _address(value: str) -> str:
    portal.origin_of(value)
    return value


def _zone(value: str) -> str:
    try:
        return ZoneInfo(value).key
    except (KeyError, ValueError, OSError):
        msg = "a time zone such as Europe/Berlin"
        raise ValueError(msg) from None


def _schema(**schema: object) -> WithJsonSchema:
    return WithJsonSchema(schema)


ARRAY = {"type": "array", "items": {"type": "string"}}
Moment = Annotated[datetime, PlainValidator(_text(instant.from_text)), _schema(type="string", format="date-time")]
Span = Annotated[
    timedelta,
    PlainValidator(_text(duration.parse)),
    _schema(type="string", examples=["90d", "24h", "30m", "0s", "P1D"], description="A duration, never a bare number."),
]
Permissions = Annotated[
    tuple[str, ...],
    PlainValidator(texts(permission.parse_set)),
    WithJsonSchema(ARRAY | {"examples": [["orders:write", "*:read"]]}),
]
Networks = Annotated[
    tuple[str, ...],
    PlainValidator(texts(allowlist.parse_set)),
    WithJsonSchema(ARRAY | {"examples": [["192.0.2.0/24", "2001:db8::/32"]]}),
]
Rate = Annotated[
    Limit,
    PlainValidator(_limit),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "examples": ["100/1m"]},
                {
                    "type": "object",
                    "properties": {"requests": {"type": "integer"}, "window": {"type": "string"}},
                    "required": ["requests", "window"],
                },
            ]
        }
    ),
]
Name = Annotated[str, PlainValidator(_text(_name)), _schema(type="string", minLength=1, maxLength=LONGEST_NAME)]
Email = Annotated[str, PlainValidator(_text(parse_email)), _schema(type="string", format="email", maxLength=320)]
AnyPassword = Annotated[str, Field(max_length=password.MOST, json_schema_extra={"format": "password"})]
Password = Annotated[
    str,
    Field(
        min_length=1,
        max_length=password.MOST,
        json_schema_extra={"format": "password"},
        description=f"At least {password.LEAST} characters, {password.LEAST_WITH_SECOND_FACTOR} with a second factor.",
    ),
]
Username = Annotated[
    str,
    PlainValidator(_text(parse_username)),
    _schema(type="string", minLength=3, maxLength=32, examples=["trader.one"]),
]
Language = Annotated[str, PlainValidator(_text(_language)), _schema(type="string", enum=list(LANGUAGES))]
Zone = Annotated[str, PlainValidator(_text(_zone)), _schema(type="string", examples=["Europe/Berlin"])]
ShownText = Annotated[str, Field(min_length=1, max_length=200)]
RoleName = Literal["owner", "admin", "member", "auditor", "support", "security"]
PolicyName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$", examples=["tradingonramp"])]
Id = Annotated[str, Field(pattern=r"^[!-~]{1,64}$", examples=["acc_3fJq0Zb7Yc2Lw9Xn4Tk1"])]
ShortText = Annotated[
    str, BeforeValidator(_text(_name)), Field(max_length=LONGEST_NAME, json_schema_extra={"minLength": 1})
]


Origin = Annotated[
    str,
    PlainValidator(_text(portal.read_origin)),
    _schema(type="string", maxLength=300, examples=["https://app.example.com"]),
]
Address = Annotated[
    str,
    PlainValidator(_text(_address)),
    _schema(type="string", format="uri", maxLength=portal.LONGEST_ADDRESS, examples=["https://app.example.com/keys"]),
]


ReasonGiven = Literal["lost", "leaked", "suspicious", "routine", "personnel", "policy"]
Label = Annotated[
    str,
    PlainValidator(_text(check_label)),
    _schema(type="string", pattern=r"^[a-z0-9]+(_[a-z0-9]+)*$", maxLength=LONGEST_LABEL),
]
BroughtKey = Annotated[
    PublicKey,
    PlainValidator(_text(public_key.parse)),
    _schema(
        type="string",
        maxLength=public_key.LONGEST_TEXT,
        description="An Ed25519 public key, in PEM or its 32 bytes in base64; its other half signs the requests.",
    ),
]
OwnSecret = Annotated[
    SecretText,
    PlainValidator(_text(SecretText)),
    _schema(
        type="string",
        format="password",
        minLength=own_secret.SHORTEST,
        maxLength=own_secret.LONGEST,
        description="A secret of the customer's own choice, where the policy allows it.",
    ),
]


class Form(BaseModel):
    """What a caller sends: unknown fields are refused, nothing is coerced."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Brings(Form):
    """What may be brought in place of a secret made here (R42); one of the two."""

    public_key: BroughtKey | None = None
    own_secret: OwnSecret | None = None


class CreateKey(Brings):
    """A new key.  Account and owner default to the caller's own."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, json_schema_extra={"examples": [_KEY_EXAMPLE]})

    name: Name
    environment: Literal["live", "test"] = "live"
    permissions: Permissions = ("*:read",)
    allowlist: Networks = ()
    expires_at: Moment | None = None
    policy: PolicyName | None = None
    limit: Rate | None = None
    account_id: Id | None = None
    owner_id: Id | None = None
    label: Label | None = None


class EditKey(Form):
    """What is to be other than it is; a field left out stays, null drops an expiry, a limit or the key's own policy."""

    name: Name | None = None
    permissions: Permissions | None = None
    allowlist: Networks | None = None
    expires_at: Moment | None = None
    policy: PolicyName | None = None
    limit: Rate | None = None


class Why(Form):
    """Why something is stopped, in the caller's words."""

    reason: ShortText | None = None


class Nothing(Form):
    """A call that takes no fields."""


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


Code = Annotated[str, Field(max_length=64, examples=["123456"])]
Credential = Annotated[dict[str, Any], Field(description="What the browser's passkey call answered, in its JSON form.")]


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


class ShowAgain(Form):
    """Once more who is there, in a session that is signed in."""

    kind: Literal["password", "totp", "passkey", "recovery_code"]
    password: AnyPassword | None = None
    code: Code | None = None
    credential: Credential | None = None


class CreateUser(Form):
    """A person, as a member of an account."""

    email: Email
    name: Name | None = None
    username: Username | None = None
    password: Password | None = None
    role: RoleName = Role.MEMBER.value
    account_id: Id | None = None


class AddMember(Form):
    """Somebody who is a user already."""

    user_id: Id
    role: RoleName = Role.MEMBER.value


class EditMember(Form):
    """Another role."""

    role: RoleName


class Invite(Form):
    """Whom to invite, as what."""

    email: Email
    role: RoleName = Role.MEMBER.value
    language: Language | None = None


class AcceptInvitation(Form):
    """Who somebody wants to be who was invited."""

    token: ShownText
    name: Name
    username: Username | None = None
    password: Password
    language: Language | None = None
    remember_device: bool = False


class JoinAccount(Form):
    """By the token of a mailed link."""

    token: ShownText


class EditUser(Form):
    """What is to be other than it is; null drops user name, language or zone."""

    name: Name | None = None
    username: Username | None = None
    language: Language | None = None
    time_zone: Zone | None = None


class ChangePassword(Form):
    """Another password of one's own; the present one proves."""

    password: AnyPassword
    new_password: Password
    remember_device: bool = False


class AddAddress(Form):
    """A further address."""

    email: Email


class ConfirmAddress(Form):
    """By the token of a mailed link."""

    token: ShownText


class ShowPassword(Form):
    """The present password."""

    password: AnyPassword


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


class CreateAccount(Form):
    """A customer of the operator."""

    name: Name
    policy: PolicyName | None = None
    floor: PolicyName | None = None
    reset_allowlist: Networks = ()
    max_keys_per_user: int | None = Field(default=None, ge=1, le=1_000_000)


class EditAccount(Form):
    """What is to be other than it is; null drops policy, floor or limit."""

    name: Name | None = None
    policy: PolicyName | None = None
    floor: PolicyName | None = None
    reset_allowlist: Networks | None = None
    max_keys_per_user: int | None = Field(default=None, ge=1, le=1_000_000)


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
    user_id: Id | None = Field(default=None, description="A member of the account; its owner where nobody is named.")
    proofs: tuple[VouchedProof, ...] = Field(
        default=(), max_length=5, strict=False, description="What you have seen this person show, and when."
    )
    embed_origin: Origin | None = Field(
        default=None, description="The one origin whose pages may frame it; the setting `portal_origins` names it."
    )
    return_url: Address | None = Field(
        default=None, description="Where its pages lead back to; the setting `portal_origins` names its origin."
    )


class ChooseAccount(Form):
    """For which account a session is to speak."""

    account_id: Id


class StorePolicy(BaseModel):
    """A policy of the operator's own: what differs from its base.  The other fields are those of GET /v1/policies."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    name: PolicyName
    base: PolicyName | None = None
    dry_run: bool = False


class Shown(BaseModel):
    """What the API answers."""

    model_config = ConfigDict(extra="forbid")


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


class SuspensionShown(Shown):
    """Since when, by whom and why a key is suspended."""

    at: str
    by: str
    reason: str
    reset_id: str | None


class SecretShown(Shown):
    """One version of a secret, without the secret."""

    version: int
    hint: str
    created_at: str
    starts_at: str
    dangerous_starts_at: str
    stops_at: str | None
    stopped_at: str | None
    stop_reason: str | None
    replaced_by: str | None
    last_used_at: str | None
    public_key: str | None


class KeyShown(Shown):
    """A key."""

    id: str
    account_id: str
    owner_id: str
    name: str
    environment: str
    label: str | None
    kind: Literal["made", "public_key", "own"]
    status: Literal["active", "not_yet_active", "awaiting_reset", "suspended", "expired", "revoked"]
    version: int
    hint: str
    permissions: list[str]
    allowlist: list[str]
    limit: str | None
    policy: str | None
    expires_at: str | None
    created_at: str
    created_by: str
    last_used_at: str | None
    suspended: SuspensionShown | None
    revoked_at: str | None
    secrets: list[SecretShown]


class AgeShown(Shown):
    """How old the newest secret is, by the policy in force."""

    since: str
    state: Literal["fresh", "due_soon", "overdue"]
    due_at: str | None
    then: Literal["remind", "require_reset", "suspend"] | None
    policy: str


class ComingShown(Shown):
    """One thing that is to happen to a key, and the policy and field that say so; null where its own dates do."""

    at: str
    what: Literal[
        "remind", "require_reset", "suspend", "expire", "drop_write", "stop", "stop_old", "start_new", "hold_ends"
    ]
    policy: str | None
    field: str | None


class AgedKey(KeyShown):
    """A key with its age and what is coming for it, soonest first."""

    age: AgeShown
    coming: list[ComingShown]


class CreatedKey(KeyShown):
    """A key with its secret, which is shown this once."""

    secret: str | None
    secret_shown: bool


class VerifiersShown(Shown):
    """Who has confirmed, who was waited out, who is not under a lease."""

    acknowledged: int
    waited_out: list[str]
    unleased: list[str]


class ReceiptShown(Shown):
    """Since when the old state is refused everywhere (R53)."""

    reset: str | None
    key: str | None
    rev: int
    epoch: int
    stopped_at: str | None
    confirmed: bool
    reason: str | None
    waited_ms: int
    verifiers: VerifiersShown


class ChangedKey(KeyShown):
    """A key after a stop or a resume."""

    receipt: ReceiptShown | None


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


class MembershipShown(Shown):
    """A user's part in an account."""

    account_id: str
    role: str


class MemberShown(MembershipShown):
    """A member, with who they are."""

    user_id: str
    email: str
    name: str


class MembersShown(Shown):
    """Every member of an account."""

    items: list[MemberShown]


class RemovedMember(Shown):
    """Who is no member any more, and what became of their keys."""

    account_id: str
    user_id: str
    handed_over: list[str]
    suspended: list[str]


class InvitationShown(Shown):
    """An invitation, without its link."""

    id: str
    account_id: str
    email: str
    role: str
    invited_by: str
    made_at: str
    ends_at: str
    ended_at: str | None


class InvitationsShown(Shown):
    """Every invitation that can still be accepted."""

    items: list[InvitationShown]


class UserShown(Shown):
    """A person."""

    id: str
    email: str
    name: str
    username: str | None
    language: str | None
    time_zone: str | None
    created_at: str
    memberships: list[MembershipShown]


class AccountShown(Shown):
    """An account."""

    id: str
    name: str
    created_at: str
    policy: str | None
    floor: str | None
    reset_allowlist: list[str]
    max_keys_per_user: int | None


class SuspendedAccount(Shown):
    """How many keys of an account were suspended."""

    account_id: str
    keys: int
    receipt: ReceiptShown


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


class AddressShown(Shown):
    """A further address."""

    id: str
    email: str
    made_at: str
    confirmed_at: str | None


class AddressesShown(Shown):
    """Every further address."""

    items: list[AddressShown]


class PasswordAnew(Shown):
    """Whose password was set, and a token by which this program is known at sign-in."""

    user_id: str
    device_token: str


class SessionsShown(Shown):
    """Every session that is on."""

    items: list[SessionShown]


class CaptchaShown(Shown):
    """A CAPTCHA to solve; with ALTCHA `parameters` and `signature` are its challenge."""

    provider: Literal["altcha", "turnstile", "hcaptcha", "recaptcha"]
    site_key: str | None = None
    parameters: dict[str, Any] | None = None
    signature: str | None = None


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


class SessionProofShown(Shown):
    """What was shown again, until when it counts as recent, and the session's new token, which is shown this once."""

    kind: str
    at: str
    recent_until: str
    token: str


class PolicyShown(Shown):
    """A policy."""

    name: str
    version: int
    base: str | None
    preset: bool
    fields: dict[str, Any]
    sources: dict[str, str] | None


class ImpactShown(Shown):
    """What a policy finds when it is put in place (R32)."""

    keys: int
    keys_due: list[str]
    owners_over_limit: list[str]
    open_resets: list[str]


class StoredPolicy(PolicyShown):
    """A policy, and what it changes now."""

    impact: ImpactShown


class ExplainedField(Shown):
    """One field of the policy in force, and what made it so (R31)."""

    value: Any
    source: str = Field(alias="from")
    strictness: str
    doc: str


class ExplainedPolicy(Shown):
    """The policy in force, field by field."""

    policy: str
    fields: dict[str, ExplainedField]


class AuditShown(Shown):
    """One record of the audit log."""

    number: int
    at: str
    actor_id: str
    user_id: str
    channel: str
    address: str | None
    session: str
    action: str
    outcome: str
    account_id: str
    subject_id: str
    detail: dict[str, str]


class PageShown(Shown, Generic[T]):
    """A part of a list; `next_cursor` asks for the next."""

    items: list[T]
    next_cursor: str | None


class Problem(BaseModel):
    """A refusal (RFC 9457), decided upon by `code`."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    code: str
