"""Durations as people and policies write them: `"90d"`, `"24h"`, `"1h30m"`, `"0s"`, or ISO 8601 (`"P90D"`, `"PT24H"`).

Never a bare number: `90` says nothing of its unit.
Years and months are refused, for they have no fixed length.
"""

import re
from datetime import timedelta
from typing import Final

UNTIL_STOPPED: Final = timedelta.max
"""A grace without an end of its own: the old secret goes on until somebody stops it."""

LONGEST: Final = timedelta(days=36_525)
_UNTIL_STOPPED_TEXT: Final = "until_stopped"
_UNITS: Final = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_SHORT: Final = re.compile(r"(?:([0-9]{1,9})([wdhms]))(?:[0-9]{1,9}[wdhms])*", re.ASCII)
_SHORT_PART: Final = re.compile(r"([0-9]{1,9})([wdhms])", re.ASCII)
_ISO: Final = re.compile(
    r"P(?:(?P<weeks>[0-9]{1,9})W)?(?:(?P<days>[0-9]{1,9})D)?"
    r"(?:T(?=[0-9])(?:(?P<hours>[0-9]{1,9})H)?(?:(?P<minutes>[0-9]{1,9})M)?(?:(?P<seconds>[0-9]{1,9})S)?)?",
    re.ASCII,
)


def parse(text: str) -> timedelta:
    """Read a duration.  Raises ValueError with a sentence for a person."""
    if text == _UNTIL_STOPPED_TEXT:
        return UNTIL_STOPPED
    try:
        span = _parse_iso(text) if text.startswith("P") else _parse_short(text)
    except OverflowError:
        span = UNTIL_STOPPED  # longer than any span can be
    if span is None:
        msg = f'not a duration: {text[:40]!r}; write "90d", "24h", "30m", "0s" or ISO 8601'
        raise ValueError(msg)
    if span > LONGEST:
        msg = f"longer than a hundred years: {text[:40]!r}"
        raise ValueError(msg)
    return span


def to_text(span: timedelta) -> str:
    """The shortest exact form `parse` reads back: `90d`, `1d12h`, `0s`.  Fractions of a second are dropped."""
    if span == UNTIL_STOPPED:
        return _UNTIL_STOPPED_TEXT
    minutes, seconds = divmod(span // timedelta(seconds=1), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"


def _parse_short(text: str) -> timedelta | None:
    if not _SHORT.fullmatch(text):
        return None
    parts = _SHORT_PART.findall(text)
    units = [unit for _, unit in parts]
    if units != sorted(set(units), key="wdhms".index):
        return None  # each unit once, the largest first
    return timedelta(**{_UNITS[unit]: int(count) for count, unit in parts})


def _parse_iso(text: str) -> timedelta | None:
    found = _ISO.fullmatch(text)
    if found is None or not any(found.groups()):
        return None
    return timedelta(**{unit: int(count) for unit, count in found.groupdict().items() if count})
