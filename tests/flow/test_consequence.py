"""What a change of password and a new member bring about, under each value (K15), on both databases."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from keyturn.core.account import Account, Member, Role, User
from keyturn.core.actor import Actor
from keyturn.core.authenticator import Shown
from keyturn.core.consequence import Cause
from keyturn.core.feed import Predicate
from keyturn.core.instant import Instant
from keyturn.core.stage import Stage
from keyturn.flow import account as account_flow
from keyturn.flow import consequence as consequences
from keyturn.flow import session_proof
from keyturn.flow.account import AccountEdit
from keyturn.flow.key import KeyAnswer, KeyEdit
from tests.flow.customer import DAY, HOUR, Customer, everything, kind
from tests.flow.test_claim import waiting
from tests.world import T0, World, entries_of, sure, unseen, world

CAUSES = ("on_password_change", "on_member_added")


@pytest.fixture
def here(database_url: str) -> Iterator[Customer]:
    """A customer whose policy brings nothing about: keys that are to be touched have their own."""
    with world(database_url) as made:
        account = made.account(policy=made.policy(on_password_change="none", on_member_added="none"))
        owner = made.user(account)
        yield Customer(made, account, owner, made.sign_in(owner), made.machine(account, owner))


def bring_about(here: Customer, cause: str, owner: User | None = None) -> User | None:
    """Let it happen; the newcomer, where there is one."""
    if cause == "on_password_change":
        here.world.set_password(owner or here.owner)
        return None
    return here.world.user(here.account, Role.MEMBER)


def new_records(one: World, before: int) -> Counter[str]:
    return Counter(each.action for each in one.audit()[before:])


def notices(one: World, kind: str) -> int:
    return sum(f"'kind': '{kind}'" in row for row in everything(one)["notices"])


@pytest.mark.parametrize("cause", CAUSES)
def test_k15_reset_orders_a_claim_and_ends_the_old_secret_by_the_date(here: Customer, cause: str) -> None:
    one = here.world
    made = here.key(policy={cause: "reset:7d"})
    short = here.key(policy={cause: "reset:7d"}, expires_at=Instant(T0 + DAY))
    before = len(one.audit())
    bring_about(here, cause)
    assert new_records(one, before)["reset.ordered"] == 2
    assert notices(one, "reset.ordered") == 2, "the owner is told of each"
    person = one.sign_in(here.owner, "another" if cause == CAUSES[0] else "stored")
    waits = waiting(here, person)
    assert isinstance(waits, list)
    assert len(waits) == 2
    resets = one.store.read(lambda tx: [tx.reset(each) for each in waits])
    assert {each.key_id for each in resets if each} == {made.key.id, short.key.id}
    assert {(each.ordered_by, each.lapses_at) for each in resets if each} == {("system", T0 + 7 * DAY)}
    assert one.code(unseen(made)) == "valid"
    detail = next(each for each in one.audit()[before:] if each.action == "reset.ordered").detail
    assert (detail["cause"], detail["field"], detail["old_stops_at"]) == (
        "password_changed" if cause == CAUSES[0] else "member_added",
        cause,
        "2030-01-08T00:00:00Z",
    )
    one.clock.advance(DAY)
    assert one.code(unseen(short)) == "expired", "nothing lives longer than it would have"
    one.clock.advance(6 * DAY)
    assert (one.code(unseen(made)), one.cold_code(unseen(made))) == ("replaced", "replaced")


@pytest.mark.parametrize("cause", CAUSES)
def test_k15_stop_ends_the_secrets_and_orders_nothing(here: Customer, cause: str) -> None:
    one = here.world
    made = here.key(policy={cause: "stop:7d"})
    before = len(one.audit())
    bring_about(here, cause)
    assert new_records(one, before)["key.end_set"] == notices(one, "key.end_set") == 1
    assert one.store.read(lambda tx: tx.latest_reset(made.key.id)) is None
    one.clock.advance(7 * DAY)
    assert (one.code(unseen(made)), one.cold_code(unseen(made))) == ("revoked", "revoked")
    before = len(one.audit())
    bring_about(here, cause)
    assert "key.end_set" not in new_records(one, before), "what is over already is left alone"


@pytest.mark.parametrize("cause", CAUSES)
def test_k15_none_changes_no_key(here: Customer, cause: str) -> None:
    one = here.world
    made = here.key(policy={cause: "none"})
    before = everything(one)
    bring_about(here, cause)
    after = everything(one)
    assert all(before[table] == after[table] for table in ("keys", "secrets", "resets", "feed", "holds"))
    assert one.code(unseen(made)) == "valid"


@pytest.mark.parametrize("cause", CAUSES)
def test_k15_hold_lets_what_widens_a_key_wait_and_nothing_else(here: Customer, cause: str) -> None:
    one = here.world
    made = here.key(policy={cause: "hold:48h", "grace_max": "1h"}, permissions=("orders:read",))
    asleep = here.key(policy={"on_password_change": "none", "on_member_added": "none"})
    sure(one.on_key("suspend", here.machine, asleep.key.id, reason=""))
    newcomer = bring_about(here, cause)
    until = T0 + 2 * DAY
    people = [each.id for each in (here.owner, newcomer) if each]
    held = one.store.read(lambda tx: [tx.hold(each) for each in people])
    assert [(each.until, each.field) if each else None for each in held] == [(until, cause)] * len(held)
    person = one.sign_in(here.owner, "another" if cause == CAUSES[0] else "stored")
    for actor in (person, here.machine):
        widening = KeyEdit(permissions=("orders:read", "fills:read"))
        refused = one.on_key("edit", actor, made.key.id, edit=widening)
        assert kind(refused) == ("account_held" if actor is person else "wider_than_actor")
        assert kind(one.on_key("edit", actor, made.key.id, edit=KeyEdit(expires_at=Instant(T0 + DAY)))) == "done"
        assert kind(one.on_key("edit", actor, made.key.id, edit=KeyEdit(expires_at=until))) == "account_held"
        assert kind(one.on_key("resume", actor, asleep.key.id)) == "account_held"
        assert kind(one.on_key("suspend", actor, asleep.key.id, reason="")) == "done"
        sure(one.on_key("edit", actor, made.key.id, edit=KeyEdit(name="another name")))
    opened = one.try_key(person, permissions=("orders:read",))
    assert one.code(unseen(sure(opened))) == "not_yet_active"
    assert one.code(unseen(made)) == "valid"
    minted = sure(one.ask(here.machine, made.key))
    assert minted.reset.new_starts_at == until, "the cool-down is at least the rest of the hold"
    leaked = sure(one.ask(here.machine, here.key().key, "leaked"))
    assert leaked.reset.new_starts_at == until, "nor is a leak a way around it"
    one.clock.advance(2 * DAY)
    assert one.code(unseen(sure(opened))) == "valid"
    assert kind(one.on_key("resume", here.machine, asleep.key.id)) == "done"
    assert kind(one.on_key("revoke", here.machine, asleep.key.id)) == "done"


def test_r30_nor_gets_a_person_who_is_held_a_secret_of_another_s_key_any_sooner(here: Customer) -> None:
    one = here.world
    colleague = one.user(here.account, Role.ADMIN)
    here.key(policy={"hold_after_account_change": "3d"})
    plain = one.policy(proofs=["password"], step_up="none", cool_down="0s")
    theirs = one.key(account_id=here.account.id, owner_id=colleague.id, policy=plain).key
    one.store.change(
        lambda tx: consequences.after_account_change(
            tx, actor=one.root, user_id=here.owner.id, cause=Cause.AUTHENTICATOR_CHANGED
        )
    )

    def starts(actor: Actor) -> Instant | None:
        asked = sure(one.ask(actor, theirs)).reset
        sure(one.prove(actor, asked.id))
        return sure(one.mint(actor, asked.id)).reset.new_starts_at

    assert starts(one.sign_in(colleague)) == T0
    assert starts(here.person) == T0 + 3 * DAY


def test_r30_the_longest_hold_stands_and_a_person_who_is_held_widens_nobody_s_key(here: Customer) -> None:
    one = here.world
    colleague = one.user(here.account, Role.ADMIN)
    here.key(policy={"hold_after_account_change": "3d"})
    one.key(account_id=here.account.id, owner_id=colleague.id, policy=one.policy(hold_after_account_change="1d"))
    theirs = one.key(account_id=here.account.id, owner_id=colleague.id, policy=one.policy())
    one.store.change(
        lambda tx: consequences.after_account_change(
            tx, actor=one.root, user_id=here.owner.id, cause=Cause.AUTHENTICATOR_CHANGED
        )
    )
    hold = one.store.read(lambda tx: tx.hold(here.owner.id))
    assert hold is not None
    assert (hold.until, hold.field) == (T0 + 3 * DAY, "hold_after_account_change")
    before = len(one.audit())
    one.store.change(
        lambda tx: consequences.after_account_change(
            tx, actor=one.root, user_id=colleague.id, cause=Cause.ADDRESS_CHANGED
        )
    )
    assert new_records(one, before) == {"user.held": 1}
    wide = KeyEdit(allowlist=())
    narrow = sure(one.on_key("edit", one.root, theirs.key.id, edit=KeyEdit(allowlist=("192.0.2.0/24",))))
    assert narrow.key.allowlist
    one.clock.advance(2 * DAY)  # the colleague's own hold is over
    refused: Any = one.on_key("edit", here.person, theirs.key.id, edit=wide)
    assert (kind(refused), refused.until, refused.field) == (
        "account_held",
        T0 + 3 * DAY,
        "hold_after_account_change",
    )
    assert kind(one.on_key("edit", one.sign_in(colleague), theirs.key.id, edit=wide)) == "done"
    before = len(one.audit())
    one.store.change(
        lambda tx: consequences.after_account_change(
            tx, actor=one.root, user_id=here.owner.id, cause=Cause.AUTHENTICATOR_CHANGED
        )
    )
    extended = one.store.read(lambda tx: tx.hold(here.owner.id))
    assert extended is not None
    assert extended.until == T0 + 5 * DAY


def test_r30_a_hold_never_ends_sooner(here: Customer) -> None:
    one = here.world
    made = here.key(policy={"hold_after_account_change": "3d"})

    def change() -> None:
        one.store.change(
            lambda tx: consequences.after_account_change(
                tx, actor=one.root, user_id=here.owner.id, cause=Cause.ADDRESS_CHANGED
            )
        )

    change()
    short = one.policy(hold_after_account_change="1h")
    one.clock.advance(HOUR)
    sure(one.on_key("revoke", one.root, made.key.id))
    one.key(account_id=here.account.id, owner_id=here.owner.id, policy=short)
    before = len(one.audit())
    change()
    hold = one.store.read(lambda tx: tx.hold(here.owner.id))
    assert hold is not None
    assert hold.until == T0 + 3 * DAY
    assert new_records(one, before) == {}


def test_k9_during_a_hold_the_account_s_reset_allowlist_is_not_widened(here: Customer) -> None:
    one = here.world
    here.key(policy={"on_password_change": "hold:48h"})

    def edit(actor: Actor, *networks: str) -> str:
        wish = AccountEdit(reset_allowlist=networks)
        return kind(
            one.store.change(lambda tx: account_flow.edit(tx, actor=actor, account_id=here.account.id, edit=wish))
        )

    def show_again(actor: Actor, stored: str) -> None:
        again = Shown(kind="password")
        sure(
            one.store.change(
                lambda tx: session_proof.show(
                    tx,
                    actor=actor,
                    shown=again,
                    matched_password=stored,
                    forge=one.forge,
                    authenticators=one.authenticators,
                )
            )
        )

    show_again(here.person, "stored")
    assert edit(here.person, "192.0.2.0/24") == "done"
    one.set_password(here.owner)
    person = one.sign_in(here.owner, "another")
    show_again(person, "another")
    assert edit(person, "192.0.2.0/24", "198.51.100.0/24") == "account_held"
    assert edit(person) == "account_held"
    assert edit(person, "192.0.2.0/28") == "done"
    assert edit(one.root) == "done"


# Whose keys


def test_k15_a_change_of_password_reaches_the_person_s_own_keys_in_every_account(here: Customer) -> None:
    one = here.world
    policy = one.policy(on_password_change="reset:7d")
    other, colleague = one.account(), one.user(here.account, Role.ADMIN)
    joined = Member(account_id=other.id, user_id=here.owner.id, role=Role.MEMBER)
    one.store.change(lambda tx: tx.insert_member(joined))

    def made(account: Account, owner: User, **changes: Any) -> KeyAnswer:
        return one.key(account_id=account.id, owner_id=owner.id, policy=policy, **changes)

    own = {made(here.account, here.owner).key.id, made(other, here.owner).key.id}
    own.add(made(here.account, here.owner, permissions=("keyturn.keys:read",)).key.id)
    gone = made(here.account, here.owner).key.id
    sure(one.on_key("revoke", here.machine, gone))
    made(here.account, colleague)
    one.set_password(here.owner)
    assert ordered(one) >= own
    assert not ordered(one) & {gone}
    assert {one.get(each).owner_id for each in ordered(one)} == {here.owner.id}


def test_k15_a_new_member_reaches_the_keys_they_come_to_share_and_no_others(here: Customer) -> None:
    one = here.world
    policy = one.policy(on_member_added="reset:7d")
    admin, plain = one.user(here.account, Role.ADMIN), one.user(here.account, Role.MEMBER)
    elsewhere = one.account()
    stranger = one.user(elsewhere)

    def made(owner: User, account: Account = here.account, **changes: Any) -> str:
        return one.key(account_id=account.id, owner_id=owner.id, policy=policy, **changes).key.id

    shared = {made(here.owner), made(admin)}
    made(plain)
    made(stranger, elsewhere)
    made(here.owner, permissions=("orders:read", "keyturn.keys:reset"))
    one.user(here.account, Role.ADMIN)
    assert ordered(one) == shared


def test_k15_the_administrator_key_is_not_stopped_by_a_colleague_or_a_first_password(here: Customer) -> None:
    one = here.world
    before = one.get(one.admin_key.id)
    one.user(one.operator, Role.ADMIN)
    one.set_password(one.operator_user)
    assert one.get(one.admin_key.id) == before
    assert ordered(one) == set()
    one.set_password(one.operator_user, "changed")
    assert one.admin_key.id in ordered(one), "a later change is one of what somebody knew"


def test_k15_a_new_member_leaves_whoever_is_proving_alone_and_a_new_password_does_not(here: Customer) -> None:
    one = here.world
    made = here.key(policy={"on_member_added": "reset:7d", "on_password_change": "reset:7d"})
    reset_id = here.proven(made.key)
    one.user(here.account, Role.MEMBER)
    assert waiting(here, here.person) == [reset_id]
    minted = sure(one.mint(here.person, reset_id))
    assert minted.reset.stage is Stage.MINTED
    second = here.proven(made.key)
    one.set_password(here.owner)
    person = one.sign_in(here.owner, "another")
    assert kind(one.mint(person, second)) == "claim_waits"
    assert kind(one.mint(here.person, second)) == "claim_waits"
    sure(one.claim(person, second))
    sure(one.prove(person, second, matched="another"))
    assert kind(one.mint(person, second)) == "done"


# Many


def test_f11_many_keys_are_told_of_by_one_entry_and_verified_right_at_once(here: Customer) -> None:
    one = here.world
    governed = AccountEdit(policy=one.policy(on_password_change="stop:0s"), max_keys_per_user=100)
    sure(one.store.change(lambda tx: account_flow.edit(tx, actor=one.root, account_id=here.account.id, edit=governed)))
    made = [one.key(account_id=here.account.id, owner_id=here.owner.id) for _ in range(consequences.FEW + 5)]
    assert {one.code(unseen(each)) for each in made} == {"valid"}
    rev, before = one.store.rev(), len(one.audit())
    one.set_password(here.owner)
    assert [entry.change for entry in entries_of(one.store) if entry.rev > rev] == [Predicate(owner_id=here.owner.id)]
    assert {one.code(unseen(each)) for each in made} == {"revoked"}
    assert new_records(one, before)["key.end_set"] == len(made) + 1, "and the automation credential's"


def ordered(one: World) -> set[str]:
    """Every key of which a reset was ordered."""
    return {each.detail["key"] for each in one.audit() if each.action == "reset.ordered"}
