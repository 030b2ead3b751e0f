"""Resets that are ordered and claimed, through the real flows and both databases (R12, R41)."""

from datetime import timedelta

from keyturn.core.account import Account, Role
from keyturn.core.actor import Actor
from keyturn.core.refusal import Refusal
from keyturn.core.stage import Stage
from keyturn.flow import claim as claim_flow
from keyturn.flow import session as session_flow
from keyturn.flow.replay import Once
from keyturn.ports.page import Page
from tests.flow.customer import DAY, HOUR, MINUTE, Customer, everything, kind
from tests.flow.customer import here as here  # noqa: PLC0414  # the fixture
from tests.world import sure, unseen


def waiting(here: Customer, actor: Actor, *, mine: bool = True, account: Account | None = None) -> list[str] | Refusal:
    found = here.world.store.read(
        lambda tx: claim_flow.waiting(
            tx, actor=actor, account_id=account.id if account else None, mine=mine, page=Page(size=10)
        )
    )
    return found if isinstance(found, Refusal) else [reset.id for _, reset in found]


def test_r41_an_order_waits_for_its_owner_who_proves_and_receives(here: Customer) -> None:
    one = here.world
    made = here.key(policy={"grace_max": "7d"})
    ordered = sure(one.order(here.machine, made.key, grace=7 * DAY))
    assert (ordered.secret, ordered.reset.stage, ordered.reset.waits) == (None, Stage.ASKED, True)
    reset_id = ordered.reset.id
    assert waiting(here, here.person) == [reset_id]
    assert one.code(unseen(made)) == "valid"
    for early in (one.prove(here.person, reset_id), one.mint(here.person, reset_id)):
        assert kind(early) == "claim_waits"
    assert one.store.read(lambda tx: tx.reset(reset_id)) == ordered.reset, "what came too early counted for nothing"
    claimed = sure(one.claim(here.person, reset_id))
    assert claimed.reset.missing(one.clock()) == ("password",)
    assert waiting(here, here.person) == [reset_id], "it waits until the secret is there"
    sure(one.prove(here.person, reset_id))
    minted = sure(one.mint(here.person, reset_id))
    assert (one.code(unseen(made)), one.code(unseen(minted))) == ("valid", "valid")
    one.clock.advance(7 * DAY)
    assert (one.code(unseen(made)), one.code(unseen(minted))) == ("replaced", "valid")
    assert waiting(here, here.person) == []
    assert [(each.action, each.outcome) for each in one.audit(subject_id=reset_id)] == [
        ("reset.ordered", "done"),
        ("reset.proven", "claim_waits"),
        ("reset.minted", "claim_waits"),
        ("reset.claimed", "done"),
        ("reset.proven", "done"),
        ("reset.minted", "done"),
    ]


def test_r41_the_end_an_order_sets_stands_whether_or_not_anybody_claims_it(here: Customer) -> None:
    one = here.world
    made = here.key(policy={"grace_max": "7d"})
    ordered = sure(one.order(here.machine, made.key, grace=2 * DAY))
    one.clock.advance(2 * DAY)
    assert (one.code(unseen(made)), one.cold_code(unseen(made))) == ("replaced", "replaced")
    verdict = one.verify(unseen(made))
    assert verdict.view is not None
    assert verdict.view.replaced_by == ordered.reset.id, "the caller is told which reset waits (R52)"
    one.housekeeper.tick()
    assert kind(one.claim(here.person, ordered.reset.id)) == "reset_out_of_order"
    assert waiting(here, here.person) == []
    reset_id = here.proven(made.key)
    assert one.code(unseen(sure(one.mint(here.person, reset_id)))) == "valid", "an ordinary reset mends it"


def test_r40_a_program_that_claims_gets_the_secret_at_once_and_once(here: Customer) -> None:
    one = here.world
    made = here.key()
    reset_id = sure(one.order(here.world.root, made.key)).reset.id
    once = Once(caller=here.machine.id, idempotency_key="a", request=b"r")
    claimed = sure(one.claim(here.machine, reset_id, once))
    assert one.code(unseen(claimed)) == "valid"
    again = sure(one.claim(here.machine, reset_id, once))
    assert (again.secret, again.secret_shown) == (None, True)
    other = Once(caller=here.machine.id, idempotency_key="a", request=b"other")
    assert kind(one.claim(here.machine, reset_id, other)) == "idempotency_key_reused"


def test_r14_of_two_who_claim_the_first_one_goes_on(here: Customer) -> None:
    one = here.world
    made = here.key()
    reset_id = sure(one.order(here.machine, made.key)).reset.id
    colleague = one.user(here.account, Role.ADMIN)
    second = one.sign_in(colleague)
    sure(one.claim(here.person, reset_id))
    assert kind(one.claim(second, reset_id)) == "claim_taken"
    assert kind(one.ask(second, made.key)) == "claim_taken"
    assert kind(one.step("cancel", second, reset_id)) == "not_the_asker"
    sure(one.prove(here.person, reset_id))
    sure(one.store.change(lambda tx: session_flow.end(tx, actor=here.person, session_id=here.person.session)))
    taken = sure(one.claim(second, reset_id))
    assert (taken.reset.asked_by, taken.reset.proofs) == (colleague.id, ())
    assert kind(one.mint(here.person, reset_id)) in ("not_the_asker", "reset_out_of_order")
    one.clock.advance(10 * MINUTE)
    mine = one.sign_in(here.owner)
    assert sure(one.claim(mine, reset_id)).reset.asked_by == here.owner.id


def test_r11_claiming_again_in_the_same_session_keeps_what_was_proved(here: Customer) -> None:
    one = here.world
    reset_id = sure(one.order(here.machine, here.key().key)).reset.id
    sure(one.claim(here.person, reset_id))
    sure(one.prove(here.person, reset_id))
    before = everything(one)
    assert sure(one.claim(here.person, reset_id)).reset.stage is Stage.PROVEN
    assert everything(one) == before
    elsewhere = one.sign_in(here.owner)
    assert sure(one.claim(elsewhere, reset_id)).reset.stage is Stage.ASKED


def test_a_person_cannot_call_off_what_was_ordered_and_a_program_can(here: Customer) -> None:
    one = here.world
    reset_id = sure(one.order(here.machine, here.key().key)).reset.id
    assert kind(one.step("cancel", here.person, reset_id)) == "not_the_asker"
    sure(one.claim(here.person, reset_id))
    assert sure(one.step("cancel", here.person, reset_id)).reset.waits
    assert waiting(here, here.person) == [reset_id]
    assert sure(one.step("cancel", here.machine, reset_id)).reset.stage is Stage.ENDED
    assert waiting(here, here.person) == []


def test_pitfall_18_who_sees_and_claims_what_waits(here: Customer) -> None:
    one = here.world
    member = one.user(here.account, Role.MEMBER)
    theirs, them = here.key(), one.sign_in(member)
    ours = one.key(account_id=here.account.id, owner_id=member.id)
    first = sure(one.order(here.machine, theirs.key)).reset.id
    second = sure(one.order(here.machine, ours.key)).reset.id
    stranger = one.sign_in(one.user(one.account()))
    assert waiting(here, here.person) == [first]
    assert waiting(here, here.person, mine=False) == [second, first]
    assert waiting(here, them) == waiting(here, them, mine=False) == [second]
    assert waiting(here, stranger, mine=False) == []
    assert kind(waiting(here, stranger, account=here.account)) == "not_found"
    assert kind(one.claim(stranger, first)) == "not_found"
    assert kind(one.claim(them, first)) == "not_found"
    assert kind(one.claim(stranger, "rst_unknown")) == "not_found"
    reader = one.as_key(
        one.key(permissions=("keyturn.keys:read",), account_id=here.account.id, owner_id=here.owner.id).key
    )
    assert kind(one.claim(reader, first)) == "permission_missing"


def test_who_may_order_one(here: Customer) -> None:
    one = here.world
    made = here.key(policy={"manual": "forbidden", "self_reset": "allowed", "grace_max": "1h"})
    stranger = one.sign_in(one.user(one.account()))
    assert kind(one.order(stranger, made.key)) == "not_found"
    assert kind(one.order(here.person, made.key)) == "manual_reset_forbidden"
    assert kind(one.order(one.as_key(made.key), made.key)) == "permission_missing"
    assert kind(one.order(here.machine, made.key, grace=2 * HOUR)) == "grace_too_long"
    assert kind(one.order(here.machine, made.key)) == "done"
    assert kind(one.claim(here.person, sure(one.order(here.machine, made.key)).reset.id)) == "done"
    ended = here.key()
    sure(one.on_key("revoke", here.machine, ended.key.id))
    assert kind(one.order(here.machine, ended.key)) == "key_revoked"
    ordinary = sure(one.ask(here.person, here.key().key)).reset.id
    assert kind(one.claim(here.person, ordinary)) == "nothing_to_claim"


def test_k9_an_order_and_a_claim_start_from_where_resets_may(here: Customer) -> None:
    one = here.world
    account = one.account(reset_allowlist=("192.0.2.0/28",), policy=one.policy(reset_origin="allowlist_only"))
    owner = one.user(account)
    made = one.key(account_id=account.id, owner_id=owner.id)
    machine = one.machine(account, owner)
    reset_id = sure(one.order(machine, made.key)).reset.id
    away = one.sign_in(owner, address="198.51.100.7")
    assert kind(one.claim(away, reset_id)) == "reset_origin_refused"
    assert kind(one.order(away, made.key)) == "reset_origin_refused"
    assert kind(one.on_key("suspend", away, made.key.id, reason="")) == "done"
    assert kind(one.claim(one.sign_in(owner), reset_id)) == "done"


def test_r12_a_claim_lapses_by_its_date_and_is_told_so(here: Customer) -> None:
    one = here.world
    reset_id = sure(one.order(here.machine, here.key().key)).reset.id
    one.clock.advance(DAY - timedelta(seconds=1))
    assert waiting(here, here.person) == [reset_id]
    one.clock.advance(timedelta(seconds=1))
    assert waiting(here, here.person) == []
    assert kind(one.claim(here.person, reset_id)) == "reset_lapsed"
    one.housekeeper.tick()
    assert [each.action for each in one.audit(subject_id=reset_id)][-1] == "reset.lapsed"


def test_an_ordinary_reset_becomes_the_claim_that_waits(here: Customer) -> None:
    one = here.world
    made = here.key()
    reset_id = sure(one.order(here.machine, made.key)).reset.id
    assert here.proven(made.key, "lost") == reset_id
    minted = sure(one.mint(here.person, reset_id))
    assert one.code(unseen(minted)) == "valid"
    second = sure(one.order(here.machine, made.key)).reset.id
    taken = sure(one.ask(here.machine, made.key))
    assert (taken.reset.id, one.code(unseen(taken))) == (second, "valid")


def test_r15_an_unstarted_secret_behind_a_claim_is_replaced_and_its_reset_ends(here: Customer) -> None:
    one = here.world
    made = here.key(policy={"cool_down": "24h"})
    first = sure(one.ask(here.machine, made.key))
    reset_id = sure(one.order(here.machine, made.key)).reset.id
    claimed = sure(one.claim(here.machine, reset_id))
    assert claimed.reset.new_starts_at == first.reset.new_starts_at
    ended = one.store.read(lambda tx: tx.reset(first.reset.id))
    assert ended is not None
    assert (ended.stage, ended.end_reason) == (Stage.ENDED, "reset_again")
    again = sure(one.order(here.machine, made.key)).reset.id
    asked = sure(one.ask(here.machine, made.key))
    assert asked.reset.id == again
    behind = one.store.read(lambda tx: tx.reset(reset_id))
    assert behind is not None
    assert behind.stage is Stage.ENDED
