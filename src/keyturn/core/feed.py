"""What a verifier must know of a key, as it travels in the feed (F1, F4).

Every change of what may be accepted appends an entry.  An entry about one key carries that key's whole state, so a
holder need not ask again.  An entry about many carries a predicate over fields that every cached entry has (F11).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from keyturn.core import limit as limits
from keyturn.core.instant import Instant, from_micros, to_micros
from keyturn.core.limit import Limit


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretState:
    """One version of a key's secret, as a decision sees it."""

    version: int
    starts_at: Instant
    dangerous_starts_at: Instant
    """From when write and admin are accepted too (R24); never before `starts_at`."""
    stops_at: Instant
    stopped: bool
    """Stopped for good already.  A stop that is effective now is a flag, not a time (F8)."""
    replaced_by: str
    """The reset that set `stops_at` or stopped it, or empty."""
    watched: bool
    """Whether each use is to be reported with its address and permission: a handover waits for it (R20, R33)."""
    public_key: bytes = b""
    """Where requests are signed instead of showing a secret: what with.  Then no presented text is accepted (R42)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyState:
    """One key with every secret version that may still be asked about."""

    number: int
    key_id: str
    account_id: str
    owner_id: str
    environment: str
    permissions: tuple[str, ...]
    allowlist: tuple[str, ...]
    limit: Limit | None
    expires_at: Instant
    suspended: bool
    revoked: bool
    secrets: tuple[SecretState, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicate:
    """Which keys a bulk change touched.  A field left empty matches every key; all empty means drop everything."""

    account_id: str = ""
    owner_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedEntry:
    """One step of the feed.  Entries are applied in `rev` order without gaps (F6)."""

    rev: int
    at: Instant
    """Authority time of the change.  A holder's idea of "now" never lies before it (F8)."""
    change: KeyState | Predicate
    follows: Instant | None = field(default=None, compare=False)
    """When the entry before it was written, where the transaction tells that has just made this one (F9)."""


def to_json(change: KeyState | Predicate) -> str:
    """The stored and sent form of a change."""
    return json.dumps(to_plain(change), separators=(",", ":"))


def from_json(text: str) -> KeyState | Predicate:
    """The inverse of `to_json`.  Raises ValueError for text that it would not have written."""
    return from_plain(json.loads(text))


def to_plain(change: KeyState | Predicate) -> dict[str, Any]:
    """A change as JSON values; instants are microseconds since 1970."""
    if isinstance(change, Predicate):
        return {"kind": "many", "account_id": change.account_id, "owner_id": change.owner_id}
    return {
        "kind": "key",
        "number": change.number,
        "key_id": change.key_id,
        "account_id": change.account_id,
        "owner_id": change.owner_id,
        "environment": change.environment,
        "permissions": list(change.permissions),
        "allowlist": list(change.allowlist),
        "limit": limits.to_text(change.limit) if change.limit else None,
        "expires_at": to_micros(change.expires_at),
        "suspended": change.suspended,
        "revoked": change.revoked,
        "secrets": [_secret_to_plain(secret) for secret in change.secrets],
    }


def from_plain(plain: Mapping[str, Any]) -> KeyState | Predicate:
    """The inverse of `to_plain`.  Raises ValueError for values that it would not have written."""
    try:
        if plain["kind"] == "many":
            return Predicate(account_id=_name(plain["account_id"]), owner_id=_name(plain["owner_id"]))
        return KeyState(
            number=_whole(plain["number"]),
            key_id=_name(plain["key_id"]),
            account_id=_name(plain["account_id"]),
            owner_id=_name(plain["owner_id"]),
            environment=_name(plain["environment"]),
            permissions=tuple(map(_name, plain["permissions"])),
            allowlist=tuple(map(_name, plain["allowlist"])),
            limit=limits.parse(plain["limit"]) if plain["limit"] else None,
            expires_at=_instant(plain["expires_at"]),
            suspended=_flag(plain["suspended"]),
            revoked=_flag(plain["revoked"]),
            secrets=tuple(_secret_from_plain(secret) for secret in plain["secrets"]),
        )
    except (KeyError, TypeError, OverflowError) as error:
        raise ValueError("no change of the feed") from error


def _secret_to_plain(secret: SecretState) -> dict[str, Any]:
    return {
        "version": secret.version,
        "starts_at": to_micros(secret.starts_at),
        "dangerous_starts_at": to_micros(secret.dangerous_starts_at),
        "stops_at": to_micros(secret.stops_at),
        "stopped": secret.stopped,
        "replaced_by": secret.replaced_by,
        "watched": secret.watched,
    } | ({"public_key": secret.public_key.hex()} if secret.public_key else {})


def _secret_from_plain(plain: Mapping[str, Any]) -> SecretState:
    return SecretState(
        version=_whole(plain["version"], below=1 << 32),
        starts_at=_instant(plain["starts_at"]),
        dangerous_starts_at=_instant(plain["dangerous_starts_at"]),
        stops_at=_instant(plain["stops_at"]),
        stopped=_flag(plain["stopped"]),
        replaced_by=_name(plain["replaced_by"]),
        watched=_flag(plain["watched"]),
        public_key=bytes.fromhex(plain.get("public_key", "")),
    )


# A holder packs what it is told (`verify.entry`), so each value is of the kind and size that fits there.


def _whole(value: Any, *, below: int = 1 << 63) -> int:  # noqa: ANN401  # any JSON
    if type(value) is not int or not 0 <= value < below:
        raise ValueError("not a whole number of the feed")
    return value


def _name(value: Any) -> str:  # noqa: ANN401  # as above
    if not isinstance(value, str) or not (value.isascii() and value.isprintable()):
        raise ValueError("not a name of the feed")
    return value


def _flag(value: Any) -> bool:  # noqa: ANN401  # as above
    if not isinstance(value, bool):
        raise ValueError("neither true nor false")  # noqa: TRY004  # one kind of error for everything unreadable
    return value


def _instant(value: Any) -> Instant:  # noqa: ANN401  # as above
    return from_micros(_whole(value))
