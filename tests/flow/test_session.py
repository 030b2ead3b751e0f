"""Signing in and out, and what a session's token is good for."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pyotp

from keyturn.core import session as sessions
from keyturn.core.account import Member, Role, User
from keyturn.core.actor import Actor
from keyturn.core.authenticator import Shown
from keyturn.core.refusal import (
    AuthenticatorRefused,
    NotFound,
    ProofRefused,
    Refusal,
    SecondFactorRequired,
    TooManyRequests,
    Unauthenticated,
)
from keyturn.core.secret import SecretText
from keyturn.core.session import SECOND_FACTOR_TRIES, SEEN_EVERY, Session, Spans, Visitor
from keyturn.core.throttle import FREE, Counted
from keyturn.flow import credential, enrolment, session_proof
from keyturn.flow import session as flow
from keyturn.flow import sign_in as signing_in
from keyturn.flow.session import SignedIn
from keyturn.outside.forge import token_digest
from keyturn.ports.transaction import Transaction
from tests.world import World, sure

SPANS = Spans()
HERE = Visitor(address="192.0.2.1", user_agent="Browser/1")


def sign_in(here: World, user: str, *, matched: str = "stored", visitor: Visitor = HERE, **more: Any) -> Any:
    words: dict[str, Any] = {"account_id": None, "visitor": visitor, "spans": SPANS, "forge": here.forge} | more
    return here.store.change(lambda tx: signing_in.sign_in(tx, user=user, matched_password=matched, **words))


def whose(here: World, answer: SignedIn) -> Actor | None:
    return here.store.read(lambda tx: flow.whose(tx, token_digest(answer.token), address="192.0.2.1"))


def actor_of(here: World, answer: SignedIn) -> Actor:
    actor = whose(here, answer)
    assert actor is not None
    return actor


def stands(here: World, actor: Actor) -> bool:
    return here.store.change(lambda tx: credential.stands(tx, actor))


def records(here: World) -> list[tuple[str, str]]:
    return [(one.action, one.outcome) for one in here.audit() if one.action.startswith("session.")]


def test_people_sign_in_with_address_or_user_name_and_the_stored_password(here: World, owner: User) -> None:
    here.store.change(lambda tx: tx.save_user(replace(owner, username="trader.one")))
    for name in (owner.email, owner.email.upper(), "trader.one", " Trader.One "):
        answer = sign_in(here, name)
        actor = actor_of(here, answer)
        assert (actor.id, actor.session, actor.address) == (owner.id, answer.session.id, "192.0.2.1")
        assert (answer.session.address, answer.session.user_agent) == (HERE.address, HERE.user_agent)


def test_pitfall_11_whatever_is_wrong_the_answer_and_the_record_are_one(here: World, owner: User) -> None:
    nobody = here.user(here.account(), stored="")
    tries = [
        sign_in(here, owner.email, matched="other"),
        sign_in(here, owner.email, matched=""),
        sign_in(here, "nobody@example.com"),
        sign_in(here, "nobody"),
        sign_in(here, ""),
        sign_in(here, nobody.email, matched=""),
        sign_in(here, owner.email, account_id="acc_x"),
    ]
    assert tries == [Unauthenticated()] * 7
    assert records(here) == [("session.started", "unauthenticated")] * 7
    found = [one for one in here.audit() if one.action == "session.started"]
    assert {one.subject_id for one in found} == {owner.id, nobody.id, ""}
    assert {one.address for one in found} == {"192.0.2.1"}
    assert "nobody@example.com" not in str(found)  # what was typed may be a password in the wrong place


def test_a_session_ends_when_idle_and_use_puts_that_off(here: World, owner: User) -> None:
    answer = sign_in(here, owner.email)
    digest = token_digest(answer.token)

    def use() -> bool:
        due = here.store.read(lambda tx: flow.is_due(tx, digest))
        here.store.change(lambda tx: flow.seen(tx, digest, spans=SPANS))
        return due

    here.clock.advance(SEEN_EVERY - timedelta(seconds=1))
    assert not use()
    here.clock.advance(timedelta(seconds=1))
    assert use()
    here.clock.advance(SPANS.idle - timedelta(seconds=1))
    actor = actor_of(here, answer)
    assert stands(here, actor)
    here.clock.advance(timedelta(seconds=1))
    assert whose(here, answer) is None
    assert not stands(here, actor)
    assert not use()  # what has ended stays ended
    assert whose(here, answer) is None


def test_a_session_ends_after_its_longest_however_busy(here: World, owner: User) -> None:
    answer = sign_in(here, owner.email)
    for _ in range(SPANS.longest // timedelta(minutes=20)):
        assert whose(here, answer) is not None
        here.store.change(lambda tx: flow.seen(tx, token_digest(answer.token), spans=SPANS))
        here.clock.advance(timedelta(minutes=20))
    assert whose(here, answer) is None


def test_session_fixation_a_token_from_before_is_never_one_after(here: World, owner: User) -> None:
    other = here.user(here.account())
    planted = sign_in(here, other.email)
    answer = sign_in(here, owner.email, earlier=token_digest(planted.token))
    assert answer.token != planted.token
    assert whose(here, planted) is None
    assert actor_of(here, answer).id == owner.id
    assert records(here)[-2:] == [("session.ended", "done"), ("session.started", "done")]


def test_f0_rotation_gives_the_session_another_token_and_the_old_one_is_nobody_s(here: World, owner: User) -> None:
    first = sign_in(here, owner.email)
    before = actor_of(here, first)
    second = sure(here.store.change(lambda tx: flow.rotate(tx, actor=before, forge=here.forge)))
    assert second.session.id == first.session.id
    assert second.session.ends_at == first.session.ends_at
    assert whose(here, first) is None
    assert not stands(here, before)  # also for a request that is under way
    assert stands(here, actor_of(here, second))
    machine = here.store.change(lambda tx: flow.rotate(tx, actor=here.root, forge=here.forge))
    assert machine == NotFound()


def awaiting(here: World, user: User) -> tuple[Session, str]:
    token, digest = here.forge.token()

    def flow_(tx: Any) -> Session:
        member = tx.members(user_id=user.id)[0]
        session = sessions.begin(
            here.forge.id("ses"),
            user_id=user.id,
            account_id=member.account_id,
            role=member.role,
            how=("password",),
            second_factor=True,
            visitor=HERE,
            spans=SPANS,
            now=tx.now,
        )
        tx.insert_session(session, digest=digest)
        return session

    return here.store.change(flow_), token


def test_before_the_second_factor_only_the_second_step_and_signing_out_are_possible(here: World, owner: User) -> None:
    session, token = awaiting(here, owner)
    digest = token_digest(token)
    assert here.store.read(lambda tx: flow.whose(tx, digest, address=None)) is None
    here.store.change(lambda tx: flow.seen(tx, digest, spans=SPANS))
    found = here.store.read(lambda tx: signing_in.waiting(tx, digest))
    assert found is not None
    assert (found.session, found.user.id) == (session, owner.id)
    as_if = here.store.read(lambda tx: flow.person(tx, session, address=None))
    assert not stands(here, as_if)

    kinds = []
    for _ in range(SECOND_FACTOR_TRIES + 1):
        answer = step(here, token, "000000")
        assert isinstance(answer, Refusal)
        kinds.append(answer.kind)
        here.clock.advance(timedelta(minutes=1))  # longer than any delay so far
    assert kinds == ["proof_refused"] * SECOND_FACTOR_TRIES + ["unauthenticated"]
    assert here.store.read(lambda tx: signing_in.waiting(tx, digest)) is None
    _, token = awaiting(here, owner)
    here.store.change(lambda tx: flow.sign_out(tx, digest=token_digest(token), address=None))
    assert here.store.read(lambda tx: signing_in.waiting(tx, token_digest(token))) is None
    assert records(here)[-1] == ("session.ended", "done")
    here.store.change(lambda tx: flow.sign_out(tx, digest=token_digest(token), address=None))
    assert len(records(here)) == SECOND_FACTOR_TRIES + 2


def test_one_s_own_sessions_are_listed_and_ended_and_nobody_else_s(here: World, owner: User) -> None:
    stranger = actor_of(here, sign_in(here, here.user(here.account()).email))
    made = [sign_in(here, owner.email) for _ in range(4)]
    actor = actor_of(here, made[0])

    def listed() -> set[str]:
        return {one.id for one in here.store.read(lambda tx: flow.listing(tx, actor=actor))}

    def end(actor: Actor, session_id: str) -> object:
        answer = here.store.change(lambda tx: flow.end(tx, actor=actor, session_id=session_id))
        return answer.kind if isinstance(answer, Refusal) else answer

    ids = [one.session.id for one in made]
    assert listed() == set(ids)
    assert end(stranger, ids[1]) == end(here.root, ids[1]) == end(actor, "ses_none") == "not_found"
    assert end(actor, ids[1]) == 1
    assert whose(here, made[1]) is None
    assert here.store.change(lambda tx: flow.end_others(tx, actor=actor)) == 2
    assert listed() == {ids[0]}
    assert whose(here, made[2]) is None
    assert here.store.change(lambda tx: flow.end_others(tx, actor=here.root)) == NotFound()
    assert here.store.read(lambda tx: flow.listing(tx, actor=here.root)) == ()
    assert end(actor, ids[0]) == 1
    assert not stands(here, actor)


def test_a_member_of_two_accounts_chooses_for_which_to_speak(here: World, owner: User) -> None:
    other, foreign = here.account(), here.account()
    here.store.change(lambda tx: tx.insert_member(Member(account_id=other.id, user_id=owner.id, role=Role.AUDITOR)))
    first = sign_in(here, owner.email)
    before = actor_of(here, first)

    def choose(actor: Actor, account_id: str) -> Any:
        return here.store.change(
            lambda tx: flow.choose_account(tx, actor=actor, account_id=account_id, forge=here.forge)
        )

    assert choose(before, foreign.id) == choose(here.root, other.id) == NotFound()
    assert choose(replace(before, through="key_1"), other.id) == NotFound()  # a portal is for one account
    second = choose(before, other.id)
    after = actor_of(here, second)
    assert (after.account_id, after.session) == (other.id, before.session)
    assert not after.may("keyturn.keys:reset", other.id)
    assert whose(here, first) is None
    chosen = sign_in(here, owner.email, account_id=other.id)
    assert chosen.session.role is Role.AUDITOR


def test_a_browser_is_known_once_its_owner_has_signed_in(here: World, owner: User) -> None:
    first = sign_in(here, owner.email)
    assert first.device_token
    known = replace(HERE, device=token_digest(first.device_token))
    assert sign_in(here, owner.email, visitor=known).device_token == ""
    other = here.user(here.account())
    assert sign_in(here, other.email, visitor=known).device_token  # somebody else's is none
    assert sign_in(here, owner.email, visitor=replace(HERE, remember=False)).device_token == ""
    here.clock.advance(timedelta(days=181))
    here.housekeeper.forget()
    assert sign_in(here, owner.email, visitor=known).device_token


def test_sessions_past_their_end_are_forgotten(here: World, owner: User) -> None:
    answer = sign_in(here, owner.email)
    here.housekeeper.forget()
    assert whose(here, answer) is not None
    here.clock.advance(SPANS.idle + timedelta(seconds=1))
    here.housekeeper.forget()
    assert not here.store.read(lambda tx: tx.session_by_id(answer.session.id))


def with_app(here: World, user: User) -> Callable[[], str]:
    """The user with a TOTP app enrolled; answers how to read its code."""
    actor = here.sign_in(user)

    def enrol(tx: Transaction) -> tuple[str, Sequence[SecretText]]:
        again = Shown(kind="password")
        sure(
            session_proof.show(
                tx,
                actor=actor,
                shown=again,
                matched_password="stored",
                forge=here.forge,
                authenticators=here.authenticators,
            )
        )
        begun = sure(
            enrolment.enrol_totp(tx, actor=actor, name="phone", forge=here.forge, authenticators=here.authenticators)
        )
        code = pyotp.TOTP(begun.secret.reveal).at(here.clock.at)
        made = sure(
            enrolment.confirm_totp(
                tx, actor=actor, authenticator_id=begun.authenticator.id, code=code, authenticators=here.authenticators
            )
        )
        return begun.secret.reveal, made.recovery_codes

    secret, _ = here.store.change(enrol)
    here.clock.advance(timedelta(seconds=30))
    here.store.change(lambda tx: flow.end(tx, actor=actor, session_id=actor.session))
    return lambda: pyotp.TOTP(secret).at(here.clock.at)


def step(here: World, token: str, code: str) -> Refusal | SignedIn:
    second = Shown(kind="totp", code=code)
    return here.store.change(
        lambda tx: signing_in.second_step(
            tx,
            digest=token_digest(token),
            second=second,
            visitor=HERE,
            spans=SPANS,
            forge=here.forge,
            authenticators=here.authenticators,
        )
    )


def test_k2_with_an_enrolled_second_factor_a_session_opens_in_two_steps(here: World, owner: User) -> None:
    code = with_app(here, owner)
    first = sign_in(here, owner.email)
    assert first.device_token == ""
    assert whose(here, first) is None
    found = here.store.read(lambda tx: signing_in.waiting(tx, token_digest(first.token)))
    assert found is not None
    assert found.enrolled == {"totp", "recovery_code"}
    assert step(here, first.token, "12345") == ProofRefused(attempts_left=SECOND_FACTOR_TRIES - 1)
    second = sure(step(here, first.token, code()))
    assert second.token != first.token
    assert second.device_token
    assert second.session.how == ("password", "totp")
    assert whose(here, first) is None
    assert here.store.read(lambda tx: signing_in.waiting(tx, token_digest(first.token))) is None
    assert actor_of(here, second).session == first.session.id
    assert step(here, first.token, code()) == Unauthenticated()


def in_one_call(
    here: World, user: User, second: Shown | None, *, matched: str = "stored", visitor: Visitor = HERE
) -> Any:
    return here.store.change(
        lambda tx: signing_in.sign_in_at_once(
            tx,
            user=user.email,
            matched_password=matched,
            account_id=None,
            second=second,
            visitor=visitor,
            spans=SPANS,
            forge=here.forge,
            authenticators=here.authenticators,
        )
    )


def test_k8_a_wrong_second_factor_holds_up_the_right_one(here: World, owner: User) -> None:
    code = with_app(here, owner)
    first = sign_in(here, owner.email)
    for left in (4, 3, 2):
        assert step(here, first.token, "12345") == ProofRefused(attempts_left=left)
    assert step(here, first.token, code()) == TooManyRequests(retry_after=2)
    here.clock.advance(timedelta(seconds=2))
    assert sure(step(here, first.token, code())).session.id == first.session.id


def test_k8_so_it_does_where_both_are_shown_in_one_call_whatever_networks_they_come_from(
    here: World, owner: User
) -> None:
    code = with_app(here, owner)

    def show(network: int, text: str) -> Any:
        visitor = Visitor(address=f"203.0.{network}.1")
        return in_one_call(here, owner, Shown(kind="totp", code=text), visitor=visitor)

    for network in range(FREE[Counted.SECOND]):
        assert show(network, "12345") == AuthenticatorRefused()
    assert show(99, code()) == TooManyRequests(retry_after=2)
    here.clock.advance(timedelta(seconds=2))
    assert sure(show(99, code())).session.how == ("password", "totp")


def test_rfc_9470_a_program_shows_the_second_factor_with_the_password(here: World, owner: User) -> None:
    code = with_app(here, owner)

    assert in_one_call(here, owner, None) == SecondFactorRequired(enrolled=("recovery_code", "totp"))
    assert in_one_call(here, owner, Shown(kind="totp", code="12345")) == AuthenticatorRefused()
    assert in_one_call(here, owner, Shown(kind="totp", code=code()), matched="other") == Unauthenticated()
    opened = in_one_call(here, owner, Shown(kind="totp", code=code()))
    assert actor_of(here, opened).id == owner.id
    assert here.store.read(lambda tx: len(tx.sessions_of(owner.id))) == 1  # the refused ones left none
    outcomes = [outcome for action, outcome in records(here) if action == "session.started"]
    assert outcomes[-4:] == ["second_factor_required", "authenticator_refused", "unauthenticated", "done"]
    other = here.user(here.account())
    answer = in_one_call(here, other, Shown(kind="totp", code="123456"))
    assert sure(answer).session.how == ("password",)


def test_r50_a_sign_in_from_an_unknown_browser_is_told_to_its_owner_alone(here: World, owner: User) -> None:
    def told() -> list[tuple[str, str, str]]:
        found = here.store.change(lambda tx: tx.new_notices(limit=100))
        here.store.change(lambda tx: tx.addressed(notice_numbers=[number for number, _ in found]))
        return [(one.kind, one.owner_id, one.address) for _, one in found if one.kind == "session.started"]

    first = sure(sign_in(here, owner.email))
    assert told() == [("session.started", owner.id, "192.0.2.1")]
    known = replace(HERE, device=token_digest(first.device_token))
    sure(sign_in(here, owner.email, visitor=known))
    assert told() == []
    other = here.user(here.account())
    sure(sign_in(here, other.email, visitor=known))
    assert told() == [("session.started", other.id, "192.0.2.1")], "a browser is known for its owner only"
