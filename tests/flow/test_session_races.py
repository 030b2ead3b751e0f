"""Sessions that begin while what they rest on is being changed: none of them is good afterwards (pitfall 15)."""

import threading
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from keyturn.core.account import Role
from keyturn.core.session import Spans, Visitor
from keyturn.flow import member as members
from keyturn.flow import session as flow
from keyturn.flow import sign_in as signing_in
from keyturn.flow.session import SignedIn
from keyturn.outside.forge import token_digest
from keyturn.ports.forge import Forge
from tests.world import World, sure, world


@pytest.fixture
def here(database_url: str) -> Iterator[World]:
    with world(database_url) as made:
        yield made


class Pausing:
    """A forge that waits before it makes a session's token: for the change, or until it is plain that that waits."""

    def __init__(self, forge: Forge) -> None:
        self._forge = forge
        self.reached = threading.Event()
        self.changed = threading.Event()

    def token(self) -> tuple[str, bytes]:
        self.reached.set()
        self.changed.wait(1)
        return self._forge.token()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._forge, name)


def while_it_begins(here: World, begin: Callable[[Forge], SignedIn], change: Callable[[], object]) -> SignedIn:
    """The session that began, with the change made after its beginner was looked at and before it was written."""
    forge = Pausing(here.forge)
    answers: list[SignedIn] = []
    beginner = threading.Thread(target=lambda: answers.append(begin(cast("Forge", forge))))
    beginner.start()
    assert forge.reached.wait(30)
    change()
    forge.changed.set()
    beginner.join()
    return answers[0]


def is_good(here: World, answer: SignedIn) -> bool:
    digest = token_digest(answer.token)
    return here.store.read(lambda tx: flow.whose(tx, digest, address=None)) is not None


def test_k8_a_session_that_begins_with_the_old_password_ends_with_it(here: World) -> None:
    owner = here.user(here.account())

    def begin(forge: Forge) -> SignedIn:
        words: dict[str, Any] = {"account_id": None, "visitor": Visitor(address=None), "spans": Spans()}
        return sure(
            here.store.change(
                lambda tx: signing_in.sign_in(tx, user=owner.email, matched_password="stored", forge=forge, **words)
            )
        )

    answer = while_it_begins(here, begin, lambda: here.set_password(owner))
    assert not is_good(here, answer)


@pytest.mark.parametrize("how", ["removed", "demoted"])
def test_pitfall_7_a_session_speaks_in_no_role_that_its_owner_has_lost(here: World, how: str) -> None:
    account = here.account()
    here.user(account)
    visitor = here.user(here.account())
    named: dict[str, Any] = {"actor": here.root, "account_id": account.id, "user_id": visitor.id}
    sure(here.store.change(lambda tx: members.add_known(tx, **named, role=Role.OWNER, forge=here.forge)))
    person = here.sign_in(visitor)
    assert person.account_id != account.id

    def choose(forge: Forge) -> SignedIn:
        chosen = here.store.change(lambda tx: flow.choose_account(tx, actor=person, account_id=account.id, forge=forge))
        return sure(chosen)

    def show_out() -> None:
        if how == "removed":
            sure(here.store.change(lambda tx: members.remove(tx, **named)))
        else:
            sure(here.store.change(lambda tx: members.edit(tx, **named, role=Role.AUDITOR)))

    answer = while_it_begins(here, choose, show_out)
    assert not is_good(here, answer)
