"""Whoever is not known yet takes no place of those who stop something, by whichever face they come (K8)."""

import asyncio
import dataclasses
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest

from keyturn import wiring
from keyturn.api.app import build_app
from keyturn.core.lease import FOR_GOOD
from keyturn.edge.node import Authority
from keyturn.edge.places import Places
from keyturn.settings import Settings
from keyturn.web.app import Dashboard
from keyturn.web.browser import SESSION, VISIT
from keyturn.wiring import Node

MANY: Final = int(Places().stopping.total_tokens) + 1
ANSWERED: Final = 120
"""Seconds; only who would wait in vain reaches their end."""


class Silent:
    """A store that answers no short question until it is told to."""

    def __init__(self, store: Authority) -> None:
        self._store = store
        self.answers = threading.Event()
        self.asked = threading.Semaphore(0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def lookup(self, fingerprint: bytes) -> Any:
        self._wait()
        return self._store.lookup(fingerprint)

    def glance(self, query: Any) -> Any:
        self._wait()
        return self._store.glance(query)

    read = glance

    def _wait(self) -> None:
        self.asked.release()
        assert self.answers.wait(2 * ANSWERED)


@pytest.fixture
def node(sqlite_url: str, tmp_path: Path) -> Iterator[Node]:
    with wiring.open_node(Settings(data=tmp_path / "data", database_url=sqlite_url)) as opened:
        # Nothing renews its lease here, and no stop has to wait for it.
        opened.membership.holder.deadline = opened.membership.boot() + 3600 * 1_000_000
        with closing(sqlite3.connect(tmp_path / "keyturn.db", isolation_level=None)) as database:
            assert database.execute("UPDATE leases SET acked_rev = ?", (FOR_GOOD,)).rowcount
        yield opened


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a stranger sends."""

    path: str
    bearer: str = ""
    reason: str = ""
    form: bool = False
    cookie: str = ""

    def send(self, client: httpx2.AsyncClient, node: Node) -> Any:
        if not self.form:
            body = {"reason": self.reason} if self.reason else {}
            return client.post(self.path, json=body, headers={"Authorization": f"Bearer {self.bearer}"})
        fields = {"csrf": node.forge.derived("csrf", f"somebody\n{self.cookie}").hex(), "sure": "yes"}
        cookies = f"{VISIT}=somebody" + (f"; {SESSION}={self.cookie}" if self.cookie else "")
        return client.post(self.path, data=fields, headers={"Cookie": cookies})


FRESH: Final = "a fresh key"
STRANGERS: Final = {
    "no session": (Asked("/v1/keys/key_x/revoke", bearer="kts_nobody"), 401),
    "no session, a leak": (Asked("/v1/keys/key_x/resets", bearer="kts_nobody", reason="leaked"), 401),
    "a key that memory does not know": (Asked("/v1/keys/key_x/suspend", bearer=FRESH), 404),
    "a page, no session": (Asked("/keys/key_x/suspend", form=True, cookie="nobody"), 303),
    "a link that is none": (Asked("/links/nowhere/stop", form=True), 404),
}


@pytest.mark.parametrize(("asked", "status"), STRANGERS.values(), ids=STRANGERS)
def test_k8_no_stop_stands_behind_those_whom_nobody_knows(node: Node, asked: Asked, status: int) -> None:
    """More of them than there are places for stops wait for the database."""

    async def run() -> None:
        store: Any = Silent(node.store)
        app, _ = build_app(dataclasses.replace(node, store=store), pages=Dashboard)
        transport = httpx2.ASGITransport(app=app, client=("127.0.0.1", 1))
        async with httpx2.AsyncClient(transport=transport, base_url="http://keyturn") as client:
            admin = {"Authorization": f"Bearer {node.admin_key}"}
            store.answers.set()
            made = [(await client.post("/v1/keys", json={"name": "x"}, headers=admin)).json() for _ in range(2)]
            store.answers.clear()
            store.asked = threading.Semaphore(0)
            stranger = dataclasses.replace(asked, bearer=made[0]["secret"]) if asked.bearer == FRESH else asked
            waiting = [asyncio.create_task(stranger.send(client, node)) for _ in range(MANY)]
            try:
                for _ in range(MANY - 1):
                    assert await asyncio.to_thread(store.asked.acquire, timeout=ANSWERED)
                path = f"/v1/keys/{made[1]['id']}/revoke"
                stopped = await asyncio.wait_for(client.post(path, json={}, headers=admin), ANSWERED)
                assert stopped.status_code == 200
                assert not any(one.done() for one in waiting)
            finally:
                store.answers.set()
            assert [(await one).status_code for one in waiting] == [status] * MANY

    asyncio.run(run())
