"""The receipt of a stop, for whichever face shows it: waited for, signed and logged (F5, R53)."""

import json
import logging
from asyncio import FIRST_COMPLETED, Event, ensure_future, get_running_loop, wait, wrap_future
from asyncio import Future as AnyFuture
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from anyio import CapacityLimiter, to_thread

from keyturn.core.instant import Instant
from keyturn.core.receipt import Receipt, to_note_text
from keyturn.edge.node import Node
from keyturn.flow.confirmation import AWAY, LEFT, Confirmation
from keyturn.flow.step import ResetAnswer
from keyturn.store.durability import Durability

T = TypeVar("T")
ANSWER_SECONDS: Final = 15
"""After which a look at the database before or after a wait is given up: longer than a scan may take by itself.

The look after it may be two scans, and changes that nothing else bounds.
"""
log = logging.getLogger("keyturn")


def stopped_at(answer: ResetAnswer, now: Instant) -> Instant | None:
    """Since when every earlier secret is refused; None while one goes on."""
    key, new = answer.key, answer.reset.new_version
    old = [one for one in key.secrets if new is None or one.version < new]
    if old and all(one.is_over(now) for one in old):
        return max(one.stops_at for one in old)
    return key.suspension.at if key.suspension else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptDue:
    """A receipt that is owed: what it is of is committed, and nobody has waited yet."""

    rev: int
    epoch: int
    """The one it was committed in."""
    durability: Durability
    """As it was then."""
    stopped_at: Instant | None
    reset_id: str = ""
    key_id: str = ""
    account_id: str = ""


class Receipts:
    """Waits for the stops of one node, however many: none of them keeps a thread meanwhile."""

    def __init__(self, node: Node, places: CapacityLimiter) -> None:
        self._node = node
        self._places = places
        # A signature asks the database nothing, and stands behind nobody who does.
        self._signing = CapacityLimiter(2)
        self._leaving = Event()

    def leave(self, within: float) -> None:
        """Wait for that many seconds at the most from now on: this server ends, and everybody is to have an answer."""
        get_running_loop().call_later(within, self._leaving.set)

    async def of(self, due: ReceiptDue) -> tuple[Receipt, str]:
        """Wait until every verifier decides by it, or can decide by nothing else; with the signed note of it.

        However silent the database is, that takes a fence and two looks at most.
        """
        made = await self._confirmed(due)
        return await to_thread.run_sync(self._write, due, made, limiter=self._signing)

    async def _confirmed(self, due: ReceiptDue) -> Confirmation:
        confirming = self._node.confirming
        begun = await self._looking(partial(confirming.begin, due.rev, epoch=due.epoch))
        if begun is None:
            reason = LEFT if self._leaving.is_set() else AWAY
            return Confirmation(rev=due.rev, epoch=due.epoch, confirmed=False, reason=reason)
        if not await self._is_over(begun.over):
            return confirming.left(begun)
        return await self._looking(partial(confirming.end, begun)) or confirming.unended(begun)

    async def _is_over(self, over: "Future[bool]") -> bool:
        """Whether it came to that while this server may wait."""
        waiting = wrap_future(over)
        if await self._comes(waiting):
            waiting.result()
            return True
        return False

    async def _looking(self, look: Callable[[], T]) -> T | None:
        """What it comes to, in a thread; None where that is not known in time.  Its place is free again then."""
        looking = ensure_future(to_thread.run_sync(look, limiter=self._places, abandon_on_cancel=True))
        return looking.result() if await self._comes(looking, within=ANSWER_SECONDS) else None

    async def _comes(self, awaited: "AnyFuture[Any]", within: float | None = None) -> bool:
        """Whether it came about while this server may wait; otherwise nobody waits for it any longer."""
        leaving = ensure_future(self._leaving.wait())
        try:
            await wait((awaited, leaving), timeout=within, return_when=FIRST_COMPLETED)
            return awaited.done()
        finally:
            leaving.cancel()
            awaited.cancel()

    def _write(self, due: ReceiptDue, made: Confirmation) -> tuple[Receipt, str]:
        durability = self._node.durability if due.durability.strict else due.durability
        one = Receipt(
            reset_id=due.reset_id,
            key_id=due.key_id,
            account_id=due.account_id,
            rev=due.rev,
            epoch=made.epoch,
            stopped_at=due.stopped_at,
            confirmed=durability.strict and made.confirmed,
            reason=made.reason if durability.strict else durability.reason,
            waited_ms=made.waited // 1000,
            acknowledged=made.acknowledged,
            waited_out=made.waited_out,
            unleased=made.unleased,
        )
        note = self._node.notary.sign(to_note_text(one))
        log.info("%s", json.dumps({"event": "receipt", "note": note}, ensure_ascii=False))
        return one, note
