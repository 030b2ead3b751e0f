"""One request of the SDK, not yet sent, and how its parts are written."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Final, TypeVar
from urllib.parse import quote
from uuid import uuid4

from keyturn.core import duration

A = TypeVar("A")
"""What a call answers: a JSON object, or something to await for one."""


class Unchanged(Enum):
    FIELD = "unchanged"


UNCHANGED: Final = Unchanged.FIELD
"""In an edit: leave this field alone.  None means to drop it."""

Permissions = Iterable[str]
_VISIBLE: Final = re.compile(r"[!-~]{1,255}")


class BadArgument(ValueError):  # noqa: N818  # says what is wrong with the call
    """What cannot be sent, so nothing was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, not yet sent.  Its `repr` shows neither body nor headers: they may hold a secret."""

    method: str
    path: str
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    query: Mapping[str, str] = field(default_factory=dict)
    idempotency_key: str = ""
    """Sent again unchanged with each retry, so that a lost answer never makes a second key or secret."""

    @property
    def may_be_repeated(self) -> bool:
        """Whether sending it twice does no more than sending it once."""
        return self.method == "GET" or bool(self.idempotency_key)


def part(text: str) -> str:
    """One path segment, whatever was given.  An empty one would name another address."""
    if not text or text in (".", ".."):
        raise BadArgument("an id is missing")
    return quote(text, safe="")


def get(path: str, **query: str | int | None) -> Call:
    """A question; what is None is left out of the query."""
    return Call(method="GET", path=path, query={name: str(value) for name, value in query.items() if value is not None})


def post(path: str, body: Mapping[str, Any] | None = None) -> Call:
    """A call that may not be repeated."""
    return Call(method="POST", path=path, body=body or {})


def delete(path: str) -> Call:
    """A call that takes something away."""
    return Call(method="DELETE", path=path)


def once(path: str, body: Mapping[str, Any], idempotency_key: str | None) -> Call:
    """A call that is carried out once, however often it is sent."""
    if idempotency_key is not None and not _VISIBLE.fullmatch(idempotency_key):
        raise BadArgument("an Idempotency-Key is 1 to 255 visible ASCII characters, without spaces")
    return Call(method="POST", path=path, body=body, idempotency_key=idempotency_key or str(uuid4()))


def given(**fields: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON values
    """The fields that were given."""
    return {name: value for name, value in fields.items() if value is not None}


def changed(**fields: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON values
    """The fields of an edit that are to change."""
    return {name: value for name, value in fields.items() if value is not UNCHANGED}


def texts(texts: Iterable[str] | None) -> list[str] | None:
    """A list of texts as JSON writes it."""
    if isinstance(texts, str):
        raise TypeError("a list of texts, not one text")
    return None if texts is None else list(texts)


def instant(value: datetime | str | None) -> str | None:
    """A time as the API writes it."""
    if not isinstance(value, datetime):
        return value
    if value.tzinfo is None:
        raise BadArgument("an instant needs its time zone")
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def span(value: timedelta | str | None) -> str | None:
    """A duration as the API writes it."""
    return duration.to_text(value) if isinstance(value, timedelta) else value
