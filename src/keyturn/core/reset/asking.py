"""Asking for a reset, or why not (R14, R20, R22, R43)."""

from dataclasses import replace

from keyturn.core import allowlist, duration, permission
from keyturn.core.actor import Actor, Channel
from keyturn.core.instant import Instant, later
from keyturn.core.key import Key, Suspension
from keyturn.core.permission import RIGHT_KEYS_RESET
from keyturn.core.policy import Effective
from keyturn.core.proof import ProofSets
from keyturn.core.refusal import (
    AllowlistTooLong,
    ClaimTaken,
    GraceTooLong,
    InvalidField,
    KeyChanged,
    KeyExpired,
    KeyRevoked,
    ManualResetForbidden,
    PermissionMissing,
    Refusal,
    ResetAlreadyOpen,
    SelfResetForbidden,
    Widening,
    WiderThanActor,
)
from keyturn.core.reset.origin import check_origin
from keyturn.core.reset.terms import terms_of, wanted_of
from keyturn.core.reset.value import CLAIM_HELD, REVOKE_FIRST, Asking, Narrowing, Reset, Step, is_open, owns
from keyturn.core.stage import Event, Stage


def ask(
    key: Key,
    asking: Asking,
    *,
    actor: Actor,
    effective: Effective,
    enrolled: frozenset[str],
    reset_allowlist: tuple[str, ...],
    latest: Reset | None,
    reset_id: str,
    arrived_rev: int,
    now: Instant,
    holder_gone: bool = False,
) -> Step | Refusal:
    """Open a reset, or say why not.  With a leaked or suspicious key, suspend it at once (R22).

    `latest` is the key's newest reset; one that the system ordered becomes this one, unless another is proving it.
    `arrived_rev` is the feed revision this node had applied when the request arrived: a secret minted at a later one
    was minted meanwhile, so this request has lost the race (R14), unless it says which version it means (R15).
    """
    open_one = latest if latest is not None and is_open(latest, now) else None
    asking = _still_leaked(open_one, asking)
    refusal = (
        _check_actor(key, actor, effective)
        or _check_key(key, asking, arrived_rev=arrived_rev, now=now)
        or (open_one and _check_open(open_one, actor, holder_gone=holder_gone, now=now))
        or check_origin(actor, effective, reset_allowlist)
        or _check_wishes(key, asking, effective, now=now)
    )
    if refusal is not None:
        return refusal
    wanted = wanted_of(actor, asking, effective, enrolled=enrolled, reset_allowlist=reset_allowlist)
    if isinstance(wanted, Refusal):
        return wanted
    reset = _opened(key, asking, actor=actor, effective=effective, wanted=wanted, reset_id=reset_id, now=now)
    event = None
    if open_one is not None:
        reset, event = _in_place_of(open_one, reset, now=now), Event.CLAIMED
    return Step(event=event, reset=reset, key=suspend_first(key, reset, by=actor.id, now=now))


def _opened(
    key: Key, asking: Asking, *, actor: Actor, effective: Effective, wanted: ProofSets, reset_id: str, now: Instant
) -> Reset:
    policy = effective.policy
    return Reset(
        id=reset_id,
        key_id=key.id,
        account_id=key.account_id,
        owner_id=key.owner_id,
        asking=asking,
        channel=actor.channel,
        asked_by=actor.id,
        session=actor.session,
        address=actor.address,
        policy=policy,
        sources=tuple(sorted(effective.sources.items())),
        wanted=wanted,
        terms=terms_of(asking, policy, actor.channel),
        stage=Stage.ASKED,
        asked_at=now,
        lapses_at=later(now, policy.reset_lapses),
    )


def _still_leaked(claim: Reset | None, asking: Asking) -> Asking:
    """What was ordered for a leak stays a leak, whatever reason its claimer gives: the old secret stops (R22)."""
    if claim is None or claim.ordered is None or not claim.terms.revoke_first or asking.reason in REVOKE_FIRST:
        return asking
    since = asking.suspend_created_since or claim.asking.suspend_created_since
    return replace(asking, reason=claim.asking.reason, suspend_created_since=since)


def suspend_first(key: Key, reset: Reset, *, by: str, now: Instant) -> Key:
    """R22: a leaked or suspicious key is suspended as soon as its reset is asked for."""
    if not reset.terms.revoke_first or key.suspension is not None:
        return key
    suspension = Suspension(at=now, by=by, reason=reset.asking.reason.value, reset_id=reset.id)
    return replace(key, suspension=suspension)


def _in_place_of(claim: Reset, asked: Reset, *, now: Instant) -> Reset:
    """What was asked for, as the claim that waited: done in one step, and waiting on where the asker leaves it."""
    return replace(
        asked,
        id=claim.id,
        terms=terms_of(asked.asking, asked.policy, Channel.TRIGGER),
        asked_at=claim.asked_at,
        lapses_at=claim.lapses_at,
        refused_proofs=claim.refused_proofs,
        ordered=claim.ordered,
        ordered_by=claim.ordered_by,
        claimed_at=now,
    )


def _check_open(reset: Reset, actor: Actor, *, holder_gone: bool, now: Instant) -> Refusal | None:
    if reset.ordered is None:
        return ResetAlreadyOpen(reset_id=reset.id)
    return check_held(reset, actor, holder_gone=holder_gone, now=now)


def check_held(reset: Reset, actor: Actor, *, holder_gone: bool, now: Instant) -> Refusal | None:
    """Whether another one has claimed it and may still be proving."""
    if not reset.asked_by or reset.asked_by == actor.id or holder_gone:
        return None
    until = later(max((reset.claimed_at or reset.asked_at, *(one.at for one in reset.proofs))), CLAIM_HELD)
    return ClaimTaken(until=until) if now < until else None


def _check_actor(key: Key, actor: Actor, effective: Effective) -> Refusal | None:
    policy = effective.policy
    if actor.channel is Channel.KEY:
        if policy.self_reset == "forbidden":
            return SelfResetForbidden(policy=effective.source("self_reset"))
        return None
    if not actor.may(RIGHT_KEYS_RESET, key.account_id):
        return PermissionMissing(needed=RIGHT_KEYS_RESET)
    if actor.channel is Channel.PERSON and policy.manual == "forbidden":
        return ManualResetForbidden(policy=effective.source("manual"))
    if not owns(actor, key) and (beyond := actor.rights_beyond(key.permissions)):
        return WiderThanActor(beyond=beyond)
    return None


def check_order(key: Key, asking: Asking, actor: Actor, effective: Effective, *, now: Instant) -> Refusal | None:
    """Whether somebody may order a reset of the key for another to claim: less is asked, for they get no secret."""
    rights = (RIGHT_KEYS_RESET, permission.RIGHT_STAFF_STOP)
    if actor.id == key.id or not any(actor.may(right, key.account_id) for right in rights):
        return PermissionMissing(needed=RIGHT_KEYS_RESET)
    if actor.channel is Channel.PERSON and effective.policy.manual == "forbidden":
        return ManualResetForbidden(policy=effective.source("manual"))
    return _check_wishes(key, asking, effective, now=now)


def check_ended(key: Key, now: Instant) -> Refusal | None:
    """A reset never revives a key."""
    if key.revoked_at is not None:
        return KeyRevoked(revoked_at=key.revoked_at)
    return KeyExpired(expired_at=key.expires_at) if now >= key.expires_at else None


def _check_key(key: Key, asking: Asking, *, arrived_rev: int, now: Instant) -> Refusal | None:
    if refusal := check_ended(key, now):
        return refusal
    if asking.expected_version is None:
        moved_on = key.secrets[-1].rev > arrived_rev
    else:  # whoever names the version has seen it, however little this node had heard of it
        moved_on = asking.expected_version != key.version
    return KeyChanged(version=key.version) if moved_on else None


def _check_wishes(key: Key, asking: Asking, effective: Effective, *, now: Instant) -> Refusal | None:
    policy = effective.policy
    revoke_first = asking.reason in REVOKE_FIRST
    if asking.grace is not None and asking.grace > policy.grace_max and not revoke_first:
        return GraceTooLong(grace_max=duration.to_text(policy.grace_max), policy=effective.source("grace_max"))
    narrow = asking.narrow or Narrowing()
    if narrow.permissions is not None and not permission.covers(key.permissions, narrow.permissions):
        return Widening(field="permissions")
    if narrow.allowlist is not None and not allowlist.covers(key.allowlist, narrow.allowlist):
        return Widening(field="allowlist")
    if narrow.allowlist is not None and len(narrow.allowlist) > max(policy.allowlist_max, len(key.allowlist)):
        return AllowlistTooLong(limit=policy.allowlist_max, policy=effective.source("allowlist_max"))
    if narrow.expires_at is not None and narrow.expires_at > key.expires_at:
        return Widening(field="expires_at")
    if narrow.expires_at is not None and narrow.expires_at <= now:
        return InvalidField(field="narrow.expires_at", reason="lies in the past; revoke the key instead")
    return None
