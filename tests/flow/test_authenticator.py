"""Second factors through the real flows, on both databases (K2, R11, R40): right once, wrong ever after."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pyotp

from keyturn.core.actor import Actor, Channel
from keyturn.core.authenticator import RECENT, RECOVERY_CODES, Authenticator, Purpose, Shown
from keyturn.core.refusal import (
    AuthenticatorRefused,
    NotFound,
    PasskeysUnavailable,
    PersonRequired,
    ProofRequired,
    Refusal,
    TooManyRequests,
)
from keyturn.outside.authenticators import SystemAuthenticators
from keyturn.ports.transaction import Transaction
from tests.passkey import PRESENT, Passkey
from tests.person import STEP, Person, at_once
from tests.world import BASE_URL, T0, World, sure


def test_k2_an_app_is_enrolled_by_its_first_code_and_brings_recovery_codes(here: World) -> None:
    person = Person(here)
    sure(person.show())
    begun = sure(person.begin())
    assert person.enrolled() == frozenset()
    person.app = pyotp.TOTP(begun.secret.reveal)
    assert person.check("totp", code=person.code()) == AuthenticatorRefused()
    assert person.confirm(begun, "000000") == AuthenticatorRefused()
    made = sure(person.confirm(begun))
    assert len({one.reveal for one in made.recovery_codes}) == RECOVERY_CODES
    assert person.enrolled() == {"totp", "recovery_code"}
    assert begun.uri.reveal == (
        f"otpauth://totp/keyturn:{person.user.email.replace('@', '%40')}?secret={begun.secret.reveal}&issuer=keyturn"
    )
    assert pyotp.TOTP(begun.secret.reveal).byte_secret() == here.forge.derived("totp", begun.authenticator.id)[:20]
    listed = sure(person.do("listing"))
    assert ([one.name for one in listed.authenticators], listed.recovery_codes_left) == (["phone"], 10)


def test_r11_a_code_is_used_once_and_one_step_either_side_is_let_through(here: World) -> None:
    person = Person(here)
    person.with_app()
    here.clock.advance(10 * STEP)
    assert person.check("totp", code=person.code(-2)) == AuthenticatorRefused()
    assert person.check("totp", code=person.code(+2)) == AuthenticatorRefused()
    assert person.check("totp", code=person.code(-1)) == "totp"
    assert person.check("totp", code=person.code(-1)) == AuthenticatorRefused()
    assert person.check("totp", code=person.code(+1)) == "totp"
    assert person.check("totp", code=person.code()) == AuthenticatorRefused()  # an earlier one than that
    here.clock.advance(2 * STEP)
    assert person.check("totp", code=person.code()) == "totp"


def test_r11_the_code_that_confirmed_an_app_proves_nothing_more(here: World) -> None:
    person = Person(here)
    person.with_app()
    assert person.check("totp", code=person.code(-1)) == AuthenticatorRefused()


def test_r11_a_recovery_code_is_spent_and_a_new_set_ends_the_earlier_one(here: World) -> None:
    person = Person(here)
    codes = [one.reveal for one in person.with_app().recovery_codes]
    typed = codes[0].lower().replace("-", " ")
    assert person.check("recovery_code", code=typed) == "recovery_code"
    assert person.check("recovery_code", code=codes[0]) == AuthenticatorRefused()
    other = Person(here)
    other.with_app()
    assert other.check("recovery_code", code=codes[1]) == AuthenticatorRefused()
    made = sure(person.do("new_recovery_codes", authenticators=here.authenticators))
    assert person.check("recovery_code", code=codes[1]) == AuthenticatorRefused()
    assert person.check("recovery_code", code=made[9].reveal) == "recovery_code"
    assert sure(person.do("listing")).recovery_codes_left == RECOVERY_CODES - 1
    told = here.store.read(lambda tx: tx.new_notices(limit=100))
    used = [one.detail for _, one in told if (one.kind, one.owner_id) == ("recovery_codes.used", person.user.id)]
    assert used == [{"left": "9"}, {"left": "9"}]


def test_k2_a_passkey_is_enrolled_and_proves(here: World) -> None:
    person = Person(here)
    sure(person.show())
    device = person.with_passkey()
    assert person.enrolled() == {"passkey", "recovery_code"}
    options = sure(person.ask())
    assert (options["rpId"], options["userVerification"]) == ("keys.example.com", "required")
    assert person.check("passkey", credential=device.get(options)) == "passkey"


def test_r11_a_passkeys_answer_counts_once_and_for_what_was_asked(here: World) -> None:
    person = Person(here)
    sure(person.show())
    device = person.with_passkey()
    shown = device.get(sure(person.ask()))
    assert person.check("passkey", credential=shown) == "passkey"
    assert person.check("passkey", credential=shown) == AuthenticatorRefused()
    stories: dict[str, dict[str, Any]] = {
        "another purpose": {"purpose": Purpose.SESSION},
        "another session": {"session": "ses_other"},
        "another reset": {"purpose": Purpose.RESET, "subject_id": "rst_other"},
    }
    for story, changed in stories.items():
        asked = Purpose.RESET if changed.get("subject_id") else Purpose.SIGN_IN
        options = sure(person.ask(asked, **{"subject_id": "rst_1"} if asked is Purpose.RESET else {}))
        assert person.check("passkey", credential=device.get(options), **changed) == AuthenticatorRefused(), story
        # The attempt has used the challenge up, also for what it was asked for.
        right = {"purpose": asked} | ({"subject_id": "rst_1"} if asked is Purpose.RESET else {})
        assert person.check("passkey", credential=device.get(options), **right) == AuthenticatorRefused(), story
    late = device.get(sure(person.ask()))
    here.clock.advance(timedelta(minutes=5))
    assert person.check("passkey", credential=late) == AuthenticatorRefused()


def test_r11_a_new_challenge_ends_the_earlier_one(here: World) -> None:
    person = Person(here)
    sure(person.show())
    device = person.with_passkey()
    first, second = sure(person.ask()), sure(person.ask())
    assert person.check("passkey", credential=device.get(first)) == AuthenticatorRefused()
    assert person.check("passkey", credential=device.get(second)) == "passkey"


def test_pitfall_21_a_passkey_is_bound_to_the_configured_address(here: World) -> None:
    person = Person(here)
    sure(person.show())
    device = person.with_passkey()
    wrong: dict[str, dict[str, Any]] = {
        "another origin": {"origin": "https://keys.example.com.evil.test"},
        "the same host in the clear": {"origin": "http://keys.example.com"},
        "another relying party": {"rp_id": "example.com"},
        "nobody was verified": {"flags": PRESENT},
        "nobody was there": {"flags": 0},
        "in another site's frame": {"cross_origin": True},
    }
    for story, changed in wrong.items():
        bad = replace(device, count=device.count + 10, **changed)
        assert person.check("passkey", credential=bad.get(sure(person.ask()))) == AuthenticatorRefused(), story
        fresh = replace(bad, credential_id=bytes(16))
        assert person.enrol(fresh) == AuthenticatorRefused(), story


def test_a_passkey_with_a_double_is_refused(here: World) -> None:
    person = Person(here)
    sure(person.show())
    device = person.with_passkey()
    double = replace(device)
    for one, good in ((device, True), (device, True), (double, False), (device, True)):
        shown = person.check("passkey", credential=one.get(sure(person.ask())))
        assert (shown == "passkey") is good


def test_a_passkey_belongs_to_one_person(here: World) -> None:
    one, other = Person(here), Person(here)
    sure(one.show())
    sure(other.show())
    device = one.with_passkey()
    assert other.enrol(device) == AuthenticatorRefused()
    other.with_passkey()
    assert other.check("passkey", credential=device.get(sure(other.ask()))) == AuthenticatorRefused()
    forged = device.get(sure(one.ask())) | {"id": "AAAA", "rawId": "AAAA"}
    assert one.check("passkey", credential=forged) == AuthenticatorRefused()


def test_garbage_is_no_passkey(here: World) -> None:
    person = Person(here)
    sure(person.show())
    person.with_passkey()
    sure(person.ask())
    shapes: list[dict[str, Any]] = [
        {},
        {"response": None},
        {"response": {"clientDataJSON": 5}},
        {"response": {"clientDataJSON": "e30"}},
        {"response": {"clientDataJSON": "W10"}},
        {"response": {"clientDataJSON": "é"}},
        {"id": None, "response": {"clientDataJSON": "bm8ganNvbg"}},
    ]
    for shape in shapes:
        assert person.check("passkey", credential=shape) == AuthenticatorRefused(), shape
        assert person.take(shape) == AuthenticatorRefused(), shape
    options = sure(person.do("begin_passkey", authenticators=here.authenticators))
    broken = Passkey(origin=BASE_URL, rp_id="keys.example.com").create(options)
    broken["response"]["attestationObject"] = "AAAA"
    assert person.take(broken) == AuthenticatorRefused()
    again = sure(person.ask())
    shown = Passkey(origin=BASE_URL, rp_id="keys.example.com").get(again)
    assert person.check("passkey", credential=shown) == AuthenticatorRefused()


def test_passkeys_that_cannot_be_used_are_refused_by_name(here: World) -> None:
    person = Person(here)
    sure(person.show())
    here.authenticators = SystemAuthenticators(here.forge, base_url="http://127.0.0.1:8787")
    for answer in (
        person.do("begin_passkey", authenticators=here.authenticators),
        person.take({}),
        person.ask(),
        person.check("passkey", credential={}),
    ):
        assert isinstance(answer, PasskeysUnavailable)
    assert SystemAuthenticators(here.forge, base_url="").no_passkeys
    assert not SystemAuthenticators(here.forge, base_url="http://localhost:8787").no_passkeys


def test_nobody_without_a_passkey_is_asked_for_one(here: World) -> None:
    assert Person(here).ask() == NotFound()


def test_r40_a_key_never_speaks_for_a_person(here: World) -> None:
    person = Person(here)
    made = person.with_app()
    machine = replace(here.machine(here.operator, here.operator_user), user_id=person.user.id)
    stolen = replace(machine, session=person.actor.session)
    for actor in (machine, stolen, replace(person.actor, session="")):
        person.actor = actor
        answers = {
            "listing": person.do("listing"),
            "show": person.show(),
            "show a code": person.show("totp", code=person.code()),
            "ask": person.ask_again(),
            "begin": person.begin(),
            "passkey": person.do("begin_passkey", authenticators=here.authenticators),
            "take": person.take({}),
            "rename": person.do("rename", authenticator_id=made.authenticator.id, name="mine"),
            "remove": person.do("remove", authenticator_id=made.authenticator.id),
            "codes": person.do("new_recovery_codes", authenticators=here.authenticators),
        }
        for story, answer in answers.items():
            assert answer == PersonRequired(), story
    assert actor_channels(machine, stolen) == {Channel.MACHINE}


def actor_channels(*actors: Actor) -> set[Channel]:
    return {one.channel for one in actors}


def test_a_change_takes_a_recent_proof_and_a_second_factor_where_there_is_one(here: World) -> None:
    person = Person(here)
    assert person.begin() == ProofRequired(missing=("password",))
    made = person.with_app()
    remove = {"authenticator_id": made.authenticator.id}
    here.clock.advance(RECENT)
    sure(person.show())
    for answer in (
        person.do("remove", **remove),
        person.begin(),
        person.do("begin_passkey", authenticators=here.authenticators),
        person.take({}),
        person.do("new_recovery_codes", authenticators=here.authenticators),
        person.do("confirm_totp", authenticator_id=made.authenticator.id, code="", authenticators=here.authenticators),
    ):
        assert answer == ProofRequired(missing=("recovery_code", "totp"))
    assert person.show("totp", code="000000") == AuthenticatorRefused()
    sure(person.show("totp", code=person.code()))
    other = Person(here, person.user)  # the proof is of that session, not of the person
    assert other.do("remove", **remove) == ProofRequired(missing=("recovery_code", "totp"))
    sure(person.do("remove", **remove))
    assert person.enrolled() == frozenset()


def test_a_passkey_shown_again_is_a_recent_proof(here: World) -> None:
    person = Person(here)
    sure(person.show())
    device = person.with_passkey()
    here.clock.advance(RECENT)
    options = sure(person.ask_again())
    assert sure(person.show("passkey", credential=device.get(options))).proof.kind == "passkey"
    sure(person.begin())


def test_a_wrong_password_shows_nothing_again(here: World) -> None:
    person = Person(here)
    shown = Shown(kind="password")
    for matched in ("", "another"):
        assert person.again(shown, matched) == AuthenticatorRefused()
    assert person.begin() == ProofRequired(missing=("password",))


def test_k8_what_is_shown_again_wrongly_delays_the_session(here: World) -> None:
    """And the password, which is not enough by itself, buys no new guesses at the code."""
    person = Person(here)
    person.with_app()
    for tried in range(5):
        assert person.show("totp", code="000000") == AuthenticatorRefused()
        if tried < 4:
            sure(person.show())
    assert person.show("totp", code=person.code()) == TooManyRequests(retry_after=2)
    assert person.show() == TooManyRequests(retry_after=2)
    here.clock.advance(timedelta(seconds=2))
    sure(person.show("totp", code=person.code()))
    for _ in range(5):
        assert person.show("totp", code="000000") == AuthenticatorRefused()  # the right one has cleared the count
    assert isinstance(person.show(), TooManyRequests)


def test_recovery_codes_go_with_the_last_second_factor(here: World) -> None:
    person = Person(here)
    made = person.with_app()
    device = person.with_passkey()
    passkey = sure(person.do("listing")).authenticators[1]
    sure(person.do("remove", authenticator_id=made.authenticator.id))
    assert person.check("recovery_code", code=made.recovery_codes[0].reveal) == "recovery_code"
    assert person.check("passkey", credential=device.get(sure(person.ask()))) == "passkey"
    sure(person.do("remove", authenticator_id=passkey.id))
    assert person.check("recovery_code", code=made.recovery_codes[1].reveal) == AuthenticatorRefused()
    assert sure(person.do("listing")).recovery_codes_left == 0
    assert person.do("new_recovery_codes", authenticators=here.authenticators) == NotFound()


def test_a_second_app_brings_no_second_set_and_an_unconfirmed_one_makes_room(here: World) -> None:
    person = Person(here)
    first = person.with_app()
    left = sure(person.begin("old phone"))
    begun = sure(person.begin("new phone"))
    assert person.confirm(left) == NotFound()
    phone, person.app = person.app, pyotp.TOTP(begun.secret.reveal)
    assert sure(person.confirm(begun)).recovery_codes == ()
    assert person.check("recovery_code", code=first.recovery_codes[0].reveal) == "recovery_code"
    here.clock.advance(STEP)
    assert person.check("totp", code=phone.at(here.clock.at)) == "totp"
    assert person.check("totp", code=person.code()) == "totp"


def test_pitfall_18_somebody_elses_is_not_found(here: World) -> None:
    owner, other = Person(here), Person(here)
    made: Authenticator = owner.with_app().authenticator
    sure(other.show())
    words = {"authenticator_id": made.id}
    assert other.do("remove", **words) == NotFound()
    assert other.do("rename", name="mine", **words) == NotFound()
    assert other.do("confirm_totp", code=owner.code(), authenticators=here.authenticators, **words) == NotFound()
    assert sure(owner.do("rename", name="yours", **words)).name == "yours"
    assert sure(owner.do("listing")).authenticators[0].name == "yours"


def test_law_4_every_change_and_every_refused_try_has_one_record_and_each_change_a_notice(here: World) -> None:
    person = Person(here)
    begun = len(here.audit())
    person.begin()  # refused
    made = person.with_app()
    person.show("totp", code="000000")
    person.do("rename", authenticator_id=made.authenticator.id, name="phone 2")
    person.do("new_recovery_codes", authenticators=here.authenticators)
    person.do("remove", authenticator_id=made.authenticator.id)
    recorded = [(one.action, one.outcome) for one in here.audit()[begun:]]
    assert recorded == [
        ("authenticator.begun", "proof_required"),
        ("session.proven", "done"),
        ("authenticator.begun", "done"),
        ("authenticator.enrolled", "done"),
        ("session.proven", "authenticator_refused"),
        ("authenticator.renamed", "done"),
        ("recovery_codes.made", "done"),
        ("authenticator.removed", "done"),
    ]
    told = [notice for _, notice in here.store.change(lambda tx: tx.new_notices(limit=100))]
    mine = [one.kind for one in told if one.owner_id == person.user.id]
    assert mine[-3:] == ["authenticator.enrolled", "recovery_codes.made", "authenticator.removed"]
    assert mine[-4] == "session.started"


def test_pitfall_10_nothing_that_proves_is_stored(here: World) -> None:
    person = Person(here)
    made = person.with_app()
    secret = here.authenticators.totp_secret(made.authenticator.id).reveal
    marked = [secret, *(one.reveal for one in made.recovery_codes)]
    marked += [one.replace("-", "") for one in marked]
    stored = dump(here)
    assert made.authenticator.id in stored
    assert not [one for one in marked if one in stored]


def dump(here: World) -> str:
    from sqlalchemy import select  # noqa: PLC0415  # for this one look past the store

    from keyturn.store.tables import metadata  # noqa: PLC0415  # as above

    with here.store._engine.connect() as connection:
        return "\n".join(
            str(row) for table in metadata.sorted_tables for row in connection.execute(select(table)).all()
        )


def test_r11_of_two_at_once_one_uses_it(here: World) -> None:
    person = Person(here)
    made = person.with_app()
    device = person.with_passkey()
    code = made.recovery_codes[0].reveal
    shown = device.get(sure(person.ask()))
    here.clock.advance(STEP)
    for words in (
        {"kind": "totp", "code": person.code()},
        {"kind": "recovery_code", "code": code},
        {"kind": "passkey", "credential": shown},
    ):
        answers = at_once(lambda words=words: person.check(**words))  # type: ignore[misc]  # one story's words
        assert sorted(map(str, answers)) == sorted([str(words["kind"]), *[str(AuthenticatorRefused())] * 3])


def test_challenges_whose_time_is_over_are_forgotten(here: World) -> None:
    person = Person(here)
    sure(person.show())
    device = person.with_passkey()
    early = device.get(sure(person.ask()))
    here.housekeeper.forget()
    assert person.check("passkey", credential=early) == "passkey"
    sure(person.ask())
    here.clock.advance(timedelta(minutes=5))
    assert here.store.change(lambda tx: tx.forget_challenges()) == 1


def no(answer: object) -> Refusal:
    assert isinstance(answer, Refusal), answer
    return answer


def test_the_end_of_a_session_takes_its_proofs_along(here: World) -> None:
    person = Person(here)
    sure(person.show())

    def end(tx: Transaction) -> int:
        return tx.end_sessions(session_id=person.actor.session)

    assert here.store.change(end) == 1
    assert no(person.begin()) == ProofRequired(missing=("password",))


def test_k15_another_second_factor_holds_what_the_policies_of_the_person_s_keys_want_held(here: World) -> None:
    person = Person(here)
    account = here.store.read(lambda tx: tx.members(user_id=person.user.id)[0]).account_id
    here.key(account_id=account, owner_id=person.user.id, policy="kraken")
    made = person.with_app()
    user = here.store.read(lambda tx: (tx.user(person.user.id), tx.hold(person.user.id)))
    assert user[0] is not None
    assert user[1] is not None
    assert user[0].changed_at == T0
    assert (user[1].until, user[1].policy) == (T0 + timedelta(days=1), "kraken")
    sure(person.do("remove", authenticator_id=made.authenticator.id))
    hold = here.store.read(lambda tx: tx.hold(person.user.id))
    assert hold is not None
    assert hold.until == here.clock() + timedelta(days=1)
    bystander = Person(here)
    bystander.with_app()
    assert here.store.read(lambda tx: tx.hold(bystander.user.id)) is None
