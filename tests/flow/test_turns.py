"""Who waits for whom on PostgreSQL: a stop is not passed by those who go on using what it stops (F0)."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import pytest
from sqlalchemy import text, update

from keyturn.core.feed import FeedEntry, KeyState
from keyturn.core.key import Suspension
from keyturn.core.refusal import IdempotencyKeyReused
from keyturn.flow import evidence, foresight, housekeeping
from keyturn.flow.foresight import Foresight
from keyturn.flow.replay import Once, remember
from keyturn.ports.use import Use
from keyturn.store.tables import secrets
from keyturn.store.transaction import SqlTransaction
from keyturn.verify.message import Report
from keyturn.verify.usage import Callers, Origin, Tally
from tests.world import World, sure, world

T = TypeVar("T")


@pytest.fixture
def here(postgres_url: str) -> Iterator[World]:
    with world(postgres_url) as made:
        yield made


def waiting(here: World, wanted: int) -> None:
    """Until so many wait for a lock."""
    query = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    pause = threading.Event()
    for _ in range(500):
        if here.store.read(lambda tx: tx._connection.execute(query).scalar_one()) >= wanted:
            return
        pause.wait(0.01)
    pytest.fail(f"there are never {wanted} who wait")


@pytest.mark.parametrize("what", ["the key", "all of its account", "all of its owner"])
def test_f0_who_uses_a_key_without_pause_does_not_pass_who_would_stop_it(here: World, what: str) -> None:
    key = here.admin_key.id
    done: list[str] = []
    reached, go_on = threading.Event(), threading.Event()

    def first(tx: SqlTransaction) -> None:
        assert tx.stands(key, 1)
        reached.set()
        go_on.wait(10)

    def stop(tx: SqlTransaction) -> None:
        if what == "the key":
            tx.key(key, lock=True)
        elif what == "all of its account":
            tx.suspend_account(here.operator.id, by="", reason="incident")
        else:
            tx.live_keys([here.admin_key.owner_id], lock=True)
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


def at_once(here: World, flow: Callable[[SqlTransaction], T]) -> T:
    """Somebody else's change, while one is under way."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(here.store.change, flow).result(30)


def test_f11_an_account_is_suspended_before_or_after_all_keys_of_an_owner_are_changed(here: World) -> None:
    """The one takes its keys as the database finds them, the other in order: so neither holds some of them."""
    held: list[int] = []

    def change(tx: SqlTransaction) -> Future[Any]:
        held.extend(key.number for key in tx.live_keys([here.admin_key.owner_id], lock=True))
        suspending = pool.submit(here.store.change, suspend)
        waiting(here, 1)
        lines = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'")
        assert here.store.read(lambda other: other._connection.execute(lines).scalar_one()) == 1
        return suspending

    def suspend(tx: SqlTransaction) -> None:
        tx.suspend_account(here.operator.id, by="", reason="incident")

    with ThreadPoolExecutor(1) as pool:
        here.store.change(change).result(30)
    assert held


def test_what_would_come_of_a_change_is_shown_without_waiting_for_a_key(here: World) -> None:
    owner_id = here.admin_key.owner_id

    def look(tx: SqlTransaction) -> Foresight:
        tx.key(here.admin_key.id, lock=True)
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(here.store.read, partial(foresight.password_changed, user_id=owner_id)).result(30)

    assert here.store.change(look) == here.store.read(partial(foresight.password_changed, user_id=owner_id))


def test_f0_a_stop_does_not_wait_for_whoever_makes_a_key_for_the_same_owner(here: World) -> None:
    made = here.key().key.id

    def stop(tx: SqlTransaction) -> None:
        for reason in ("leaked", "incident"):  # a second change asks PostgreSQL for the owner
            held = tx.key(made, lock=True)
            assert held is not None
            tx.save_key(replace(held, suspension=Suspension(at=tx.now, by="", reason=reason)))

    def make(tx: SqlTransaction) -> None:
        tx.lock_owner(here.admin_key.owner_id)
        at_once(here, stop)

    here.store.change(make)
    found = here.get(made).suspension
    assert found is not None
    assert found.reason == "incident"


def test_f1_a_revision_is_allotted_last_so_a_long_change_keeps_no_other_waiting(here: World) -> None:
    first, second = here.key(), here.key()

    def suspended(tx: SqlTransaction, key_id: str) -> None:
        held = tx.key(key_id, lock=True)
        assert held is not None
        tx.save_key(replace(held, suspension=Suspension(at=tx.now, by="", reason="leaked")))

    def long(tx: SqlTransaction) -> None:
        suspended(tx, first.key.id)
        at_once(here, lambda other: suspended(other, second.key.id))

    begun = here.store.rev()
    here.store.change(long)
    changes = [one.change for one in here.store.feed_after(begun, limit=9)]
    assert [one.key_id for one in changes if isinstance(one, KeyState)] == [second.key.id, first.key.id]


def test_f11_many_are_suspended_while_one_of_them_is_being_stopped(here: World) -> None:
    """Neither has to be begun anew: whoever waits for a key holds no revision."""
    made = here.key()
    begun: list[str] = []

    def bulk(tx: SqlTransaction) -> tuple[int, int]:
        begun.append("bulk")
        return tx.suspend_account(made.key.account_id, by="", reason="incident")

    def stop(tx: SqlTransaction) -> Future[tuple[int, int]]:
        begun.append("stop")
        held = tx.key(made.key.id, lock=True)
        assert held is not None
        many = pool.submit(here.store.change, bulk)
        waiting(here, 1)
        tx.save_key(replace(held, revoked_at=tx.now))
        return many

    with ThreadPoolExecutor(1) as pool:
        _, rev = here.store.change(stop).result(30)
    assert begun == ["stop", "bulk"]
    assert rev == here.store.rev()
    assert here.get(made.key.id).suspension is None, "it had ended before"


@contextmanager
def attempts(here: World) -> Iterator[list[int]]:
    """How often a transaction was begun: once for each change, where nobody had to begin anew."""
    begun: list[int] = []
    real = here.store._attempt

    def attempt(flow: Callable[[SqlTransaction], T]) -> tuple[T, list[FeedEntry]]:
        begun.append(1)
        return real(flow)

    here.store._attempt = attempt  # type: ignore[method-assign]  # to count them
    yield begun


def test_f0_a_stop_that_waits_for_its_reset_keeps_nobody_waiting(here: World) -> None:
    """A new policy holds all open resets, and then notes the time, under the lock that revisions are allotted by."""
    made = here.key().key
    owner = here.user(here.operator)
    sure(here.ask(here.sign_in(owner), made))
    here.clock.advance(timedelta(hours=1))

    def policy(tx: SqlTransaction) -> Future[Any]:
        assert len(tx.resets_open()) == 1
        stopping = pool.submit(here.on_key, "revoke", here.root, made.id)
        waiting(here, 1)
        evidence.done(tx, here.root, "policy.stored", account_id=here.operator.id, subject_id="x")
        return stopping

    with attempts(here) as begun, ThreadPoolExecutor(1) as pool:
        sure(here.store.change(policy).result(30))
    assert len(begun) == 2


def test_r15_a_mint_that_waits_for_its_idempotency_key_keeps_nobody_waiting(here: World) -> None:
    """Another call under the same one is under way."""
    person = here.sign_in(here.user(here.operator))
    made, other = here.key(policy=here.policy(proofs=["password"])).key, here.key().key
    reset = sure(here.ask(person, made)).reset
    sure(here.prove(person, reset.id))
    once = Once(caller=person.id, idempotency_key="x", request=b"r" * 32)

    def meanwhile(tx: SqlTransaction) -> Future[Any]:
        remember(tx, replace(once, request=b"s" * 32), "another")
        minting = pool.submit(here.mint, person, reset.id, once)
        waiting(here, 1)
        with ThreadPoolExecutor(1) as others:
            assert sure(others.submit(here.on_key, "revoke", here.root, other.id).result(30)).key.revoked_at is not None
        return minting

    with ThreadPoolExecutor(1) as pool:
        minted = here.store.change(meanwhile).result(30)
    assert isinstance(minted, IdempotencyKeyReused)


def test_many_who_reset_and_make_keys_of_one_owner_at_once_lock_nobody_up(here: World) -> None:
    """PostgreSQL would end a ring of them after a second, and whoever it ends has to begin anew."""
    keys = [here.key().key.id for _ in range(8)]

    def work(key_id: str) -> None:
        for _ in range(4):
            sure(here.ask(here.root, key_id, "leaked"))
            here.key()
            here.clock.advance(timedelta(seconds=1))

    with attempts(here) as begun, ThreadPoolExecutor(len(keys)) as pool:
        list(pool.map(work, keys))
    assert len(begun) == len(keys) * 4 * 2


def test_k8_who_acts_with_a_key_is_not_waited_for_when_its_last_use_is_noted(here: World) -> None:
    key, other = here.admin_key, here.key().key
    housekeeper = here.housekeeper
    housekeeper.report(Report(last=((key.number, 1), (other.number, 1)), watched=(), callers=()), by="ver_1", size=1)

    def act(tx: SqlTransaction) -> None:
        assert tx.stands(key.id, 1)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(housekeeper.write_uses).result(30)

    here.store.change(act)
    assert [here.get(one.id).last_used_at is not None for one in (key, other)] == [False, True]
    housekeeper.write_uses()
    assert here.get(key.id).last_used_at is not None


def test_k8_who_writes_uses_down_keeps_nobody_from_acting_with_the_key_or_from_stopping_it(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What verifiers have counted may take long to write; nobody waits for that."""
    key = here.admin_key
    watched = tuple((Origin(key.number, 1, None, wanted, ""), Tally(1, 1, 1)) for wanted in ((), ("orders:read",)))
    done: list[object] = []
    add_uses = SqlTransaction.add_uses

    def meanwhile(tx: SqlTransaction, batch: Sequence[Use]) -> None:
        add_uses(tx, batch)
        done.append(at_once(here, lambda other: other.stands(key.id, 1)))
        done.append(at_once(here, lambda other: other.key(key.id, lock=True) is not None))
        done.append(at_once(here, lambda other: other._connection.execute(stop).rowcount))

    stop = update(secrets).where(secrets.c.key_number == key.number).values(stop_reason="leaked")
    monkeypatch.setattr(SqlTransaction, "add_uses", meanwhile)
    housekeeper = here.housekeeper
    caller = Callers(key.number, None, (), "", 1, 1)
    housekeeper.report(Report(last=((key.number, 1),), watched=watched, callers=(caller,)), by="ver_1", size=1)
    housekeeper.write_uses()
    assert done == [True, True, 1]
    found = here.store.read(lambda tx: tx.key(key.id))
    assert found is not None
    assert found.last_used_at is not None
    assert found.secrets[0].last_used_at is not None


def test_f11_the_feed_is_trimmed_a_part_at_a_time(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "MOST_ENTRIES", 2)
    monkeypatch.setattr(housekeeping, "_TRIMMED_AT_ONCE", 2)
    for _ in range(8):
        here.key()
    here.clock.advance(housekeeping.FEED_LASTS)
    newest = here.store.rev()
    here.housekeeper.forget()
    assert len(here.store.feed_after(0, limit=99)) == newest, "not older than that"
    here.clock.advance(timedelta(seconds=1))
    here.housekeeper.forget()
    assert [one.rev for one in here.store.feed_after(0, limit=99)] == [newest - 2, newest - 1, newest]
