"""The dates of a reset (R20, R21, R24): from when the new secret is accepted, until when the old ones are.

Plain arithmetic on dates.  Dates only ever move earlier; a reset never extends or revives anything.
"""

from dataclasses import dataclass, replace
from datetime import timedelta

from keyturn.core.instant import Instant, later
from keyturn.core.key import Key, Secret, StopReason, stop, stop_by


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A stretch in which no secret of the key is accepted."""

    since: Instant
    until: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """When the new secret starts and the old ones stop."""

    new_starts: Instant
    dangerous_starts: Instant
    """From when write and admin are accepted too; `new_starts` unless only they cool down (R24)."""
    old_stops: Instant
    gap: Gap | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What reason and policy make of one reset, settled when it is asked."""

    revoke_first: bool
    cool_down: timedelta
    dangerous_only: bool
    grace: timedelta
    """How long the old secret goes on after the new one has started, or after its first use."""
    longest: timedelta
    """How long it goes on where that first use never comes: `grace`, or `grace_max` where first use is waited for."""


def plan(key: Key, terms: Terms, *, now: Instant, held_until: Instant | None = None) -> Handover:
    """R20: the dates if the new secret were minted at `now`.  During a hold the cool-down is at least its rest."""
    unstarted = unstarted_secret(key, now)
    full_start = later(now, terms.cool_down)
    if unstarted is not None and not terms.revoke_first:
        full_start = max(now, unstarted.starts_in_full_at)  # R15: it inherits the dates
    new_starts = now if terms.dangerous_only else full_start
    if unstarted is not None and not terms.revoke_first:
        new_starts = max(now, unstarted.starts_at)
    if held_until is not None:
        new_starts, full_start = max(new_starts, held_until), max(full_start, held_until)
    if terms.revoke_first:
        return Handover(new_starts=new_starts, dangerous_starts=full_start, old_stops=now, gap=None)
    latest_end = min(later(full_start, terms.longest), key.expires_at)
    old = [one for one in key.secrets if not one.is_over(now) and one is not unstarted]
    old_stops = min(latest_end, max((one.stops_at for one in old), default=now))
    gap = Gap(since=max(old_stops, now), until=full_start) if old_stops < full_start else None
    return Handover(new_starts=new_starts, dangerous_starts=full_start, old_stops=old_stops, gap=gap)


def unstarted_secret(key: Key, now: Instant) -> Secret | None:
    """The newest secret, where it is minted but not yet accepted in full: "reset again" replaces it (R15)."""
    newest = key.secrets[-1]
    return None if newest.is_over(now) or newest.has_started(now) else newest


def hand_over(key: Key, handover: Handover, *, new: Secret, reset_id: str, now: Instant) -> Key:
    """The key with the new secret, and its older ones ending as planned: never more than two are accepted."""
    unstarted = unstarted_secret(key, now)
    live = [one for one in key.secrets if not one.is_over(now) and one is not unstarted]
    for one in live[:-1]:
        # One older than the one handed over: it goes as soon as the new secret comes.
        key = key.with_secret(stop_by(one, handover.new_starts, reset_id=reset_id, now=now))
    for one in live[-1:]:
        ending = stop_by(one, handover.old_stops, reset_id=reset_id, now=now)
        key = key.with_secret(replace(ending, watched=not ending.is_over(now)))
    if unstarted is not None:
        key = key.with_secret(stop(unstarted, reason=StopReason.NEVER_STARTED, reset_id=reset_id, now=now))
    return replace(key, secrets=(*key.secrets, new))


def stop_all(key: Key, *, reason: StopReason, before: int, reset_id: str, now: Instant) -> Key:
    """Every version before `before` stopped for good, now."""
    for one in key.secrets:
        if one.version < before:
            key = key.with_secret(stop(one, reason=reason, reset_id=reset_id, now=now))
    return key


def stop_old_by(key: Key, end: Instant, *, before: int, reset_id: str, now: Instant) -> Key:
    """Every version before `before` brought to an end no later than `end`."""
    for one in key.secrets:
        if one.version < before:
            key = key.with_secret(stop_by(one, end, reset_id=reset_id, now=now))
    return key


def old_stops_at(key: Key, *, before: int) -> Instant | None:
    """When the last of the versions before `before` stops or stopped."""
    return max((one.stops_at for one in key.secrets if one.version < before), default=None)
