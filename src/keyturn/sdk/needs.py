"""Which permission a request needs, by its method and path.  What nothing is said of is refused, never let through."""

import re
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import lru_cache
from typing import Final, Protocol

from keyturn.core.permission import RIGHT_PREFIX, parse

READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_ALSO_GET: Final = frozenset({"HEAD", "OPTIONS"})
"""Where they are not named themselves they need what GET does, for most applications answer HEAD like GET, and views
that look at no method answer OPTIONS so."""
_MOST_REMEMBERED: Final = 4096
_AMBIGUOUS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\\]|%(?:[01][0-9a-f]|2[ef]|5c|7f)", re.IGNORECASE)
"""What ends a line (for `$` in a pattern may stand before its end), what is a slash to some, and what becomes a slash,
a dot or one of these for whoever decodes a path twice."""


class Access(Enum):
    OPEN = "open to everybody: no key is asked for"


OPEN: Final = Access.OPEN

Named = str | Iterable[str]
"""A permission (`orders:admin`), or a resource (`orders`): its `read` for GET, HEAD and OPTIONS, else its `write`.

Of several, all; of none, `()`, any key that is accepted.
"""
Need = Named | Access
Needs = Need | Mapping[str, Need] | Callable[[str, str], Need | None]
"""The same need for all requests, or by path (`"/orders"`, `"DELETE /orders"`), or what a function of method and path
answers: None refuses."""
Wanted = tuple[str, ...] | Access | None
"""Canonical permissions, or None for a request that is refused whatever key it shows."""


class Finder(Protocol):
    """Answers the need of a request by its method and path."""

    def __call__(self, method: str, path: str, /) -> Wanted:
        """What it needs."""

    def beside(self, method: str, path: str, /) -> Wanted:
        """What it needs besides, since its path may be read as this one too."""


def finder(needs: Needs) -> Finder:
    """What answers each request's need.  Raises ValueError for what is none."""
    if isinstance(needs, Mapping):
        return _ByPath(needs)
    return _ByFunction(needs) if callable(needs) else _Read(needs)


def strictest(one: Wanted, other: Wanted) -> Wanted:
    """What satisfies both."""
    if one is None or other is None:
        return None
    if isinstance(one, Access):
        return other
    return one if isinstance(other, Access) else tuple(dict.fromkeys(one + other))


def named(need: Named, method: str) -> tuple[str, ...]:
    """The permissions that a request with this method needs.  Raises ValueError for what is none."""
    reads = method in READING
    return tuple(_full(one, reads=reads) for one in ((need,) if isinstance(need, str) else need))


def kept(need: Named) -> str | tuple[str, ...]:
    """The same need, read once beforehand so that a mistake shows at the start.  Raises ValueError."""
    held = need if isinstance(need, str) else tuple(need)
    named(held, "GET")
    return held


def _wanted(need: Need | None, method: str) -> Wanted:
    return need if need is None or isinstance(need, Access) else named(need, method)


@lru_cache(_MOST_REMEMBERED)
def _full(one: str, *, reads: bool) -> str:
    whole = ":" in one or one.startswith(RIGHT_PREFIX)
    try:
        return parse(one if whole else f"{one}:{'read' if reads else 'write'}")
    except ValueError:  # says what was given, and a function's answer may have been made of a request
        raise ValueError("not a permission or a resource; write orders or orders:admin") from None


class _Read:
    """A need as it is for reading and for the rest."""

    def __init__(self, need: Need) -> None:
        held = need if isinstance(need, Access) else kept(need)
        self._reading = _wanted(held, "GET")
        self._rest = _wanted(held, "POST")

    def __call__(self, method: str, _path: str) -> Wanted:
        return self._reading if method in READING else self._rest

    beside = __call__


class _ByFunction:
    """What the function answers, which sees no path that an application may read as another.

    OPTIONS is not asked for as GET, too: to answer OPEN is the one way in which a function can let CORS ask first, as
    a path can that is named with its method.  Nobody has a reason to say less of HEAD.
    """

    def __init__(self, needs: Callable[[str, str], Need | None]) -> None:
        self._needs = needs

    def __call__(self, method: str, path: str) -> Wanted:
        if _segments(path) is None:
            return None
        name = method.upper()
        wanted = _wanted(self._needs(name, path), method)
        return strictest(wanted, _wanted(self._needs("GET", path), method)) if name == "HEAD" else wanted

    beside = __call__


class _ByPath:
    """The longest path that leads to a request's counts; of two alike the one with its method."""

    def __init__(self, needs: Mapping[str, Need]) -> None:
        self._needs: dict[tuple[str, tuple[str, ...]], _Read] = {}
        for at, need in needs.items():
            method, _, path = at.rpartition(" ")
            if not path.startswith("/") or method != method.upper() or _segments(path) is None:
                raise ValueError(f"not a path to name a need for: {at!r}; write '/orders' or 'DELETE /orders'")
            try:
                self._needs[method, _segments(path) or ()] = _Read(need)
            except ValueError as error:
                raise ValueError(f"{at}: {error}") from None
        self._deepest = max((len(path) for _, path in self._needs), default=0)

    def __call__(self, method: str, path: str) -> Wanted:
        segments = _segments(path)
        return None if segments is None else self._of(method, segments)

    def beside(self, method: str, path: str) -> Wanted:
        """Where nothing is said of it, nothing."""
        segments = _segments(path)
        if segments is None:
            return None
        return OPEN if self._longest(method.upper(), segments) is None else self._of(method, segments)

    def _of(self, method: str, segments: tuple[str, ...]) -> Wanted:
        name = method.upper()  # most frameworks take `delete` for DELETE
        found = self._longest(name, segments)
        if found is None:
            return None
        by, need = found
        wanted = need(method, "")
        if name in _ALSO_GET and not by:
            like = self._longest("GET", segments)
            return wanted if like is None else strictest(wanted, like[1](method, ""))
        return wanted

    def _longest(self, method: str, segments: tuple[str, ...]) -> tuple[str, _Read] | None:
        """What is said of the longest path, and for which method: none for all that are not named."""
        for length in range(min(len(segments), self._deepest), -1, -1):
            for by in (method, ""):
                need = self._needs.get((by, segments[:length]))
                if need is not None:
                    return by, need
        return None


def _segments(path: str) -> tuple[str, ...] | None:
    """The parts of a path; None for one that an application may read as another path than the one it says."""
    inner = path.strip("/")
    parts = tuple(inner.split("/")) if inner else ()
    if "//" in path or "." in parts or ".." in parts or _AMBIGUOUS.search(path):
        return None
    return parts
