"""The receipt of a stop whose database says nothing any more (F5)."""

from asyncio import AbstractEventLoop, get_running_loop
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import CapacityLimiter
from anyio.lowlevel import checkpoint

from keyturn import wiring
from keyturn.core.lease import Lease
from keyturn.core.receipt import Receipt
from keyturn.edge import receipt
from keyturn.edge.node import Node
from keyturn.edge.receipt import ReceiptDue, Receipts
from keyturn.flow.confirmation import AWAY, LEFT
from keyturn.settings import Settings
from keyturn.store import patience
from tests.attached import until
from tests.fleet.chaos.link import Link, Links, Way
from tests.postgres import Postgres


@dataclass
class Silent:
    """A node whose database can fall silent, and which waits for another one that is gone."""

    node: Node
    line: Link
    places: CapacityLimiter
    due: ReceiptDue
    crowded: bool = False
    """Whether somebody else has the place."""
    begun: list[tuple[AbstractEventLoop, Receipts]] = field(default_factory=list)

    def ask(self) -> Receipt:
        """In a loop of its own."""

        async def of() -> Receipt:
            receipts = Receipts(self.node, self.places)
            if self.crowded:
                self.places.acquire_on_behalf_of_nowait(object())
            self.begun.append((get_running_loop(), receipts))
            with anyio.fail_after(120):
                return (await receipts.of(self.due))[0]

        return anyio.run(of)

    def leave(self) -> None:
        """The server of those who have asked is to end."""
        for loop, receipts in self.begun:
            loop.call_soon_threadsafe(receipts.leave, 0)


@pytest.fixture
def silent(postgres_server: Postgres, postgres_url: str, tmp_path: Path) -> Iterator[Silent]:
    with Links() as links:
        line = links.to(postgres_server.port)
        url = postgres_url.replace(f":{postgres_server.port}/", f":{line.port}/")
        with wiring.open_node(Settings(data=tmp_path / "data", database_url=url)) as node:
            epoch = node.store.read(lambda tx: tx.epoch)
            gone = Lease(instance="node_gone", counter=1, lasts=3_000_000, epoch=epoch, acked_rev=0)
            node.store.change(lambda tx: tx.renew_lease(gone))
            due = ReceiptDue(rev=node.store.rev(), epoch=epoch, durability=node.durability, stopped_at=None)
            pool: Any = node.store._engine.pool
            kept = pool.checkedout()
            try:
                yield Silent(node, line, CapacityLimiter(1), due)
            finally:
                line.resume()
            until(lambda: pool.checkedout() <= kept, within=120)  # a look that was left gives its connection back


@pytest.mark.parametrize("since", ["before the wait", "in the wait"])
def test_f5_a_receipt_waits_at_most_for_a_fence_however_silent_the_database(
    silent: Silent, monkeypatch: pytest.MonkeyPatch, since: str
) -> None:
    """Its connections stay open, as behind a pooler.  Nobody else finds the places taken for ever."""
    monkeypatch.setattr(receipt, "ANSWER_SECONDS", 1)
    with ThreadPoolExecutor(1) as pool:
        try:
            if since == "before the wait":
                silent.line.stall(Way.BACK)
            asked = pool.submit(silent.ask)
            if since == "in the wait":
                until(silent.node.confirming.running)
                silent.line.stall(Way.BACK)
            made = asked.result()
        finally:
            silent.line.resume()
    assert (made.rev, made.epoch, made.confirmed) == (silent.due.rev, silent.due.epoch, False)
    assert made.waited_out == (("node_gone",) if since == "in the wait" else ())
    assert made.reason == AWAY
    assert silent.places.borrowed_tokens == 0


@pytest.mark.parametrize("where", ["behind another", "before the wait", "after it"])
def test_f5_a_server_that_ends_answers_also_while_its_database_says_nothing(
    silent: Silent, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """However long a look may take."""
    monkeypatch.setattr(receipt, "ANSWER_SECONDS", 600)
    monkeypatch.setattr(patience, "SECONDS", 600)
    with ThreadPoolExecutor(1) as pool:
        try:
            silent.crowded = where == "behind another"
            if where == "before the wait":
                silent.line.stall(Way.BACK)
            asked = pool.submit(silent.ask)
            if where == "after it":
                until(silent.node.confirming.running, within=120)
                silent.line.stall(Way.BACK)
                until(lambda: not silent.node.confirming.running(), within=120)
            until(lambda: silent.begun and silent.places.borrowed_tokens, within=120)
            silent.leave()
            made = asked.result()
        finally:
            silent.line.resume()
    assert not made.confirmed
    assert (made.waited_out, made.reason) == ((("node_gone",), AWAY) if where == "after it" else ((), LEFT))


def test_nobody_hears_of_a_wait_that_was_left(silent: Silent) -> None:
    """Nor of what becomes of it."""
    said: list[dict[str, Any]] = []

    async def leave() -> None:
        get_running_loop().set_exception_handler(lambda _loop, told: said.append(told))
        receipts, over = Receipts(silent.node, silent.places), Future[bool]()
        over.set_running_or_notify_cancel()
        receipts.leave(0)
        assert not await receipts._is_over(over)
        over.set_exception(OSError())
        await checkpoint()
        del over  # nobody else knows of it

    anyio.run(leave)
    assert said == []
