"""Cursor pages: newest first; a cursor is opaque to callers."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from typing import Annotated, Final

from fastapi import Query

from keyturn.core.refusal import InvalidField
from keyturn.edge.refused import Refused
from keyturn.ports.page import Page

MOST: Final = 200
USUAL: Final = 50
_LONGEST: Final = 32
_LARGEST: Final = 2**63 - 1

Size = Annotated[int, Query(alias="limit", ge=1, le=MOST, description="How many at most.")]
Cursor = Annotated[str | None, Query(max_length=_LONGEST, description="`next_cursor` of the page before.")]


def asked(size: int, cursor: str | None) -> Page:
    """The page that was asked for, and one row more.  Raises Refused for a cursor that no answer held."""
    return Page(size=size + 1, before=None if cursor is None else _number(cursor))


def cursor(number: int) -> str:
    """The cursor behind the row of that number."""
    return urlsafe_b64encode(str(number).encode()).decode().rstrip("=")


def _number(text: str) -> int:
    try:
        plain = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
    except (NotBase64, ValueError):
        plain = ""
    if not (plain.isascii() and plain.isdigit() and len(plain) < _LONGEST and int(plain) <= _LARGEST):
        raise Refused(InvalidField(field="cursor", reason="not one of ours"))
    return int(plain)
