"""Where a person is told: added with proof, confirmed by a link, still told for a week after it was removed."""

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest

from keyturn.core.account import User
from keyturn.core.actor import Actor
from keyturn.core.address import Address
from keyturn.core.authenticator import SessionProof
from keyturn.core.refusal import (
    AddressUnconfirmed,
    LinkSpent,
    NameTaken,
    NotFound,
    PasswordRefused,
    PersonRequired,
    ProofRequired,
    Refusal,
    TooManyAddresses,
    TooManyRequests,
)
from keyturn.core.session import Visitor
from keyturn.core.throttle import FREE, Counted
from keyturn.flow import address as addresses
from keyturn.flow import password as passwords
from keyturn.flow import user as users
from keyturn.store.transaction import SqlTransaction
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


def test_what_strangers_asked_for_does_not_tell_whose_address_it_is(place: World, person: Actor) -> None:
    known = place.user(place.account()).email
    for email in (known, "nobody@example.com"):
        for n in range(FREE[Counted.LETTERS]):
            visitor = Visitor(address=f"198.51.{n}.7")
            asked = place.store.change(
                lambda tx: passwords.ask_forgotten(tx, user=email, visitor=visitor, forge=place.forge)  # noqa: B023  # run at once
            )
            assert asked is None
        sure(add(place, person, email))


def test_k8_nobody_who_adds_an_address_keeps_its_owner_from_a_new_password(place: World, person: Actor) -> None:
    victim = place.user(place.account())
    for _ in range(FREE[Counted.LETTERS]):
        sure(remove(place, person, sure(add(place, person, victim.email))))
    assert isinstance(add(place, person, victim.email), TooManyRequests)
    visitor = Visitor(address="198.51.100.7")
    place.store.change(lambda tx: passwords.ask_forgotten(tx, user=victim.email, visitor=visitor, forge=place.forge))
    letter = place.store.read(lambda tx: tx.new_letters(limit=100))[-1][1]
    digest = place.forge.link_token(letter.link_id)[1]
    sure(place.store.read(lambda tx: passwords.forgotten(tx, digest, brand="kt")))


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


def sign_in_with(place: World, actor: Actor, address_id: str, matched: str = "stored") -> User | Refusal:
    return place.store.change(
        lambda tx: addresses.sign_in_with(
            tx, actor=actor, address_id=address_id, matched_password=matched, forge=place.forge
        )
    )


def test_signing_in_with_another_address_keeps_and_tells_the_one_before(place: World, person: Actor) -> None:
    before = place.store.read(lambda tx: tx.addresses_of(person.user_id))[0]
    added = sure(add(place, person))
    digest = digest_of(place, added)
    assert sign_in_with(place, person, added.id) == AddressUnconfirmed()
    sure(confirm(place, digest))
    wrong = [sign_in_with(place, person, added.id, matched) for matched in ("", "other")]
    assert wrong == [PasswordRefused()] * 2
    assert sign_in_with(place, person, "adr_none") == NotFound()
    assert sign_in_with(place, place.root, added.id) == PersonRequired()
    changed = sure(sign_in_with(place, person, added.id))
    assert (changed.email, changed.changed_at) == (added.email, place.clock())
    assert place.store.read(lambda tx: tx.addresses_of(person.user_id)) == [added.email, before]
    assert place.sign_in(changed).user_id == person.user_id
    kinds = [one.kind for _, one in place.store.read(lambda tx: tx.new_notices(limit=100))]
    assert kinds.count("user.address_changed") == 1
    assert sure(sign_in_with(place, person, added.id)).email == before  # the other way round


def test_k8_a_link_for_a_new_password_that_lies_in_the_mailbox_left_behind_opens_nothing(
    place: World, person: Actor
) -> None:
    before = place.store.read(lambda tx: tx.addresses_of(person.user_id))[0]
    added = sure(add(place, person))
    sure(confirm(place, digest_of(place, added)))
    visitor = Visitor(address=None)
    place.store.change(lambda tx: passwords.ask_forgotten(tx, user=before, visitor=visitor, forge=place.forge))
    letter = place.store.read(lambda tx: tx.new_letters(limit=100))[-1][1]
    digest = place.forge.link_token(letter.link_id)[1]
    sure(place.store.read(lambda tx: passwords.forgotten(tx, digest, brand="kt")))
    sure(sign_in_with(place, person, added.id))
    assert place.store.read(lambda tx: passwords.forgotten(tx, digest, brand="kt")) == LinkSpent()


@pytest.mark.parametrize("other", ["name", "password"])
def test_pitfall_3_no_change_of_a_person_at_the_same_time_brings_the_old_address_back(
    place: World, person: Actor, other: str
) -> None:
    """A person is written back whole: whoever read them before another address was put in place must read again."""
    added = sure(add(place, person))
    sure(confirm(place, digest_of(place, added)))
    reached, changed = threading.Event(), threading.Event()

    def flow(tx: SqlTransaction) -> object:
        write = "save_user" if other == "name" else "set_password"
        real = getattr(tx, write)

        def paused(*words: object) -> None:
            reached.set()
            changed.wait(1)  # for the other one, or until it is plain that that waits
            real(*words)

        setattr(tx, write, paused)
        if other == "name":
            named = users.UserEdit(name="Maria")
            return users.edit(tx, actor=person, user_id=person.user_id, edit=named)
        new = {"user_id": person.user_id, "new": "another", "forge": place.forge}
        return passwords.set_for(tx, actor=place.root, **new)  # type: ignore[arg-type]  # as it takes them

    first = threading.Thread(target=lambda: place.store.change(flow))
    first.start()
    assert reached.wait(30)
    answer = sign_in_with(place, person, added.id)
    changed.set()
    first.join()
    expected = added.email if isinstance(answer, User) else ""
    assert expected in ("", place.store.read(lambda tx: tx.addresses_of(person.user_id))[0])


def test_nobody_takes_over_an_address_that_somebody_signs_in_with(place: World, person: Actor) -> None:
    other = place.user(place.account())
    added = sure(add(place, person, other.email))  # being told there is nobody's harm: its reader has to agree
    sure(confirm(place, digest_of(place, added)))
    assert sign_in_with(place, person, added.id) == NameTaken(field="email")
    stranger = place.sign_in(other)
    prove(place, stranger)
    assert sign_in_with(place, stranger, added.id) == NotFound()  # somebody else's


def test_k8_changing_the_address_takes_the_password_and_its_guesses_are_counted(place: World, person: Actor) -> None:
    tries = [sign_in_with(place, person, "adr_none", "other") for _ in range(FREE[Counted.OWN] + 1)]
    assert tries[:-1] == [PasswordRefused()] * FREE[Counted.OWN]
    assert isinstance(tries[-1], TooManyRequests)
