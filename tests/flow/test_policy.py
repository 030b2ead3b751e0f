"""Policies as they are made, and what a changed one reaches (R31, R32); on both databases."""

from typing import Any

from keyturn.core.actor import Actor
from keyturn.core.instant import later
from keyturn.flow import account as account_flow
from keyturn.flow import policy as policy_flow
from keyturn.flow.account import AccountEdit
from tests.flow.customer import DAY, HOUR, Customer, kind
from tests.flow.customer import here as here  # noqa: PLC0414  # the fixture
from tests.world import sure


def test_r32_a_changed_policy_reaches_open_resets_where_it_is_stricter(here: Customer) -> None:
    one = here.world
    name = one.policy(proofs=["password"], grace_max="7d", cool_down="1h")
    made = here.key(policy=name)
    reset_id = here.proven(made.key, grace=2 * DAY)

    def change(**fields: Any) -> policy_flow.Drafted:
        words: dict[str, Any] = {"name": name, "base": "tradingonramp", "fields": fields}
        draft = sure(one.store.read(lambda tx: policy_flow.draft(tx, actor=one.root, **words)))
        stored = sure(one.store.change(lambda tx: policy_flow.store(tx, actor=one.root, **words)))
        assert stored.impact == draft.impact, "what it would change is what it changed"
        return stored

    laxer = change(proofs=["password"], grace_max="30d", cool_down="0s")
    assert laxer.impact.open_resets == ()
    stricter = change(proofs=["password+captcha"], grace_max="1d", cool_down="2h", manual="protocol")
    assert stricter.impact.open_resets == (reset_id,)
    shown = sure(one.step("show", here.person, reset_id))
    assert shown.plan is not None
    assert shown.plan.new_starts == later(one.clock(), 2 * HOUR)
    assert shown.plan.old_stops == later(one.clock(), 2 * HOUR + DAY)
    assert kind(one.mint(here.person, reset_id)) == "proof_required"
    change(proofs=["password"], manual="forbidden")
    assert kind(one.mint(here.person, reset_id)) in ("manual_reset_forbidden", "proof_required")


def test_r32_a_floor_s_next_version_reaches_open_resets_of_the_keys_above_it(here: Customer) -> None:
    one = here.world
    floor = one.policy(proofs=["password"], attempts=9)
    mine, others = here.key(), one.account()
    stranger = one.user(others)
    theirs = one.key(account_id=others.id, owner_id=stranger.id)
    edit = AccountEdit(floor=floor)
    sure(one.store.change(lambda tx: account_flow.edit(tx, actor=one.root, account_id=here.account.id, edit=edit)))
    reset_id = here.proven(mine.key)
    sure(one.ask(one.sign_in(stranger), theirs.key))

    def change(**fields: Any) -> policy_flow.Impact:
        words: dict[str, Any] = {"name": floor, "base": "tradingonramp", "fields": fields}
        return sure(one.store.change(lambda tx: policy_flow.store(tx, actor=one.root, **words))).impact

    laxer = change(proofs=["password"], attempts=20)
    assert (laxer.keys, laxer.open_resets) == (2, ())  # mine, and the automation credential
    assert change(proofs=["password+captcha"], attempts=2).open_resets == (reset_id,)
    shown = sure(one.step("show", here.person, reset_id)).reset
    assert shown.missing(one.clock()) == ("captcha",)
    assert (shown.source("attempts"), shown.source("proofs"), shown.policy.attempts) == (floor, floor, 2)


def test_r32_a_floor_of_the_deployment_is_every_key_s(here: Customer) -> None:
    one = here.world
    floor = one.policy(proofs=["password"])
    edit = AccountEdit(floor=floor)
    sure(one.store.change(lambda tx: account_flow.edit(tx, actor=one.root, account_id=one.operator.id, edit=edit)))
    reset_id = here.proven(here.key().key)
    words: dict[str, Any] = {"name": floor, "base": "", "fields": {"proofs": ["password+captcha"]}}
    stored = sure(one.store.change(lambda tx: policy_flow.store(tx, actor=one.root, **words)))
    assert stored.impact.open_resets == (reset_id,)


def test_r32_what_a_policy_would_find_is_shown_before(here: Customer) -> None:
    one = here.world
    name = one.policy(max_age="90d")
    for _ in range(3):
        here.key(policy=name)
    one.clock.advance(40 * DAY)
    words: dict[str, Any] = {"name": name, "base": "", "fields": {"max_age": "30d", "max_keys_per_user": 2}}
    records = len(one.audit())
    draft = sure(one.store.read(lambda tx: policy_flow.draft(tx, actor=one.root, **words)))
    assert (draft.impact.keys, len(draft.impact.keys_due)) == (3, 3)
    assert draft.impact.owners_over_limit == (here.owner.id,)
    assert len(one.audit()) == records
    assert draft.policy.version == 2


def test_r31_r32_policies_are_the_administrators_to_make(here: Customer) -> None:
    one = here.world

    def store(actor: Actor, name: str = "own", base: str = "", **fields: Any) -> str:
        return kind(
            one.store.change(lambda tx: policy_flow.store(tx, actor=actor, name=name, base=base, fields=fields))
        )

    assert store(here.machine) == store(here.person) == "permission_missing"
    assert store(one.root, "okx") == "name_taken"
    assert store(one.root, base="nowhere") == "policy_unknown"
    assert store(one.root, max_age=90) == "invalid_field"
    assert store(one.root, unheard_of="1") == "invalid_field"
    assert store(one.root, grace_default="8d") == "invalid_field"
    assert store(one.root) == "done"
    assert [each.outcome for each in one.audit() if each.action == "policy.stored"] == [
        "permission_missing",
        "permission_missing",
        "name_taken",
        "policy_unknown",
        "invalid_field",
        "invalid_field",
        "invalid_field",
        "done",
    ]
