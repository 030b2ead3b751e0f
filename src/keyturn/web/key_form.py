"""The form of a key: read back into what a flow takes, with a sentence beside each field that cannot be used."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final, Self

from keyturn.core import allowlist, permission
from keyturn.core import limit as limits
from keyturn.core import public_key as public_keys
from keyturn.core.instant import FOREVER, Instant
from keyturn.core.key import Key
from keyturn.core.limit import Limit
from keyturn.core.public_key import PublicKey
from keyturn.core.refusal import (
    AllowlistRequired,
    AllowlistTooLong,
    ExpiryRequired,
    InvalidField,
    NameTaken,
    OwnSecretRefused,
    PublicKeyUsed,
    Refusal,
    WiderThanActor,
)
from keyturn.core.secret import ENVIRONMENTS, SecretText
from keyturn.flow.key import KeyEdit
from keyturn.flow.new_key import KeyWish
from keyturn.web.browser import Browser
from keyturn.web.form import Form
from keyturn.web.name import wrong_name

_FIELDS: Final = ("name", "environment", "permissions", "allowlist", "limit", "expires", "kind", "label", "public_key")
_SAYS_WHAT_IS_WRONG: Final = frozenset({*_FIELDS, "own_secret"} - {"environment", "kind"})
_BESIDE: Final[Mapping[type[Refusal], str]] = {
    AllowlistRequired: "allowlist",
    AllowlistTooLong: "allowlist",
    ExpiryRequired: "expires",
    OwnSecretRefused: "own_secret",
    PublicKeyUsed: "public_key",
    WiderThanActor: "permissions",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyForm:
    """What was typed, and what is wrong with it.  An own secret is never shown again."""

    fields: Mapping[str, str]
    wrong: Mapping[str, str]

    @classmethod
    def typed(cls, form: Form, wrong: Mapping[str, str] | None = None) -> Self:
        """The fields as they were typed."""
        return cls(fields={name: form.raw(name) for name in _FIELDS}, wrong=wrong or {})

    @classmethod
    def refused(cls, form: Form, refusal: Refusal, said: str) -> tuple[Self, str]:
        """The form with the refusal beside the field that it is about; or, where it is about none, as a text."""
        field = refusal.field if isinstance(refusal, InvalidField | NameTaken) else _BESIDE.get(type(refusal), "")
        known = field in _SAYS_WHAT_IS_WRONG
        return cls.typed(form, {field: said} if known else {}), "" if known else said


def empty() -> KeyForm:
    """The form of a new key, with the defaults."""
    plain = dict.fromkeys(_FIELDS, "")
    return KeyForm(fields=plain | {"environment": "live", "permissions": "*:read", "kind": "generated"}, wrong={})


def filled(key: Key) -> KeyForm:
    """The form with a key's fields in it."""
    plain = dict.fromkeys(_FIELDS, "") | {
        "name": key.name,
        "permissions": "\n".join(key.permissions),
        "allowlist": "\n".join(key.allowlist),
        "limit": limits.to_text(key.limit) if key.limit else "",
        "expires": "" if key.expires_at >= FOREVER else key.expires_at.date().isoformat(),
    }
    return KeyForm(fields=plain, wrong={})


def stamp(key: Key) -> str:
    """What the form was filled from: sent back with it, so that an old page undoes nothing done since (pitfall 3)."""
    return sha256(repr(sorted(filled(key).fields.items())).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """What a new key is to be, and what is brought for it."""

    wish: KeyWish
    public_key: PublicKey | None
    own_secret: SecretText | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """The fields that new and changed keys share."""

    name: str
    permissions: tuple[str, ...]
    allowlist: tuple[str, ...]
    limit: Limit | None
    expires_at: Instant | None


def read_wish(form: Form, browser: Browser, *, now: Instant) -> NewKey | KeyForm:
    """What a new key is to be, or the form with its faults."""
    read, wrong = _read(form, browser, now=now)
    if form("environment") not in ENVIRONMENTS:
        wrong["environment"] = browser.words("wrong.choice")
    public_key, own_secret = brought(form, browser, wrong)
    if wrong:
        return KeyForm.typed(form, wrong)
    wish = KeyWish(
        name=read.name,
        environment=form("environment"),
        permissions=read.permissions,
        allowlist=read.allowlist,
        limit=read.limit,
        expires_at=read.expires_at,
        policy="",
        account_id=None,
        owner_id=None,
        label=form("label"),
    )
    return NewKey(wish=wish, public_key=public_key, own_secret=own_secret)


def brought(form: Form, browser: Browser, wrong: dict[str, str]) -> tuple[PublicKey | None, SecretText | None]:
    """The public key or the own secret that a form brings; what cannot be used is put down in `wrong` (R42)."""
    kind, own_secret = form("kind"), form.raw("own_secret")
    if kind == "own_secret":
        if not own_secret:
            wrong["own_secret"] = browser.words("wrong.own_secret")
        return None, SecretText(own_secret)
    if kind != "public_key":
        return None, None
    try:
        return public_keys.parse(form("public_key")), None
    except ValueError:
        wrong["public_key"] = browser.words("wrong.public_key")
        return None, None


def read_edit(form: Form, key: Key, browser: Browser, *, now: Instant) -> KeyEdit | KeyForm:
    """What is to change, or the form with its faults."""
    read, wrong = _read(form, browser, now=now)
    if wrong:
        return KeyForm.typed(form, wrong)
    kept = read.expires_at is not None and read.expires_at.date() == key.expires_at.date()
    expires_at = None if kept else read.expires_at or FOREVER
    return KeyEdit(
        name=read.name,
        permissions=read.permissions,
        allowlist=read.allowlist,
        limit=read.limit,
        drop_limit=read.limit is None and key.limit is not None,
        expires_at=None if expires_at == key.expires_at else expires_at,
    )


def _read(form: Form, browser: Browser, *, now: Instant) -> tuple[_Read, dict[str, str]]:
    words, wrong = browser.words, dict[str, str]()
    read = _Read(name=form("name"), permissions=(), allowlist=(), limit=None, expires_at=None)
    if wrong_text := wrong_name(read.name, words):
        wrong["name"] = wrong_text
    try:
        read = replace(read, permissions=permission.parse_set(form.lines("permissions")))
    except ValueError:
        wrong["permissions"] = words("wrong.permissions")
    try:
        read = replace(read, allowlist=allowlist.parse_set(form.lines("allowlist")))
    except ValueError:
        wrong["allowlist"] = words("wrong.allowlist")
    try:
        read = replace(read, limit=limits.parse(form("limit")) if form("limit") else None)
    except ValueError:
        wrong["limit"] = words("wrong.limit")
    try:
        read = replace(read, expires_at=_end_of_day(form("expires"), browser) if form("expires") else None)
    except (ValueError, OverflowError):
        wrong["expires"] = words("wrong.expires")
    if read.expires_at is not None and read.expires_at <= now:
        wrong["expires"] = words("wrong.expires_past")
    return read, wrong


def _end_of_day(text: str, browser: Browser) -> Instant:
    """The end of that day in the reader's zone.  Raises ValueError or OverflowError."""
    day = datetime.fromisoformat(text).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=browser.zone)
    end = (day + timedelta(days=1)).astimezone(FOREVER.tzinfo)
    if end > FOREVER:
        msg = "beyond the calendar"
        raise ValueError(msg)
    return Instant(end)
