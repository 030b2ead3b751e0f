"""A store on each database, with two accounts and their owners."""

from collections.abc import Iterator

import pytest

from keyturn.core.account import Account, Member, Role, User
from keyturn.core.secret import Pepper
from keyturn.outside import presets
from keyturn.store.database import connect
from keyturn.store.store import SqlStore
from keyturn.store.transaction import SqlTransaction
from tests.world import PEPPER, Clock

OLD_PEPPER = Pepper("p0000", b"o" * 32)


@pytest.fixture
def clock() -> Clock:
    """The time of the test's store."""
    return Clock()


@pytest.fixture
def store(conformance_url: str, clock: Clock) -> Iterator[SqlStore]:
    """A store on a fresh database; the test runs on every kind."""
    engine = connect(conformance_url)
    store = SqlStore(engine, peppers=[PEPPER, OLD_PEPPER], presets=presets.load(), system_now=clock, clock=clock)
    store.change(_people)
    yield store
    store.close()


def _people(tx: SqlTransaction) -> None:
    for name in ("a", "b"):
        tx.insert_account(Account(id=f"acc_{name}", name=name.upper(), created_at=tx.now))
        tx.insert_user(
            User(id=f"usr_{name}", email=f"{name}@example.com", name="", created_at=tx.now), password=f"stored {name}"
        )
        tx.insert_member(Member(account_id=f"acc_{name}", user_id=f"usr_{name}", role=Role.OWNER))
    tx.found_deployment("acc_a")
