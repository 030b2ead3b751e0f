"""What a change of an account would bring about for its keys (K15), told before anybody clicks.

It asks the same questions of the same policies as `flow/consequence.py` does afterwards, and writes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from keyturn.core import consequence
from keyturn.core.consequence import RULE_FIELDS, Cause, Hold
from keyturn.core.key import Key
from keyturn.core.policy import Effective, Rule
from keyturn.flow.consequence import MANAGERS
from keyturn.flow.policy import effective
from keyturn.ports.transaction import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Befalls:
    """What one policy's rule would do, to these keys."""

    rule: Rule
    policy: str
    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """Everything a change would bring about."""

    befalls: tuple[Befalls, ...]
    hold: Hold | None
    """How long dangerous changes of keys would wait, where they would."""

    @property
    def nothing(self) -> bool:
        """Whether keys would go on as they are."""
        return not self.befalls and self.hold is None


def password_changed(tx: Transaction, *, user_id: str) -> Foresight:
    """For the person's own keys, in every account."""
    keys = tx.live_keys([user_id])
    accounts = [one for member in tx.members(user_id=user_id) if (one := tx.account(member.account_id)) is not None]
    policies = [effective(tx, one, "") for one in accounts]
    return _foreseen(tx, Cause.PASSWORD_CHANGED, keys, user_id, policies)


def member_added(tx: Transaction, *, account_id: str, actor_id: str) -> Foresight:
    """For the account's keys that a new member would come to share."""
    managers = frozenset(one.user_id for one in tx.members(account_id=account_id) if one.role in MANAGERS)
    found = tx.live_keys(sorted(managers), account_id=account_id)
    keys = [one for one in found if consequence.is_shared(one, managers=managers, newcomer="")]
    return _foreseen(tx, Cause.MEMBER_ADDED, keys, actor_id, [])


def _foreseen(
    tx: Transaction, cause: Cause, keys: Sequence[Key], user_id: str, policies: Sequence[Effective]
) -> Foresight:
    known: dict[tuple[str, str], Effective] = {}
    befallen: dict[tuple[Rule, str], list[Key]] = {}
    for key in keys:
        by = known.get((key.account_id, key.policy)) or _in_force(tx, key)
        known[key.account_id, key.policy] = by
        rule = consequence.rule(by, cause)
        if rule is not None and rule.effect != "hold" and not all(one.is_over(tx.now) for one in key.secrets):
            befallen.setdefault((rule, by.source(RULE_FIELDS[cause])), []).append(key)
    hold = consequence.hold([*policies, *known.values()], cause, user_id=user_id, now=tx.now)
    found = (Befalls(rule=rule, policy=policy, keys=tuple(some)) for (rule, policy), some in befallen.items())
    return Foresight(befalls=tuple(found), hold=hold)


def _in_force(tx: Transaction, key: Key) -> Effective:
    account = tx.account(key.account_id)
    assert account is not None  # noqa: S101  # a foreign key holds it
    return effective(tx, account, key.policy)
