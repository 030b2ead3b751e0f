"""What is said before a change is what the change does (K15)."""

from collections.abc import Iterator

import pytest

from keyturn.core.account import Role
from keyturn.core.actor import SYSTEM
from keyturn.flow import consequence, foresight
from keyturn.flow.foresight import Foresight
from tests.world import World, world

RULES = ("none", "reset:7d", "stop:3d", "hold:48h")


@pytest.fixture
def place(sqlite_url: str) -> Iterator[World]:
    with world(sqlite_url) as made:
        yield made


def foretold(found: Foresight) -> set[str]:
    return {key.id for one in found.befalls for key in one.keys}


@pytest.mark.parametrize("rule", RULES)
def test_k15_what_a_password_change_does_is_what_was_said(place: World, rule: str) -> None:
    account = place.account(policy=place.policy(on_password_change=rule))
    user, other = place.user(account), place.user(account)
    mine = [place.key(account_id=account.id, owner_id=user.id).key for _ in range(2)]
    theirs = place.key(account_id=account.id, owner_id=other.id).key
    revoked = place.key(account_id=account.id, owner_id=user.id).key
    place.on_key("revoke", place.root, revoked.id)
    found = place.store.read(lambda tx: foresight.password_changed(tx, user_id=user.id))
    before = {one.id: place.get(one.id) for one in (*mine, theirs, revoked)}
    place.store.change(
        lambda tx: consequence.after_password_change(tx, actor=SYSTEM, user_id=user.id, forge=place.forge)
    )
    changed = {name for name, key in before.items() if place.get(name) != key}
    assert foretold(found) == changed
    hold = place.store.read(lambda tx: tx.hold(user.id))
    assert (found.hold and found.hold.until) == (hold and hold.until)
    assert found.nothing == (rule == "none")


@pytest.mark.parametrize("rule", RULES)
def test_k15_what_a_new_member_does_is_what_was_said(place: World, rule: str) -> None:
    account = place.account(policy=place.policy(on_member_added=rule))
    owner, member = place.user(account), place.user(account, Role.MEMBER)
    keys = [place.key(account_id=account.id, owner_id=one.id).key for one in (owner, member)]
    found = place.store.read(lambda tx: foresight.member_added(tx, account_id=account.id, actor_id=owner.id))
    before = {one.id: place.get(one.id) for one in keys}
    place.user(account, Role.MEMBER)
    changed = {name for name, key in before.items() if place.get(name) != key}
    assert foretold(found) == changed
    hold = place.store.read(lambda tx: tx.hold(owner.id))
    assert (found.hold and found.hold.until) == (hold and hold.until)
    assert found.nothing == (rule == "none")


def test_r31_each_key_s_own_policy_speaks(place: World) -> None:
    account = place.account(policy=place.policy(on_password_change="none"))
    user = place.user(account)
    strict = place.policy(on_password_change="stop:1d")
    place.key(account_id=account.id, owner_id=user.id)
    special = place.key(account_id=account.id, owner_id=user.id, policy=strict).key
    found = place.store.read(lambda tx: foresight.password_changed(tx, user_id=user.id))
    assert [(one.policy, [key.id for key in one.keys]) for one in found.befalls] == [(strict, [special.id])]
