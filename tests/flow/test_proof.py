"""Every proof of a reset through the real flows, on both databases (K2, R11, R15, R24, R40, R51).

Right once, for one reset, one person and one session; wrong ones counted; nothing used up that is of no use.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from keyturn.core.account import Role
from keyturn.core.actor import Actor
from keyturn.core.authenticator import Shown
from keyturn.core.captcha import Solved
from keyturn.core.instant import Instant
from keyturn.core.link import LASTS, MOST_PROOF_LINKS, LinkKind
from keyturn.core.refusal import (
    LinkSpent,
    NotFound,
    NotTheAsker,
    OutOfOrder,
    PasskeysUnavailable,
    ProofNotWanted,
    ProofRefused,
    ProofRequired,
    Refusal,
    ResetLapsed,
    SecondFactorNotEnrolled,
    TooManyAttempts,
    TooManyLinks,
    TooManyRequests,
    WrongBrowser,
)
from keyturn.core.stage import Stage
from keyturn.flow import policy as policies
from keyturn.flow import proof as proofs
from keyturn.flow.replay import Once
from keyturn.flow.step import ResetAnswer
from keyturn.outside import presets
from keyturn.outside.authenticators import SystemAuthenticators
from tests.passkey import Passkey
from tests.person import STEP, Person, at_once
from tests.world import World, sure, unseen

MINUTE = timedelta(minutes=1)
EVERY = ["password", "captcha", "email_link", "totp", "passkey", "recovery_code"]


class Asker(Person):
    """Somebody with a key, an app, a passkey and recovery codes, who asks for a reset."""

    def __init__(self, world: World, policy: str | Mapping[str, Any] = "", *, enrolled: bool = True) -> None:
        super().__init__(world)
        self.account = world.store.read(lambda tx: tx.members(user_id=self.user.id)[0]).account_id
        self.codes: list[str] = []
        if enrolled:
            self.codes = [one.reveal for one in self.with_app().recovery_codes]
            self.device = self.with_passkey()
        name = policy if isinstance(policy, str) else world.policy(**{"step_up": "none"} | dict(policy))
        expiry = Instant(world.clock() + timedelta(days=365))  # some presets want one
        made = world.key(account_id=self.account, owner_id=self.user.id, policy=name, expires_at=expiry)
        self.key, self.secret = made.key, unseen(made)
        self.reset = ""

    def open(self, reason: str = "routine", **wishes: Any) -> Any:
        answer = self.world.ask(self.actor, self.key, reason, **wishes)
        if not isinstance(answer, Refusal):
            self.reset = answer.reset.id
        return answer

    def missing(self) -> tuple[str, ...]:
        reset = self.world.store.read(lambda tx: tx.reset(self.reset))
        assert reset is not None
        return reset.missing(self.world.clock())

    def prove(self, kind: str, *, actor: Actor | None = None, **showing: Any) -> Any:
        reset = showing.pop("reset", self.reset)
        return self.world.prove(actor or self.actor, reset, kind, **showing)

    def mail(self, *, actor: Actor | None = None, once: Once | None = None) -> Any:
        return self.world.store.change(
            lambda tx: proofs.mail_link(
                tx, actor=actor or self.actor, reset_id=self.reset, forge=self.world.forge, once=once
            )
        )

    def digests(self) -> list[bytes]:
        """Of the links mailed for the reset, in the order of their making."""
        links = self.world.store.read(lambda tx: tx.links_about(self.reset, LinkKind.PROOF))
        return [self.world.forge.link_token(one.id)[1] for one in sorted(links, key=lambda one: one.made_at)]

    def link(self) -> bytes:
        """A link, freshly mailed."""
        sure(self.mail())
        return self.digests()[-1]

    def challenge(self, **words: Any) -> Any:
        asked: dict[str, Any] = {
            "actor": self.actor,
            "reset_id": self.reset,
            "authenticators": self.world.authenticators,
        }
        return self.world.store.change(lambda tx: proofs.ask_passkey(tx, **asked | words))

    def solved(self) -> Solved:
        return solved(self.world)

    def right(self, kind: str) -> dict[str, Any]:
        """What shows this kind of proof, rightly, now."""
        if kind == "captcha":
            return {"solved": self.solved()}
        if kind == "email_link":
            return {"link": self.link()}
        if kind == "totp":
            return {"shown": Shown(kind=kind, code=self.code())}
        if kind == "recovery_code":
            return {"shown": Shown(kind=kind, code=self.codes.pop())}
        if kind == "passkey":
            return {"shown": Shown(kind=kind, credential=self.device.get(sure(self.challenge())))}
        return {}

    def finish(self, wanted: str) -> Any:
        """Prove one set, kind by kind, and mint."""
        for kind in wanted.split("+"):
            sure(self.prove(kind, **self.right(kind)))
        return self.world.mint(self.actor, self.reset)


def solved(world: World) -> Solved:
    """An answer to a CAPTCHA that nobody has shown yet."""
    return Solved(digest=world.forge.derived("test", world.forge.id("x")), ends_at=Instant(world.clock() + 10 * MINUTE))


def wrong(kind: str) -> dict[str, Any]:
    """What shows it wrongly."""
    if kind == "password":
        return {"matched": ""}
    if kind == "email_link":
        return {"link": bytes(32)}
    return {} if kind == "captcha" else {"shown": Shown(kind=kind, code="000000")}


@pytest.mark.parametrize("kind", EVERY)
def test_k2_each_kind_proves_once_and_is_of_no_use_a_second_time(here: World, kind: str) -> None:
    """R11: what proved one reset proves neither that one nor another again."""
    asker = Asker(here, {"proofs": [kind]})
    sure(asker.open())
    assert asker.missing() == (kind,)
    assert isinstance(asker.prove(kind, **wrong(kind)), ProofRefused)
    shown = asker.right(kind)
    assert sure(asker.prove(kind, **shown)).reset.stage is Stage.PROVEN
    sure(here.mint(asker.actor, asker.reset))
    assert isinstance(asker.prove(kind, **shown), OutOfOrder)
    if kind == "password":
        return  # a password is not used up; it is asked for again each time
    sure(asker.open())
    again = asker.prove(kind, **shown)
    assert isinstance(again, ProofRefused), again


@pytest.mark.parametrize("kind", EVERY)
def test_r11_a_proof_is_of_one_session_and_stale_after_ten_minutes(here: World, kind: str) -> None:
    asker = Asker(here, {"proofs": [kind]})
    sure(asker.open())
    elsewhere = here.sign_in(asker.user)
    answer = asker.prove(kind, actor=elsewhere, **asker.right(kind))
    assert isinstance(answer, ProofRefused), answer
    sure(asker.prove(kind, **asker.right(kind)))
    here.clock.advance(10 * MINUTE)
    assert here.mint(asker.actor, asker.reset) == ProofRequired(missing=(kind,))
    sure(asker.prove(kind, **asker.right(kind)))
    sure(here.mint(asker.actor, asker.reset))


@pytest.mark.parametrize("kind", EVERY)
def test_r40_a_key_never_proves_for_a_person(here: World, kind: str) -> None:
    """Not even one that may reset the key, belongs to the same person and names their session."""
    asker = Asker(here, {"proofs": [kind]})
    sure(asker.open())
    shown = asker.right(kind)
    machine = here.machine(here.store.read(lambda tx: tx.account(asker.account)) or here.operator, asker.user)
    for actor in (machine, replace(machine, session=asker.actor.session)):
        answer = asker.prove(kind, actor=actor, **shown)
        assert answer == ProofNotWanted(missing=(kind,)), answer
    sure(asker.prove(kind, **shown))  # and nothing was used up


@pytest.mark.parametrize("kind", EVERY)
def test_nothing_is_used_up_for_a_reset_that_has_no_use_for_it(here: World, kind: str) -> None:
    """R11: not for a set that does not name it, not once the reset is closed, not for another's reset."""
    other_kind = "captcha" if kind == "password" else "password"
    asker = Asker(here, {"proofs": [kind]})
    bystander = Asker(here, {"proofs": [other_kind]}, enrolled=False)
    sure(asker.open())
    sure(bystander.open())
    shown = asker.right(kind)
    assert isinstance(asker.prove(kind, reset=bystander.reset, **shown), NotFound)
    own = here.key(
        account_id=asker.account, owner_id=asker.user.id, policy=here.policy(proofs=[other_kind], step_up="none")
    )
    useless = sure(here.ask(asker.actor, own.key)).reset.id
    assert isinstance(asker.prove(kind, reset=useless, **shown), ProofNotWanted)
    sure(here.step("cancel", asker.actor, useless))
    assert isinstance(asker.prove(kind, reset=useless, **shown), OutOfOrder)
    sure(asker.prove(kind, **shown))


def test_r12_a_lapsed_reset_takes_no_proof(here: World) -> None:
    asker = Asker(here, {"proofs": ["totp"]})
    sure(asker.open())
    here.clock.advance(30 * MINUTE)
    for answer in (asker.prove("totp", **wrong("totp")), asker.mail(), asker.challenge()):
        assert isinstance(answer, ResetLapsed)
    sure(asker.open())
    assert asker.prove("totp", **asker.right("totp"))


# Sets


def test_k2_every_preset_can_be_finished_by_whoever_has_enrolled_what_it_wants(here: World) -> None:
    """Alternative by alternative; and each part that is left out is missed by name."""
    names = sorted(presets.load())
    assert len(names) == 9
    for name in names:
        asker = Asker(here, name)
        alternatives = sure(asker.open()).reset.missing(here.clock())
        for wanted in alternatives:
            here.clock.advance(STEP)
            asker = Asker(here, name)
            sure(asker.open())
            kinds = wanted.split("+")
            for left_out in kinds:
                assert isinstance(here.mint(asker.actor, asker.reset), Refusal), (name, wanted, left_out)
                assert any(left_out in one.split("+") for one in asker.missing())
                sure(asker.prove(left_out, **asker.right(left_out)))
            minted = sure(here.mint(asker.actor, asker.reset))
            assert minted.secret is not None, (name, wanted)


def test_r11_a_preset_whose_second_factor_nobody_enrolled_says_so_before_the_reset_opens(here: World) -> None:
    codes = {"binance", "bybit", "github", "kraken", "okx", "stripe"}
    for name in sorted(presets.load()):
        asker = Asker(here, name, enrolled=False)
        answer = asker.open("leaked")
        if name in codes:
            assert answer == SecondFactorNotEnrolled(wanted=("totp",), policy=name, field="proofs"), name
        elif name == "coinbase":
            assert answer == SecondFactorNotEnrolled(wanted=("totp", "passkey"), policy=name, field="proofs")
        else:
            sure(answer)
        # Whatever the policy wants: the safe direction is open (R22).
        sure(here.on_key("suspend", asker.actor, asker.key.id, reason="lost"))


def test_r11_step_up_asks_for_what_is_enrolled(here: World) -> None:
    fields = {"proofs": ["password"], "step_up": "enrolled"}
    assert sure(Asker(here, fields, enrolled=False).open()).reset.missing(here.clock()) == ("password",)
    asker = Asker(here, fields)
    sure(asker.open())
    assert asker.missing() == ("password+totp", "password+passkey")
    sure(asker.finish("password+passkey"))
    always = Asker(here, fields | {"step_up": "required"}, enrolled=False)
    assert isinstance(always.open(), SecondFactorNotEnrolled)
    sure(always.show())
    always.with_passkey()
    assert sure(always.open()).reset.missing(here.clock()) == ("password+passkey",)


def test_r32_a_step_up_that_is_new_reaches_the_open_resets_of_whoever_has_one(here: World) -> None:
    name = here.policy(proofs=["password"], step_up="none")
    asker, bare = Asker(here, name), Asker(here, name, enrolled=False)
    for one in (asker, bare):
        sure(one.open())
        sure(one.prove("password"))
    fields = {"proofs": ["password"], "step_up": "enrolled"}
    sure(here.store.change(lambda tx: policies.store(tx, actor=here.root, name=name, base="", fields=fields)))
    assert asker.missing() == ("totp", "passkey")
    assert bare.missing() == ()
    assert isinstance(here.mint(asker.actor, asker.reset), ProofRequired)
    sure(here.mint(bare.actor, bare.reset))


def test_r11_a_recovery_code_stands_for_the_second_factor(here: World) -> None:
    asker = Asker(here, {"proofs": ["password+totp"]})
    sure(asker.open())
    sure(asker.finish("password+recovery_code"))
    assert here.store.read(lambda tx: tx.count_recovery_codes(asker.user.id)) == 9


def test_r24_waiving_a_cool_down_takes_a_second_factor_in_addition(here: World) -> None:
    asker = Asker(here, {"proofs": ["password"], "cool_down": "24h"})
    sure(asker.open(waive_cool_down=True))
    sure(asker.prove("password"))
    assert asker.missing() == ("totp", "passkey", "administrator+second_administrator")
    assert isinstance(here.mint(asker.actor, asker.reset), Refusal)
    sure(asker.prove("totp", **asker.right("totp")))
    assert sure(here.mint(asker.actor, asker.reset)).reset.new_starts_at == here.clock()


# Counting


@pytest.mark.parametrize("kind", EVERY)
def test_r11_too_many_wrong_proofs_end_the_reset_and_are_told_of(here: World, kind: str) -> None:
    asker = Asker(here, {"proofs": [kind], "attempts": 2})
    sure(asker.open())
    answers = [asker.prove(kind, **wrong(kind)) for _ in range(3)]
    policy = here.get(asker.key.id).policy
    assert answers[:2] == [ProofRefused(attempts_left=1), TooManyAttempts(policy=policy)]
    assert isinstance(answers[2], OutOfOrder)
    reset = here.store.read(lambda tx: tx.reset(asker.reset))
    assert reset is not None
    assert (reset.stage, reset.end_reason) == (Stage.ENDED, "too_many_attempts")
    told = here.store.read(lambda tx: tx.new_notices(limit=100))
    assert [one.kind for _, one in told if one.key_id == asker.key.id][-2:] == ["reset.asked", "reset.refused"]


def test_k8_wrong_proofs_delay_the_session_whatever_resets_it_asks_for(here: World) -> None:
    """And a right password buys no new guesses at the code."""
    asker = Asker(here, {"proofs": ["password+totp"], "attempts": 5})
    for _ in range(5):
        sure(asker.open())
        sure(asker.prove("password"))
        assert isinstance(asker.prove("totp", **wrong("totp")), ProofRefused)
        sure(here.step("cancel", asker.actor, asker.reset))
    sure(asker.open())
    assert asker.prove("totp", **wrong("totp")) == TooManyRequests(retry_after=2)
    assert asker.prove("password") == TooManyRequests(retry_after=2)
    assert sure(here.step("show", asker.actor, asker.reset)).reset.refused_proofs == 0
    here.clock.advance(timedelta(seconds=2))
    assert isinstance(asker.prove("totp", **wrong("totp")), ProofRefused)
    here.clock.advance(timedelta(seconds=4))
    sure(asker.prove("password"))
    sure(asker.prove("totp", **asker.right("totp")))
    other = here.sign_in(asker.user)
    assert isinstance(here.ask(other, asker.key), Refusal)  # theirs is open, and nobody else is delayed
    assert isinstance(asker.prove("totp", actor=other, **wrong("totp")), ProofRefused)


def test_r15_a_proof_under_an_idempotency_key_counts_once(here: World) -> None:
    asker = Asker(here, {"proofs": ["totp", "email_link"]})
    sure(asker.open())

    def once(name: str) -> Once:
        return Once(caller=asker.actor.id, idempotency_key=name, request=name.encode())

    refused = [asker.prove("totp", once=once("wrong"), **wrong("totp")) for _ in range(3)]
    assert refused == [ProofRefused(attempts_left=4)] * 3
    mailed = [asker.mail(once=once("mail")) for _ in range(3)]
    assert all(isinstance(one, ResetAnswer) for one in mailed)
    assert len(asker.digests()) == 1
    right = asker.right("totp")
    stages = [sure(asker.prove("totp", once=once("right"), **right)).reset.stage for _ in range(2)]
    assert stages == [Stage.PROVEN, Stage.PROVEN]


# Mailed links


def test_r51_a_mailed_link_proves_in_the_session_that_asked_and_in_no_other(here: World) -> None:
    asker = Asker(here, {"proofs": ["email_link"]}, enrolled=False)
    sure(asker.open())
    assert sure(asker.mail()).reset.stage is Stage.ASKED
    (digest,) = asker.digests()
    letters = [one for _, one in here.store.read(lambda tx: tx.new_letters(limit=10))]
    link = here.store.read(lambda tx: tx.link(digest))
    assert link is not None
    assert [(one.kind, one.to, one.link_id) for one in letters] == [("proof", asker.user.email, link.id)]
    assert link.ends_at == here.clock() + LASTS[LinkKind.PROOF]
    elsewhere = here.sign_in(asker.user)
    assert isinstance(asker.prove("email_link", actor=elsewhere, link=digest), ProofRefused)
    sure(asker.prove("email_link", link=digest))
    assert isinstance(asker.prove("email_link", link=digest), LinkSpent)


def test_r51_a_link_of_a_session_that_is_gone_is_worth_nothing_in_a_later_one(here: World) -> None:
    """The reset is asked for again in another browser; the link that was mailed for the first one does not prove it."""
    asker = Asker(here, {"proofs": ["email_link"]}, enrolled=False)
    sure(asker.open())
    digest = asker.link()
    sure(here.step("cancel", asker.actor, asker.reset))
    asker.actor = here.sign_in(asker.user)
    sure(asker.open())
    assert isinstance(asker.prove("email_link", link=digest), ProofRefused)


def test_r51_asking_again_ends_the_earlier_link_and_so_many_are_mailed_and_no_more(here: World) -> None:
    asker = Asker(here, {"proofs": ["email_link"]}, enrolled=False)
    sure(asker.open())
    for _ in range(MOST_PROOF_LINKS):
        here.clock.advance(timedelta(seconds=1))
        sure(asker.mail())
    assert asker.mail() == TooManyLinks(limit=MOST_PROOF_LINKS)
    *earlier, newest = asker.digests()
    for digest in earlier:
        assert isinstance(asker.prove("email_link", link=digest), LinkSpent)
    assert sure(here.step("show", asker.actor, asker.reset)).reset.refused_proofs == 0
    sure(asker.prove("email_link", link=newest))


def test_r51_a_link_ends_after_ten_minutes(here: World) -> None:
    asker = Asker(here, {"proofs": ["email_link"]}, enrolled=False)
    sure(asker.open())
    digest = asker.link()
    here.clock.advance(LASTS[LinkKind.PROOF])
    assert isinstance(asker.prove("email_link", link=digest), LinkSpent)
    sure(asker.prove("email_link", link=asker.link()))


def test_r11_a_link_of_another_purpose_or_of_another_reset_is_a_wrong_proof(here: World) -> None:
    asker = Asker(here, {"proofs": ["email_link"]}, enrolled=False)
    sure(asker.open())
    digest = asker.link()
    made = here.store.read(lambda tx: tx.link(digest))
    assert made is not None
    bent: dict[str, dict[str, Any]] = {
        "another purpose": {"kind": LinkKind.PASSWORD},
        "another reset": {"subject_id": "rst_other"},
        "another person": {"user_id": "usr_other"},
    }
    for number, (story, changed) in enumerate(bent.items()):
        one = replace(made, id=f"lnk_{number}", **changed)
        token = here.forge.link_token(one.id)[1]
        here.store.change(lambda tx, one=one, token=token: tx.insert_link(one, digest=token))  # type: ignore[misc]  # this story's
        assert isinstance(asker.prove("email_link", link=token), ProofRefused), story
    here.store.change(lambda tx: tx.insert_link(replace(made, id="lnk_s", session="ses_other"), digest=bytes(32)))
    assert isinstance(asker.prove("email_link", link=bytes(32)), WrongBrowser)
    sure(asker.prove("email_link", link=digest))


def test_only_the_asker_has_links_mailed_and_passkeys_asked(here: World) -> None:
    asker = Asker(here, {"proofs": ["password", "email_link", "passkey"]})
    sure(asker.open())
    admin = here.sign_in(here.user(here.store.read(lambda tx: tx.account(asker.account)) or here.operator, Role.ADMIN))
    for actor in (admin, here.sign_in(asker.user)):
        assert asker.mail(actor=actor) == NotTheAsker()
        assert asker.challenge(actor=actor) == NotTheAsker()
    stranger = Asker(here, enrolled=False)
    assert asker.mail(actor=stranger.actor) == NotFound()
    assert asker.challenge(actor=stranger.actor) == NotFound()
    assert asker.digests() == []


def test_what_is_not_wanted_is_neither_mailed_nor_asked(here: World) -> None:
    asker = Asker(here, {"proofs": ["password"]})
    sure(asker.open())
    assert asker.mail() == asker.challenge() == ProofNotWanted(missing=("password",))


# Passkeys


def test_r11_a_passkeys_answer_is_for_the_reset_it_was_asked_for(here: World) -> None:
    asker = Asker(here, {"proofs": ["passkey"]})
    sure(asker.open())
    first = asker.right("passkey")
    sure(here.step("cancel", asker.actor, asker.reset))
    sure(asker.open())
    assert isinstance(asker.prove("passkey", **first), ProofRefused)
    signed_in = Shown(kind="passkey", credential=asker.device.get(sure(asker.ask())))
    assert isinstance(asker.prove("passkey", shown=signed_in), ProofRefused)
    another = Passkey(origin=asker.device.origin, rp_id=asker.device.rp_id)
    guessed = Shown(kind="passkey", credential=another.get(sure(asker.challenge())))
    assert isinstance(asker.prove("passkey", shown=guessed), ProofRefused)
    sure(asker.prove("passkey", **asker.right("passkey")))


def test_passkeys_that_cannot_be_used_now_are_not_counted(here: World) -> None:
    asker = Asker(here, {"proofs": ["passkey"]})
    sure(asker.open())
    shown = asker.right("passkey")
    usable, here.authenticators = here.authenticators, SystemAuthenticators(here.forge, base_url="")
    assert isinstance(asker.prove("passkey", **shown), PasskeysUnavailable)
    assert isinstance(asker.challenge(), PasskeysUnavailable)
    here.authenticators = usable
    assert sure(asker.prove("passkey", **shown)).reset.refused_proofs == 0


# Races


@pytest.mark.parametrize("kind", ["captcha", "email_link", "totp", "passkey", "recovery_code"])
def test_r11_of_many_who_show_the_same_proof_at_once_it_proves_one_reset(here: World, kind: str) -> None:
    """Two resets of two keys, in one session, and one proof for both: one is proven."""
    asker = Asker(here, {"proofs": [kind]})
    sure(asker.open())
    shown = asker.right(kind)
    policy = here.get(asker.key.id).policy
    other = here.key(account_id=asker.account, owner_id=asker.user.id, policy=policy).key
    resets = [asker.reset, sure(here.ask(asker.actor, other)).reset.id]
    # A passkey's answer is for one of them from the start, and used up by a try at the other.
    turns = iter([resets[0]] * 4 if kind == "passkey" else [*resets, *resets])
    answers = at_once(lambda: asker.prove(kind, reset=next(turns), **shown))
    assert sum(isinstance(one, ResetAnswer) for one in answers) == 1, answers


def test_law_4_each_try_to_prove_has_one_record(here: World) -> None:
    asker = Asker(here, {"proofs": ["password+email_link"]}, enrolled=False)
    sure(asker.open())
    begun = len(here.audit())
    asker.prove("password", matched="")
    asker.prove("password")
    asker.prove("captcha")
    asker.mail()
    asker.challenge()
    asker.prove("email_link", link=asker.digests()[0])
    recorded = [(one.action, one.outcome, one.detail.get("proof")) for one in here.audit()[begun:]]
    assert recorded == [
        ("reset.proven", "proof_refused", None),
        ("reset.proven", "done", "password"),
        ("reset.proven", "proof_not_wanted", None),
        ("reset.link_mailed", "done", None),
        ("reset.passkey_asked", "proof_not_wanted", None),
        ("reset.proven", "done", "email_link"),
    ]
