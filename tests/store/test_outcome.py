"""F10, F13: what became of a commit whose answer did not come, or came before the standbys had it."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from threading import Event
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, event

from keyturn.flow import key as key_flow
from keyturn.flow.replay import Once
from keyturn.ports.store import StoreUnavailable, StoreUnsure
from keyturn.store import outcome
from keyturn.store.outcome import Trace, UnknownError
from keyturn.store.transaction import SqlTransaction
from tests import databases, postgres
from tests.attached import until
from tests.postgres import Postgres
from tests.world import World, entries_of, sure, unseen, world

_END: str = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE application_name = 'keyturn' AND datname = current_database()"
)
_CANCEL: str = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
_WAITING: str = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
_IN_STEP: str = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"


def run(url: str, sql: str) -> int:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(sql.encode()).fetchone()
        return 0 if row is None else int(row[0])


@contextmanager
def after_the_next_commit(engine: Engine, happens: Callable[[], object]) -> Iterator[None]:
    """The commit is carried out, then this happens, and the driver hears nothing of the commit."""
    carry_out = engine.dialect.do_commit
    left = [1]

    def commit(connection: Any) -> None:
        carry_out(connection)
        if left and left.pop():
            happens()
            connection.execute("SELECT 1")

    engine.dialect.do_commit = commit  # type: ignore[method-assign,assignment]  # no more than a driver's connection
    yield
    engine.dialect.do_commit = carry_out  # type: ignore[method-assign]  # as it was


def test_f10_a_commit_that_was_carried_out_unheard_is_answered_as_it_is(postgres_url: str) -> None:
    with world(postgres_url) as here:
        made = here.key()
        with after_the_next_commit(here.store._engine, lambda: run(postgres_url, _END)):
            answer = sure(here.ask(here.root, made.key))
        assert here.code(unseen(answer)) == "valid", "its secret is not lost"
        assert [entry.rev for entry in entries_of(here.store)] == [1, 2, 3], "once"


def test_f10_a_commit_that_was_not_carried_out_is_begun_anew(postgres_url: str) -> None:
    with world(postgres_url) as here:
        made = here.key()
        cuts = [1]

        def before(_connection: object) -> None:
            if cuts and cuts.pop():
                run(postgres_url, _END)

        event.listen(here.store._engine, "commit", before)
        sure(here.ask(here.root, made.key))
        assert cuts == []
        assert [entry.rev for entry in entries_of(here.store)] == [1, 2, 3], "once"


def test_f10_while_the_database_is_away_nobody_knows_and_that_is_told(own_postgres: Postgres) -> None:
    with databases.postgres_copy(own_postgres) as url, world(url) as here:
        made = here.key()
        once = Once(caller=here.root.id, idempotency_key="a", request=b"r" * 32)
        with after_the_next_commit(here.store._engine, own_postgres.stop), pytest.raises(StoreUnsure):
            here.ask(here.root, made.key, once=once)
        own_postgres.start()
        again = sure(here.ask(here.root, made.key, once=once))
        assert (again.secret, again.secret_shown, again.key.version) == (None, True, 2), "it had been carried out"


def _other(name: str) -> Any:
    return {name: "other"}


def test_f10_what_was_committed_under_the_same_number_in_another_past_is_not_taken_for_ours(postgres_url: str) -> None:
    """A number of which a crash or a failover has kept nothing is given to somebody else."""
    with world(postgres_url) as here:
        traces: list[Trace] = []

        def flow(tx: SqlTransaction) -> None:
            key_flow.suspend(tx, actor=here.root, key_id=made.key.id, reason="")
            traces.append(tx.trace)

        made = here.key()
        here.store.change(flow)
        [ours] = traces
        assert ours.record is not None
        assert outcome.stands(here.store._engine, ours)
        others = [None, replace(ours.record, at=ours.record.at + timedelta(microseconds=1))]
        others += [replace(ours.record, **_other(name)) for name in ("subject_id", "actor_id", "action", "outcome")]
        for record in others:
            with pytest.raises(UnknownError):
                outcome.stands(here.store._engine, replace(ours, record=record))
        with pytest.raises(UnknownError):
            outcome.stands(here.store._engine, replace(ours, mark=str(int(ours.mark) + 1000)))  # nobody's yet


def test_f5_what_is_committed_is_answered_though_the_node_cannot_follow(postgres_url: str) -> None:
    """Then this node, like any other, has not acknowledged the stop, and is waited for."""
    with world(postgres_url) as here:
        made = here.key()

        def away(_entries: object) -> None:
            raise StoreUnavailable

        here.store.follow = away
        answer = sure(here.ask(here.root, made.key))
        assert answer.secret is not None
        assert here.verifier.applied_rev == 2
        assert here.get(made.key.id).version == 2


# With a synchronous standby


@dataclass(frozen=True, slots=True)
class Pair:
    """A primary that answers no commit before its standby has it."""

    primary: Postgres
    standby: Postgres

    def waiting(self) -> int:
        """How many commits wait for the standby."""
        return run(self.primary.url(), _WAITING)

    def cancel(self) -> None:
        """End those waits, as a `statement_timeout` does, or somebody who looks after the database."""
        run(self.primary.url(), _CANCEL)


@pytest.fixture(scope="module")
def servers() -> Iterator[Pair]:
    primary = postgres.started(postgres.packaged_binaries())
    standby = primary.standby()
    primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
    primary.execute("SELECT pg_reload_conf()")
    until(lambda: run(primary.url(), _IN_STEP))
    yield Pair(primary, standby)
    standby.remove()
    primary.remove()


@pytest.fixture
def pair(servers: Pair) -> Iterator[Pair]:
    yield servers
    servers.standby.thaw()


@pytest.fixture
def here(pair: Pair) -> Iterator[World]:
    with databases.postgres_copy(pair.primary) as url, world(url) as made:
        yield made
        pair.standby.thaw()


def end(here: World) -> None:
    run(here.url, _END)


@pytest.mark.parametrize("ends", ["the session", "the wait"])
def test_f13_who_ends_the_wait_for_standbys_confirms_nothing_sooner(pair: Pair, here: World, ends: str) -> None:
    """PostgreSQL has committed by then: everybody can see it, and a failover would lose it."""
    made = here.key()
    pair.standby.freeze()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(here.ask, here.root, made.key)
        until(pair.waiting)
        pair.cancel() if ends == "the wait" else end(here)
        until(lambda: here.get(made.key.id).version == 2)
        until(lambda: asked.done() or pair.waiting())
        assert not asked.done(), "it can be seen, and is waited for again"
        pair.standby.thaw()
        assert here.code(unseen(sure(asked.result()))) == "valid"


def test_f13_whoever_repeats_a_stop_waits_for_the_standbys_as_the_first_did(pair: Pair, here: World) -> None:
    made = here.key()
    pair.standby.freeze()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(here.on_key, "suspend", here.root, made.key.id, reason="")
        until(pair.waiting)
        pair.cancel()
        until(lambda: here.get(made.key.id).suspension)
        second = pool.submit(here.on_key, "suspend", here.root, made.key.id, reason="")
        until(lambda: second.done() or pair.waiting() == 2)
        assert not second.done()
        pair.standby.thaw()
        assert sure(second.result()).rev == sure(first.result()).rev == 3


def test_f13_a_wait_that_is_ended_again_and_again_is_not_known_to_be_over(
    pair: Pair, here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcome, "_LOOKS", 2)
    made = here.key()
    pair.standby.freeze()
    over = Event()

    def cancel() -> None:
        while not over.is_set():
            pair.cancel()

    with ThreadPoolExecutor(1) as pool:
        cancelling = pool.submit(cancel)
        try:
            with pytest.raises(StoreUnsure):
                here.ask(here.root, made.key)
        finally:
            over.set()
        cancelling.result()
