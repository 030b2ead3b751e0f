"""What a change of an account brings about for its keys (K15): which keys, which rule, and the hold (R20, R30).

`none` does nothing.  `reset:7d` orders a reset, and the old secret ends 7 days from now at the latest.  `stop:7d` ends
it without one.  `hold:48h` lets dangerous changes of the keys wait.  Dates only ever move earlier, a hold's only later.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Final

from keyturn.core import allowlist, permission
from keyturn.core.instant import Instant, later
from keyturn.core.key import Key, StopReason, stop_all_by
from keyturn.core.policy import Effective, Rule
from keyturn.core.refusal import AccountHeld


class Cause(Enum):
    """What changed."""

    PASSWORD_CHANGED = "password_changed"  # noqa: S105  # the name of an event
    MEMBER_ADDED = "member_added"
    ADDRESS_CHANGED = "address_changed"
    AUTHENTICATOR_CHANGED = "authenticator_changed"


RULE_FIELDS: Final = {Cause.PASSWORD_CHANGED: "on_password_change", Cause.MEMBER_ADDED: "on_member_added"}
HOLD_FIELD: Final = "hold_after_account_change"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Dangerous changes of a person's keys wait until then; nobody can waive it."""

    user_id: str
    until: Instant
    policy: str
    field: str
    """The policy and the field that say so."""

    @property
    def refusal(self) -> AccountHeld:
        """The answer to what would widen a key meanwhile."""
        return AccountHeld(until=self.until, policy=self.policy, field=self.field)


def rule(effective: Effective, cause: Cause) -> Rule | None:
    """What the policy in force wants for keys, or None where it wants nothing."""
    name = RULE_FIELDS.get(cause)
    found: Rule | None = getattr(effective.policy, name) if name else None
    return None if found is None or found.effect == "none" else found


def hold(effectives: Iterable[Effective], cause: Cause, *, user_id: str, now: Instant) -> Hold | None:
    """The longest hold that one of the policies in force wants of this person, if any wants one."""
    wanted: list[tuple[timedelta, str, str]] = []
    for one in effectives:
        by_rule = rule(one, cause)
        if by_rule is not None and by_rule.effect == "hold":
            wanted.append((by_rule.after, RULE_FIELDS[cause], one.source(RULE_FIELDS[cause])))
        if cause is not Cause.MEMBER_ADDED:
            wanted.append((one.policy.hold_after_account_change, HOLD_FIELD, one.source(HOLD_FIELD)))
    after, field, policy = max(wanted, default=(timedelta(0), "", ""))
    return Hold(user_id=user_id, until=later(now, after), policy=policy, field=field) if after else None


def is_shared(key: Key, *, managers: frozenset[str], newcomer: str) -> bool:
    """Whether a new member comes to share the key: its owner manages the account, and is not the newcomer.

    A key that holds one of keyturn's own rights is the operator's automation, which is not handed to newcomers: else a
    new colleague would stop the administrator key.
    """
    plain = not any(permission.is_right(one) for one in key.permissions)
    return plain and key.owner_id in managers and key.owner_id != newcomer


def stop(key: Key, by: Rule, *, now: Instant) -> Key:
    """Every live secret ends by then; no reset is ordered."""
    return stop_all_by(key, later(now, by.after), reason=StopReason.POLICY, reset_id="", now=now)


def widens(before: Key, after: Key) -> bool:
    """Whether an edit lets the key do more, from more places, more often or for longer."""
    if not permission.covers(before.permissions, after.permissions) or after.expires_at > before.expires_at:
        return True
    if not allowlist.covers(before.allowlist, after.allowlist) or after.policy != before.policy:
        return True
    limit, held = after.limit, before.limit
    if held is None or limit == held:
        return False
    return limit is None or limit.interval_micros < held.interval_micros or limit.requests > held.requests
