"""Questions that come while one is under way are asked together, once it is answered."""

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")


def without_end() -> float:
    """As many seconds as it takes."""
    return -1.0


class _Turn(Generic[Q, A]):
    def __init__(self, question: Q) -> None:
        self.question = question
        self.answers: list[A] = []
        self.error: BaseException | None = None
        self.done = False


class Together(Generic[Q, A]):
    """Safe to share between threads, each of which waits for its own answer."""

    def __init__(
        self,
        ask: Callable[[Sequence[Q]], Sequence[A]],
        *,
        most: int = 100,
        left: Callable[[], float] = without_end,
    ) -> None:
        """`ask` answers each of so many questions at most, in their order; what it raises, each of them raises.

        `left`: for how many seconds whoever calls may wait for its turn; it raises what they raise once that is over.
        """
        self._ask = ask
        self._most = most
        self._left = left
        self._waiting: list[_Turn[Q, A]] = []
        self._adding = Lock()
        self._asking = Lock()

    def __call__(self, question: Q) -> A:
        """The answer, as of a time after this was called."""
        mine = _Turn[Q, A](question)
        with self._adding:
            self._waiting.append(mine)
        try:
            while not mine.done:
                if self._asking.acquire(timeout=self._left()):
                    try:
                        if not mine.done:
                            self._ask_together()
                    finally:
                        self._asking.release()
        except BaseException:
            with self._adding:  # who has left waits for no answer
                self._waiting = [one for one in self._waiting if one is not mine]
            raise
        if mine.error is not None:
            raise mine.error
        return mine.answers[0]

    def _ask_together(self) -> None:
        with self._adding:
            turns, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        try:
            for one, answer in zip(turns, self._ask([one.question for one in turns]), strict=True):
                one.answers.append(answer)
        except BaseException as error:
            for one in turns:
                one.error = error
            if not isinstance(error, Exception):
                raise  # what ends this thread, whether it was its turn or not
        finally:
            for one in turns:
                one.done = True
