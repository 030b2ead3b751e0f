"""Resets through the real flows, store and verifier; a story a clause, on both databases."""

from datetime import timedelta
from typing import Any

import pytest

from keyturn.core.account import Role, User
from keyturn.core.actor import Actor, Channel
from keyturn.core.instant import FOREVER, Instant, later
from keyturn.core.refusal import Refusal
from keyturn.core.stage import Stage
from keyturn.flow import handover as handover_flow
from keyturn.flow import reset as reset_flow
from keyturn.flow.key import KeyEdit
from keyturn.ports.page import Page
from keyturn.ports.store import StoreBusy
from keyturn.store.transaction import SqlTransaction
from tests.flow.customer import DAY, HOUR, MINUTE, SECOND, Customer, everything, kind
from tests.flow.customer import here as here  # noqa: PLC0414  # the fixture
from tests.world import sure, unseen, world

# Isolation


@pytest.mark.parametrize("reason", ["routine", "lost", "leaked"])
def test_r26_r23_a_reset_changes_nothing_else_in_the_whole_database(here: Customer, reason: str) -> None:
    one = here.world
    made = here.key(limit="5/1m", allowlist=("192.0.2.0/24",), name="mine")
    here.key()
    one.sign_in(here.owner)
    sure(one.ask(here.person, here.key().key))  # another key's open reset
    before = everything(one)
    sure(one.ask(here.machine, made.key, reason))
    after = everything(one)
    new = {name: [row for row in after[name] if row not in before[name]] for name in after}
    gone = {name: [row for row in before[name] if row not in after[name]] for name in after}
    assert {name: (len(gone[name]), len(new[name])) for name in after if gone[name] or new[name]} == {
        "audit": (0, 3),
        "authority": (1, 1),
        "feed": (0, 1),
        "notices": (0, 3),
        "resets": (0, 1),
        "secrets": (1, 2),
    }
    assert all(made.key.id in row for row in new["feed"] + new["resets"] + new["notices"])
    assert all(f"'key_number': {made.key.number}" in row for row in new["secrets"] + gone["secrets"])


def test_pitfall_4_r23_a_reset_multiplies_no_limit(here: Customer) -> None:
    made = here.key(limit="3/1h")
    one = here.world
    assert [one.code(unseen(made)) for _ in range(2)] == ["valid", "valid"]
    minted = sure(one.ask(here.machine, made.key, grace=HOUR))
    assert minted.key.number == made.key.number
    assert [one.code(unseen(minted)), one.code(unseen(made)), one.code(unseen(minted))] == [
        "valid",
        "rate_limited",
        "rate_limited",
    ]


def test_pitfall_13_using_a_replaced_secret_does_nothing_to_its_successor(here: Customer) -> None:
    made = here.key()
    one = here.world
    minted = sure(one.ask(here.machine, made.key))
    for _ in range(3):
        assert one.code(unseen(made)) == "replaced"
        one.housekeeper.tick()
    assert one.code(unseen(minted)) == "valid"


def test_r52_the_old_secret_is_told_when_and_by_which_reset(here: Customer) -> None:
    made = here.key()
    one = here.world
    minted = sure(one.ask(here.machine, made.key, grace=HOUR))
    one.clock.advance(HOUR)
    verdict = one.verify(unseen(made))
    assert verdict.code == "replaced"
    assert verdict.view is not None
    assert verdict.view.replaced_by == minted.reset.id


# Who


def test_r40_a_machine_needs_its_right_on_that_account(here: Customer) -> None:
    made = here.key()
    one = here.world
    other = one.account()
    stranger = one.machine(other, one.user(other))
    reader = one.as_key(
        one.key(permissions=("keyturn.keys:read",), account_id=here.account.id, owner_id=here.owner.id).key
    )
    named = one.as_key(one.key(permissions=(f"keyturn.keys:reset@{here.account.id}",)).key)
    assert kind(one.ask(stranger, made.key)) == "not_found"
    assert kind(one.ask(stranger, "key_unknown")) == "not_found"
    assert kind(one.ask(reader, made.key)) == "permission_missing"
    assert sure(one.ask(named, made.key)).secret is not None


def test_pitfall_19_every_step_asks_for_the_right_again(here: Customer) -> None:
    one = here.world
    made = here.key()
    reset_id = here.proven(made.key)
    reader = one.as_key(
        one.key(permissions=("keyturn.keys:read",), account_id=here.account.id, owner_id=here.owner.id).key
    )
    stranger = one.sign_in(one.user(one.account()))
    for name in ("cancel", "finish"):
        assert kind(one.step(name, reader, reset_id)) == "permission_missing"
        assert kind(one.step(name, stranger, reset_id)) == "not_found"
    assert kind(one.mint(reader, reset_id)) == "permission_missing"
    assert kind(one.mint(stranger, reset_id)) == "not_found"
    assert kind(one.prove(stranger, reset_id)) == "not_found"
    assert kind(one.step("show", stranger, reset_id)) == "not_found"
    assert kind(one.step("show", reader, reset_id)) == "done"
    assert kind(one.on_key("suspend", reader, made.key.id, reason="")) == "done"  # the safe direction needs least


def test_pitfall_8_a_machine_cannot_take_a_key_that_holds_more_rights(here: Customer) -> None:
    one = here.world
    strong = one.key(permissions=("keyturn.accounts:write",), account_id=here.account.id, owner_id=here.owner.id)
    assert kind(one.ask(here.machine, strong.key)) == "wider_than_actor"
    assert kind(one.on_key("resume", here.machine, strong.key.id)) == "wider_than_actor"
    asked = sure(one.ask(here.person, strong.key))
    assert kind(one.step("cancel", here.machine, asked.reset.id)) == "wider_than_actor"


def test_r40_a_key_resets_itself_only_where_the_policy_lets_it_and_revokes_itself_always(here: Customer) -> None:
    one = here.world
    free, bound = here.key(policy={"self_reset": "allowed"}), here.key()
    itself = one.as_key(free.key, Channel.KEY)
    answer = sure(one.ask(itself, free.key))
    assert one.code(unseen(answer)) == "valid"
    assert answer.reset.channel is Channel.KEY
    refused = one.ask(one.as_key(bound.key), bound.key)  # whatever channel it claims
    assert kind(refused) == "self_reset_forbidden"
    assert kind(one.ask(itself, bound.key)) == "not_found"
    assert kind(one.on_key("revoke", one.as_key(bound.key, Channel.KEY), bound.key.id)) == "done"
    assert one.code(unseen(bound)) == "revoked"


def test_r11_a_proof_is_bound_to_this_reset_this_user_and_this_session(here: Customer) -> None:
    one = here.world
    made = here.key()
    asked = sure(one.ask(here.person, made.key))
    elsewhere = one.sign_in(here.owner)
    colleague = one.sign_in(one.user(here.account, Role.ADMIN))
    assert kind(one.prove(elsewhere, asked.reset.id)) == "proof_refused"
    assert kind(one.prove(colleague, asked.reset.id)) == "proof_refused"
    sure(one.prove(here.person, asked.reset.id))
    assert kind(one.mint(elsewhere, asked.reset.id)) == "not_the_asker"
    assert kind(one.mint(colleague, asked.reset.id)) == "not_the_asker"
    one.clock.advance(10 * MINUTE)
    assert kind(one.mint(here.person, asked.reset.id)) == "proof_required"
    sure(one.prove(here.person, asked.reset.id))
    assert one.code(unseen(sure(one.mint(here.person, asked.reset.id)))) == "valid"
    assert kind(one.mint(here.person, asked.reset.id)) == "reset_out_of_order"
    assert kind(one.prove(here.person, asked.reset.id)) == "reset_out_of_order"


def test_r11_wrong_proofs_are_counted_and_end_the_reset(here: Customer) -> None:
    one = here.world
    made = here.key(policy={"attempts": 2})
    asked = sure(one.ask(here.person, made.key))
    first, second = (one.prove(here.person, asked.reset.id, matched="") for _ in range(2))
    assert kind(first) == "proof_refused"
    assert getattr(first, "attempts_left") == 1  # noqa: B009  # of whichever refusal it is
    assert kind(second) == "too_many_attempts"
    assert kind(one.prove(here.person, asked.reset.id)) == "reset_out_of_order"
    assert kind(one.prove(here.person, asked.reset.id, "captcha")) == "reset_out_of_order"


def test_r11_a_password_changed_meanwhile_is_no_proof(here: Customer) -> None:
    one = here.world
    asked = sure(one.ask(here.person, here.key().key))
    one.store.change(lambda tx: tx.set_password(here.owner.id, "another"))
    assert kind(one.prove(here.person, asked.reset.id, matched="stored")) == "proof_refused"
    assert kind(one.prove(here.person, asked.reset.id, matched="another")) == "done"


def test_r11_a_proof_that_helps_nothing_is_refused_and_not_counted(here: Customer) -> None:
    one = here.world
    asked = sure(one.ask(here.person, here.key().key))
    assert kind(one.prove(here.person, asked.reset.id, "captcha")) == "proof_not_wanted"
    assert kind(one.prove(here.person, asked.reset.id, "administrator")) in ("permission_missing", "proof_not_wanted")
    assert sure(one.step("show", here.person, asked.reset.id)).reset.refused_proofs == 0


# Time


def test_r12_an_open_reset_lapses_and_another_may_be_asked(here: Customer) -> None:
    one = here.world
    made = here.key()
    asked = sure(one.ask(here.person, made.key))
    one.clock.advance(30 * MINUTE - SECOND)
    assert kind(one.ask(here.person, made.key)) == "reset_already_open"
    one.clock.advance(SECOND)
    assert kind(one.prove(here.person, asked.reset.id)) == "reset_lapsed"
    assert kind(one.mint(here.person, asked.reset.id)) == "reset_lapsed"
    assert kind(one.step("cancel", here.person, asked.reset.id)) == "reset_lapsed"
    before = here.world.get(made.key.id)
    sure(one.ask(here.person, made.key))
    assert sure(one.step("show", here.person, asked.reset.id)).reset.stage is Stage.ENDED
    assert here.world.get(made.key.id) == before
    assert [one.outcome for one in one.audit(subject_id=asked.reset.id) if one.action == "reset.lapsed"] == ["done"]


def test_r12_housekeeping_writes_lapses_and_settling_down_once(here: Customer) -> None:
    one = here.world
    asked = sure(one.ask(here.person, here.key().key))
    minted = sure(one.ask(here.machine, here.key(policy={"cool_down": "20m"}).key))
    one.clock.advance(30 * MINUTE)
    for _ in range(2):
        one.housekeeper.tick()
    stages = [sure(one.step("show", here.person, found.reset.id)).reset.stage for found in (asked, minted)]
    assert stages == [Stage.ENDED, Stage.SETTLED]
    assert [each.action for each in one.audit(subject_id=asked.reset.id)] == ["reset.asked", "reset.lapsed"]
    assert [each.action for each in one.audit(subject_id=minted.reset.id)][-1] == "reset.settled"
    told = {notice.kind for _, notice in one.store.change(lambda tx: tx.new_notices(limit=100))}
    assert told >= {"reset.lapsed", "reset.settled"}


def test_r20_first_use_brings_the_end_of_the_old_secret_forward(here: Customer) -> None:
    one = here.world
    made = here.key(policy={"grace_max": "7d", "wait_for_first_use": True})
    minted = sure(one.ask(here.machine, made.key, grace=HOUR))
    assert minted.reset.old_stops_at == later(one.clock(), 7 * DAY)
    one.clock.advance(DAY)
    used = one.clock()
    assert one.code(unseen(minted)) == "valid"
    one.clock.advance(MINUTE)
    assert one.code(unseen(made)) == "valid"
    before = one.store.rev()
    one.housekeeper.tick()
    assert one.store.rev() == before + 1
    assert one.get(made.key.id).secrets[0].stops_at == later(used, HOUR)
    one.clock.advance(HOUR - MINUTE)
    assert (one.code(unseen(made)), one.cold_code(unseen(made))) == ("replaced", "replaced")
    assert [each.action for each in one.audit(subject_id=minted.reset.id)][-1] in ("reset.settled", "reset.first_used")


def test_r20_first_use_counts_also_while_the_next_reset_is_open(here: Customer) -> None:
    one = here.world
    made = here.key()
    minted = sure(one.ask(here.machine, made.key, "lost"))
    sure(one.ask(here.person, made.key))
    assert (one.code(unseen(minted)), one.code(unseen(made))) == ("valid", "valid")
    one.housekeeper.tick()
    assert (one.code(unseen(minted)), one.code(unseen(made))) == ("valid", "replaced")


def test_r21_a_gap_is_told_before_the_secret_is_minted(here: Customer) -> None:
    one = here.world
    ends = later(one.clock(), HOUR)
    made = here.key(policy={"cool_down": "2h"}, expires_at=ends)
    asked = sure(one.ask(here.person, made.key))
    assert asked.plan is not None
    assert asked.plan.gap is not None
    assert (asked.plan.gap.since, asked.plan.gap.until) == (ends, later(one.clock(), 2 * HOUR))
    fine = sure(one.ask(here.person, here.key(policy={"cool_down": "2h"}).key))
    assert fine.plan is not None
    assert fine.plan.gap is None


def test_r21_reset_again_and_again_never_loses_the_working_secret(here: Customer) -> None:
    one = here.world
    made = here.key(policy={"cool_down": "1d"})
    texts = [unseen(sure(one.ask(here.machine, made.key))) for _ in range(20)]
    assert (one.code(unseen(made)), one.cold_code(unseen(made))) == ("valid", "valid")
    one.clock.advance(DAY)
    assert (one.code(unseen(made)), one.cold_code(unseen(made))) == ("replaced", "replaced")
    assert [one.code(text) for text in texts] == ["replaced"] * 19 + ["valid"]
    assert [one.cold_code(text) for text in texts] == ["replaced"] * 19 + ["valid"]


def test_law_1_a_leak_stops_the_working_secret_however_many_resets_came_after_it(here: Customer) -> None:
    one = here.world
    made = here.key(policy={"cool_down": "1d"})
    for _ in range(20):
        sure(one.ask(here.machine, made.key))
    sure(one.ask(here.machine, made.key, "leaked"))
    assert (one.code(unseen(made)), one.cold_code(unseen(made))) == ("replaced", "replaced")


def test_r15_reset_again_inherits_the_dates(here: Customer) -> None:
    one = here.world
    made = here.key(policy={"cool_down": "1d"})
    first = sure(one.ask(here.machine, made.key))
    one.clock.advance(HOUR)
    second = sure(one.ask(here.machine, made.key))
    assert second.reset.new_starts_at == first.reset.new_starts_at
    assert second.reset.old_stops_at == first.reset.old_stops_at
    assert sure(one.step("show", here.person, first.reset.id)).reset.stage is Stage.ENDED
    assert kind(one.step("finish", here.machine, first.reset.id)) == "reset_out_of_order"


def test_r33_quiet_ends_the_grace_once_the_old_secret_is_no_longer_used(here: Customer) -> None:
    one = here.world
    made = here.key(policy={"quiet_after": "1h", "grace_max": "until_stopped"})
    minted = sure(one.ask(here.machine, made.key, grace=timedelta.max))
    for _ in range(3):
        one.clock.advance(50 * MINUTE)
        assert one.code(unseen(made)) == "valid"
        one.housekeeper.tick()
    one.clock.advance(2 * HOUR)
    one.housekeeper.tick()
    assert one.code(unseen(made)) == "valid", "the new secret was never used"
    one.code(unseen(minted))
    one.housekeeper.tick()  # the old one has just been used above
    assert one.code(unseen(made)) == "valid"
    one.housekeeper.tick()
    one.clock.advance(HOUR)
    one.housekeeper.tick()
    assert one.code(unseen(made)) == "replaced"
    last = one.audit(subject_id=minted.reset.id)[-1]
    assert (last.action, last.actor_id, last.detail["by"]) == ("reset.finished", "system", "quiet")


def test_r20_a_first_use_that_cannot_be_written_down_is_written_with_the_next_turn(
    here: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = here.world
    minted = [sure(one.ask(here.machine, here.key().key, grace=HOUR)) for _ in range(2)]
    for each in minted:
        one.code(unseen(each))
    report_use, tried = handover_flow.report_use, []

    def busy(tx: SqlTransaction, *, key_number: int, **words: Any) -> Any:
        tried.append(key_number)
        if len(tried) == 2:
            raise StoreBusy
        return report_use(tx, key_number=key_number, **words)

    monkeypatch.setattr(handover_flow, "report_use", busy)
    housekeeper = one.housekeeper
    with pytest.raises(StoreBusy):
        housekeeper.write_uses()
    housekeeper.write_uses()
    assert tried == [minted[0].key.number, minted[1].key.number, minted[1].key.number]
    found = [one.store.read(lambda tx, each=each: tx.reset(each.reset.id)) for each in minted]  # type: ignore[misc]  # bound now
    assert [reset.first_used_at is not None for reset in found] == [True, True]
    assert [one.get(each.key.id).secrets[-1].last_used_at is not None for each in minted] == [True, True]


def test_r33_quiet_ends_every_grace_that_is_due_however_many_there_are(here: Customer) -> None:
    one = here.world
    policy = one.policy(quiet_after="1h", grace_max="until_stopped", proofs=["password"], max_keys_per_user=1000)
    keys = [here.key(policy=policy) for _ in range(3)]
    for each in keys:
        minted = sure(one.ask(here.machine, each.key, grace=timedelta.max))
        one.code(unseen(minted))
    idle = here.key(policy={"grace_max": "until_stopped"})
    sure(one.ask(here.machine, idle.key, grace=timedelta.max))
    one.housekeeper.tick()
    one.clock.advance(HOUR)
    assert [len(one.store.read(lambda tx, most=most: handover_flow.quiet(tx, limit=most))) for most in (2, 9)] == [2, 3]  # type: ignore[misc]  # bound now
    one.housekeeper.tick()
    assert [one.code(unseen(each)) for each in (*keys, idle)] == ["replaced"] * 3 + ["valid"]


def test_r33_who_still_uses_the_old_secret_is_shown(here: Customer) -> None:
    one = here.world
    made = here.key()
    minted = sure(one.ask(here.machine, made.key, grace=HOUR))
    for agent in ("bot", "bot", "script\x00\ud800" + "x" * 500):
        assert one.verify(unseen(made), "orders:write", ip="192.0.2.7", agent=agent).code == "valid"
    one.verify(unseen(minted), ip="192.0.2.8")
    one.housekeeper.tick()
    shown = sure(one.step("show", here.person, minted.reset.id)).used_by
    assert sorted((each.address, each.permission, each.user_agent[:6], each.count) for each in shown) == [
        ("192.0.2.7", "orders:write", "bot", 2),
        ("192.0.2.7", "orders:write", "script", 1),
    ]
    assert all(each.last_seen == one.clock() for each in shown)
    one.clock.advance(HOUR)
    assert sure(one.step("show", here.person, minted.reset.id)).used_by == ()


# Leaks


def test_r22_a_leaked_key_is_suspended_at_once_and_only_full_proof_lifts_it(here: Customer) -> None:
    one = here.world
    made = here.key()
    asked = sure(one.ask(here.person, made.key, "leaked"))
    assert one.code(unseen(made)) == "suspended"
    assert kind(one.on_key("resume", here.person, made.key.id)) == "proof_required"
    sure(one.step("cancel", here.person, asked.reset.id))
    assert one.code(unseen(made)) == "suspended", "what was stopped stays stopped"
    assert kind(one.on_key("resume", here.person, made.key.id)) == "proof_required"
    here.proven(made.key)
    elsewhere = one.sign_in(here.owner)
    assert kind(one.on_key("resume", elsewhere, made.key.id)) == "proof_required"
    assert kind(one.on_key("resume", here.person, made.key.id)) == "done"
    assert one.code(unseen(made)) == "valid"


def test_r22_r20_a_leaked_secret_is_dead_for_good_at_proven(here: Customer) -> None:
    one = here.world
    made = here.key(policy={"cool_down": "1h"})
    reset_id = here.proven(made.key, "leaked", grace=300 * DAY)
    sure(one.on_key("resume", here.person, made.key.id))
    assert (one.code(unseen(made)), one.cold_code(unseen(made))) == ("replaced", "replaced")
    assert kind(one.mint(here.person, reset_id)) == "reset_out_of_order"
    minted = sure(one.ask(here.machine, made.key, "suspicious"))
    assert one.code(unseen(minted)) == "not_yet_active"
    one.clock.advance(HOUR)
    assert one.code(unseen(minted)) == "valid"


def test_r22_suspending_is_never_gated(here: Customer) -> None:
    one = here.world
    made = here.key(policy={"manual": "forbidden", "reset_origin": "allowlist_only"})
    auditor = one.sign_in(one.user(here.account, Role.AUDITOR), address=None)
    assert kind(one.on_key("suspend", auditor, made.key.id, reason="odd")) == "done"
    assert one.code(unseen(made)) == "suspended"


def test_r25_what_a_leaked_key_created_is_suspended_when_its_secret_is_stopped(here: Customer) -> None:
    one = here.world
    parent = here.key(permissions=("keyturn.keys:write", "orders:write"))
    as_parent = one.as_key(parent.key)
    early = one.key(as_parent)
    one.clock.advance(HOUR)
    since = one.clock()
    children = [one.key(as_parent) for _ in range(2)]
    stranger = one.key(here.machine, permissions=())
    asked = sure(one.ask(here.person, parent.key, "leaked", suspend_created_since=since))
    assert [one.code(unseen(each)) for each in children] == ["valid", "valid"]
    sure(one.prove(here.person, asked.reset.id))
    assert [one.code(unseen(each)) for each in (*children, early, stranger)] == ["suspended"] * 2 + ["valid"] * 2
    suspension = one.get(children[0].key.id).suspension
    assert suspension is not None
    assert suspension.reset_id == asked.reset.id
    assert len([each for each in one.audit() if each.action == "key.suspended"]) == 2


def test_r25_only_with_the_reason_leaked(here: Customer) -> None:
    one = here.world
    parent = here.key(permissions=("keyturn.keys:write", "keyturn.keys:reset"))
    child = one.key(one.as_key(parent.key), permissions=())
    sure(one.ask(here.machine, parent.key, "suspicious", suspend_created_since=one.clock()))
    assert one.code(unseen(child)) == "valid"
    machine = sure(one.ask(here.machine, parent.key, "leaked", suspend_created_since=child.key.created_at))
    assert machine.secret is not None
    assert one.code(unseen(child)) == "suspended"


def test_r24_a_machine_waives_a_cool_down_with_two_administrators(here: Customer) -> None:
    one = here.world

    def admin(owner: User) -> Actor:
        made = one.key(permissions=("keyturn.admin",), account_id=here.account.id, owner_id=owner.id)
        return one.as_key(made.key)

    admins = [admin(owner) for owner in (here.owner, one.user(here.account))]
    made = here.key(policy={"cool_down": "1d"})
    one.clock.advance(timedelta(seconds=1))
    asked = sure(one.ask(here.machine, made.key, waive_cool_down=True))
    assert asked.secret is None
    assert asked.reset.stage is Stage.ASKED
    assert kind(one.prove(here.machine, asked.reset.id, "administrator")) == "permission_missing"
    # Neither a new person nor a new key of one who was there: both may be the first one's doing.
    for late in (admin(one.user(here.account)), admin(here.owner)):
        assert kind(one.prove(late, asked.reset.id, "administrator")) == "administrator_too_new"
    for early in (admins[0], admins[0], admins[1]):
        assert kind(one.mint(here.machine, asked.reset.id)) in ("proof_required", "reset_out_of_order")
        sure(one.prove(early, asked.reset.id, "administrator"))
    minted = sure(one.mint(here.machine, asked.reset.id))
    assert one.code(unseen(minted)) == "valid"


# Two steps


def test_r43_two_step_stops_and_creates_in_either_order(here: Customer) -> None:
    one = here.world
    stop_first = here.key(policy={"manual": "two_step"})
    reset_id = here.proven(stop_first.key)
    sure(one.step("finish", here.person, reset_id))
    assert one.code(unseen(stop_first)) == "replaced"
    assert one.code(unseen(sure(one.mint(here.person, reset_id)))) == "valid"
    create_first = here.key(policy={"manual": "two_step", "grace_max": "until_stopped"})
    reset_id = here.proven(create_first.key)
    minted = sure(one.mint(here.person, reset_id))
    assert minted.reset.old_stops_at == FOREVER
    one.code(unseen(minted))
    one.housekeeper.tick()
    one.clock.advance(300 * DAY)
    assert one.code(unseen(create_first)) == "valid"
    sure(one.step("finish", here.person, reset_id))
    assert one.code(unseen(create_first)) == "replaced"


def test_r43_people_may_not_reset_where_the_policy_forbids_it_machines_may(here: Customer) -> None:
    one = here.world
    made = here.key(policy={"manual": "forbidden"})
    assert kind(one.ask(here.person, made.key)) == "manual_reset_forbidden"
    assert kind(one.ask(here.machine, made.key)) == "done"


def test_r21_stop_now_waits_for_the_new_secret(here: Customer) -> None:
    one = here.world
    made = here.key(policy={"cool_down": "1h", "cool_down_scope": "dangerous_only"})
    minted = sure(one.ask(here.machine, made.key, grace=DAY))
    assert kind(one.step("finish", here.machine, minted.reset.id)) == "new_not_started"
    one.clock.advance(HOUR)
    sure(one.step("finish", here.machine, minted.reset.id))
    assert one.code(unseen(made)) == "replaced"
    records = len(one.audit())
    sure(one.step("finish", here.machine, minted.reset.id))
    assert len(one.audit()) == records, "nothing changed, nothing recorded"


# Origins, and what else holds of every reset


def test_k9_r22_resets_start_from_the_accounts_addresses_suspending_from_anywhere(database_url: str) -> None:
    with world(database_url) as one:
        account = one.account(reset_allowlist=("192.0.2.0/24",))
        owner = one.user(account)
        machine = one.machine(account, owner)
        made = one.key(account_id=account.id, owner_id=owner.id)
        outside = one.as_key(one.get(machine.id), address="198.51.100.1")
        nowhere = one.as_key(one.get(machine.id), address=None)
        assert [kind(one.ask(actor, made.key)) for actor in (outside, nowhere)] == ["reset_origin_refused"] * 2
        assert kind(one.on_key("suspend", outside, made.key.id, reason="")) == "done"
        assert kind(one.ask(machine, made.key)) == "done"


def test_r23_an_edit_between_asking_and_minting_is_not_undone(here: Customer) -> None:
    one = here.world
    made = here.key(permissions=("orders:write", "wallet:write"))
    reset_id = here.proven(
        made.key, narrow={"permissions": ("orders:write",), "expires_at": later(one.clock(), 9 * DAY)}
    )
    sooner = later(one.clock(), DAY)
    sure(one.on_key("edit", one.root, made.key.id, edit=KeyEdit(permissions=("orders:read",), expires_at=sooner)))
    minted = sure(one.mint(here.person, reset_id))
    assert minted.key.permissions == ("orders:read",)
    assert minted.key.expires_at == sooner


def test_r20_pitfall_1_a_key_that_has_ended_is_not_reset(here: Customer) -> None:
    one = here.world
    expiring, revoked = here.key(expires_at=later(one.clock(), HOUR)), here.key()
    sure(one.on_key("revoke", here.person, revoked.key.id))
    ahead = here.proven(expiring.key)
    one.clock.advance(25 * MINUTE)
    sure(one.prove(here.person, ahead))
    sure(one.on_key("edit", one.root, expiring.key.id, edit=KeyEdit(expires_at=later(one.clock(), SECOND))))
    one.clock.advance(SECOND)
    assert kind(one.mint(here.person, ahead)) == "key_expired"
    assert kind(one.ask(here.machine, expiring.key)) in ("key_expired", "reset_already_open")
    assert kind(one.ask(here.machine, revoked.key)) == "key_revoked"


def test_r5_revoking_or_resuming_ends_an_open_reset(here: Customer) -> None:
    one = here.world
    made = here.key()
    reset_id = here.proven(made.key)
    sure(one.on_key("revoke", here.machine, made.key.id))
    shown = sure(one.step("show", here.person, reset_id))
    assert (shown.reset.stage, shown.reset.end_reason) == (Stage.ENDED, "key_ended")
    assert kind(one.mint(here.person, reset_id)) == "reset_out_of_order"


def test_l4_a_refusal_is_recorded_with_who_and_from_where(here: Customer) -> None:
    one = here.world
    made = here.key(policy={"manual": "forbidden"})
    one.ask(here.person, made.key)
    last = one.audit()[-1]
    assert (last.action, last.outcome, last.actor_id, last.session, last.address, last.subject_id, last.account_id) == (
        "reset.asked",
        "manual_reset_forbidden",
        here.owner.id,
        here.person.session,
        "192.0.2.1",
        made.key.id,
        here.account.id,
    )


def test_listing_and_showing_stay_within_reach(here: Customer) -> None:
    one = here.world
    member = one.user(here.account, Role.MEMBER)
    mine = sure(one.ask(here.machine, here.key().key)).reset.id
    as_member = one.sign_in(member)
    foreign = one.account()
    stranger = one.sign_in(one.user(foreign))

    def listed(actor: Actor, account_id: str | None = None) -> Any:
        found = one.store.read(
            lambda tx: reset_flow.listing(tx, actor=actor, account_id=account_id, key_id=None, page=Page(size=9))
        )
        return found.kind if isinstance(found, Refusal) else [each.id for _, each in found]

    assert listed(here.person) == listed(one.root) == [mine]
    assert listed(as_member) == listed(stranger) == []
    assert listed(stranger, here.account.id) == "not_found"
    assert kind(one.step("show", as_member, mine)) == "not_found"
    assert kind(one.ask(as_member, here.key().key)) == "not_found"


def test_r14_time_is_the_same_for_all_rows_of_one_step(here: Customer) -> None:
    one = here.world
    minted = sure(one.ask(here.machine, here.key().key, grace=HOUR))
    at = one.clock()
    assert {minted.reset.asked_at, minted.reset.minted_at, minted.reset.new_starts_at} == {at}
    assert {each.at for each in one.audit(subject_id=minted.reset.id)} == {at}
    assert minted.reset.old_stops_at == Instant(at + HOUR)


def test_r15_reset_again_also_behind_a_reset_that_came_to_nothing(here: Customer) -> None:
    one = here.world
    made = here.key(policy={"cool_down": "1d"})
    first = sure(one.ask(here.machine, made.key))
    between = sure(one.ask(here.person, made.key))
    sure(one.step("cancel", here.person, between.reset.id))
    again = sure(one.ask(here.machine, made.key))
    assert again.reset.new_starts_at == first.reset.new_starts_at
    assert sure(one.step("show", here.person, first.reset.id)).reset.stage is Stage.ENDED
