"""Minting the new secret, and what that would do (R13, R21, R23)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from keyturn.core import allowlist, permission
from keyturn.core.actor import Actor, Channel
from keyturn.core.handover import Gap, Handover, hand_over, old_stops_at, plan
from keyturn.core.instant import Instant
from keyturn.core.key import Key, secret_of
from keyturn.core.policy import allows_own_secret
from keyturn.core.refusal import (
    ClaimWaits,
    KeyExpired,
    KeyRevoked,
    ManualResetForbidden,
    NotTheAsker,
    OwnSecretForbidden,
    ProofRequired,
    Refusal,
    SelfResetForbidden,
)
from keyturn.core.reset.value import Narrowing, Reset, Step, is_asker, move
from keyturn.core.secret import Kept, SecretKind
from keyturn.core.stage import Event


def may_mint(reset: Reset, key: Key, *, actor: Actor, now: Instant) -> Reset | Refusal:
    """The reset moved on to minted, or why this actor may not mint now, whatever it brings."""
    if reset.waits:
        return ClaimWaits(reset_id=reset.id)
    if not is_asker(reset, actor):
        return NotTheAsker()
    minted = move(reset, Event.MINTED, now=now)
    if isinstance(minted, Refusal):
        return minted
    if refusal := _forbidden_since(reset, key):
        return refusal
    if key.revoked_at is not None:
        return KeyRevoked(revoked_at=key.revoked_at)
    if now >= _narrow(key, reset.asking.narrow).expires_at:
        return KeyExpired(expired_at=key.expires_at)
    if stale := reset.missing(now):
        return ProofRequired(missing=stale)
    return minted


def mint(
    reset: Reset, key: Key, new_secret: Kept, *, actor: Actor, now: Instant, held_until: Instant | None = None
) -> Step | Refusal:
    """R13: the new secret, the old one's end, the narrowing: one step, for the asker alone."""
    minted = may_mint(reset, key, actor=actor, now=now)
    if isinstance(minted, Refusal):
        return minted
    key = _narrow(key, reset.asking.narrow)
    handover = plan(key, reset.terms, now=now, held_until=held_until)
    new = secret_of(
        new_secret,
        version=key.version + 1,
        now=now,
        starts_at=handover.new_starts,
        dangerous_starts_at=handover.dangerous_starts,
        watched=True,
    )
    key = hand_over(key, handover, new=new, reset_id=reset.id, now=now)
    if reset.terms.revoke_first:
        key = replace(key, suspension=None)
    minted = replace(
        minted,
        new_version=new.version,
        minted_at=now,
        new_starts_at=handover.new_starts,
        old_stops_at=old_stops_at(key, before=new.version),
    )
    return Step(event=Event.MINTED, reset=minted, key=key)


def _forbidden_since(reset: Reset, key: Key) -> Refusal | None:
    """R32: a policy that has become stricter may forbid what was allowed when the reset was asked."""
    if reset.channel is Channel.PERSON and reset.policy.manual == "forbidden" and reset.ordered is None:
        return ManualResetForbidden(policy=reset.source("manual"))
    if reset.channel is Channel.KEY and reset.policy.self_reset == "forbidden":
        return SelfResetForbidden(policy=reset.source("self_reset"))
    if key.kind is SecretKind.OWN and not allows_own_secret(reset.policy):
        return OwnSecretForbidden(policy=reset.source("own_secret"))
    return None


def _narrow(key: Key, narrow: Narrowing | None) -> Key:
    """The key without what the reset takes away.  An edit since may have narrowed it further: that stands (R23)."""
    if narrow is None:
        return key
    permissions = key.permissions if narrow.permissions is None else narrow.permissions
    networks = key.allowlist if narrow.allowlist is None else narrow.allowlist
    return replace(
        key,
        permissions=_common(permission.covers, permissions, key.permissions),
        # Nothing in common would be an empty allowlist, which admits everybody.
        allowlist=_common(allowlist.covers, networks, key.allowlist) or key.allowlist,
        expires_at=min(narrow.expires_at or key.expires_at, key.expires_at),
    )


def _common(
    covers: Callable[[tuple[str, ...], tuple[str, ...]], bool], wanted: tuple[str, ...], held: tuple[str, ...]
) -> tuple[str, ...]:
    """What both sets hold; `wanted` as it stands where it is the narrower one."""
    if covers(held, wanted):
        return wanted
    ours = [one for one in wanted if covers(held, (one,))]
    return (*ours, *(one for one in held if covers(wanted, (one,)) and one not in ours))


def preview(reset: Reset, key: Key, *, now: Instant, held_until: Instant | None = None) -> Handover:
    """The dates as they would be if it were minted now; the gap is told before it is minted (R21)."""
    return plan(_narrow(key, reset.asking.narrow), reset.terms, now=now, held_until=held_until)


def gap_ahead(reset: Reset, handover: Handover, *, now: Instant) -> Gap | None:
    """R21: the stretch without an accepted secret, as it can be told before anything is asked.

    A leaked key stops at once, and for a person the gap lasts at least until the proofs are shown: it ends at `now`
    where nothing but that is known of its end.
    """
    if not reset.terms.revoke_first:
        return handover.gap
    proving = reset.channel is Channel.PERSON
    return Gap(since=now, until=handover.dangerous_starts) if proving or handover.dangerous_starts > now else None


UNTOUCHED: Final = (
    "name",
    "owner",
    "permissions",
    "allowlist",
    "limit",
    "expires_at",
    "sessions",
    "other_keys",
    "other_users",
)
"""What no reset touches unless it was asked to narrow it (R23, R26)."""
