"""The receipt of a stop whose database says nothing any more (F5)."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import pytest
from anyio import CapacityLimiter

from keyturn import wiring
from keyturn.core.lease import Lease
from keyturn.core.receipt import Receipt
from keyturn.edge import receipt
from keyturn.edge.receipt import ReceiptDue, Receipts
from keyturn.flow.confirmation import AWAY
from keyturn.settings import Settings
from tests.attached import until
from tests.fleet.chaos.link import Links, Way
from tests.postgres import Postgres


@pytest.mark.parametrize("since", ["before the wait", "in the wait"])
def test_f5_a_receipt_waits_at_most_for_a_fence_however_silent_the_database(
    postgres_server: Postgres, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, since: str
) -> None:
    """Its connections stay open, as behind a pooler.  Nobody else finds the places taken for ever."""
    monkeypatch.setattr(receipt, "ANSWER_SECONDS", 1)
    with Links() as links:
        line = links.to(postgres_server.port)
        url = postgres_url.replace(f":{postgres_server.port}/", f":{line.port}/")
        with (
            wiring.open_node(Settings(data=tmp_path / "data", database_url=url)) as node,
            ThreadPoolExecutor(1) as pool,
        ):
            epoch = node.store.read(lambda tx: tx.epoch)
            gone = Lease(instance="node_gone", counter=1, lasts=3_000_000, epoch=epoch, acked_rev=0)
            node.store.change(lambda tx: tx.renew_lease(gone))
            due = ReceiptDue(rev=node.store.rev(), epoch=epoch, durability=node.durability, stopped_at=None)
            places = CapacityLimiter(1)

            async def of() -> Receipt:
                return (await Receipts(node, places).of(due))[0]

            try:
                if since == "before the wait":
                    line.stall(Way.BACK)
                asked = pool.submit(anyio.run, of)
                if since == "in the wait":
                    until(node.confirming.running)
                    line.stall(Way.BACK)
                made = asked.result(30)
            finally:
                line.resume()
    assert (made.rev, made.epoch, made.confirmed) == (due.rev, due.epoch, False)
    assert made.waited_out == (("node_gone",) if since == "in the wait" else ())
    assert made.reason == AWAY
    assert places.borrowed_tokens == 0
