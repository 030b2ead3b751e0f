"""Where a list goes on."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Where a list goes on: rows before `before` (an internal number, newest first), at most `size`."""

    size: int
    before: int | None = None
