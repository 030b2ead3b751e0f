"""The authority's counters, where another session is at one of them (F15).  On PostgreSQL: SQLite has one writer."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from typing import Final

import psycopg
import pytest

from keyturn.core import limit
from keyturn.core.instant import Instant, to_micros
from keyturn.core.share import HOLD, Rest, Share, Wish
from keyturn.flow.housekeeping import BALANCES_LAST
from keyturn.flow.sharing import Sharing, limits_for
from keyturn.ports.store import CounterHeld
from keyturn.ports.transaction import Transaction
from keyturn.store.address import libpq_address
from tests.world import World, world

LIMIT: Final = limit.parse("100/1h")


@pytest.fixture
def here(postgres_url: str) -> Iterator[World]:
    with world(postgres_url) as one:
        yield one


@contextmanager
def paused_at(url: str, *key_ids: str) -> Iterator[None]:
    """Another node that stopped in the middle of lending of these keys."""
    with psycopg.connect(libpq_address(url)) as other:
        query = "SELECT 1 FROM limits JOIN keys USING (number) WHERE id = ANY(%s) FOR UPDATE OF limits"
        assert len(other.execute(query, (list(key_ids),)).fetchall()) == len(key_ids)
        yield


def sharing(here: World) -> Sharing:
    loans = count()
    return Sharing(
        here.store,
        here.follower,
        limits_for(is_shared=True, most=100),
        holders=lambda: 2,
        loan=lambda: f"loan_{next(loans)}",
        now=lambda: to_micros(here.clock()),
        latest=lambda: to_micros(here.clock()),
    )


def limited(here: World) -> str:
    return here.key(limit=LIMIT).key.id


def numbers(here: World, *key_ids: str) -> dict[str, int]:
    found = here.store.read(lambda tx: tx.limits_of(key_ids))
    return {key_id: number for key_id, (number, _) in found.items()}


def wishes(*key_ids: str, ahead: int = 0) -> list[Wish]:
    return [Wish(key_id=one, waiting=1, ahead=ahead) for one in key_ids]


def told(shares: Sequence[Share]) -> dict[str, int]:
    return {one.key_id: one.requests for one in shares}


def test_f15_a_node_that_stops_in_the_middle_of_lending_holds_up_no_other_key(here: World, postgres_url: str) -> None:
    """Asked for together: those that are held get nothing for now, all others theirs, as long as it lasts."""
    lender = sharing(here)
    one, other, known, fresh, free = (limited(here) for _ in range(5))
    lender.lend(wishes(one, other, known), ())
    with paused_at(postgres_url, one, other):
        shares = lender.lend([*wishes(one, known, fresh, other), *wishes(here.key().key.id)], ())
        assert told(shares) == {one: 0, known: 1, fresh: 1, other: 0}
        assert shares[0] == Share(
            key_id=one, requests=0, loan="", interval=LIMIT.interval_micros, window=LIMIT.window_micros,
            others=0, wait=HOLD,
        )  # fmt: skip
        assert told(lender.lend(wishes(free, one), ())) == {free: 1, one: 0}
        assert told(lender.lend(wishes(known, fresh, free), ())) == {known: 1, fresh: 1, free: 1}
    assert told(lender.lend(wishes(one, other), ())) == {one: 1, other: 1}


def test_f15_what_comes_back_of_a_key_that_is_held_is_taken_back_later(here: World, postgres_url: str) -> None:
    lender = sharing(here)
    key_id = limited(here)
    lender.lend(wishes(key_id), ())
    (lent,) = lender.lend(wishes(key_id, ahead=9), ())
    assert lent.loan
    assert lent.requests > 1
    with paused_at(postgres_url, key_id):
        assert lender.lend((), [Rest(key_id=key_id, loan=lent.loan, requests=lent.requests)]) == []
    (after,) = lender.lend(wishes(key_id), ())
    assert after.others == LIMIT.requests - 2, "as if the second had not been lent"


def test_f15_a_counter_that_is_held_is_waited_for_once(here: World, postgres_url: str) -> None:
    """Not with each try of a change that met another."""
    key_id, tries = limited(here), list[int]()
    sharing(here).lend(wishes(key_id), ())
    number = numbers(here, key_id)[key_id]

    def wait(tx: Transaction) -> None:
        tries.append(1)
        tx.balances([number], patience=timedelta(milliseconds=20))

    with paused_at(postgres_url, key_id):
        with pytest.raises(CounterHeld):
            here.store.change(wait)
        assert tries == [1]


def test_f15_counters_that_ran_empty_are_forgotten_but_those_in_use(here: World, postgres_url: str) -> None:
    lender = sharing(here)
    one, other = limited(here), limited(here)
    lender.lend(wishes(one, other), ())
    number = numbers(here, one, other)
    here.clock.advance(LIMIT.window + BALANCES_LAST + timedelta(seconds=1))
    with paused_at(postgres_url, one):
        here.housekeeper.forget()
    assert set(here.store.change(lambda tx: tx.free_balances(number.values()))) == {number[one]}
    assert here.store.change(lambda tx: tx.forget_balances(before=Instant(tx.now))) == 1
