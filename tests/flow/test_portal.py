"""Portals on a real database: who may make one, what it opens, and how far that reaches."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from keyturn.core.account import Account, Role, User
from keyturn.core.actor import Actor
from keyturn.core.instant import Instant
from keyturn.core.portal import LONGEST, OPENS_WITHIN, Portal
from keyturn.core.refusal import (
    CredentialRequired,
    InvalidField,
    LinkSpent,
    NotFound,
    PermissionMissing,
    PersonRequired,
    ProofRequired,
    SecondFactorNotEnrolled,
    VouchingForbidden,
)
from keyturn.core.session import SessionKind, Spans, Visitor
from keyturn.core.stage import Stage
from keyturn.flow import account as accounts
from keyturn.flow import credential, enrolment
from keyturn.flow import key as keys
from keyturn.flow import portal as flow
from keyturn.flow import session as sessions
from keyturn.flow import sign_in as signing_in
from keyturn.flow import user as users
from keyturn.flow.portal import Minted, Opened, PortalWish
from keyturn.outside.forge import token_digest
from keyturn.ports.page import Page
from keyturn.ports.transaction import Transaction
from tests.world import T0, World, sure

APP = "https://app.example.com"
ORIGINS = (APP,)
HERE = Visitor(address="192.0.2.1", user_agent="Browser/1")
MINUTE = timedelta(minutes=1)
PORTAL = Portal(id="", account_id="", user_id="", by="", by_version=1, made_at=T0, ends_at=T0)


@pytest.fixture
def customer(here: World) -> Account:
    return here.account()


@pytest.fixture
def owner(here: World, customer: Account) -> User:
    return here.user(customer)


@pytest.fixture
def backend(here: World) -> Actor:
    """The credential of the operator's own program."""
    made = here.key(permissions=("keyturn.accounts:write",), name="backend")
    return as_shown(here, made.key.id)


def as_shown(here: World, key_id: str) -> Actor:
    key = here.get(key_id)
    return replace(here.as_key(key), secret_version=key.version)


def mint(here: World, actor: Actor, account: Account, **changes: Any) -> Any:
    words: dict[str, Any] = {
        "account_id": account.id,
        "user_id": None,
        "proofs": (),
        "embed_origin": "",
        "return_url": "",
    }
    wish = PortalWish(**words | changes)
    return here.store.change(lambda tx: flow.mint(tx, actor=actor, wish=wish, origins=ORIGINS, forge=here.forge))


def open_(here: World, minted: Minted, *, framed_by: str = "", **more: Any) -> Any:
    words: dict[str, Any] = {"visitor": HERE, "idle": Spans().idle, "forge": here.forge, "framed_by": framed_by} | more
    return here.store.change(lambda tx: flow.open_(tx, digest=token_digest(minted.token), **words))


def look(here: World, minted: Minted) -> Any:
    return here.store.read(lambda tx: flow.look(tx, digest=token_digest(minted.token)))


def whose(here: World, opened: Opened, kind: SessionKind = SessionKind.PORTAL) -> Actor | None:
    digest = token_digest(opened.token)
    return here.store.read(lambda tx: sessions.whose(tx, digest, address=HERE.address, kind=kind))


def person(here: World, opened: Opened) -> Actor:
    actor = whose(here, opened)
    assert actor is not None
    return actor


def seen(here: World, *kinds: str, ago: timedelta = timedelta(0)) -> Sequence[tuple[str, Instant]]:
    return [(kind, Instant(here.clock() - ago)) for kind in kinds]


def records(here: World) -> list[tuple[str, str]]:
    return [(one.action, one.outcome) for one in here.audit() if one.action.startswith(("portal.", "session."))]


def test_k1_the_owner_s_pages_open_without_a_sign_in_here(
    here: World, customer: Account, owner: User, backend: Actor
) -> None:
    minted = sure(mint(here, backend, customer, proofs=seen(here, "password")))
    assert minted.token.startswith("ktp_")
    assert (minted.portal.user_id, minted.portal.by) == (owner.id, backend.id)
    assert minted.portal.ends_at == here.clock() + OPENS_WITHIN
    shown = sure(look(here, minted))
    assert (shown.account, shown.user_name) == (customer, owner.email)  # a user without a name
    actor = person(here, sure(open_(here, minted)))
    assert (actor.id, actor.account_id, actor.through) == (owner.id, customer.id, backend.id)
    found = here.audit(subject_id=minted.portal.id)
    assert [(one.action, one.actor_id) for one in found] == [("portal.minted", backend.id), ("portal.opened", owner.id)]
    assert found[1].detail["through"] == backend.id
    assert "vouched_password" in found[0].detail
    assert minted.token not in str(found)


@pytest.mark.usefixtures("owner")
def test_r51_looking_does_nothing_and_opening_works_once(here: World, customer: Account, backend: Actor) -> None:
    minted = sure(mint(here, backend, customer))
    for _ in range(5):
        sure(look(here, minted))
    before = records(here)
    sure(open_(here, minted))
    assert records(here) == [*before, ("portal.opened", "done")]
    assert look(here, minted) == LinkSpent()
    assert open_(here, minted) == LinkSpent()
    assert records(here)[-1] == ("portal.opened", "link_spent")


@pytest.mark.usefixtures("owner")
def test_a_link_nobody_opened_in_time_is_spent(here: World, customer: Account, backend: Actor) -> None:
    minted = sure(mint(here, backend, customer))
    here.clock.advance(OPENS_WITHIN)
    assert (look(here, minted), open_(here, minted)) == (LinkSpent(), LinkSpent())


def test_pitfall_7_only_an_operator_s_key_with_the_right_over_the_account_makes_one(
    here: World, customer: Account, owner: User, backend: Actor
) -> None:
    other = here.account()
    named = as_shown(here, here.key(permissions=(f"keyturn.accounts:write@{customer.id}",)).key.id)
    sure(mint(here, named, customer))
    assert mint(here, named, other) == NotFound()
    reader = as_shown(here, here.key(permissions=("keyturn.accounts:read",)).key.id)
    assert mint(here, reader, customer) == NotFound()
    theirs = here.machine(customer, owner, "keyturn.accounts:write")
    assert mint(here, theirs, customer) == PermissionMissing(needed="keyturn.accounts:write")
    signed_in = here.sign_in(owner)
    assert mint(here, signed_in, customer) == CredentialRequired()
    through = person(here, sure(open_(here, sure(mint(here, backend, customer)))))
    assert mint(here, through, customer) == PermissionMissing(needed="keyturn.accounts:write")
    refused = [one.outcome for one in here.audit() if one.action == "portal.minted" and one.outcome != "done"]
    assert len(refused) == 5


def test_pitfall_8_the_operator_s_own_people_are_an_administrator_s_to_speak_for(here: World, backend: Actor) -> None:
    assert mint(here, backend, here.operator) == PermissionMissing(needed="keyturn.admin")
    opened = sure(open_(here, sure(mint(here, as_shown(here, here.admin_key.id), here.operator))))
    actor = person(here, opened)
    assert not actor.in_deployment_account
    assert not actor.may("keyturn.accounts:write", here.operator.id)


def test_pitfall_18_whom_it_is_for_is_a_member_of_that_account(
    here: World, customer: Account, owner: User, backend: Actor
) -> None:
    member = here.user(customer, Role.MEMBER)
    assert sure(mint(here, backend, customer)).portal.user_id == owner.id
    assert sure(mint(here, backend, customer, user_id=member.id)).portal.user_id == member.id
    other = here.user(here.account())
    no_member = InvalidField(field="user_id", reason="no member of the account")
    assert mint(here, backend, customer, user_id=other.id) == no_member
    empty = mint(here, backend, here.account())
    assert empty == InvalidField(field="user_id", reason="the account has no owner; name a member")
    here.user(customer, Role.OWNER)
    several = mint(here, backend, customer)
    assert several == InvalidField(field="user_id", reason="the account has several owners; name a member")
    assert sure(mint(here, backend, customer, user_id=owner.id)).portal.user_id == owner.id


@pytest.mark.usefixtures("owner")
def test_addresses_are_those_that_the_operator_has_listed(here: World, customer: Account, backend: Actor) -> None:
    sure(mint(here, backend, customer, embed_origin=APP, return_url=f"{APP}/keys"))
    for wrong in ({"embed_origin": "https://evil.example.com"}, {"return_url": "https://evil.example.com/keys"}):
        answer = mint(here, backend, customer, **wrong)
        assert isinstance(answer, InvalidField)
        assert answer.field in wrong


@pytest.mark.usefixtures("owner")
def test_a_page_of_another_origin_cannot_open_it(here: World, customer: Account, backend: Actor) -> None:
    minted = sure(mint(here, backend, customer, embed_origin=APP))
    assert open_(here, minted, framed_by="https://evil.example.com") == NotFound()
    opened = sure(open_(here, minted, framed_by=APP))
    found = here.audit(subject_id=minted.portal.id)[-1]
    assert (found.detail["framed_by"], found.detail["session"]) == (APP, opened.session.id)


def test_k12_it_reaches_the_person_s_own_keys_and_nothing_else(
    here: World, customer: Account, owner: User, backend: Actor
) -> None:
    own = here.key(account_id=customer.id, owner_id=owner.id).key
    colleague = here.user(customer, Role.MEMBER)
    beside = here.key(account_id=customer.id, owner_id=colleague.id).key
    foreign = here.key().key
    actor = person(here, sure(open_(here, sure(mint(here, backend, customer)))))

    def read(query: Callable[[Transaction], Any]) -> Any:
        return here.store.read(query)

    page = Page(size=50)
    listed = read(lambda tx: keys.listing(tx, actor=actor, account_id=None, owner_id=None, page=page))
    assert [one.id for one in listed] == [own.id]
    for other in (beside, foreign):
        assert here.on_key("suspend", actor, other.id, reason="x") == NotFound()
        assert here.ask(actor, other) == NotFound()
    assert isinstance(read(lambda tx: accounts.show(tx, actor=actor, account_id=customer.id)), PermissionMissing)
    assert isinstance(
        read(lambda tx: users.listing(tx, actor=actor, account_id=customer.id, page=page)), PermissionMissing
    )
    made = here.store.change(
        lambda tx: enrolment.enrol_totp(
            tx, actor=actor, name="app", forge=here.forge, authenticators=here.authenticators
        )
    )
    assert made == PersonRequired()
    rights = here.try_key(actor, permissions=("keyturn.keys:read",))
    assert not hasattr(rights, "key")


def test_its_token_is_no_session_of_another_kind(here: World, customer: Account, owner: User, backend: Actor) -> None:
    opened = sure(open_(here, sure(mint(here, backend, customer))))
    assert whose(here, opened, SessionKind.PERSON) is None
    signed_in = here.store.change(
        lambda tx: signing_in.sign_in(
            tx,
            user=owner.email,
            matched_password="stored",  # the stored form
            account_id=None,
            visitor=HERE,
            spans=Spans(),
            forge=here.forge,
        )
    )
    digest = token_digest(sure(signed_in).token)
    assert here.store.read(lambda tx: sessions.whose(tx, digest, address=None, kind=SessionKind.PORTAL)) is None
    assert here.store.read(lambda tx: flow.of_token(tx, digest)) is None
    assert here.store.read(lambda tx: flow.of_token(tx, b"x" * 32)) is None
    portal = here.store.read(lambda tx: flow.of_token(tx, token_digest(opened.token)))
    assert portal == opened.portal


@pytest.mark.usefixtures("owner")
def test_it_ends_soon_however_busy(here: World, customer: Account, backend: Actor) -> None:
    opened = sure(open_(here, sure(mint(here, backend, customer))))
    digest = token_digest(opened.token)
    for _ in range(LONGEST // timedelta(minutes=10)):
        assert whose(here, opened) is not None
        here.store.change(lambda tx: sessions.seen(tx, digest, spans=Spans()))
        here.clock.advance(timedelta(minutes=10))
    assert whose(here, opened) is None
    assert here.store.read(lambda tx: flow.of_token(tx, digest)) == opened.portal  # its last page says that it is over


@pytest.mark.usefixtures("owner")
def test_the_session_that_the_browser_had_before_ends(here: World, customer: Account, backend: Actor) -> None:
    first = sure(open_(here, sure(mint(here, backend, customer))))
    second = sure(open_(here, sure(mint(here, backend, customer)), earlier=token_digest(first.token)))
    assert (whose(here, first), person(here, second).session) == (None, second.session.id)
    assert records(here)[-2:] == [("session.ended", "done"), ("portal.opened", "done")]


@pytest.mark.parametrize("stop", ["suspend", "revoke", "leaked"])
@pytest.mark.usefixtures("owner")
def test_r25_a_credential_that_is_stopped_takes_its_portals_with_it(
    here: World, customer: Account, backend: Actor, stop: str
) -> None:
    waiting = sure(mint(here, backend, customer))
    opened = sure(open_(here, sure(mint(here, backend, customer))))
    actor = person(here, opened)
    if stop == "leaked":
        sure(here.ask(here.root, backend.id, "leaked"))
        assert here.get(backend.id).suspension is None  # minted: the key goes on, with another secret
    else:
        words = {"reason": "x"} if stop == "suspend" else {}
        sure(here.on_key(stop, here.root, backend.id, **words))
    assert open_(here, waiting) == LinkSpent()
    assert whose(here, opened) is None
    assert not here.store.change(lambda tx: credential.stands(tx, actor))


def test_r25_what_was_created_on_the_word_of_a_leaked_credential_is_suspended_with_it(
    here: World, customer: Account, owner: User, backend: Actor
) -> None:
    """Whoever had the credential could speak for every customer: what they made there is found as the key's own."""
    own = here.key(here.sign_in(owner)).key
    actor = person(here, sure(open_(here, sure(mint(here, backend, customer)))))
    made = here.key(actor)
    assert (made.key.created_by, own.created_by) == (backend.id, owner.id)
    sure(here.ask(here.root, backend.id, "leaked", suspend_created_since=here.clock()))
    assert made.secret is not None
    assert here.code(made.secret.reveal) == "suspended"
    assert here.get(own.id).suspension is None


@pytest.mark.usefixtures("owner")
def test_r26_a_routine_reset_of_the_credential_leaves_its_portals_alone(
    here: World, customer: Account, backend: Actor
) -> None:
    opened = sure(open_(here, sure(mint(here, backend, customer))))
    sure(here.ask(here.root, backend.id, "routine", grace=timedelta(0)))
    actor = person(here, opened)
    assert here.store.change(lambda tx: credential.stands(tx, actor))


def test_k2_what_was_vouched_for_is_a_proof_and_the_rest_is_asked(
    here: World, customer: Account, owner: User, backend: Actor
) -> None:
    key = here.key(account_id=customer.id, owner_id=owner.id).key
    actor = person(here, sure(open_(here, sure(mint(here, backend, customer, proofs=seen(here, "password"))))))
    asked = sure(here.ask(actor, key))
    assert asked.reset.missing(here.clock()) == ("captcha", "email_link")
    assert [(one.kind, one.by, one.session) for one in asked.reset.proofs] == [("password", backend.id, actor.session)]
    assert here.mint(actor, asked.reset.id) != asked
    record = next(one for one in here.audit(subject_id=asked.reset.id) if one.action == "reset.proven")
    assert (record.detail["vouched"], record.detail["through"]) == ("password", backend.id)


def test_k2_with_everything_vouched_for_the_secret_can_be_made_at_once(
    here: World, customer: Account, owner: User, backend: Actor
) -> None:
    made = here.key(account_id=customer.id, owner_id=owner.id)
    proofs = seen(here, "password", "captcha")
    actor = person(here, sure(open_(here, sure(mint(here, backend, customer, proofs=proofs)))))
    asked = sure(here.ask(actor, made.key, "leaked"))
    assert asked.reset.stage is Stage.PROVEN
    assert made.secret is not None
    assert here.code(made.secret.reveal) == "replaced"
    minted = sure(here.mint(actor, asked.reset.id))
    assert minted.secret is not None
    assert (here.code(made.secret.reveal), here.code(minted.secret.reveal)) == ("replaced", "valid")
    actions = [one.action for one in here.audit(subject_id=asked.reset.id)]
    assert actions == ["reset.asked", "reset.proven", "reset.minted"]


def test_k2_a_second_factor_vouched_for_is_one_that_can_be_shown(
    here: World, customer: Account, owner: User, backend: Actor
) -> None:
    """Nothing is enrolled here; what the operator saw lately is as good, where the policy lets it count."""
    key = here.key(account_id=customer.id, owner_id=owner.id, policy="kraken").key
    seen_lately = seen(here, "password", "totp")
    seen_long_ago = [*seen(here, "password"), *seen(here, "totp", ago=timedelta(minutes=10))]
    strict = here.policy("kraken", vouching="forbidden")
    strictly_held = here.key(account_id=customer.id, owner_id=owner.id, policy=strict).key

    def through(said: Sequence[tuple[str, Instant]]) -> Actor:
        return person(here, sure(open_(here, sure(mint(here, backend, customer, proofs=said)))))

    refusal = SecondFactorNotEnrolled(wanted=("totp",), policy="kraken", field="proofs")
    assert here.ask(through(seen(here, "password")), key) == refusal
    assert here.ask(through(seen_long_ago), key) == refusal
    assert here.ask(through(seen_lately), strictly_held) == replace(refusal, policy=strict)
    assert sure(here.ask(through(seen_lately), key)).reset.stage is Stage.PROVEN


def test_r11_a_word_grows_stale_with_the_policy(here: World, customer: Account, owner: User, backend: Actor) -> None:
    key = here.key(account_id=customer.id, owner_id=owner.id).key
    nearly = seen(here, "password", "captcha", ago=timedelta(minutes=9))
    minted = sure(mint(here, backend, customer, proofs=nearly))
    assert [one.kind for one in minted.counting] == ["password", "captcha"]
    actor = person(here, sure(open_(here, minted)))
    asked = sure(here.ask(actor, key))
    assert asked.reset.stage is Stage.PROVEN
    here.clock.advance(MINUTE)
    assert isinstance(here.mint(actor, asked.reset.id), ProofRequired)
    old = sure(mint(here, backend, customer, proofs=seen(here, "password", ago=timedelta(minutes=10))))
    assert old.counting == []
    ahead = mint(here, backend, customer, proofs=seen(here, "password", ago=-2 * MINUTE))
    assert ahead == InvalidField(field="proofs", reason="lies in the future")


def test_r31_a_policy_may_forbid_vouching(here: World, owner: User, customer: Account, backend: Actor) -> None:
    strict = here.policy(vouching="forbidden")
    theirs = here.account(policy=strict)
    here.user(theirs)
    answer = mint(here, backend, theirs, proofs=seen(here, "password"))
    assert answer == VouchingForbidden(policy=strict)
    sure(mint(here, backend, theirs))
    key = here.key(account_id=customer.id, owner_id=owner.id, policy=strict).key
    actor = person(here, sure(open_(here, sure(mint(here, backend, customer, proofs=seen(here, "password"))))))
    assert sure(here.ask(actor, key)).reset.missing(here.clock()) == ("password+captcha", "password+email_link")


@pytest.mark.usefixtures("owner")
def test_old_portals_are_forgotten(here: World, customer: Account, backend: Actor) -> None:
    minted = sure(mint(here, backend, customer))
    here.clock.advance(timedelta(days=1))
    here.housekeeper.forget()
    assert look(here, minted) == LinkSpent()
    here.clock.advance(MINUTE)
    here.housekeeper.forget()
    assert look(here, minted) == NotFound()


def test_an_unknown_link_opens_nothing(here: World) -> None:
    unknown = Minted(portal=PORTAL, token="ktp_x", counting=())  # nobody's
    assert (look(here, unknown), open_(here, unknown)) == (NotFound(), NotFound())
    assert records(here) == [("portal.opened", "not_found")]
