"""Keys and their secrets, as they are asked for and shown."""

from typing import Literal

from pydantic import ConfigDict
from pydantic.config import JsonDict

from keyturn.api.schemas.field import (
    BroughtKey,
    Id,
    Label,
    Moment,
    Name,
    Networks,
    OwnSecret,
    Permissions,
    PolicyName,
    Rate,
)
from keyturn.api.schemas.form import Form, Shown
from keyturn.api.schemas.receipt import ReceiptShown

_KEY_EXAMPLE: JsonDict = {
    "name": "trading bot",
    "permissions": ["orders:write", "*:read"],
    "allowlist": ["192.0.2.0/24"],
}


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


class ChangedKey(KeyShown):
    """A key after a stop or a resume."""

    receipt: ReceiptShown | None
