"""A database that keeps its connections open and says nothing, as one behind a pooler can (F5)."""

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import httpx2
import pytest

from keyturn.edge.places import OTHERS
from keyturn.ports.store import StoreUnavailable
from keyturn.store import database, patience
from keyturn.store import line as lines
from keyturn.store.database import connect
from keyturn.store.store import SqlStore
from tests import databases
from tests.api.impatient import TIRES
from tests.attached import until
from tests.fleet.chaos.link import Link, Links, Way
from tests.hanging import edit, hung
from tests.postgres import Postgres
from tests.serving import Serving
from tests.web.house import PASSPHRASE, House
from tests.world import World, world

READY: Final = b"Z\x00\x00\x00\x05I"
"""What PostgreSQL says once somebody is let in."""
QUESTIONS: Final[Mapping[str, Callable[[World], object]]] = {
    "scan": lambda here: here.store.scan(0),
    "glance": lambda here: here.store.glance(lambda tx: tx.rev),
    "feed": lambda here: here.store.feed_after(0, limit=1),
    "lookup": lambda here: here.store.lookup(bytes(32)),
}


@contextmanager
def through_a_link(postgres_server: Postgres, url: str) -> Iterator[tuple[str, Link]]:
    """That database, behind a line that can fall silent."""
    with Links() as links:
        line = links.to(postgres_server.port)
        try:
            yield url.replace(f":{postgres_server.port}/", f":{line.port}/"), line
        finally:
            line.resume()


def test_f5_a_look_at_a_fence_is_given_up_and_holds_no_place(postgres_server: Postgres, tmp_path: Path) -> None:
    """More of them than there are places for, by key and on the handover's page."""
    with ExitStack() as stack:
        empty = stack.enter_context(databases.postgres_empty(postgres_server))
        url, line = stack.enter_context(through_a_link(postgres_server, empty))
        server = Serving(tmp_path / "data", database_url=url, program="tests.api.impatient", patience=120).start()
        stack.callback(server.kill)
        house = House(server)
        account = house.account(policy=house.policy(proofs=["password"], reset_origin="any", on_member_added="none"))
        owner, email = house.user(account)
        person = house.person()
        stack.callback(person.client.close)
        person.client.timeout = httpx2.Timeout(120)
        assert person.sign_in(email, PASSPHRASE).path == "/keys"
        key = server.create(account_id=account, owner_id=owner)["id"]
        made = server.call(f"/v1/keys/{key}/resets", {"reason": "routine", "grace": "1h"}).body
        fence = f"/v1/fleet/fences/{made['receipt']['rev']}"
        assert server.call(fence).status == 200
        assert person.see(f"/resets/{made['id']}").status == 200
        line.stall(Way.BACK)
        os.kill(server.pid, TIRES)
        with ThreadPoolExecutor(OTHERS + 5) as pool:
            looks = [pool.submit(server.call, path) for path in [fence, "/v1/fleet"] * (OTHERS // 2 + 2)]
            page = pool.submit(person.client.get, f"/resets/{made['id']}")
            for one in looks:
                refused = one.result(300)
                assert (refused.status, refused.body["code"]) == (503, "store_unavailable")
                assert int(refused.headers["retry-after"]) > 0
            assert page.result(300).status_code == 503
        line.resume()
        until(lambda: server.call(fence).status == 200, within=120)
        until(lambda: person.see(f"/resets/{made['id']}").status == 200, within=120)


def test_a_server_ends_also_where_its_database_never_answers(postgres_server: Postgres, tmp_path: Path) -> None:
    """With a change under way, which is waited for without end."""
    with ExitStack() as stack:
        url = stack.enter_context(databases.postgres_empty(postgres_server))
        few = {"KEYTURN_DRAIN_SECONDS": "1"}
        server = Serving(tmp_path / "data", database_url=url, environment=few, patience=120).start()
        stack.callback(server.kill)
        key = server.create()["id"]
        pool = stack.enter_context(ThreadPoolExecutor(1))
        with hung(url) as waiting:
            asked = pool.submit(edit, server, key, {})
            until(lambda: waiting.hung == 1, within=120)
            os.kill(server.pid, signal.SIGTERM)
            assert server.died(120)
            asked.exception(120)
            assert "ending all the same" in server.said
        server.start()
        assert server.call(f"/v1/keys/{key}").status == 200


@pytest.mark.parametrize("question", QUESTIONS)
def test_f5_what_takes_a_moment_is_given_up(
    postgres_server: Postgres, postgres_url: str, monkeypatch: pytest.MonkeyPatch, question: str
) -> None:
    """Its connection is given up as well: the next question has another."""
    with (
        ThreadPoolExecutor(1) as pool,
        through_a_link(postgres_server, postgres_url) as (url, line),
        world(url) as here,
    ):
        asks = partial(QUESTIONS[question], here)
        known = asks()
        monkeypatch.setattr(patience, "SECONDS", 0.5)
        line.stall(Way.BACK)
        with pytest.raises(StoreUnavailable):
            pool.submit(asks).result(60)
        line.resume()
        monkeypatch.undo()
        assert type(asks()) is type(known)
        assert isinstance(here.store, SqlStore)
        assert here.store._engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # that of a queue


@pytest.mark.parametrize("question", QUESTIONS)
def test_f5_a_new_connection_is_given_up_also_where_its_login_was_answered(
    postgres_server: Postgres, postgres_url: str, monkeypatch: pytest.MonkeyPatch, question: str
) -> None:
    """A pooler answers that by itself."""
    monkeypatch.setattr(database, "LIBPQ", {**database.LIBPQ, "connect_timeout": 120})
    with (
        ThreadPoolExecutor(1) as pool,
        through_a_link(postgres_server, postgres_url) as (url, line),
        world(url) as here,
    ):
        asks = partial(QUESTIONS[question], here)
        known = asks()
        monkeypatch.setattr(patience, "SECONDS", 0.5)
        line.greeting = READY
        line.stall(Way.THERE)
        before = line.connections(b"")
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                pool.submit(asks).result(60)
        fresh = [one for one in line.connections(b"") if one not in before]
        assert all(READY in one.back.beginning for one in fresh)
        assert until(lambda: all(one.there.held for one in fresh), within=120)
        assert len(fresh) == 1, "the first had the one from before, and was not asked again"
        line.resume()
        monkeypatch.undo()
        assert type(asks()) is type(known)


def test_no_long_work_is_given_up(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a look of which the database says nothing is, also in the middle."""
    with world(postgres_url) as here:
        here.store.read(lambda tx: tx.rev)  # its connection is ready for the next
        monkeypatch.setattr(patience, "SECONDS", 0.5)
        for work in (here.store.read, here.store.change):
            assert work(lambda tx: tx._connection.exec_driver_sql("SELECT pg_sleep(1)").rowcount) == 1
        with pytest.raises(StoreUnavailable):
            here.store.glance(lambda tx: tx._connection.exec_driver_sql("SELECT pg_sleep(30)").rowcount)


def test_whoever_has_a_connection_next_is_patient(postgres_url: str) -> None:
    engine = connect(postgres_url)
    with engine.connect() as connection:
        first = patience.impatient(connection).connection.driver_connection
        assert isinstance(first, lines.Line)
        assert first.patience == patience.SECONDS
    with engine.connect() as connection:
        again = connection.connection.driver_connection
        assert isinstance(again, lines.Line)
        assert (again is first, again.patience) == (True, None)
    engine.dispose()
