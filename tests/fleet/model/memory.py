"""Steps of one process are asked for again and again, in states that differ elsewhere: so they are remembered."""

from collections.abc import Callable, Iterator
from functools import lru_cache, wraps
from typing import ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")

MANY = 100_000


def remembered(generator: Callable[P, Iterator[T]]) -> Callable[P, tuple[T, ...]]:
    """The function with all that it yields as a tuple, kept for arguments that come again."""

    @wraps(generator)
    def whole(*args: P.args, **kwargs: P.kwargs) -> tuple[T, ...]:
        return tuple(generator(*args, **kwargs))

    return cast("Callable[P, tuple[T, ...]]", lru_cache(maxsize=MANY)(whole))
