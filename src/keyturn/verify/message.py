"""The messages of `/v1/feed` as lines of JSON.

What cannot be read is `ValueError`, and ends the stream: a message that was forged, cut or garbled extends nothing.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from keyturn.core import feed
from keyturn.core.feed import FeedEntry
from keyturn.core.instant import from_micros, to_micros
from keyturn.core.lease import DENIALS, LONGEST_STALE, Acknowledgement, Denial, Grant, Push, Renewal, Terms
from keyturn.core.share import Rest
from keyturn.verify.usage import LONGEST_AGENT, Callers, Origin, Tally, Uses

LONGEST_NAME: Final = 80
MOST_USES: Final = 1000
"""Of each kind in one message."""
_MOST: Final = 1 << 62
_LATEST: Final = 253_402_300_800_000_000  # the year 10000
_MOST_TIMES: Final = 1_000_000_000
_MOST_VERSIONS: Final = 1 << 31


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a verifier has counted since its last report (R33)."""

    last: tuple[tuple[int, int], ...]
    """By key number the latest accepted use."""
    watched: tuple[tuple[Origin, Tally], ...]
    callers: tuple[Callers, ...]


def reports(uses: Uses, callers: Sequence[Callers]) -> Iterator[Report]:
    """All of it, in messages of bounded length."""
    last, watched = tuple(uses.last.items()), tuple(uses.watched.items())
    for at in range(0, max(len(last), len(watched), len(callers)), MOST_USES):
        part = slice(at, at + MOST_USES)
        yield Report(last=last[part], watched=watched[part], callers=tuple(callers[part]))


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveBack:
    """What a verifier spends no more of its shares (F15)."""

    rests: tuple[Rest, ...]


def give_backs(rests: Sequence[Rest]) -> Iterator[GiveBack]:
    """All of it, in messages of bounded length."""
    for at in range(0, len(rests), MOST_USES):
        yield GiveBack(rests=tuple(rests[at : at + MOST_USES]))


Message = Terms | Renewal | Grant | Push | Acknowledgement | Denial | Report | GiveBack
_KINDS: Final[Mapping[str, type[Message]]] = {
    "terms": Terms,
    "renew": Renewal,
    "grant": Grant,
    "push": Push,
    "ack": Acknowledgement,
    "deny": Denial,
    "used": Report,
    "give_back": GiveBack,
}
_NAMES: Final = {of: name for name, of in _KINDS.items()}


def write(message: Message) -> bytes:
    """One line, its end included."""
    plain: dict[str, Any] = {"kind": _NAMES[type(message)]}
    for one in fields(message):
        value = getattr(message, one.name)
        plain[one.name] = _WRITE[one.name](value) if one.name in _WRITE else value
    return json.dumps(plain, separators=(",", ":")).encode() + b"\n"


def read(line: bytes) -> Message:
    """The inverse of `write`.  Raises ValueError for anything it would not have written."""
    try:
        plain = json.loads(line)
        kind = _KINDS[plain.pop("kind")]
        if plain.keys() == {one.name for one in fields(kind)}:
            return kind(**{name: _READ[name](value) for name, value in plain.items()})
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("no message of this protocol") from error
    raise ValueError("no message of this protocol")


def _entry(entry: FeedEntry) -> dict[str, Any]:
    return {"rev": entry.rev, "at": to_micros(entry.at), "change": feed.to_plain(entry.change)}


def _number(value: Any, below: int = _MOST) -> int:  # noqa: ANN401  # any JSON
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < below:
        msg = "a whole number that is neither negative nor too high"
        raise ValueError(msg)
    return value


def _text(value: Any) -> str:  # noqa: ANN401  # as above
    if not isinstance(value, str) or len(value) > LONGEST_NAME or not (value.isprintable() and value.isascii()):
        msg = "a short text"
        raise ValueError(msg)
    return value


def _instance(value: Any) -> str:  # noqa: ANN401  # as above
    if not _text(value) or " " in value:  # receipts list them with spaces in between
        msg = "an instance has a name, of one word"
        raise ValueError(msg)
    return str(value)


def _flag(value: Any) -> bool:  # noqa: ANN401  # as above
    if not isinstance(value, bool):
        msg = "true or false"
        raise ValueError(msg)  # noqa: TRY004  # one kind of error for every bad line
    return value


def _reason(value: Any) -> str:  # noqa: ANN401  # as above
    if value not in DENIALS:
        msg = "no reason of this protocol"
        raise ValueError(msg)
    return str(value)


def _entries(value: Any) -> tuple[FeedEntry, ...]:  # noqa: ANN401  # as above
    try:
        return tuple(
            FeedEntry(
                rev=_number(one["rev"]), at=from_micros(_number(one["at"])), change=feed.from_plain(one["change"])
            )
            for one in _rows(value, _MOST)
        )
    except (KeyError, TypeError, OverflowError) as error:
        msg = "no feed entry"
        raise ValueError(msg) from error


def _rows(value: Any, most: int = MOST_USES) -> list[Any]:  # noqa: ANN401  # as above
    if not isinstance(value, list) or len(value) > most:
        msg = "a list that is not too long"
        raise ValueError(msg)
    return value


def _last(value: Any) -> tuple[tuple[int, int], ...]:  # noqa: ANN401  # as above
    return tuple((_number(number), _number(at, _LATEST)) for number, at in _rows(value))


def _watched(value: Any) -> tuple[tuple[Origin, Tally], ...]:  # noqa: ANN401  # as above
    return tuple(
        (
            Origin(_number(number), _number(version, _MOST_VERSIONS), _address(ip), _texts(wanted), _agent(agent)),
            Tally(_number(count, _MOST_TIMES), _number(first, _LATEST), _number(last, _LATEST)),
        )
        for number, version, ip, wanted, agent, count, first, last in _rows(value)
    )


def _callers(value: Any) -> tuple[Callers, ...]:  # noqa: ANN401  # as above
    return tuple(
        Callers(
            _number(number),
            _address(ip),
            _texts(wanted),
            _agent(agent),
            _number(times, _MOST_TIMES),
            _number(last, _LATEST),
        )
        for number, ip, wanted, agent, times, last in _rows(value)
    )


def _rests(value: Any) -> tuple[Rest, ...]:  # noqa: ANN401  # as above
    return tuple(
        Rest(key_id=_text(key_id), loan=_text(loan), requests=_number(requests, _MOST_TIMES + 1))
        for key_id, loan, requests in _rows(value)
    )


def _address(value: Any) -> str | None:  # noqa: ANN401  # as above
    return None if value is None else _text(value)


def _texts(value: Any) -> tuple[str, ...]:  # noqa: ANN401  # as above
    return tuple(_text(one) for one in _rows(value))


def _agent(value: Any) -> str:  # noqa: ANN401  # as above
    if not isinstance(value, str) or len(value) > LONGEST_AGENT:
        msg = "a program's name"
        raise ValueError(msg)
    return value


_NUMBERS: Final = (
    *("nonce", "epoch", "rev", "applied_rev", "acked_rev"),
    *("length", "margin", "width", "time", "at", "applied_at"),
)
_WRITE: Final[Mapping[str, Callable[[Any], Any]]] = {
    "entries": lambda value: [_entry(each) for each in value],
    "rests": lambda value: [[one.key_id, one.loan, one.requests] for one in value],
    "watched": lambda value: [[*origin, tally.count, tally.first, tally.last] for origin, tally in value],
}
_READ: Final[Mapping[str, Callable[[Any], Any]]] = {
    "instance": _instance,
    "name": _text,
    "reason": _reason,
    "entries": _entries,
    "anew": _flag,
    "stale": lambda value: _number(value, LONGEST_STALE + 1),
    "last": _last,
    "watched": _watched,
    "callers": _callers,
    "rests": _rests,
} | dict.fromkeys(_NUMBERS, _number)
