"""The key: a stable identity with numbered secrets (R1, R2).

A secret is accepted at `now` when `starts_at <= now < stops_at` and it was not stopped, the key is neither suspended
nor revoked, and has not expired.  Nothing else decides it, and no job has to run for it.
"""

from dataclasses import dataclass, replace
from enum import Enum

from keyturn.core.feed import KeyState, SecretState
from keyturn.core.instant import FOREVER, Instant
from keyturn.core.limit import Limit
from keyturn.core.secret import Kept, SecretKind

MOST_REMEMBERED = 6
"""How many secrets of a key are loaded with it: those that may be accepted, of which the protocol allows three at most,
and the newest that stopped."""


class StopReason(Enum):
    """Why a secret stopped before its `stops_at`, or will."""

    REPLACED = "replaced"
    """A later secret took its place: the end of the grace, first use, quiet or "stop now"."""
    LEAKED = "leaked"
    NEVER_STARTED = "never_started"
    """Reset again before it had started (R15): it was never accepted."""
    ORDERED = "ordered"
    """A reset was ordered, and its time to be claimed ran out or runs (R41)."""
    POLICY = "policy"
    """The policy stops it: after a change of password, say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """One version of a key's hidden half, without the hidden half."""

    version: int
    digest: bytes
    pepper: str
    hint: str
    created_at: Instant
    starts_at: Instant
    dangerous_starts_at: Instant
    """From when write and admin are accepted too (R24)."""
    stops_at: Instant = FOREVER
    stopped_at: Instant | None = None
    """When it was stopped for good, before or at `stops_at`."""
    stop_reason: StopReason | None = None
    replaced_by: str = ""
    """The reset that set its end."""
    watched: bool = False
    """Uses are reported one by one, for a handover waits for them (R20, R33)."""
    rev: int = 0
    """The feed revision at which it was minted; the store sets it."""
    last_used_at: Instant | None = None
    """While it was watched."""
    kind: SecretKind = SecretKind.MADE
    public_key: bytes = b""
    """Of the kind PUBLIC_KEY: what signatures are checked with (R42)."""
    seen: bytes = b""
    """Of the kind OWN: by what it is known again under any label (R42)."""

    def is_over(self, now: Instant) -> bool:
        """Whether it will never be accepted again."""
        return self.stopped_at is not None or now >= self.stops_at

    def has_started(self, now: Instant) -> bool:
        """Whether it is accepted in full."""
        return now >= self.starts_in_full_at

    @property
    def starts_in_full_at(self) -> Instant:
        """From when it is accepted for all that its key may do, write and admin included."""
        return max(self.starts_at, self.dangerous_starts_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspension:
    """Stopped for now.  `reset_id` names the reset of a leaked key that asked for it, if one did (R22)."""

    at: Instant
    by: str
    reason: str
    reset_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A stable identity.  A reset changes its secrets and nothing else of it (R23)."""

    number: int
    """A small integer the store allots, for counters and caches; never shown."""
    id: str
    account_id: str
    owner_id: str
    name: str
    environment: str
    brand: str
    """All that stands in front of its secrets, the label with it (pitfall 17)."""
    permissions: tuple[str, ...]
    allowlist: tuple[str, ...]
    limit: Limit | None
    policy: str
    """The key's own policy by name, or empty for the account's (R31)."""
    expires_at: Instant
    created_at: Instant
    created_by: str
    """Who made it: a key id or a user id; through a portal, the credential on whose word it stands (R25)."""
    secrets: tuple[Secret, ...]
    """Oldest first.  Those that stopped long ago are left out."""
    suspension: Suspension | None = None
    revoked_at: Instant | None = None
    last_used_at: Instant | None = None
    """By any of its secrets, as far as reported: batches arrive about a second later."""
    label: str = ""
    """The customer's own (R42); an own secret's is nobody else's."""

    @property
    def kind(self) -> SecretKind:
        """Where its secrets come from: it is settled when the key is made, and stays."""
        return self.secrets[-1].kind

    @property
    def version(self) -> int:
        """The number of the newest secret.  `expected_version` is compared with it."""
        return self.secrets[-1].version

    def secret(self, version: int) -> Secret | None:
        """One version, or None."""
        return next((one for one in self.secrets if one.version == version), None)

    def with_secret(self, changed: Secret) -> "Key":
        """The key with that version put in place of its older self."""
        return replace(self, secrets=tuple(changed if one.version == changed.version else one for one in self.secrets))

    def has_ended(self, now: Instant) -> bool:
        """Revoked or expired: it neither verifies nor counts against its owner's limit."""
        return self.revoked_at is not None or now >= self.expires_at


def secret_of(
    made: Kept,
    *,
    version: int,
    now: Instant,
    starts_at: Instant | None = None,
    dangerous_starts_at: Instant | None = None,
    watched: bool = False,
) -> Secret:
    """The version that was just made or brought, accepted at once where nothing else is said."""
    starts_at = now if starts_at is None else starts_at
    return Secret(
        version=version,
        digest=made.digest,
        pepper=made.pepper,
        hint=made.hint,
        created_at=now,
        starts_at=starts_at,
        dangerous_starts_at=starts_at if dangerous_starts_at is None else dangerous_starts_at,
        watched=watched,
        kind=made.kind,
        public_key=made.public_key,
        seen=made.seen,
    )


def accepted_versions(key: Key, now: Instant) -> tuple[int, ...]:
    """R2, read off the rows: which versions are accepted at `now`."""
    if key.has_ended(now) or key.suspension is not None:
        return ()
    return tuple(one.version for one in key.secrets if one.starts_at <= now and not one.is_over(now))


def status(key: Key, now: Instant) -> str:
    """One word for a person: revoked, expired, suspended, active, not_yet_active or awaiting_reset."""
    if key.revoked_at is not None:
        return "revoked"
    if now >= key.expires_at:
        return "expired"
    if key.suspension is not None:
        return "suspended"
    if accepted_versions(key, now):
        return "active"
    if any(not one.is_over(now) for one in key.secrets):
        return "not_yet_active"
    return "awaiting_reset"


def stop(secret: Secret, *, reason: StopReason, reset_id: str, now: Instant) -> Secret:
    """Stop it for good, now.  What is over already stays as it was: dates only ever move earlier (R20)."""
    if secret.is_over(now):
        return secret
    return replace(
        secret,
        stops_at=min(secret.stops_at, now),
        stopped_at=now,
        stop_reason=reason,
        replaced_by=reset_id,
        watched=False,
    )


def stop_by(
    secret: Secret, end: Instant, *, reset_id: str, now: Instant, reason: StopReason = StopReason.REPLACED
) -> Secret:
    """Bring its end forward to `end`; never back.  An end that is due already stops it for good."""
    if secret.is_over(now) or end >= secret.stops_at:
        return secret
    if end <= now:
        return stop(secret, reason=reason, reset_id=reset_id, now=now)
    return replace(secret, stops_at=end, replaced_by=reset_id, stop_reason=reason)


def stop_all_by(key: Key, end: Instant, *, reason: StopReason, reset_id: str, now: Instant) -> Key:
    """Every secret of the key brought to an end no later than `end`."""
    for one in key.secrets:
        key = key.with_secret(stop_by(one, end, reason=reason, reset_id=reset_id, now=now))
    return key


def state_for_verifiers(key: Key) -> KeyState:
    """All that a decision about this key needs (F4)."""
    return KeyState(
        number=key.number,
        key_id=key.id,
        account_id=key.account_id,
        owner_id=key.owner_id,
        environment=key.environment,
        permissions=key.permissions,
        allowlist=key.allowlist,
        limit=key.limit,
        expires_at=key.expires_at,
        suspended=key.suspension is not None,
        revoked=key.revoked_at is not None,
        secrets=tuple(
            SecretState(
                version=one.version,
                starts_at=one.starts_at,
                dangerous_starts_at=one.dangerous_starts_at,
                stops_at=one.stops_at,
                stopped=one.stopped_at is not None,
                replaced_by=one.replaced_by,
                watched=one.watched,
                public_key=one.public_key,
            )
            for one in key.secrets
        ),
    )
