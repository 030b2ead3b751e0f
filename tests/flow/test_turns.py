"""Who waits for whom on PostgreSQL: a stop is not passed by those who go on using what it stops (F0)."""

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import text, update

from keyturn.store.tables import secrets
from keyturn.store.transaction import SqlTransaction
from keyturn.verify.message import Report
from keyturn.verify.usage import Callers, Origin, Tally
from tests.world import World, world


@pytest.fixture
def here(postgres_url: str) -> Iterator[World]:
    with world(postgres_url) as made:
        yield made


def waiting(here: World, wanted: int) -> None:
    """Until so many wait for a lock."""
    query = text(
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database"
        " WHERE datname = current_database())"
    )
    pause = threading.Event()
    for _ in range(500):
        if here.store.read(lambda tx: tx._connection.execute(query).scalar_one()) >= wanted:
            return
        pause.wait(0.01)
    pytest.fail(f"there are never {wanted} who wait")


def test_f0_who_uses_a_key_without_pause_does_not_pass_who_would_stop_it(here: World) -> None:
    key = here.admin_key.id
    done: list[str] = []
    reached, go_on = threading.Event(), threading.Event()

    def first(tx: SqlTransaction) -> None:
        assert tx.stands(key, 1)
        reached.set()
        go_on.wait(10)

    def stop(tx: SqlTransaction) -> None:
        tx.key(key, lock=True)
        done.append("stop")

    def later(tx: SqlTransaction) -> None:
        tx.stands(key, 1)
        done.append("later")

    def begin(flow: Callable[[SqlTransaction], None]) -> threading.Thread:
        thread = threading.Thread(target=here.store.change, args=(flow,))
        thread.start()
        return thread

    threads = [begin(first)]
    assert reached.wait(10)
    threads.append(begin(stop))
    waiting(here, 1)
    threads.append(begin(later))
    waiting(here, 2)
    go_on.set()
    for thread in threads:
        thread.join()
    assert done == ["stop", "later"]


def test_k8_who_writes_uses_down_keeps_nobody_from_acting_with_the_key_or_from_stopping_it(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What verifiers have counted may take long to write; nobody waits for that."""
    key = here.admin_key
    watched = tuple((Origin(key.number, 1, None, wanted, ""), Tally(1, 1, 1)) for wanted in ((), ("orders:read",)))
    done: list[object] = []
    upsert = SqlTransaction._upsert_use

    def at_once(flow: Callable[[SqlTransaction], object]) -> None:
        with ThreadPoolExecutor(1) as pool:
            done.append(pool.submit(here.store.change, flow).result(30))

    def meanwhile(tx: SqlTransaction, row: Mapping[str, Any]) -> Any:
        tx._connection.execute(upsert(tx, row))
        at_once(lambda other: other.stands(key.id, 1))
        at_once(lambda other: other.key(key.id, lock=True) is not None)
        at_once(lambda other: other._connection.execute(stop).rowcount)
        return upsert(tx, row)

    stop = update(secrets).where(secrets.c.key_number == key.number).values(stop_reason="leaked")
    monkeypatch.setattr(SqlTransaction, "_upsert_use", meanwhile)
    housekeeper = here.housekeeper
    caller = Callers(key.number, None, (), "", 1, 1)
    housekeeper.report(Report(last=((key.number, 1),), watched=watched, callers=(caller,)), by="ver_1", size=1)
    housekeeper.write_uses()
    assert done == 2 * [True, True, 1]
    found = here.store.read(lambda tx: tx.key(key.id))
    assert found is not None
    assert found.last_used_at is not None
    assert found.secrets[0].last_used_at is not None
