"""What all answers share: instants, and lists."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from keyturn.api import page
from keyturn.core.instant import FOREVER, Instant, to_text

T = TypeVar("T")
Wire = dict[str, Any]


def when(instant: Instant | None) -> str | None:
    """RFC 3339, or null for never."""
    return None if instant is None or instant >= FOREVER else to_text(instant)


def listing(found: Sequence[tuple[int, T]], size: int, show: Callable[[T], Wire]) -> Wire:
    """One page of a list.  One more than `size` was asked for: it tells whether there is a next page."""
    kept = found[:size]
    following = page.cursor(kept[-1][0]) if len(found) > size else None
    return {"items": [show(one) for _, one in kept], "next_cursor": following}
