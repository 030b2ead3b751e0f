"""How the old secret ends once the new one is there: first use, quiet, or stop now (R20, R33, R43)."""

from dataclasses import replace

from keyturn.core.handover import old_stops_at, stop_all, stop_old_by
from keyturn.core.instant import FOREVER, Instant, later
from keyturn.core.key import Key, StopReason
from keyturn.core.refusal import NewNotStarted, OutOfOrder, Refusal
from keyturn.core.reset.value import Reset, Step, move
from keyturn.core.stage import Event, Stage


def first_use(reset: Reset, key: Key, *, used_at: Instant, now: Instant) -> Step | Refusal:
    """R20: the first use of the new secret brings the old one's end to first use + grace (`lost`: to first use)."""
    settled = move(reset, Event.FIRST_USED, now=now)
    if isinstance(settled, Refusal):
        return settled
    new = key.secret(reset.new_version or 0)
    # A verifier may say anything; before it has started no secret was ever accepted.
    if new is None or reset.first_used_at is not None or now < new.starts_at:
        return OutOfOrder(stage=reset.stage.value, event=Event.FIRST_USED.value)
    used_at = max(used_at, new.starts_at)
    end = later(max(used_at, new.starts_in_full_at), reset.terms.grace)
    if reset.in_two_steps:
        end = FOREVER
    if new.version == key.version:  # else a later reset watches it as its old one
        key = key.with_secret(replace(new, watched=False))
    return _ended_by(replace(settled, first_used_at=used_at), key, end, event=Event.FIRST_USED, now=now)


def quiet(reset: Reset, key: Key, *, old_last_used_at: Instant | None, now: Instant) -> Step | Refusal:
    """R33: with the new secret in use and the old one unused for `quiet_after`, the grace ends now."""
    stopped = move(reset, Event.QUIET, now=now)
    if isinstance(stopped, Refusal):
        return stopped
    new = key.secret(reset.new_version or 0)
    started = new is not None and new.has_started(now) and not new.is_over(now)
    if not started or not is_quiet(reset, old_last_used_at=old_last_used_at, now=now):
        return OutOfOrder(stage=reset.stage.value, event=Event.QUIET.value)
    return _ended_by(stopped, key, now, event=Event.QUIET, now=now)


def is_quiet(reset: Reset, *, old_last_used_at: Instant | None, now: Instant) -> bool:
    """R33, as a question."""
    if reset.policy.quiet_after is None or reset.first_used_at is None or reset.minted_at is None:
        return False
    return now - max(old_last_used_at or reset.minted_at, reset.minted_at) >= reset.policy.quiet_after


def finish(reset: Reset, key: Key, *, now: Instant) -> Step | Refusal:
    """End the grace ("stop now"), or take the first of the two steps (R43)."""
    stopped = move(reset, Event.OLD_STOPPED, now=now)
    if isinstance(stopped, Refusal):
        if reset.stage is Stage.MINTED and reset.new_starts_at is not None:
            return NewNotStarted(new_starts_at=reset.new_starts_at)
        return stopped
    if reset.new_version is None:
        if not reset.in_two_steps:
            return OutOfOrder(stage=reset.stage.value, event=Event.OLD_STOPPED.value)
        key = stop_all(key, reason=StopReason.REPLACED, before=key.version + 1, reset_id=reset.id, now=now)
        return Step(event=Event.OLD_STOPPED, reset=stopped, key=key)
    new = key.secret(reset.new_version)
    if new is not None and not new.has_started(now):
        return NewNotStarted(new_starts_at=new.starts_in_full_at)
    if _leaves_nothing(key, reset.new_version, now):
        return NewNotStarted(new_starts_at=key.secrets[-1].starts_in_full_at)
    return _ended_by(stopped, key, now, event=Event.OLD_STOPPED, now=now)


def _leaves_nothing(key: Key, version: int, now: Instant) -> bool:
    """R21: whether an older secret than that version still goes on, and none since has started that is not over."""
    going = [one for one in key.secrets if not one.is_over(now)]
    since = [one for one in going if one.version >= version and one.has_started(now)]
    return bool(going) and going[0].version < version and not since


def _ended_by(reset: Reset, key: Key, end: Instant, *, event: Event, now: Instant) -> Step:
    before = reset.new_version or 0
    key = stop_old_by(key, end, before=before, reset_id=reset.id, now=now)
    return Step(event=event, reset=replace(reset, old_stops_at=old_stops_at(key, before=before)), key=key)
