"""What is sent again is done once (R15, L6), and answered with the revision it stands by (F10); on both databases."""

from keyturn.flow.replay import Once
from tests.flow.customer import Customer, kind
from tests.flow.customer import here as here  # noqa: PLC0414  # the fixture
from tests.world import sure


def test_r15_l7_asking_proving_and_minting_may_be_sent_again(here: Customer) -> None:
    one = here.world
    made = here.key()
    once = [Once(caller="ses", idempotency_key=str(n), request=b"%d" % n * 32) for n in range(4)]
    asked = [sure(one.ask(here.person, made.key, once=once[0])) for _ in range(2)]
    assert asked[0].reset == asked[1].reset
    wrong = [one.prove(here.person, asked[0].reset.id, matched="", once=once[1]) for _ in range(3)]
    assert wrong[0] == wrong[1] == wrong[2]
    shown = sure(one.step("show", here.person, asked[0].reset.id))
    assert shown.reset.refused_proofs == 1
    proven = [sure(one.prove(here.person, asked[0].reset.id, once=once[2])) for _ in range(2)]
    assert proven[0].reset == proven[1].reset
    minted = [sure(one.mint(here.person, asked[0].reset.id, once[3])) for _ in range(2)]
    assert (minted[0].secret_shown, minted[1].secret_shown) == (False, True)
    assert minted[1].secret is None
    assert minted[0].reset == minted[1].reset
    again = sure(one.ask(here.person, made.key, once=once[0]))
    assert (again.secret, again.secret_shown, again.reset.id) == (None, True, asked[0].reset.id)


def test_f10_f0_a_repeat_is_told_the_revision_of_all_that_has_stopped_since(here: Customer) -> None:
    one = here.world
    made = here.key(policy={"grace_default": "1h"})
    once = Once(caller=here.machine.id, idempotency_key="x", request=b"r")
    minted = sure(one.ask(here.machine, made.key, once=once))
    assert sure(one.ask(here.machine, made.key, once=once)).rev >= minted.rev
    finished = sure(one.step("finish", here.machine, minted.reset.id))
    assert finished.rev > minted.rev
    again = sure(one.step("finish", here.machine, minted.reset.id))
    assert (again.rev, again.secret_shown) == (finished.rev, False), "not the revision of the mint"
    assert sure(one.ask(here.machine, made.key, once=once)).rev == finished.rev


def test_f10_a_repeat_of_what_has_stopped_nothing_waits_for_nobody(here: Customer) -> None:
    one = here.world
    made = here.key()
    routine, leaked = (Once(caller="ses", idempotency_key=name, request=b"r") for name in ("routine", "leaked"))
    for _ in range(2):
        assert sure(one.ask(here.person, made.key, once=routine)).rev == 0
    other = here.key()
    assert [sure(one.ask(here.person, other.key, "leaked", once=leaked)).rev for _ in range(2)] == [one.store.rev()] * 2


def test_f10_the_first_of_two_steps_taken_again(here: Customer) -> None:
    one = here.world
    made = here.key(policy={"manual": "two_step"})
    reset_id = here.proven(made.key)
    assert [sure(one.step("finish", here.person, reset_id)).rev for _ in range(2)] == [one.store.rev()] * 2


def test_r15_the_same_key_for_another_request_is_refused_everywhere(here: Customer) -> None:
    one = here.world
    made = here.key()
    first = Once(caller="ses", idempotency_key="x", request=b"a" * 32)
    other = Once(caller="ses", idempotency_key="x", request=b"b" * 32)
    reset_id = sure(one.ask(here.person, made.key, once=first)).reset.id
    answers: list[object] = [
        one.ask(here.person, made.key, once=other),
        one.prove(here.person, reset_id, once=other),
        one.mint(here.person, reset_id, other),
        one.try_key(here.machine, other),
    ]
    assert {kind(answer) for answer in answers} == {"idempotency_key_reused"}


def test_l6_pitfall_16_a_replay_by_another_caller_never_shows_what_the_first_got(here: Customer) -> None:
    one = here.world
    made = here.key()
    sure(one.ask(here.machine, made.key, once=Once(caller="a", idempotency_key="x", request=b"a" * 32)))
    answer = sure(one.ask(here.machine, made.key, once=Once(caller="b", idempotency_key="x", request=b"a" * 32)))
    assert answer.secret is not None
    assert answer.reset.new_version == 3
