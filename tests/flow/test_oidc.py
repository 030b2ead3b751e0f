"""A sign-in at a provider is finished by who began it, once, in time (pitfalls 7, 16)."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from keyturn.core.account import User
from keyturn.core.actor import Actor
from keyturn.core.authenticator import RECENT, SessionProof
from keyturn.core.oidc import TRY_LASTS, Identity, OidcProvider
from keyturn.core.refusal import IdentityTaken, IdentityUnknown, NotFound, PersonRequired, ProviderRefused, Refusal
from keyturn.core.session import SessionStage, Spans, Visitor
from keyturn.flow import oidc
from keyturn.flow.oidc import Begun, Taken
from tests.flow.test_session import with_app
from tests.world import World, sure, world

CORP = OidcProvider(
    name="corp", issuer="https://id.example.com", client_id="keyturn", client_secret_file="x", label="Corp"
)
ADA = Identity(issuer=CORP.issuer, subject="1", email="ada@example.com", email_verified=True, name="Ada")
BROWSER = "vis_1"


@pytest.fixture
def here(database_url: str) -> Iterator[World]:
    with world(database_url) as made:
        yield made


@pytest.fixture
def owner(here: World) -> User:
    return here.user(here.account())


def begin(here: World, actor: Actor | None = None) -> Begun | Refusal:
    return here.store.change(lambda tx: oidc.begin(tx, provider=CORP, browser=BROWSER, forge=here.forge, actor=actor))


def take(here: World, begun: Begun, *, provider: OidcProvider = CORP, browser: str = BROWSER) -> Taken | Refusal:
    return here.store.change(
        lambda tx: oidc.take(tx, provider=provider, state=begun.state, browser=browser, address=None, forge=here.forge)
    )


def finish(
    here: World,
    taken: Taken,
    identity: Identity | None = ADA,
    *,
    actor: Actor | None = None,
    provider: OidcProvider = CORP,
) -> Any:
    return here.store.change(
        lambda tx: oidc.finish(
            tx,
            taken=taken,
            provider=provider,
            identity=identity,
            visitor=Visitor(address="192.0.2.1"),
            spans=Spans(),
            forge=here.forge,
            actor=actor,
        )
    )


def recent(here: World, user: User) -> Actor:
    actor = here.sign_in(user)
    proof = SessionProof(kind="password", at=here.clock())
    here.store.change(lambda tx: tx.note_session_proof(actor.session, proof))
    return actor


def connect(here: World, user: User, identity: Identity = ADA) -> Any:
    actor = recent(here, user)
    return finish(here, sure(take(here, sure(begin(here, actor)))), identity, actor=actor)


def sign_in(here: World, identity: Identity | None = ADA, provider: OidcProvider = CORP) -> Any:
    return finish(here, sure(take(here, sure(begin(here)))), identity, provider=provider)


def records(here: World, action: str) -> list[str]:
    return [one.outcome for one in here.audit() if one.action == action]


def test_a_try_is_taken_once_in_its_browser_for_its_provider_in_time(here: World) -> None:
    begun = sure(begin(here))
    assert take(here, begun, browser="vis_2") == take(here, begun, browser="") == ProviderRefused()
    assert take(here, replace(begun, state=begun.state + "x")) == ProviderRefused()
    taken = sure(take(here, begun))
    assert (taken.nonce, len(taken.verifier)) == (begun.nonce, 43)
    assert take(here, begun) == ProviderRefused()
    assert take(here, sure(begin(here)), provider=replace(CORP, name="other")) == ProviderRefused()
    late = sure(begin(here))
    here.clock.advance(TRY_LASTS)
    assert take(here, late) == ProviderRefused()
    assert records(here, "session.started") == ["provider_refused"] * 6


def test_tries_that_nobody_finished_are_forgotten(here: World) -> None:
    sure(begin(here))
    here.clock.advance(TRY_LASTS)
    here.housekeeper.forget()
    assert here.store.change(lambda tx: tx.forget_oidc_tries()) == 0


def test_whoever_is_known_by_issuer_and_subject_signs_in(here: World, owner: User) -> None:
    assert sign_in(here) == IdentityUnknown()
    assert sign_in(here, None) == ProviderRefused()
    assert sure(connect(here, owner)).id == owner.id
    answer = sure(sign_in(here))
    assert (answer.session.user_id, answer.session.how) == (owner.id, ("oidc",))
    assert sign_in(here, replace(ADA, subject="2")) == IdentityUnknown()
    assert sign_in(here, replace(ADA, issuer="https://id.example.org")) == IdentityUnknown()
    assert sure(sign_in(here, replace(ADA, email="other@example.com"))).session.user_id == owner.id


def test_an_address_counts_only_where_it_is_trusted_verified_and_a_user_s(here: World, owner: User) -> None:
    trusted = replace(CORP, trust_email=True)
    his = replace(ADA, email=owner.email)
    assert sign_in(here, his) == IdentityUnknown()
    assert sign_in(here, replace(his, email_verified=False), trusted) == IdentityUnknown()
    assert sign_in(here, replace(his, email="nobody@example.com"), trusted) == IdentityUnknown()
    assert sign_in(here, replace(his, email=""), trusted) == IdentityUnknown()
    assert sure(sign_in(here, his, trusted)).session.user_id == owner.id
    assert records(here, "identity.linked") == ["done"]


def test_k2_an_enrolled_second_factor_is_still_to_be_shown(here: World, owner: User) -> None:
    sure(connect(here, owner))
    with_app(here, owner)
    assert sure(sign_in(here)).session.stage is SessionStage.AWAITING_SECOND_FACTOR


def test_connecting_takes_a_recent_proof_and_the_session_that_began_it(here: World, owner: User) -> None:
    plain = here.sign_in(owner)
    assert isinstance(begin(here, plain), Refusal)
    assert begin(here, here.root) == PersonRequired()
    assert begin(here, replace(recent(here, owner), through="key_1")) == PersonRequired()
    actor = recent(here, owner)
    for other in (None, here.sign_in(owner), here.sign_in(here.user(here.account()))):
        taken = sure(take(here, sure(begin(here, actor))))
        assert finish(here, taken, actor=other) == ProviderRefused()
    assert sign_in(here) == IdentityUnknown()
    sure(connect(here, owner))
    assert connect(here, here.user(here.account())) == IdentityTaken()
    told = [one.kind for _, one in here.store.read(lambda tx: tx.new_notices(limit=100))]
    assert told.count("identity.linked") == 1


def test_who_is_a_member_of_nothing_signs_in_nowhere(here: World, owner: User) -> None:
    sure(connect(here, owner))
    member = here.store.read(lambda tx: tx.members(user_id=owner.id))[0]
    here.store.change(lambda tx: tx.remove_member(member))
    assert sign_in(here) == IdentityUnknown()


def test_what_is_disconnected_signs_nobody_in(here: World, owner: User) -> None:
    sure(connect(here, owner))
    actor = recent(here, owner)

    def disconnect(actor: Actor, subject: str = "1") -> Any:
        return here.store.change(lambda tx: oidc.disconnect(tx, actor=actor, issuer=CORP.issuer, subject=subject))

    stranger = recent(here, here.user(here.account()))
    assert disconnect(stranger) == disconnect(actor, "2") == NotFound()
    assert isinstance(disconnect(here.sign_in(owner)), Refusal)
    assert len(sure(here.store.read(lambda tx: oidc.listing(tx, actor=actor)))) == 1
    assert here.store.read(lambda tx: oidc.listing(tx, actor=here.root)) == PersonRequired()
    assert sure(disconnect(actor)).subject == "1"
    assert sign_in(here) == IdentityUnknown()
    here.clock.advance(RECENT)
    assert isinstance(disconnect(actor), Refusal)
