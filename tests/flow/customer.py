"""A customer with all that a reset takes, for the stories told of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from keyturn.core.account import Account, User
from keyturn.core.actor import Actor
from keyturn.core.key import Key
from keyturn.core.refusal import Refusal
from keyturn.flow.key import KeyAnswer
from keyturn.store.tables import metadata
from tests.world import World, sure, world

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@dataclass
class Customer:
    """In a deployment, a customer with an owner, an automation credential and a key."""

    world: World
    account: Account
    owner: User
    person: Actor
    machine: Actor

    def key(self, **changes: Any) -> KeyAnswer:
        policy = changes.pop("policy", None) or {"proofs": ["password"]}
        fields: dict[str, Any] = {"proofs": ["password"]}
        name = self.world.policy(**fields | policy) if isinstance(policy, dict) else policy
        return self.world.key(account_id=self.account.id, owner_id=self.owner.id, policy=name, **changes)

    def proven(self, key: Key, reason: str = "routine", **wishes: Any) -> str:
        asked = sure(self.world.ask(self.person, key, reason, **wishes))
        return sure(self.world.prove(self.person, asked.reset.id)).reset.id


@pytest.fixture
def here(database_url: str) -> Iterator[Customer]:
    """A customer of a deployment of the test's own, on each database."""
    with world(database_url) as made:
        account = made.account()
        owner = made.user(account)
        yield Customer(made, account, owner, made.sign_in(owner), made.machine(account, owner))


def kind(answer: object) -> str:
    """The refusal's, or that it was done."""
    return answer.kind if isinstance(answer, Refusal) else "done"


def everything(here: World) -> dict[str, list[str]]:
    """Every row of every table."""
    with here.store._engine.connect() as connection:
        return {
            name: [repr(dict(row)) for row in connection.execute(table.select()).mappings()]
            for name, table in metadata.tables.items()
        }
