"""Keys, people and accounts through the real flows: whose they are, who may touch them, how many there may be."""

from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest

from keyturn.core.account import Account, Role, User
from keyturn.core.actor import Actor
from keyturn.core.authenticator import RECENT, SessionProof
from keyturn.core.instant import FOREVER, later
from keyturn.core.key import Key
from keyturn.core.refusal import ProofRequired, Refusal
from keyturn.flow import account as account_flow
from keyturn.flow import bootstrap, housekeeping
from keyturn.flow import key as key_flow
from keyturn.flow import password as password_flow
from keyturn.flow import user as user_flow
from keyturn.flow.account import AccountEdit
from keyturn.flow.key import KeyEdit
from keyturn.flow.replay import Once
from keyturn.flow.user import UserWish
from keyturn.outside.forge import SystemForge
from keyturn.ports.page import Page
from tests.flow.customer import everything, kind
from tests.world import PEPPER, T0, World, sure, unseen

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ALL = Page(size=1000)


def customer(here: World) -> tuple[Account, User, Actor]:
    account = here.account()
    owner = here.user(account)
    return account, owner, here.machine(account, owner, "orders:admin")


# Making keys


def test_pitfall_9_every_secret_is_random_and_the_pepper_makes_none(here: World) -> None:
    forges = [SystemForge(PEPPER), SystemForge(PEPPER)]
    texts = {forge.secret(brand="kt", environment="live").text.reveal for forge in forges for _ in range(500)}
    assert len(texts) == 1000
    assert len({text[8:30] for text in texts}) == 1000


def test_pitfall_10_r3_k11_no_secret_is_in_the_database_in_any_form_that_shows_it(here: World) -> None:
    account, _, machine = customer(here)
    made = here.key(machine, account_id=account.id, permissions=("orders:write",))
    minted = sure(here.ask(machine, made.key, grace=HOUR))
    here.code(unseen(made))
    here.housekeeper.tick()
    rows = "\n".join(row for table in everything(here).values() for row in table)
    for text in (unseen(made), unseen(minted)):
        presented = sha256(text.encode()).digest()
        for shown in (text, text[8:51], presented.hex(), repr(presented)[2:-1]):
            assert shown not in rows
    assert unseen(made) not in repr(made)
    assert unseen(minted) not in f"{minted!r} {minted.secret!s}"


def test_pitfall_7_a_key_is_made_for_oneself_unless_one_holds_the_right_over_the_other(here: World) -> None:
    account, owner, machine = customer(here)
    other, stranger, _ = customer(here)
    colleague = here.user(account, Role.MEMBER)
    assert sure(here.try_key(machine, permissions=())).key.owner_id == owner.id
    assert kind(here.try_key(machine, permissions=(), account_id=other.id)) == "not_found"
    assert kind(here.try_key(machine, permissions=(), account_id="acc_none")) == "not_found"
    assert kind(here.try_key(machine, permissions=(), owner_id=colleague.id)) == "permission_missing"
    assert kind(here.try_key(here.root, permissions=(), account_id=account.id, owner_id=stranger.id)) == "invalid_field"
    assert kind(here.try_key(here.root, account_id="acc_none")) == "not_found"
    assert sure(here.try_key(here.root, account_id=account.id)).key.owner_id == owner.id
    made = sure(here.try_key(here.root, account_id=account.id, owner_id=colleague.id))
    assert (made.key.account_id, made.key.owner_id, made.key.created_by) == (account.id, colleague.id, here.root.id)
    reader = here.as_key(here.key(permissions=("keyturn.keys:read",), account_id=account.id).key)
    assert kind(here.try_key(reader, permissions=())) == "permission_missing"


def test_pitfall_8_no_child_is_wider_than_its_maker(here: World) -> None:
    account, _, machine = customer(here)
    assert kind(here.try_key(machine, permissions=("orders:admin", "orders:read"))) == "done"
    for wide in (("*:read",), ("wallet:read",), ("keyturn.admin",), ("keyturn.verify",)):
        assert kind(here.try_key(machine, permissions=wide)) == "wider_than_actor"
    member = here.sign_in(here.user(account, Role.MEMBER))
    assert kind(here.try_key(member, permissions=("*:write",))) == "done"
    assert kind(here.try_key(member, permissions=("orders:admin",))) == "wider_than_actor"
    made = here.key(machine, permissions=("orders:read",))
    wider = KeyEdit(permissions=("wallet:read", "orders:read"))
    assert kind(here.on_key("edit", machine, made.key.id, edit=wider)) == "wider_than_actor"
    strong = here.key(account_id=account.id, permissions=("keyturn.audit:read",))
    assert kind(here.on_key("edit", machine, strong.key.id, edit=KeyEdit(name="x"))) == "wider_than_actor"


def test_k10_l5_the_limit_is_the_administrators_the_policys_or_the_floors(here: World) -> None:
    two, three = here.policy(max_keys_per_user=2), here.policy(max_keys_per_user=3)

    def room(**edit: Any) -> int:
        account = here.account(**edit)
        owner = here.user(account)
        count = 0
        while kind(here.try_key(here.root, account_id=account.id, owner_id=owner.id)) == "done":
            count += 1
        return count

    assert room(policy=three) == 3
    assert room(policy=three, max_keys_per_user=5) == 5
    assert room(policy=three, max_keys_per_user=5, floor=two) == 2
    assert room(policy=three, floor=two) == 2


def test_l5_room_comes_back_when_a_key_is_revoked_or_expires(here: World) -> None:
    account = here.account(max_keys_per_user=2)
    owner = here.user(account)
    words: dict[str, Any] = {"account_id": account.id, "owner_id": owner.id}
    revoked = here.key(**words)
    here.key(**words, expires_at=later(here.clock(), HOUR))
    assert kind(here.try_key(here.root, **words)) == "key_limit_reached"
    sure(here.on_key("revoke", here.root, revoked.key.id))
    here.key(**words)
    assert kind(here.try_key(here.root, **words)) == "key_limit_reached"
    here.clock.advance(HOUR)
    here.key(**words)
    assert kind(here.try_key(here.root, **words)) == "key_limit_reached"


def test_r31_what_a_policy_wants_of_a_new_key(here: World) -> None:
    strict = here.policy(expiry="required", allowlist_max=1, allowlist_required_for=["orders:write"])
    account = here.account(policy=strict)
    here.user(account)
    soon = later(here.clock(), HOUR)

    def answer(**wish: Any) -> str:
        return kind(here.try_key(here.root, account_id=account.id, **wish))

    listed = ("192.0.2.0/24",)
    assert answer(permissions=()) == "expiry_required"
    assert answer(permissions=(), expires_at=FOREVER) == "expiry_required"
    assert answer(permissions=(), expires_at=here.clock()) == "invalid_field"
    assert answer(permissions=("orders:admin",), expires_at=soon) == "allowlist_required"
    assert answer(expires_at=soon, allowlist=("192.0.2.0/24", "10.0.0.0/8")) == "allowlist_too_long"
    assert answer(permissions=("orders:read",), expires_at=soon) == "done"
    assert answer(expires_at=soon, policy="nowhere") == "policy_unknown"
    made = here.key(account_id=account.id, expires_at=soon, allowlist=listed)
    for edit, told in (
        (KeyEdit(expires_at=FOREVER), "expiry_required"),
        (KeyEdit(allowlist=()), "allowlist_required"),
        (KeyEdit(allowlist=("192.0.2.1/32", "10.0.0.1/32")), "allowlist_too_long"),
        (KeyEdit(expires_at=here.clock()), "invalid_field"),
        (KeyEdit(policy="nowhere"), "policy_unknown"),
        (KeyEdit(expires_at=later(soon, HOUR), policy="okx"), "done"),
    ):
        assert kind(here.on_key("edit", here.root, made.key.id, edit=edit)) == told, edit


def test_r31_a_policy_of_its_own_takes_a_right_over_the_account(here: World) -> None:
    _, _, machine = customer(here)
    assert kind(here.try_key(machine, permissions=(), policy="okx")) == "permission_missing"
    made = here.key(machine, permissions=())
    assert kind(here.on_key("edit", machine, made.key.id, edit=KeyEdit(policy="okx"))) == "permission_missing"


def test_r15_a_creation_sent_again_makes_nothing_and_shows_nothing(here: World) -> None:
    _, _, machine = customer(here)
    once = Once(caller=machine.id, idempotency_key="x", request=b"r" * 32)
    first, again = (sure(here.try_key(machine, once, permissions=())) for _ in range(2))
    assert first.secret is not None
    assert (again.secret, again.secret_shown, again.key) == (None, True, here.get(first.key.id))


# Editing and stopping


def test_pitfall_26_an_edit_is_followed_at_once(here: World) -> None:
    made = here.key()
    assert here.code(unseen(made), "orders:write") == "valid"
    sure(here.on_key("edit", here.root, made.key.id, edit=KeyEdit(permissions=("orders:read",))))
    assert here.code(unseen(made), "orders:write") == "permission_missing"
    sure(here.on_key("edit", here.root, made.key.id, edit=KeyEdit(allowlist=("192.0.2.0/24",))))
    assert here.verify(unseen(made), ip="198.51.100.1").code == "ip_not_allowed"
    assert here.verify(unseen(made), ip="192.0.2.200").code == "valid"
    before = len(here.audit())
    sure(here.on_key("edit", here.root, made.key.id, edit=KeyEdit(allowlist=("192.0.2.0/24",))))
    assert len(here.audit()) == before


STOPS: dict[str, dict[str, Any]] = {
    "suspend": {"reason": "odd"},
    "resume": {},
    "edit": {"edit": KeyEdit(permissions=("orders:read",))},
    "revoke": {},
}


def test_f10_whoever_repeats_a_stop_is_told_the_revision_by_which_it_stands(here: World) -> None:
    """The first answer may have been lost; nothing happens twice."""
    made = here.key()
    for name, words in STOPS.items():
        first = sure(here.on_key(name, here.root, made.key.id, **words))
        assert first.rev == here.store.rev(), name
        records = len(here.audit())
        here.key()  # somebody else's doing, in between
        again = sure(here.on_key(name, here.root, made.key.id, **words))
        assert again.rev >= first.rev, name
        assert again.key == first.key, name
        assert len(here.audit()) == records + 1, name


def test_an_edit_that_is_nothing_to_verifiers_waits_for_none(here: World) -> None:
    made = here.key()
    for edit in (KeyEdit(name="another"), KeyEdit(policy="tradingonramp"), KeyEdit()):
        assert sure(here.on_key("edit", here.root, made.key.id, edit=edit)).rev == 0


def test_an_ended_key_is_neither_edited_nor_resumed(here: World) -> None:
    ended, expired = here.key(), here.key(expires_at=later(here.clock(), HOUR))
    sure(here.on_key("revoke", here.root, ended.key.id))
    here.clock.advance(HOUR)
    assert kind(here.on_key("edit", here.root, ended.key.id, edit=KeyEdit(name="x"))) == "key_revoked"
    assert kind(here.on_key("edit", here.root, expired.key.id, edit=KeyEdit(name="x"))) == "key_expired"
    assert kind(here.on_key("resume", here.root, ended.key.id)) == "key_revoked"
    assert kind(here.on_key("suspend", here.root, ended.key.id, reason="")) == "key_revoked"
    assert kind(here.on_key("revoke", here.root, ended.key.id)) == "done"


def test_pitfall_18_what_is_somebody_elses_is_not_found(here: World) -> None:
    _, _, machine = customer(here)
    _, _, stranger = customer(here)
    made = here.key(machine, permissions=())
    for name, words in (("edit", {"edit": KeyEdit()}), ("suspend", {"reason": ""}), ("resume", {}), ("revoke", {})):
        foreign = here.on_key(name, stranger, made.key.id, **words)
        absent = here.on_key(name, stranger, "key_none", **words)
        assert kind(foreign) == "not_found"
        assert foreign == absent

    def shown(actor: Actor, key_id: str) -> object:
        return here.store.read(lambda tx: key_flow.show(tx, actor=actor, key_id=key_id))

    assert shown(stranger, made.key.id) == shown(stranger, "key_none")
    assert sure(shown(here.as_key(made.key), made.key.id)) == made.key
    assert here.cold_code(unseen(made)) == "valid"


def test_rights_over_keys_are_asked_for(here: World) -> None:
    account, _, machine = customer(here)
    made = here.key(machine, permissions=())

    def holder(*rights: str) -> Actor:
        return here.as_key(here.key(account_id=account.id, permissions=rights).key)

    def shown(actor: Actor) -> str:
        return kind(here.store.read(lambda tx: key_flow.show(tx, actor=actor, key_id=made.key.id)))

    reader, writer = holder("keyturn.keys:read"), holder("keyturn.keys:write")
    resetter = holder("keyturn.keys:reset")
    assert kind(here.on_key("edit", reader, made.key.id, edit=KeyEdit())) == "permission_missing"
    assert kind(here.on_key("revoke", reader, made.key.id)) == "permission_missing"
    assert kind(here.on_key("resume", writer, made.key.id)) == "permission_missing"
    assert shown(resetter) == "permission_missing"
    assert shown(reader) == shown(writer) == "done"
    assert kind(here.on_key("revoke", resetter, made.key.id)) == "done"


def test_f11_an_account_is_suspended_whole_and_its_keys_are_refused_at_once(here: World) -> None:
    account, _, machine = customer(here)
    other = here.key()
    mine = [here.key(machine, permissions=()) for _ in range(3)]
    assert [here.code(unseen(one)) for one in (*mine, other)] == ["valid"] * 4

    def suspend(actor: Actor, account_id: str = account.id) -> Any:
        return here.store.change(
            lambda tx: key_flow.suspend_account(tx, actor=actor, account_id=account_id, reason="odd")
        )

    assert kind(suspend(machine)) == "permission_missing"
    assert kind(suspend(machine, here.operator.id)) == kind(suspend(here.root, "acc_none")) == "not_found"
    done = suspend(here.root)
    assert not isinstance(done, Refusal)
    assert [here.code(unseen(one)) for one in (*mine, other)] == ["suspended"] * 3 + ["valid"]
    assert here.cold_code(unseen(mine[0])) == "suspended"
    assert here.verifier.applied_rev == here.store.rev()
    last = here.audit()[-1]
    assert (last.action, last.detail["keys"]) == ("account.suspended", "4")


def test_members_see_and_list_their_own_keys_only(here: World) -> None:
    account, owner, _ = customer(here)
    member = here.user(account, Role.MEMBER)
    as_member, as_owner = here.sign_in(member), here.sign_in(owner)
    mine, theirs = here.key(as_member, permissions=()), here.key(as_owner, permissions=())

    def listed(actor: Actor, account_id: str | None = None, owner_id: str | None = None) -> Any:
        found = here.store.read(
            lambda tx: key_flow.listing(tx, actor=actor, account_id=account_id, owner_id=owner_id, page=ALL)
        )
        return found.kind if isinstance(found, Refusal) else {one.id for one in found}

    assert listed(as_member) == listed(as_member, owner_id=owner.id) == {mine.key.id}
    assert listed(as_owner) > {mine.key.id, theirs.key.id}
    assert listed(as_owner, here.operator.id) == "not_found"
    assert listed(as_owner, owner_id=member.id) == {mine.key.id}
    assert listed(here.root) > listed(here.root, account.id) > {mine.key.id}
    nothing = here.as_key(here.key(account_id=account.id, permissions=("orders:read",)).key)
    assert listed(nothing) == listed(nothing, account.id) == "permission_missing"
    assert kind(here.on_key("revoke", as_member, theirs.key.id)) == "not_found"
    assert kind(here.on_key("revoke", as_member, mine.key.id)) == "done"


# People and accounts


def test_accounts_are_the_operators_to_make_and_to_govern(here: World) -> None:
    account, owner, machine = customer(here)
    keeper = here.machine(account, owner, "keyturn.accounts:write")

    def create(actor: Actor, **edit: Any) -> str:
        wished = AccountEdit(name="x", **edit)
        return kind(here.store.change(lambda tx: account_flow.create(tx, actor=actor, wish=wished, forge=here.forge)))

    def edit(actor: Actor, account_id: str = account.id, **words: Any) -> str:
        wished = AccountEdit(**words)
        return kind(
            here.store.change(lambda tx: account_flow.edit(tx, actor=actor, account_id=account_id, edit=wished))
        )

    assert create(keeper) == create(here.sign_in(owner)) == "permission_missing"
    assert create(here.root, policy="nowhere") == create(here.root, floor="nowhere") == "policy_unknown"
    assert create(here.root, policy="okx") == "done"
    assert edit(keeper, name="y", reset_allowlist=("::1/128",)) == "done"
    for governed in ({"policy": "okx"}, {"floor": "okx"}, {"max_keys_per_user": 99}):
        assert edit(keeper, **governed) == "permission_missing"
        assert edit(here.root, **governed) == "done"
    assert edit(here.root, drop_max_keys_per_user=True) == "done"
    assert edit(machine, name="z") == "permission_missing"
    assert edit(machine, here.operator.id) == edit(here.root, "acc_none") == "not_found"
    before = len(here.audit())
    assert edit(here.root, name="y") == "done"
    assert len(here.audit()) == before

    def shown(actor: Actor, account_id: str) -> str:
        return kind(here.store.read(lambda tx: account_flow.show(tx, actor=actor, account_id=account_id)))

    assert shown(here.sign_in(owner), account.id) == shown(here.root, account.id) == "done"
    assert shown(machine, account.id) == "permission_missing"
    assert shown(machine, here.operator.id) == shown(here.root, "acc_none") == "not_found"

    def listed(actor: Actor) -> Any:
        found = here.store.read(lambda tx: account_flow.listing(tx, actor=actor, page=ALL))
        return found.kind if isinstance(found, Refusal) else [one.id for _, one in found]

    assert set(listed(here.root)) > {account.id, here.operator.id}
    assert listed(keeper) == [account.id]
    assert listed(machine) == "permission_missing"


def test_users_are_made_within_an_account_one_for_each_address(here: World) -> None:
    account, owner, machine = customer(here)
    keeper = here.machine(account, owner, "*:write", "keyturn.accounts:write")

    def create(actor: Actor, email: str, account_id: str | None = None, password: str = "") -> str:
        wished = UserWish(email=email, name="", role=Role.MEMBER, account_id=account_id, password=password)
        return kind(here.store.change(lambda tx: user_flow.create(tx, actor=actor, wish=wished, forge=here.forge)))

    assert create(keeper, "new@example.com") == "done"
    assert create(keeper, "new@example.com") == create(here.root, "new@example.com", account.id) == "name_taken"
    assert create(machine, "other@example.com") == "permission_missing"
    assert create(keeper, "other@example.com", here.operator.id) == "not_found"
    # Nobody gets hold of somebody's address by being the first to name it.
    for customer_s in (keeper, here.sign_in(owner)):
        assert create(customer_s, "stranger@example.com", password="stored") == "permission_missing"
    assert create(here.root, "stranger@example.com", account.id, "stored") == "done"

    def shown(actor: Actor, user_id: str) -> str:
        return kind(here.store.read(lambda tx: user_flow.show(tx, actor=actor, user_id=user_id)))

    assert shown(here.sign_in(owner), owner.id) == shown(here.root, owner.id) == "done"
    assert shown(keeper, here.operator_user.id) == shown(here.root, "usr_none") == "not_found"
    member = here.user(account, Role.MEMBER)
    assert shown(here.sign_in(member), member.id) == "done"
    assert shown(here.sign_in(member), owner.id) == "not_found"


def test_a_password_set_by_the_operator_ends_every_session(here: World) -> None:
    """R40: by nobody else, for whoever has no more than a session makes a key with every right of its owner."""
    account, owner, _ = customer(here)
    keeper = here.machine(account, owner, "*:admin", "keyturn.accounts:write", "keyturn.audit:read")
    reader = here.machine(account, owner, "keyturn.accounts:read")
    person = here.sign_in(owner)

    def put(actor: Actor, user_id: str = owner.id) -> str:
        return kind(
            here.store.change(
                lambda tx: password_flow.set_for(tx, actor=actor, user_id=user_id, new="new", forge=here.forge)
            )
        )

    assert put(person) == put(reader) == put(keeper) == "permission_missing"
    assert put(keeper, here.operator_user.id) == put(keeper, "usr_none") == "not_found"
    assert here.store.read(lambda tx: tx.password_of(owner.id)) == "stored"
    assert put(here.root) == "done"
    assert here.store.read(lambda tx: tx.password_of(owner.id)) == "new"
    assert here.store.change(lambda tx: tx.end_sessions(user_id=owner.id)) == 0


def test_a_deployment_is_founded_once(here: World) -> None:
    assert here.store.change(lambda tx: bootstrap.found(tx, brand="kt", forge=here.forge)) is None
    key, secret = here.store.change(lambda tx: bootstrap.new_administrator_key(tx, brand="kt", forge=here.forge))
    assert isinstance(key, Key)
    assert here.code(secret.reveal, "keyturn.admin") == "valid"
    assert (key.account_id, key.permissions) == (here.operator.id, ("keyturn.admin",))


# Who used a key of late


def test_callers_of_every_key_are_written_down_with_the_other_uses(here: World) -> None:
    made, idle = here.key(), here.key()
    housekeeper = here.housekeeper
    for agent, count in (("bot/1", 2), ("bot\0\ud800", 1)):
        for _ in range(count):
            assert here.verify(unseen(made), "orders:write", ip="192.0.2.1", agent=agent).code == "valid"
    housekeeper.tick()

    def shown(number: int) -> list[tuple[str, str, str, int]]:
        found = here.store.read(lambda tx: tx.callers(number, since=T0))
        return [(one.address, one.permission, one.user_agent, one.count) for one in found]

    assert sorted(shown(made.key.number)) == [
        ("192.0.2.1", "orders:write", "bot/1", 2),
        ("192.0.2.1", "orders:write", "bot??", 1),
    ]
    assert shown(idle.key.number) == []


def test_many_callers_are_gathered_for_a_while_before_they_are_written(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "_CALLERS_A_TICK", 2)
    made = here.key()
    housekeeper = here.housekeeper
    for at in range(4):
        here.verify(unseen(made), ip=f"192.0.2.{at}")
    housekeeper.tick()

    def count() -> int:
        return sum(one.count for one in here.store.read(lambda tx: tx.callers(made.key.number, since=T0)))

    assert count() == 4
    here.verify(unseen(made), ip="192.0.2.1")
    housekeeper.tick()
    housekeeper.tick()
    assert count() == 4
    housekeeper.tick()
    assert count() == 5


# What a session alone does not hand on


def test_k2_nobody_makes_a_key_that_resets_others_without_showing_who_they_are(here: World) -> None:
    """R40: such a key is a complete proof, so a stolen session would need no other for any reset."""
    _, owner, _ = customer(here)
    person = here.sign_in(owner)
    plain = sure(here.try_key(person, permissions=("orders:write",)))
    rights = ("orders:write", "keyturn.keys:reset")
    edit = KeyEdit(permissions=rights)
    for answer in (
        here.try_key(person, permissions=rights),
        here.on_key("edit", person, plain.key.id, edit=edit),
    ):
        assert answer == ProofRequired(missing=("password",))
    proof = SessionProof(kind="password", at=here.clock())
    here.store.change(lambda tx: tx.note_session_proof(person.session, proof))
    sure(here.try_key(person, permissions=rights))
    assert sure(here.on_key("edit", person, plain.key.id, edit=edit)).key.permissions == rights
    here.clock.advance(RECENT)
    assert isinstance(here.try_key(person, permissions=rights), ProofRequired)
    narrower = KeyEdit(name="narrower", permissions=("keyturn.keys:reset",))
    assert sure(here.on_key("edit", person, plain.key.id, edit=narrower)).key.name == "narrower"  # nothing is added
