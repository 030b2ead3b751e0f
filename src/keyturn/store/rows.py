"""Rows to values and back.  Column names are field names wherever the two agree."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from sqlalchemy import RowMapping

from keyturn.core import duration
from keyturn.core import limit as limits
from keyturn.core import policy as policies
from keyturn.core.account import Account, Member, Role, User
from keyturn.core.actor import Channel
from keyturn.core.audit import AuditRecord
from keyturn.core.handover import Terms
from keyturn.core.instant import Instant, from_micros, to_micros
from keyturn.core.key import Key, Secret, StopReason, Suspension
from keyturn.core.policy import Policy
from keyturn.core.proof import Proof
from keyturn.core.reset import Asking, Narrowing, Reason, Reset
from keyturn.core.secret import SecretKind
from keyturn.core.session import Session, SessionKind, SessionStage
from keyturn.core.stage import Stage
from keyturn.store.begun import columns

Columns = Mapping[str, Any] | RowMapping

SECRET_COLUMNS = (
    "version",
    "digest",
    "pepper",
    "hint",
    "created_at",
    "starts_at",
    "dangerous_starts_at",
    "stops_at",
    "stopped_at",
    "stop_reason",
    "replaced_by",
    "watched",
    "rev",
    "last_used_at",
    "kind",
    "public_key",
    "seen",
)


_BROUGHT = ("public_key", "seen")


def secret_row(secret: Secret) -> dict[str, Any]:
    """The columns of one secret, without its key's number."""
    row: dict[str, Any] = {name: getattr(secret, name) for name in SECRET_COLUMNS}
    row["stop_reason"] = secret.stop_reason.value if secret.stop_reason else None
    row["kind"] = secret.kind.value
    row |= {name: getattr(secret, name) or None for name in _BROUGHT}
    return row


def read_secret(row: Columns) -> Secret:
    """The inverse of `secret_row`."""
    values = {name: row[name] for name in SECRET_COLUMNS}
    values["digest"] = bytes(row["digest"])
    values["stop_reason"] = StopReason(row["stop_reason"]) if row["stop_reason"] else None
    values["kind"] = SecretKind(row["kind"])
    values |= {name: bytes(row[name] or b"") for name in _BROUGHT}
    return Secret(**values)


def key_row(key: Key) -> dict[str, Any]:
    """The columns of one key, without its number and secrets."""
    held = key.suspension
    return {
        "id": key.id,
        "account_id": key.account_id,
        "owner_id": key.owner_id,
        "name": key.name,
        "environment": key.environment,
        "brand": key.brand,
        "label": key.label,
        "own_label": key.label if key.kind is SecretKind.OWN else None,
        "permissions": key.permissions,
        "allowlist": key.allowlist,
        "limit": limits.to_text(key.limit) if key.limit else None,
        "policy": key.policy,
        "expires_at": key.expires_at,
        "created_at": key.created_at,
        "created_by": key.created_by,
        "suspended_at": held.at if held else None,
        "suspended_by": held.by if held else None,
        "suspended_reason": held.reason if held else None,
        "suspended_reset": held.reset_id if held else None,
        "revoked_at": key.revoked_at,
    }


def read_key(row: Columns, secrets: Sequence[Secret]) -> Key:
    """One key from its row and its secrets, oldest first."""
    suspension = None
    if row["suspended_at"] is not None:
        suspension = Suspension(
            at=row["suspended_at"],
            by=row["suspended_by"],
            reason=row["suspended_reason"],
            reset_id=row["suspended_reset"],
        )
    plain = ("id", "account_id", "owner_id", "name", "environment", "brand", "label", "policy")
    sets = ("permissions", "allowlist")
    return Key(
        number=row["number"],
        limit=limits.parse(row["limit"]) if row["limit"] else None,
        expires_at=row["expires_at"],
        created_at=row["created_at"],
        created_by=row["created_by"],
        revoked_at=row["revoked_at"],
        last_used_at=row["last_used_at"],
        suspension=suspension,
        secrets=tuple(secrets),
        **{name: row[name] for name in (*plain, *sets)},
    )


def reset_row(reset: Reset, *, policy: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The columns of one reset: what is searched for by name, the rest in `body`; `policy` as it was made plain."""
    return {
        "id": reset.id,
        "key_id": reset.key_id,
        "account_id": reset.account_id,
        "owner_id": reset.owner_id,
        "stage": reset.stage.value,
        "asked_at": reset.asked_at,
        "lapses_at": reset.lapses_at,
        "minted_at": reset.minted_at,
        "new_starts_at": reset.new_starts_at,
        "old_stops_at": reset.old_stops_at,
        "ordered_by": reset.ordered_by,
        "body": {
            "asking": _asking_to_plain(reset.asking),
            "channel": reset.channel.value,
            "asked_by": reset.asked_by,
            "session": reset.session,
            "address": reset.address,
            "policy": policy or policy_to_plain(reset.policy),
            "sources": dict(reset.sources),
            "wanted": [sorted(one) for one in reset.wanted],
            "terms": _terms_to_plain(reset.terms),
            "proofs": [asdict(one) | {"at": to_micros(one.at)} for one in reset.proofs],
            "refused_proofs": reset.refused_proofs,
            "new_version": reset.new_version,
            "first_used_at": _micros(reset.first_used_at),
            "ended_at": _micros(reset.ended_at),
            "end_reason": reset.end_reason,
            "ordered": reset.ordered and _asking_to_plain(reset.ordered),
            "claimed_at": _micros(reset.claimed_at),
        },
    }


def read_reset(row: Columns) -> Reset:
    """The inverse of `reset_row`."""
    body = row["body"]
    plain = ("id", "key_id", "account_id", "owner_id", "asked_at", "lapses_at", "ordered_by")
    ordered = body.get("ordered")  # absent from resets of before there were claims
    dates = ("minted_at", "new_starts_at", "old_stops_at")
    return Reset(
        stage=Stage(row["stage"]),
        asking=_read_asking(body["asking"]),
        channel=Channel(body["channel"]),
        asked_by=body["asked_by"],
        session=body["session"],
        address=body["address"],
        policy=read_policy(body["policy"]),
        sources=tuple(sorted(body["sources"].items())),
        wanted=tuple(frozenset(one) for one in body["wanted"]),
        terms=_read_terms(body["terms"]),
        proofs=tuple(Proof(**one | {"at": from_micros(one["at"])}) for one in body["proofs"]),
        refused_proofs=body["refused_proofs"],
        new_version=body["new_version"],
        first_used_at=_instant(body["first_used_at"]),
        ended_at=_instant(body["ended_at"]),
        end_reason=body["end_reason"],
        ordered=ordered and _read_asking(ordered),
        claimed_at=_instant(body.get("claimed_at")),
        **{name: row[name] for name in (*plain, *dates)},
    )


def policy_to_plain(policy: Policy) -> dict[str, Any]:
    """A policy whole, as JSON values."""
    head = {"name": policy.name, "version": policy.version, "base": policy.base}
    return head | {"fields": policies.to_wire(policy)}


def read_policy(plain: Columns) -> Policy:
    """The inverse of `policy_to_plain`; also reads a row of `policies`."""
    base = Policy(name=plain["base"]) if plain["base"] else None
    return policies.from_wire(plain["fields"], name=plain["name"], base=base, version=plain["version"])


def read_account(row: RowMapping) -> Account:
    """One account."""
    names = ("id", "name", "created_at", "policy", "floor", "reset_allowlist", "max_keys_per_user")
    return Account(**{name: row[name] for name in names})


def user_row(user: User) -> dict[str, Any]:
    """The columns of one user, without the stored password."""
    return columns(user) | {"username": user.username or None}  # many have none; what they have is unique


def read_user(row: RowMapping) -> User:
    """The inverse of `user_row`."""
    return User(**{name: row[name] for name in User.__slots__} | {"username": row["username"] or ""})


def read_member(row: RowMapping) -> Member:
    """One membership."""
    return Member(account_id=row["account_id"], user_id=row["user_id"], role=Role(row["role"]))


def session_row(session: Session) -> dict[str, Any]:
    """The columns of one session, without its digest."""
    named = {"role": session.role.value, "kind": session.kind.value, "stage": session.stage.value}
    return columns(session) | named


def read_session(row: RowMapping) -> Session:
    """The inverse of `session_row`."""
    plain = {name: row[name] for name in Session.__slots__ if name not in ("role", "kind", "stage")}
    return Session(role=Role(row["role"]), kind=SessionKind(row["kind"]), stage=SessionStage(row["stage"]), **plain)


def read_audit(row: RowMapping) -> AuditRecord:
    """One audit record."""
    return AuditRecord(**{name: value for name, value in row.items() if name != "number"})


def _asking_to_plain(asking: Asking) -> dict[str, Any]:
    narrow = asking.narrow
    return {
        "reason": asking.reason.value,
        "grace": None if asking.grace is None else duration.to_text(asking.grace),
        "expected_version": asking.expected_version,
        "narrow": narrow
        and {
            "permissions": narrow.permissions,
            "allowlist": narrow.allowlist,
            "expires_at": _micros(narrow.expires_at),
        },
        "waive_cool_down": asking.waive_cool_down,
        "suspend_created_since": _micros(asking.suspend_created_since),
    }


def _read_asking(plain: Mapping[str, Any]) -> Asking:
    narrow = plain["narrow"]
    return Asking(
        reason=Reason(plain["reason"]),
        grace=None if plain["grace"] is None else duration.parse(plain["grace"]),
        expected_version=plain["expected_version"],
        narrow=narrow
        and Narrowing(
            permissions=_tuple(narrow["permissions"]),
            allowlist=_tuple(narrow["allowlist"]),
            expires_at=_instant(narrow["expires_at"]),
        ),
        waive_cool_down=plain["waive_cool_down"],
        suspend_created_since=_instant(plain["suspend_created_since"]),
    )


_SPANS = ("cool_down", "grace", "longest")


def _terms_to_plain(terms: Terms) -> dict[str, Any]:
    spans = {name: duration.to_text(getattr(terms, name)) for name in _SPANS}
    return spans | {"revoke_first": terms.revoke_first, "dangerous_only": terms.dangerous_only}


def _read_terms(plain: Mapping[str, Any]) -> Terms:
    spans: dict[str, timedelta] = {name: duration.parse(plain[name]) for name in _SPANS}
    return Terms(revoke_first=plain["revoke_first"], dangerous_only=plain["dangerous_only"], **spans)


def _tuple(plain: list[str] | None) -> tuple[str, ...] | None:
    return None if plain is None else tuple(plain)


def _micros(instant: Instant | None) -> int | None:
    return None if instant is None else to_micros(instant)


def _instant(micros: int | None) -> Instant | None:
    return None if micros is None else from_micros(micros)
