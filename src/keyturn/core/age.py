"""How old a key is by its policy, and what is coming for it (K14): dates read off, nothing enforced.

Every line names the policy and the field that says so, or none where the key's own dates do.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Final

from keyturn.core.consequence import Hold
from keyturn.core.instant import FOREVER, Instant, later
from keyturn.core.key import Key, Secret
from keyturn.core.permission import action_rank, is_right
from keyturn.core.policy import Effective

DUE_SOON: Final = timedelta(days=14)
"""How long before it is due a reset is called for; of a short `max_age` the last half."""


class AgeState(Enum):
    """How a secret's age stands to `max_age`."""

    FRESH = "fresh"
    DUE_SOON = "due_soon"
    OVERDUE = "overdue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Age:
    """The age of a key's newest secret."""

    since: Instant
    state: AgeState
    due_at: Instant | None
    """When a reset is due; None where the policy sets no age."""
    then: str
    """What the policy lets happen then: `remind`, `require_reset` or `suspend`; empty without a date."""
    policy: str
    """The policy that sets the age."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coming:
    """One thing that is to happen to a key."""

    at: Instant
    what: str
    """`remind`, `require_reset`, `suspend`, `expire`, `drop_write`, `stop`, `stop_old`, `start_new` or
    `hold_ends`."""
    policy: str = ""
    field: str = ""
    """The policy and the field that say so; both empty where the key's own dates do."""


def age(key: Key, effective: Effective, *, now: Instant) -> Age:
    """The age of the newest secret, by the policy in force."""
    newest = key.secrets[-1]
    policy = effective.policy
    if policy.max_age is None:
        return Age(
            since=newest.created_at, state=AgeState.FRESH, due_at=None, then="", policy=effective.source("max_age")
        )
    due_at = later(newest.created_at, policy.max_age)
    soon = Instant(due_at - min(DUE_SOON, policy.max_age / 2))
    state = AgeState.OVERDUE if now >= due_at else AgeState.DUE_SOON if now >= soon else AgeState.FRESH
    return Age(
        since=newest.created_at,
        state=state,
        due_at=due_at,
        then=policy.on_max_age,
        policy=effective.source("max_age"),
    )


def coming(key: Key, effective: Effective, *, now: Instant, hold: Hold | None = None) -> tuple[Coming, ...]:
    """What is to happen to a live key and was not prevented yet, soonest first; what is overdue stands first.

    `hold` is the one that its owner's account is under.
    """
    if key.has_ended(now):
        return ()
    all_found = [*_of_secrets(key, now), *_of_policy(key, effective, now)]
    if hold is not None:
        all_found.append(Coming(at=hold.until, what="hold_ends", policy=hold.policy, field=hold.field))
    found = (one for one in all_found if one.at < FOREVER)
    return tuple(sorted(found, key=lambda one: (one.at, one.what)))


def _of_secrets(key: Key, now: Instant) -> list[Coming]:
    """The dates that stand in the key itself."""
    found = [Coming(at=key.expires_at, what="expire")]
    for one in key.secrets:
        if one.is_over(now):
            continue
        found.append(Coming(at=one.stops_at, what="stop_old"))
        if not one.has_started(now):
            found.append(Coming(at=one.starts_in_full_at, what="start_new"))
    return found


def _of_policy(key: Key, effective: Effective, now: Instant) -> list[Coming]:
    """The dates that follow from the policy in force."""
    policy, found = effective.policy, []
    known = age(key, effective, now=now)
    if known.due_at is not None:
        found.append(Coming(at=known.due_at, what=known.then, policy=known.policy, field="max_age"))
    newest = key.secrets[-1]
    idle_since = max(key.last_used_at or newest.created_at, newest.created_at)
    if policy.idle_expiry is not None:
        idle = later(idle_since, policy.idle_expiry)
        found.append(Coming(at=idle, what="expire", policy=effective.source("idle_expiry"), field="idle_expiry"))
    at = _without_allowlist(key, newest, effective, idle_since=idle_since)
    if at is not None:
        what = "drop_write" if policy.no_allowlist_rule.effect == "drop_write" else "stop"
        source = effective.source("no_allowlist_rule")
        found.append(Coming(at=at, what=what, policy=source, field="no_allowlist_rule"))
    return found


def _without_allowlist(key: Key, newest: Secret, effective: Effective, *, idle_since: Instant) -> Instant | None:
    """When the rule for keys without an allowlist is due; a reset never puts off the loss of a permission."""
    rule = effective.policy.no_allowlist_rule
    if key.allowlist:
        return None
    writes = any(action_rank(one) > 0 for one in key.permissions if not is_right(one))
    since = {
        "drop_write": key.created_at if writes else None,
        "stop_if_idle": idle_since if writes else None,
        "stop": newest.created_at,
    }.get(rule.effect)
    return None if since is None else later(since, rule.after)
