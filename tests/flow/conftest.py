"""A deployment on each database."""

from collections.abc import Iterator

import pytest

from keyturn.core.account import User
from tests.world import World, world


@pytest.fixture
def here(database_url: str) -> Iterator[World]:
    """A deployment of the test's own, on each database."""
    with world(database_url) as made:
        yield made


@pytest.fixture
def owner(here: World) -> User:
    """The owner of a customer's account there."""
    return here.user(here.account())
