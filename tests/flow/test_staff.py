"""The operator's own people: what a role lets them do for customers, and what it never does (R40)."""

from typing import Any

import pytest

from keyturn.core.account import STAFF_ROLES, Account, Role, User
from keyturn.core.actor import Actor
from keyturn.core.key import Key
from keyturn.core.refusal import Refusal
from keyturn.core.reset import Asking, Reason
from keyturn.flow import account as accounts
from keyturn.flow import claim as claims
from keyturn.flow import evidence
from keyturn.flow import key as keys
from keyturn.flow import member as members
from keyturn.flow import password as passwords
from keyturn.flow.account import AccountEdit
from keyturn.flow.step import ResetAnswer
from keyturn.ports.page import Page
from tests.world import World, sure

STAFF = (Role.SUPPORT, Role.SECURITY, Role.AUDITOR)
ALL = Page(size=1000)


class Customer:
    """An account with an owner and a key."""

    def __init__(self, here: World) -> None:
        self.account: Account = here.account()
        self.owner: User = here.user(self.account)
        self.key: Key = here.key(account_id=self.account.id, owner_id=self.owner.id).key


@pytest.fixture
def customer(here: World) -> Customer:
    return Customer(here)


def staff(here: World, role: Role) -> Actor:
    return here.sign_in(here.user(here.operator, role))


def kind(answer: Any) -> str:
    return answer.kind if isinstance(answer, Refusal) else "done"


def order(here: World, actor: Actor, key: Key) -> Any:
    asking = Asking(reason=Reason.LEAKED)
    return here.store.change(
        lambda tx: claims.ask_for_claim(tx, actor=actor, key_id=key.id, asking=asking, forge=here.forge, once=None)
    )


@pytest.mark.parametrize("role", STAFF)
def test_staff_read_every_account_s_keys_members_and_records(here: World, customer: Customer, role: Role) -> None:
    actor = staff(here, role)
    read = here.store.read
    listed = sure(read(lambda tx: keys.listing(tx, actor=actor, account_id=None, owner_id=None, page=ALL)))
    assert customer.key.id in {one.id for one in listed or ()}
    assert kind(read(lambda tx: keys.show(tx, actor=actor, key_id=customer.key.id))) == "done"
    assert kind(read(lambda tx: accounts.show(tx, actor=actor, account_id=customer.account.id))) == "done"
    assert kind(read(lambda tx: members.listing(tx, actor=actor, account_id=customer.account.id))) == "done"
    trail = read(lambda tx: evidence.trail(tx, actor=actor, account_id=customer.account.id, subject_id=None, page=ALL))
    assert kind(trail) == "done"


@pytest.mark.parametrize("role", [one for one in Role if one not in STAFF_ROLES])
def test_no_role_in_a_customer_s_account_makes_staff(here: World, customer: Customer, role: Role) -> None:
    person = here.sign_in(here.user(customer.account, role))
    assert not [one for one in person.permissions if one.startswith("keyturn.staff")]


def test_support_and_security_suspend_customers_keys_as_support(here: World, customer: Customer) -> None:
    for role in (Role.SUPPORT, Role.SECURITY):
        actor = staff(here, role)
        assert kind(here.on_key("suspend", actor, customer.key.id, reason="asked")) == "done"
        record = here.audit(subject_id=customer.key.id)[-1]
        if role is Role.SUPPORT:
            assert (record.action, record.channel, record.actor_id) == ("key.suspended", "support", actor.id)
    assert here.get(customer.key.id).suspension is not None


def test_an_auditor_of_the_operator_stops_nothing(here: World, customer: Customer) -> None:
    auditor = staff(here, Role.AUDITOR)
    assert kind(here.on_key("suspend", auditor, customer.key.id, reason="asked")) == "permission_missing"
    assert kind(order(here, auditor, customer.key)) == "permission_missing"
    own = here.sign_in(here.user(customer.account, Role.AUDITOR))
    assert kind(here.on_key("suspend", own, customer.key.id, reason="asked")) == "done"  # one's own account's


def test_security_alone_stops_a_whole_account(here: World, customer: Customer) -> None:
    def stop(role: Role, account_id: str = customer.account.id) -> str:
        actor = staff(here, role)
        return kind(
            here.store.change(lambda tx: keys.suspend_account(tx, actor=actor, account_id=account_id, reason="asked"))
        )

    assert stop(Role.SUPPORT) == stop(Role.AUDITOR) == "not_found"
    assert stop(Role.SECURITY, here.operator.id) == "permission_missing"
    assert stop(Role.SECURITY) == "done"
    assert here.audit(subject_id=customer.account.id)[-1].channel == "support"


@pytest.mark.parametrize("role", [Role.SUPPORT, Role.SECURITY])
def test_r40_support_asks_for_a_reset_that_only_the_owner_completes(
    here: World, customer: Customer, role: Role
) -> None:
    actor = staff(here, role)
    answer = order(here, actor, customer.key)
    assert isinstance(answer, ResetAnswer)
    assert (answer.secret, answer.reset.waits) == (None, True)
    assert answer.reset.ordered_by == actor.id
    assert here.get(customer.key.id).suspension is not None  # leaked: stopped at once
    reset_id = answer.reset.id
    for step in (
        here.prove(actor, reset_id),
        here.mint(actor, reset_id),
        here.step("cancel", actor, reset_id),
        here.step("finish", actor, reset_id),
        here.store.change(lambda tx: claims.claim(tx, actor=actor, reset_id=reset_id, forge=here.forge, once=None)),
        here.ask(actor, customer.key),
    ):
        assert kind(step) in {"permission_missing", "reset_already_open"}
        assert getattr(step, "secret", None) is None


@pytest.mark.parametrize("role", STAFF)
def test_staff_never_make_edit_resume_revoke_or_hand_out(here: World, customer: Customer, role: Role) -> None:
    actor = staff(here, role)
    account, key = customer.account, customer.key

    def change(flow: Any) -> str:
        return kind(here.store.change(flow))

    assert kind(here.try_key(actor, account_id=account.id, owner_id=customer.owner.id)) == "not_found"
    assert kind(here.try_key(actor)) == "permission_missing"
    assert kind(here.on_key("resume", actor, key.id)) == "permission_missing"
    assert kind(here.on_key("revoke", actor, key.id)) == "permission_missing"
    edit = keys.KeyEdit(name="theirs")
    assert change(lambda tx: keys.edit(tx, actor=actor, key_id=key.id, edit=edit)) == "permission_missing"
    wish = AccountEdit(name="theirs")
    assert change(lambda tx: accounts.edit(tx, actor=actor, account_id=account.id, edit=wish)) == "not_found"
    assert change(lambda tx: accounts.create(tx, actor=actor, wish=wish, forge=here.forge)) == "permission_missing"
    assert (
        change(lambda tx: passwords.set_for(tx, actor=actor, user_id=customer.owner.id, new="x", forge=here.forge))
        != "done"
    )
    removal: dict[str, Any] = {"account_id": account.id, "user_id": customer.owner.id}
    assert change(lambda tx: members.remove(tx, actor=actor, **removal)) == "permission_missing"
    added: dict[str, Any] = {
        "account_id": account.id,
        "user_id": actor.user_id,
        "role": Role.OWNER,
        "forge": here.forge,
    }
    assert change(lambda tx: members.add_known(tx, actor=actor, **added)) != "done"


@pytest.mark.parametrize("role", [Role.SUPPORT, Role.SECURITY])
def test_staff_do_not_stop_what_runs_the_operator_s_business(here: World, role: Role) -> None:
    actor = staff(here, role)
    assert kind(here.on_key("suspend", actor, here.admin_key.id, reason="asked")) == "permission_missing"
    assert kind(order(here, actor, here.admin_key)) == "permission_missing"
    assert here.get(here.admin_key.id).suspension is None


def test_staff_roles_belong_to_the_operator_s_account_and_are_given_by_who_holds_what_they_give(
    here: World, customer: Customer
) -> None:
    boss = here.prove_again(here.sign_in(here.user(here.operator, Role.OWNER)))
    support = staff(here, Role.SUPPORT)

    def add(actor: Actor, account: Account, role: Role) -> str:
        user = here.user(here.account())
        words: dict[str, Any] = {"account_id": account.id, "user_id": user.id, "role": role, "forge": here.forge}
        return kind(here.store.change(lambda tx: members.add_known(tx, actor=actor, **words)))

    assert add(here.root, customer.account, Role.SECURITY) == "invalid_field"
    assert add(here.root, here.operator, Role.SECURITY) == "done"
    assert add(boss, here.operator, Role.SUPPORT) == "done"
    assert add(support, here.operator, Role.SUPPORT) == "permission_missing"
    keeper = here.machine(here.operator, here.operator_user, "*:admin", "keyturn.accounts:write", "keyturn.audit:read")
    assert add(keeper, here.operator, Role.AUDITOR) == "wider_than_actor"  # it would read every customer's
    assert sure(here.store.read(lambda tx: members.listing(tx, actor=boss, account_id=here.operator.id)))
