"""Who used a key of late: added up by the hour, bounded, forgotten."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from keyturn.core.instant import Instant
from keyturn.ports.use import Caller
from keyturn.store import begun
from keyturn.store.callers import MOST_CALLERS
from keyturn.store.tables import callers
from tests.flow.customer import DAY, HOUR, MINUTE
from tests.world import T0, World, world


@pytest.fixture
def here(database_url: str) -> Iterator[World]:
    with world(database_url) as made:
        yield made


def caller(number: int, n: int, seen: timedelta, count: int = 1) -> Caller:
    return Caller(
        key_number=number,
        address=f"192.0.2.{n}",
        permission="orders:read",
        user_agent="ua",
        last_seen=Instant(T0 + seen),
        count=count,
    )


def add(here: World, *batch: Caller) -> None:
    here.store.change(lambda tx: tx.add_callers(batch))


def shown(here: World, number: int, since: timedelta = timedelta(0)) -> list[Caller]:
    return list(here.store.read(lambda tx: tx.callers(number, since=Instant(T0 + since))))


def test_callers_add_up_over_the_hours(here: World) -> None:
    number, other = here.key().key.number, here.key().key.number
    add(here, caller(number, 1, HOUR), caller(number, 1, HOUR + MINUTE, 2), caller(number, 2, 3 * HOUR))
    add(here, caller(number, 1, 5 * HOUR, 4), caller(number, 1, 4 * HOUR, 8), caller(other, 9, HOUR))
    assert shown(here, number) == [caller(number, 1, 5 * HOUR, 15), caller(number, 2, 3 * HOUR)]
    assert shown(here, number, 4 * HOUR) == [caller(number, 1, 5 * HOUR, 12)]
    assert shown(here, number, 5 * HOUR + MINUTE) == []
    assert shown(here, other) == [caller(other, 9, HOUR)]


def test_callers_are_bounded_and_the_rest_is_counted_together(here: World) -> None:
    number = here.key().key.number
    add(here, *(caller(number, n, MINUTE) for n in range(MOST_CALLERS + 20)))
    add(here, caller(number, 1, 2 * MINUTE), caller(number, 999, 3 * MINUTE), caller(number, 998, 2 * MINUTE))
    with here.store._engine.connect() as connection:
        rows = connection.execute(callers.select()).mappings().all()
    assert len(rows) == MOST_CALLERS + 1
    assert sum(row["count"] for row in rows) == MOST_CALLERS + 23
    rest = next(row for row in rows if not row["address"])
    assert (rest["count"], rest["last_seen"], rest["user_agent"]) == (22, T0 + 3 * MINUTE, "")


def test_a_large_batch_is_looked_up_in_parts(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(begun, "_AT_ONCE", 2)
    numbers = [here.key().key.number for _ in range(5)]
    for _ in range(2):
        add(here, *(caller(number, 1, MINUTE) for number in numbers))
    assert [shown(here, number) for number in numbers] == [[caller(number, 1, MINUTE, 2)] for number in numbers]
    add(here)


def test_callers_are_forgotten_after_a_day(here: World) -> None:
    number = here.key().key.number
    add(here, caller(number, 1, MINUTE), caller(number, 1, 2 * HOUR))
    here.clock.advance(DAY + 2 * HOUR)
    here.housekeeper.forget()
    assert shown(here, number) == [caller(number, 1, 2 * HOUR)]
