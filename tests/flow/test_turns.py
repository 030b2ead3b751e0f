"""Who waits for whom on PostgreSQL: a stop is not passed by those who go on using what it stops (F0)."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from keyturn.ports import Use
from keyturn.store.transaction import SqlTransaction
from keyturn.verify.message import Report
from keyturn.verify.usage import Origin, Tally
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


def test_k8_who_writes_uses_down_keeps_nobody_from_acting_with_the_key(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What verifiers have counted may take long to write; meanwhile a key that was used can stop others."""
    key = here.admin_key
    tally = (Origin(key.number, 1, None, (), ""), Tally(1, 1, 1))
    stands: list[bool] = []
    add_uses = SqlTransaction.add_uses

    def slowly(self: SqlTransaction, batch: Sequence[Use]) -> None:
        add_uses(self, batch)
        with ThreadPoolExecutor(1) as pool:
            stands.append(pool.submit(here.store.change, lambda tx: tx.stands(key.id, 1)).result(30))

    monkeypatch.setattr(SqlTransaction, "add_uses", slowly)
    housekeeper = here.housekeeper
    housekeeper.report(Report(last=((key.number, 1),), watched=(tally,), callers=()))
    housekeeper.write_uses()
    assert stands == [True]
    found = here.store.read(lambda tx: tx.key(key.id))
    assert found is not None
    assert found.last_used_at is not None
