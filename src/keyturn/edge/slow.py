"""Calls that reckon with passwords: Argon2 takes long on purpose, so they have threads of their own.

Whoever sends sign-ins by the hundred must not take the threads that everything else needs, nor the places of those
who are signed in and prove who they are for a reset.
"""

from collections.abc import Awaitable, Callable
from typing import Final, ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread

from keyturn.core.refusal import Busy
from keyturn.edge.refused import Refused

T = TypeVar("T")
P = ParamSpec("P")
AT_ONCE: Final = 2
"""Of strangers, and of those who are signed in.  Two of all reckon, as far as memory goes, in turn."""
MOST_WAITING: Final = 20


class Slowly:
    """Runs slow work in few threads, and turns away what would wait too long."""

    def __init__(self) -> None:
        self._places = CapacityLimiter(AT_ONCE)

    def __call__(self, work: Callable[P, T]) -> Callable[P, Awaitable[T]]:
        """The same work, to be awaited.  Raises Refused where too many wait already."""

        async def run(*args: P.args, **named: P.kwargs) -> T:
            if self._places.statistics().tasks_waiting >= MOST_WAITING:
                raise Refused(Busy())
            return await to_thread.run_sync(lambda: work(*args, **named), limiter=self._places)

        return run
