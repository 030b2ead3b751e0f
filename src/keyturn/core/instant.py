"""Instants and spans: the one kind of wall time the protocol reckons with.

An instant is an aware UTC datetime.  Stores and packed entries hold it as whole microseconds since 1970.
`FOREVER` stands for "no end"; adding a span never passes it.
"""

from datetime import UTC, datetime, timedelta
from typing import Final, NewType

Instant = NewType("Instant", datetime)

EPOCH: Final = Instant(datetime(1970, 1, 1, tzinfo=UTC))
FOREVER: Final = Instant(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))
_MICROSECOND: Final = timedelta(microseconds=1)


def later(start: Instant, span: timedelta) -> Instant:
    """`start + span`, or `FOREVER` where that lies beyond it."""
    if span >= FOREVER - start:
        return FOREVER
    return Instant(start + span)


def to_micros(instant: Instant) -> int:
    """Whole microseconds since 1970-01-01T00:00:00Z."""
    return (instant - EPOCH) // _MICROSECOND


def from_micros(micros: int) -> Instant:
    """The inverse of `to_micros`."""
    return Instant(EPOCH + timedelta(microseconds=micros))


def to_text(instant: Instant) -> str:
    """RFC 3339 in UTC with a `Z`, with a fraction only where there is one."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def from_text(text: str) -> Instant:
    """Read RFC 3339 (section 5.6); an offset is required.  Raises ValueError with a sentence for a person."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        msg = f"not an RFC 3339 time: {text[:40]!r}"
        raise ValueError(msg) from None
    if parsed.tzinfo is None:
        msg = "a time needs its offset, for example 2030-01-31T12:00:00Z"
        raise ValueError(msg)
    try:
        in_utc = parsed.astimezone(UTC)
    except OverflowError:
        msg = f"out of range: {text[:40]!r}"
        raise ValueError(msg) from None
    if not EPOCH <= in_utc <= FOREVER:
        msg = f"out of range: {text[:40]!r}"
        raise ValueError(msg)
    return Instant(in_utc)
