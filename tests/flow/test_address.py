"""Where a person is told: added with proof, confirmed by a link, still told for a week after it was removed."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from keyturn.core.actor import Actor
from keyturn.core.address import Address
from keyturn.core.authenticator import SessionProof
from keyturn.core.refusal import (
    LinkSpent,
    NameTaken,
    NotFound,
    PersonRequired,
    ProofRequired,
    Refusal,
    TooManyAddresses,
    TooManyRequests,
)
from keyturn.flow import address as addresses
from tests.world import World, sure, world


@pytest.fixture
def place(database_url: str) -> Iterator[World]:
    with world(database_url) as made:
        yield made


@pytest.fixture
def person(place: World) -> Actor:
    """Somebody who has just shown their password again."""
    actor = place.sign_in(place.user(place.account()))
    prove(place, actor)
    return actor


def prove(place: World, actor: Actor) -> None:
    proof = SessionProof(kind="password", at=place.clock())
    place.store.change(lambda tx: tx.note_session_proof(actor.session, proof))


def add(place: World, actor: Actor, email: str = "second@example.com") -> Address | Refusal:
    return place.store.change(lambda tx: addresses.add(tx, actor=actor, email=email, forge=place.forge))


def told(place: World, actor: Actor) -> list[str]:
    return list(place.store.read(lambda tx: tx.addresses_of(actor.user_id)))[1:]


def digest_of(place: World, added: Address) -> bytes:
    """The digest of the link that was mailed for it."""
    found = place.store.read(lambda tx: [letter for _, letter in tx.new_letters(limit=100)])
    letter = next(one for one in reversed(found) if one.to == added.email)
    return place.forge.link_token(letter.link_id)[1]


def confirm(place: World, digest: bytes) -> Address | Refusal:
    return place.store.change(lambda tx: addresses.confirm(tx, digest, address="192.0.2.9"))


def remove(place: World, actor: Actor, added: Address) -> Address | Refusal:
    return place.store.change(lambda tx: addresses.remove(tx, actor=actor, address_id=added.id))


def test_r50_an_address_is_told_once_it_is_confirmed(place: World, person: Actor) -> None:
    added = sure(add(place, person))
    assert told(place, person) == []
    digest = digest_of(place, added)
    assert place.store.read(lambda tx: addresses.opened(tx, digest)) == added
    assert told(place, person) == []
    sure(confirm(place, digest))
    assert told(place, person) == ["second@example.com"]
    assert isinstance(confirm(place, digest), LinkSpent)


def test_r50_a_removed_address_is_told_for_another_week(place: World, person: Actor) -> None:
    added = sure(add(place, person))
    sure(confirm(place, digest_of(place, added)))
    sure(remove(place, person, added))
    assert place.store.read(lambda tx: addresses.listing(tx, actor=person)) == []
    assert told(place, person) == ["second@example.com"]
    place.clock.advance(timedelta(days=7))
    assert told(place, person) == []
    assert isinstance(remove(place, person, added), NotFound | ProofRequired)


def test_changes_take_a_proof_of_the_last_ten_minutes(place: World, person: Actor) -> None:
    added = sure(add(place, person))
    place.clock.advance(timedelta(minutes=10))
    assert isinstance(add(place, person, "third@example.com"), ProofRequired)
    assert isinstance(remove(place, person, added), ProofRequired)
    assert isinstance(add(place, place.root), PersonRequired)


def test_what_is_told_already_is_not_added_again(place: World, person: Actor) -> None:
    first = place.store.read(lambda tx: tx.addresses_of(person.user_id))[0]
    sure(add(place, person))
    for email in (first, "second@example.com"):
        assert isinstance(add(place, person, email), NameTaken), email


def test_there_are_not_too_many(place: World, person: Actor) -> None:
    for number in range(5):
        sure(add(place, person, f"a{number}@example.com"))
    assert add(place, person, "one-more@example.com") == TooManyAddresses(limit=5)


def test_k8_nobody_is_mailed_again_and_again(place: World, person: Actor) -> None:
    for _ in range(3):
        sure(remove(place, person, sure(add(place, person))))
    assert isinstance(add(place, person), TooManyRequests)


def test_somebody_else_s_address_is_not_found(place: World, person: Actor) -> None:
    added = sure(add(place, person))
    other = place.sign_in(place.user(place.account()))
    prove(place, other)
    assert isinstance(remove(place, other, added), NotFound)
    assert sure(remove(place, person, added)).removed_at is not None
    assert isinstance(confirm(place, digest_of(place, added)), NotFound)


def test_r30_a_confirmed_address_holds_keys_where_the_policy_says_so(place: World) -> None:
    account = place.account(policy=place.policy(hold_after_account_change="24h"))
    actor = place.sign_in(place.user(account))
    prove(place, actor)
    added = sure(add(place, actor))
    assert place.store.read(lambda tx: tx.hold(actor.user_id)) is None
    sure(confirm(place, digest_of(place, added)))
    hold = place.store.read(lambda tx: tx.hold(actor.user_id))
    assert hold is not None
    assert hold.field == "hold_after_account_change"


def test_every_change_and_every_refusal_leaves_one_record(place: World, person: Actor) -> None:
    before = len(place.audit())
    added = sure(add(place, person))
    add(place, person)
    sure(confirm(place, digest_of(place, added)))
    confirm(place, b"x" * 32)
    sure(remove(place, person, added))
    remove(place, person, added)
    records = place.audit()[before:]
    assert [(one.action, one.outcome) for one in records] == [
        ("address.added", "done"),
        ("address.added", "name_taken"),
        ("address.confirmed", "done"),
        ("address.confirmed", "not_found"),
        ("address.removed", "done"),
        ("address.removed", "not_found"),
    ]
