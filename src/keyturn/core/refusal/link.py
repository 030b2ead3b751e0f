"""Refused for a mailed link."""

from dataclasses import dataclass
from typing import ClassVar

from keyturn.core.refusal.refusal import Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSpent(Refusal):
    """A mailed link that was used, or whose time is over."""

    kind: ClassVar[str] = "link_spent"
    status: ClassVar[int] = 410
    title: ClassVar[str] = "This link was used already, or its time is over; ask for a new one."


@dataclass(frozen=True, slots=True, kw_only=True)
class TooManyLinks(Refusal):
    """Somebody's mailbox is not to be filled: so many links are mailed for one reset, and no more."""

    kind: ClassVar[str] = "too_many_links"
    status: ClassVar[int] = 429
    title: ClassVar[str] = "No more links are mailed for this reset; use the newest, or prove it another way."
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongBrowser(Refusal):
    """R51: a link proves something only in the browser that asked for it."""

    kind: ClassVar[str] = "wrong_browser"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "Open this link in the browser in which it was asked for."
