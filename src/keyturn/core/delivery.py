"""What still has to reach one address or webhook, and what becomes of it after each attempt (R51).

Every delivery is made at least once.  One whose acceptance got lost is made again under the same id, so that the second
is known for what it is.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum
from typing import Final

from keyturn.core.instant import Instant, later
from keyturn.core.letter import Letter
from keyturn.core.notice import Notice

PAUSES: Final = tuple(timedelta(seconds=each) for each in (5, 15, 60, 300, 900, 1800, 3600))
"""Between one attempt and the next; the last one goes on."""
TRIED_FOR: Final = timedelta(days=3)
LEASE: Final = timedelta(seconds=90)
"""How long one attempt may take: nobody else makes it meanwhile, and afterwards anybody may."""
KEEPS_PLACE_FOR: Final = 5
"""So often the other side may answer "not now" before later deliveries stop waiting behind this one."""
LONGEST_SAID: Final = 120


class Means(Enum):
    """By which way."""

    MAIL = "mail"
    WEBHOOK = "webhook"


class State(Enum):
    """Where it stands."""

    WAITING = "waiting"
    TOLD = "told"
    """The other side has taken it."""
    REFUSED = "refused"
    """The other side never will."""
    GIVEN_UP = "given_up"
    """Nobody took it in all that time."""
    LAPSED = "lapsed"
    """It was of no use any more before it could be made: its link had ended, its webhook was gone."""


class Result(Enum):
    """What came of one attempt."""

    TAKEN = "taken"
    REFUSED = "refused"
    DEFERRED = "deferred"
    """The other side answered: not now."""
    UNREACHABLE = "unreachable"
    """The other side did not answer, or what it answered got lost."""
    LAPSED = "lapsed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try, and what the other side said: a status, never an address nor a body."""

    result: Result
    said: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One notice or letter to one address or webhook."""

    id: str
    """Stable over all attempts: it makes the Message-ID of a mail and the `webhook-id` of a call."""
    means: Means
    to: str
    """An address, or a webhook's id."""
    user_id: str = ""
    """Whose address it is."""
    account_id: str = ""
    link_id: str = ""
    """The one link in the mail."""
    notice_number: int | None = None
    letter_number: int | None = None
    made_at: Instant
    due_at: Instant
    in_order: bool = True
    """Whether it waits for earlier ones to the same place, and later ones for it."""
    attempts: int = 0
    first_tried_at: Instant | None = None
    leased_until: Instant | None = None
    leased_by: str = ""
    state: State = State.WAITING
    settled_at: Instant | None = None
    said: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What waits to be told by one way."""

    means: Means
    waiting: int
    oldest_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """A delivery with all that is needed to make it."""

    delivery: Delivery
    at: Instant
    """When what it tells of happened."""
    notice: Notice | None = None
    letter: Letter | None = None


def leased(delivery: Delivery, *, by: str, now: Instant) -> Delivery:
    """Taken in hand for one attempt."""
    return replace(
        delivery,
        leased_by=by,
        leased_until=later(now, LEASE),
        attempts=delivery.attempts + 1,
        first_tried_at=delivery.first_tried_at or now,
    )


def tried(delivery: Delivery, attempt: Attempt, *, now: Instant) -> Delivery:
    """What becomes of a delivery that was taken in hand."""
    free = replace(delivery, leased_by="", leased_until=None, said=attempt.said[:LONGEST_SAID])
    ended = {Result.TAKEN: State.TOLD, Result.REFUSED: State.REFUSED, Result.LAPSED: State.LAPSED}.get(attempt.result)
    last = later(delivery.first_tried_at or now, TRIED_FOR)
    if ended is None and now >= last:
        ended = State.GIVEN_UP
    if ended is not None:
        return replace(free, state=ended, settled_at=now)
    pause = PAUSES[min(max(delivery.attempts, 1), len(PAUSES)) - 1]
    held_up = attempt.result is Result.DEFERRED and delivery.attempts >= KEEPS_PLACE_FOR
    return replace(free, due_at=min(later(now, pause), last), in_order=delivery.in_order and not held_up)


def masked(address: str) -> str:
    """An address for a list that others read: enough to tell one's own."""
    local, at, domain = address.rpartition("@")
    return f"{local[:1]}…{at}{domain}" if at else address
