"""Where a reset may start, and from where it may be minted (K9, R30), under each value and for programs too."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from keyturn.core.account import Account, Role
from keyturn.core.actor import Actor
from keyturn.core.authenticator import RECENT, Shown
from keyturn.core.key import Key
from keyturn.core.reset import Asking, Reason
from keyturn.flow import account as account_flow
from keyturn.flow import preview as previews
from keyturn.flow.account import AccountEdit
from tests.flow.customer import kind
from tests.person import Person
from tests.world import World, sure, unseen, world

ALLOWED = ("192.0.2.0/28", "2001:db8::/48")
PLACES = {  # an address: whether it is on the list
    "192.0.2.1": True,
    "192.0.2.15": True,
    "192.0.2.16": False,
    "198.51.100.7": False,
    "::ffff:192.0.2.1": True,
    "2001:db8::7": True,
    "2001:db8:1::7": False,
    None: False,
}


@dataclass
class There:
    """An account whose resets start from some addresses only, as the policy's `reset_origin` says."""

    world: World
    account: Account
    person: Person
    machine: Actor
    key: Key

    def at(self, address: str | None) -> Actor:
        """The owner in the same session at that address."""
        return replace(self.person.actor, address=address)

    def allow(self, actor: Actor, *networks: str) -> str:
        edit = AccountEdit(reset_allowlist=networks)
        return kind(
            self.world.store.change(
                lambda tx: account_flow.edit(tx, actor=actor, account_id=self.account.id, edit=edit)
            )
        )


@pytest.fixture
def there(database_url: str, request: pytest.FixtureRequest) -> Iterator[There]:
    with world(database_url) as made:
        policy = made.policy(reset_origin=request.param, proofs=["password"], step_up="none", on_member_added="none")
        account = made.account(policy=policy, reset_allowlist=ALLOWED)
        owner = made.user(account)
        key = made.key(account_id=account.id, owner_id=owner.id).key
        yield There(made, account, Person(made, owner), made.machine(account, owner), key)


def each(*values: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("there", values, indirect=True)


@each("any")
def test_k9_any_asks_nobody_where_they_are(there: There) -> None:
    one = there.world
    for address in PLACES:
        actor = there.at(address)
        reset_id = sure(one.ask(actor, there.key)).reset.id
        sure(one.prove(actor, reset_id))
        assert kind(one.mint(there.at("203.0.113.9"), reset_id)) == "done"
        assert kind(one.ask(replace(there.machine, address=address), there.key)) == "done"


@each("allowlist_only")
def test_k9_allowlist_only_lets_a_reset_start_and_be_minted_from_the_list_alone(there: There) -> None:
    one = there.world
    for address, listed in PLACES.items():
        answer = one.ask(there.at(address), there.key)
        assert kind(answer) == ("done" if listed else "reset_origin_refused"), address
        if listed:
            sure(one.step("cancel", there.at(address), sure(answer).reset.id))
        program = one.ask(replace(there.machine, address=address), there.key)
        assert kind(program) == ("done" if listed else "reset_origin_refused"), address
    reset_id = sure(one.ask(there.at("192.0.2.1"), there.key)).reset.id
    away = there.at("198.51.100.7")
    sure(one.prove(away, reset_id))
    assert kind(one.mint(away, reset_id)) == "reset_origin_refused"
    assert kind(one.mint(there.at(None), reset_id)) == "reset_origin_refused"
    assert kind(one.mint(there.at("2001:db8::7"), reset_id)) == "done"


@each("allowlist_only")
def test_r22_whoever_is_off_the_list_may_always_suspend_and_revoke_and_not_resume(there: There) -> None:
    one = there.world
    away = there.at("198.51.100.7")
    reset_id = sure(one.ask(there.at("192.0.2.1"), there.key)).reset.id
    sure(one.prove(away, reset_id))
    assert kind(one.on_key("suspend", away, there.key.id, reason="")) == "done"
    assert kind(one.on_key("resume", away, there.key.id)) == "reset_origin_refused"
    assert kind(one.on_key("resume", replace(there.machine, address=None), there.key.id)) == "reset_origin_refused"
    assert kind(one.on_key("resume", there.at("192.0.2.1"), there.key.id)) == "done"
    assert kind(one.on_key("revoke", away, there.key.id)) == "done"


@each("allowlist_only", "step_up_if_new")
def test_k9_an_empty_list_names_no_place_as_new(there: There) -> None:
    one = there.world
    assert there.allow(one.root) == "done"
    actor = there.at("198.51.100.7")
    asked = sure(one.ask(actor, there.key))
    assert asked.reset.missing(one.clock()) == ("password",)
    sure(one.prove(actor, asked.reset.id))
    assert kind(one.mint(actor, asked.reset.id)) == "done"


@each("step_up_if_new")
def test_k9_step_up_if_new_wants_a_second_factor_from_new_places(there: There) -> None:
    one = there.world
    refused = one.ask(there.at("198.51.100.7"), there.key)
    assert (kind(refused), getattr(refused, "field", "")) == ("second_factor_not_enrolled", "reset_origin")
    there.person.with_app()
    one.clock.advance(RECENT)
    for address, listed in PLACES.items():
        actor = there.at(address)
        asked = sure(one.ask(actor, there.key))
        missing = asked.reset.missing(one.clock())
        assert (missing == ("password",), "password+totp" in missing) == (listed, not listed), address
        sure(one.step("cancel", actor, asked.reset.id))
        assert kind(one.ask(replace(there.machine, address=address), there.key)) == "done", (
            "a credential has no second factor; its own allowlist says where it is used"
        )


@each("step_up_if_new")
def test_k9_a_new_place_is_asked_about_again_when_it_is_minted(there: There) -> None:
    one = there.world
    home, away = there.at("192.0.2.1"), there.at("198.51.100.7")
    first = sure(one.ask(home, there.key)).reset.id
    sure(one.prove(home, first))
    assert kind(one.mint(away, first)) == "second_factor_not_enrolled", "nothing that could be shown"
    assert kind(one.mint(home, first)) == "done"
    there.person.with_app()
    asked = sure(one.ask(home, there.key))
    assert asked.reset.missing(one.clock()) == ("password",)
    sure(one.prove(home, asked.reset.id))
    refused = one.mint(away, asked.reset.id)
    assert (kind(refused), "totp" in getattr(refused, "missing", ())) == ("proof_required", True)
    code = Shown(kind="totp", code=there.person.code())
    sure(one.prove(away, asked.reset.id, "totp", shown=code))
    minted = sure(one.mint(away, asked.reset.id))
    assert one.code(unseen(minted)) == "valid"


@each("allowlist_only")
def test_r21_a_preview_is_refused_from_where_the_reset_would_be(there: There) -> None:
    asking = Asking(reason=Reason.ROUTINE)

    def look(address: str | None) -> str:
        return kind(
            there.world.store.read(
                lambda tx: previews.preview(tx, actor=there.at(address), key_id=there.key.id, asking=asking)
            )
        )

    assert (look("192.0.2.1"), look("198.51.100.7"), look(None)) == (
        "done",
        "reset_origin_refused",
        "reset_origin_refused",
    )


@each("allowlist_only")
def test_k9_the_list_is_changed_by_a_person_who_has_just_shown_again_who_they_are(there: There) -> None:
    one = there.world
    person = there.person
    assert there.allow(person.actor, "198.51.100.0/24") == "proof_required"
    assert there.allow(person.actor, *ALLOWED) == "done", "nothing was to change"
    sure(person.show())
    assert there.allow(person.actor, "198.51.100.0/24") == "done"
    one.clock.advance(RECENT)
    assert there.allow(person.actor) == "proof_required"
    assert there.allow(there.person.actor, "198.51.100.0/24") == "done"
    assert there.allow(one.root, *ALLOWED) == "done", "the operator's credential"
    elsewhere = one.sign_in(person.user)
    sure(person.show())
    assert there.allow(elsewhere) == "proof_required", "another session has shown nothing"
    person.with_app()
    one.clock.advance(RECENT)
    sure(person.show())
    assert there.allow(person.actor) == "proof_required", "whoever has a second factor shows it"
    sure(person.show("totp", code=person.code()))
    assert there.allow(person.actor) == "done"
    assert [each.outcome for each in one.audit(subject_id=there.account.id) if each.action == "account.edited"].count(
        "proof_required"
    ) == 4
    admin = one.sign_in(one.user(there.account, Role.ADMIN))
    assert there.allow(admin, "198.51.100.0/24") == "permission_missing"
