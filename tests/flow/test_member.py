"""Members: added, given another role, removed; and what becomes of their sessions and keys."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from keyturn.core.account import Account, Member, Role, User
from keyturn.core.actor import Actor
from keyturn.core.permission import RIGHT_ACCOUNTS_READ, RIGHT_ACCOUNTS_WRITE, RIGHT_AUDIT_READ
from keyturn.core.refusal import (
    AlreadyMember,
    InvalidField,
    KeyLimitReached,
    LastOwner,
    NotFound,
    PermissionMissing,
    ProofRequired,
    Refusal,
    WiderThanActor,
)
from keyturn.flow import credential
from keyturn.flow import member as flow
from keyturn.flow.member import Removed
from tests.world import World, sure, unseen


@pytest.fixture
def account(here: World) -> Account:
    return here.account()


@pytest.fixture
def owner(here: World, account: Account) -> User:
    return here.user(account)


def do(here: World, name: str, actor: Actor, account: Account, **words: Any) -> Any:
    step = getattr(flow, name)
    return here.store.change(lambda tx: step(tx, actor=actor, account_id=account.id, **words))


def edit(here: World, actor: Actor, account: Account, user: User, role: Role) -> Any:
    here.prove_again(actor)
    return do(here, "edit", actor, account, user_id=user.id, role=role)


def remove(here: World, actor: Actor, account: Account, user: User, keys_to: User | None = None) -> Any:
    return do(here, "remove", actor, account, user_id=user.id, keys_to=keys_to and keys_to.id)


def add(here: World, actor: Actor, account: Account, user_id: str, role: Role = Role.MEMBER) -> Any:
    return do(here, "add_known", actor, account, user_id=user_id, role=role, forge=here.forge)


def role_of(here: World, account: Account, user: User) -> Role | None:
    found = here.store.read(lambda tx: tx.members(account_id=account.id, user_id=user.id))
    return found[0].role if found else None


def stands(here: World, actor: Actor) -> bool:
    return here.store.change(lambda tx: credential.stands(tx, actor))


def told(here: World, kind: str) -> list[str]:
    return [one.owner_id for _, one in here.store.read(lambda tx: tx.new_notices(limit=1000)) if one.kind == kind]


def records(here: World, action: str) -> list[str]:
    return [one.outcome for one in here.audit() if one.action == action]


def test_a_role_is_changed_by_who_may_give_it_and_sessions_end(here: World, account: Account, owner: User) -> None:
    admin, member = here.user(account, Role.ADMIN), here.user(account, Role.MEMBER)
    as_owner, as_admin, as_member = (here.sign_in(one) for one in (owner, admin, member))
    outsider = here.sign_in(here.user(here.account()))
    assert edit(here, as_admin, account, member, Role.ADMIN) == PermissionMissing(needed="keyturn.accounts:write")
    assert edit(here, outsider, account, member, Role.ADMIN) == NotFound()
    assert edit(here, as_owner, account, member, Role.SUPPORT).kind == "invalid_field"
    assert stands(here, as_member)
    assert edit(here, as_owner, account, member, Role.AUDITOR).role is Role.AUDITOR
    assert role_of(here, account, member) is Role.AUDITOR
    assert not stands(here, as_member)
    assert here.sign_in(member).permissions == here.sign_in(here.user(account, Role.AUDITOR)).permissions
    again = here.sign_in(member)
    assert edit(here, as_owner, account, member, Role.AUDITOR).role is Role.AUDITOR
    assert stands(here, again)  # nothing has changed
    assert records(here, "member.edited") == ["permission_missing", "not_found", "invalid_field", "done"]
    assert told(here, "member.edited") == [member.id]


def test_k2_nobody_is_made_a_manager_with_no_more_than_a_session(here: World, account: Account, owner: User) -> None:
    member, session = here.user(account, Role.MEMBER), here.sign_in(owner)

    def made(role: Role) -> Any:
        return here.store.change(
            lambda tx: flow.edit(tx, actor=session, account_id=account.id, user_id=member.id, role=role)
        )

    assert made(Role.ADMIN) == made(Role.OWNER) == ProofRequired(missing=("password",))
    assert role_of(here, account, member) is Role.MEMBER
    here.prove_again(session)
    assert made(Role.ADMIN).role is Role.ADMIN


def test_an_account_keeps_its_last_owner_whoever_asks(here: World, account: Account, owner: User) -> None:
    as_owner = here.sign_in(owner)
    assert edit(here, as_owner, account, owner, Role.ADMIN) == LastOwner()
    assert remove(here, as_owner, account, owner) == remove(here, here.root, account, owner) == LastOwner()
    other = here.user(account, Role.OWNER)
    assert isinstance(remove(here, as_owner, account, owner), Removed)
    assert remove(here, here.sign_in(other), account, other) == LastOwner()


def test_pitfall_8_nobody_changes_or_removes_a_member_mightier_than_themselves(
    here: World, account: Account, owner: User
) -> None:
    other, auditor = here.user(account, Role.OWNER), here.user(account, Role.AUDITOR)
    program = here.machine(account, owner, RIGHT_ACCOUNTS_READ, RIGHT_ACCOUNTS_WRITE, RIGHT_AUDIT_READ)
    assert isinstance(do(here, "edit", program, account, user_id=other.id, role=Role.AUDITOR), WiderThanActor)
    assert isinstance(remove(here, program, account, other), WiderThanActor)
    assert role_of(here, account, other) is Role.OWNER
    assert isinstance(remove(here, program, account, auditor), Removed)


def test_k12_nobody_leaves_an_account_through_a_portal(here: World, account: Account) -> None:
    member = here.user(account, Role.MEMBER)
    actor = here.sign_in(member)
    through = replace(actor, through="key_operator")
    assert remove(here, through, account, member) == PermissionMissing(needed=RIGHT_ACCOUNTS_WRITE)
    assert isinstance(remove(here, actor, account, member), Removed)


def test_pitfall_15_of_two_owners_who_leave_at_once_one_stays(here: World, account: Account, owner: User) -> None:
    for _ in range(3):
        other = here.user(account, Role.OWNER)
        actors = [(here.sign_in(one), one) for one in (owner, other)]
        with ThreadPoolExecutor(2) as threads:
            answers = list(threads.map(lambda pair: remove(here, pair[0], account, pair[1]), actors))
        assert sorted(type(one).__name__ for one in answers) == ["LastOwner", "Removed"]
        owner = next(one for one in (owner, other) if role_of(here, account, one) is Role.OWNER)


def test_a_removed_member_s_sessions_for_that_account_end_and_no_others(
    here: World, account: Account, owner: User
) -> None:
    member, elsewhere = here.user(account, Role.MEMBER), here.account()
    as_member = here.sign_in(member)
    sure(add(here, here.root, elsewhere, member.id))
    answer = remove(here, here.sign_in(owner), account, member)
    assert answer.member == Member(account_id=account.id, user_id=member.id, role=Role.MEMBER)
    assert not stands(here, as_member)
    assert role_of(here, account, member) is None
    assert here.sign_in(member).account_id == elsewhere.id
    assert told(here, "member.removed") == [member.id]
    assert remove(here, here.sign_in(owner), account, member) == NotFound()


def test_keys_of_who_left_stay_with_the_account_and_are_suspended(here: World, account: Account, owner: User) -> None:
    member = here.user(account, Role.MEMBER)
    live = here.key(account_id=account.id, owner_id=member.id)
    ended = here.key(account_id=account.id, owner_id=member.id)
    sure(here.on_key("revoke", here.root, ended.key.id))
    other = here.key(account_id=account.id, owner_id=owner.id)
    answer = remove(here, here.sign_in(owner), account, member)
    assert ([one.id for one in answer.suspended], answer.handed_over) == ([live.key.id], ())
    assert here.code(unseen(live)) == here.cold_code(unseen(live)) == "suspended"
    assert here.code(unseen(other)) == "valid"
    key = here.get(live.key.id)
    assert key.suspension is not None
    assert (key.account_id, key.owner_id, key.suspension.reason) == (account.id, member.id, "owner_left")


def test_keys_of_who_left_go_to_the_member_who_is_named(here: World, account: Account, owner: User) -> None:
    member, heir = here.user(account, Role.MEMBER), here.user(account, Role.MEMBER)
    stranger = here.user(here.account())
    live = here.key(account_id=account.id, owner_id=member.id, permissions=("orders:write",))
    as_member, as_owner = here.sign_in(member), here.sign_in(owner)
    reset = sure(here.ask(as_member, live.key))
    refused = remove(here, as_owner, account, member, stranger)
    assert refused == InvalidField(field="keys_to", reason="no member of the account")
    answer = remove(here, as_owner, account, member, heir)
    assert ([one.id for one in answer.handed_over], answer.suspended) == ([live.key.id], ())
    assert here.get(live.key.id).owner_id == heir.id
    assert here.code(unseen(live)) == "valid"
    assert here.step("show", as_owner, reset.reset.id).reset.stage.value == "ended"  # type: ignore[union-attr]  # it may be read
    assert isinstance(here.ask(here.sign_in(heir), live.key), object)
    assert records(here, "member.removed") == ["invalid_field", "done"]


def test_k10_nobody_is_handed_more_keys_than_they_may_have(here: World) -> None:
    account = here.account(max_keys_per_user=2)
    owner = here.user(account)
    member, heir = here.user(account, Role.MEMBER), here.user(account, Role.MEMBER)
    for one in (member, member, heir):
        here.key(account_id=account.id, owner_id=one.id)
    answer = remove(here, here.sign_in(owner), account, member, heir)
    assert isinstance(answer, KeyLimitReached)
    assert role_of(here, account, member) is Role.MEMBER


def test_anybody_may_leave_and_nobody_removes_mightier_ones(here: World, account: Account, owner: User) -> None:
    member, admin = here.user(account, Role.MEMBER), here.user(account, Role.ADMIN)
    keeper = here.machine(account, owner, "*:write", "keyturn.accounts:write")
    assert isinstance(remove(here, keeper, account, admin), WiderThanActor)
    assert remove(here, here.sign_in(admin), account, member) == PermissionMissing(needed="keyturn.accounts:write")
    assert isinstance(remove(here, here.sign_in(member), account, member), Removed)
    assert isinstance(remove(here, here.sign_in(admin), account, admin), Removed)


def test_only_the_operator_adds_who_is_a_user_already(here: World, account: Account, owner: User) -> None:
    other = here.user(here.account())
    as_owner = here.sign_in(owner)
    assert add(here, as_owner, account, other.id) == PermissionMissing(needed="keyturn.accounts:write")
    assert add(here, here.root, account, "usr_none") == NotFound()
    assert add(here, here.root, account, other.id).role is Role.MEMBER
    assert add(here, here.root, account, other.id) == AlreadyMember()
    assert told(here, "member.added")[-1] == other.id


def test_members_are_listed_to_who_may_read_the_account(here: World, account: Account, owner: User) -> None:
    member = here.user(account, Role.MEMBER)

    def listed(actor: Actor) -> Any:
        found = here.store.read(lambda tx: flow.listing(tx, actor=actor, account_id=account.id))
        return found.kind if isinstance(found, Refusal) else [(one.role, user.id) for one, user in found]

    assert set(listed(here.sign_in(owner))) == {(Role.OWNER, owner.id), (Role.MEMBER, member.id)}
    assert listed(here.root) == listed(here.sign_in(owner))
    assert listed(here.sign_in(member)) == "permission_missing"
    assert listed(here.sign_in(here.user(here.account()))) == "not_found"
