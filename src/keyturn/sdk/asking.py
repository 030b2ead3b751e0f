"""For event loops: memory answers at once, and a node is asked in a thread, by so many requests at a time at most."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from threading import BoundedSemaphore
from typing import Final

from keyturn.sdk.admission import AcceptedKey, Admission, Answer, Problem, Question, Request

_THREADS: Final = 16
_MOST_WAITING: Final = 512
"""Further requests about keys that memory does not know are refused with 503, so that none waits without end."""
_MOST_AGAIN: Final = 8
"""Asked about again at a time, of whoever was let in: fewer than there are threads, so that requests find some."""
_MOMENT: Final = 0.2
"""Seconds after which whoever has found no place for that looks again."""


class Asking:
    """An `Admission` for coroutines."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._process = 0
        self._threads: ThreadPoolExecutor
        self._places: BoundedSemaphore
        self._places_again: BoundedSemaphore

    async def admit(self, request: Request) -> Answer:
        """`Admission.admit` without holding up the event loop."""
        question = self._admission.read(request)
        return await self.answer(question) if isinstance(question, Question) else question

    async def answer(self, question: Question) -> AcceptedKey | Problem:
        """The same for what has been read already."""
        known = self._admission.recall(question)
        return await self._ask(question) if known is None else known

    async def again(self, question: Question) -> Problem | None:
        """Why whoever was let in with this may stay no longer; None while they may.  A limit is no reason.

        Where many are asked about, one waits for a place, however long: the caller sets an end to that.
        """
        self._begin()
        while (answer := self._admission.recall(question, again=True)) is None:
            if self._places_again.acquire(blocking=False):
                answer = await self._ask_from(self._places_again, question)
                break
            await asyncio.sleep(_MOMENT)
        if isinstance(answer, AcceptedKey) or answer.status == HTTPStatus.TOO_MANY_REQUESTS:
            return None
        return answer

    async def _ask(self, question: Question) -> AcceptedKey | Problem:
        self._begin()
        if not self._places.acquire(blocking=False):
            return self._admission.away()
        return await self._ask_from(self._places, question)

    async def _ask_from(self, places: BoundedSemaphore, question: Question) -> AcceptedKey | Problem:
        """Ask from the place that was taken, and give it back."""
        try:
            asked = self._threads.submit(self._admission.ask, question)
        except RuntimeError:  # no thread can be begun just now; what was queued all the same goes with the old ones
            places.release()
            self._threads = _threads()
            return self._admission.away()
        asked.add_done_callback(lambda _: places.release())
        return await asyncio.wrap_future(asked)

    def _begin(self) -> None:
        if self._process == os.getpid():
            return
        self._threads = _threads()  # a child has none of its parent's
        self._places = BoundedSemaphore(_MOST_WAITING)
        self._places_again = BoundedSemaphore(_MOST_AGAIN)
        self._process = os.getpid()


def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="keyturn ask")
