"""How often a key may be used: so many requests in each window, per key (R23), reckoned by GCRA.

GCRA (generic cell rate algorithm, ITU-T I.371) keeps one number a key: the theoretical arrival time.
It admits a burst of the whole limit and then one request each `window / requests`: in any one window up to twice the
limit less one, namely where it begins with a full burst, and over a longer time no more than the limit in each window.
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from keyturn.core import duration

MOST_REQUESTS: Final = 1_000_000_000
LONGEST_WINDOW: Final = timedelta(days=31)
_NAMED: Final = {"second": "1s", "minute": "1m", "hour": "1h", "day": "1d"}
_LIMIT: Final = re.compile(r"([0-9]{1,10})/([0-9A-Za-z]{1,12})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """`requests` at once, and as many more in each `window` that goes by; shared by all secrets of the key."""

    requests: int
    window: timedelta

    @property
    def interval_micros(self) -> int:
        """Microseconds that one request uses up, rounded up: a little slower rather than a little faster."""
        return -(-self._window // self.requests)

    @property
    def window_micros(self) -> int:
        """Microseconds that as many requests as may come at once use up: the window, rounded up with the interval."""
        return self.interval_micros * self.requests

    @property
    def _window(self) -> int:
        return self.window // timedelta(microseconds=1)


def parse(text: str) -> Limit:
    """Read `"100/1m"` or `"100/minute"`.  Raises ValueError with a sentence for a person."""
    found = _LIMIT.fullmatch(text)
    if found is None:
        msg = f'not a limit: {text[:40]!r}; write requests/window, such as "100/1m"'
        raise ValueError(msg)
    requests = int(found[1])
    window = duration.parse(_NAMED.get(found[2], found[2]))
    if not 1 <= requests <= MOST_REQUESTS:
        msg = f"a limit takes 1 to {MOST_REQUESTS} requests"
        raise ValueError(msg)
    if not timedelta(seconds=1) <= window <= LONGEST_WINDOW:
        msg = "the window of a limit is 1s to 31d"
        raise ValueError(msg)
    return Limit(requests=requests, window=window)


def to_text(limit: Limit) -> str:
    """The form that `parse` reads back."""
    return f"{limit.requests}/{duration.to_text(limit.window)}"


def arrive(arrival: int, *, interval: int, window: int, now: int) -> int | None:
    """One request at `now`: the key's next theoretical arrival time, or None where it is one too many.

    All four are microseconds; `arrival` is 0 for a key not seen yet.
    """
    following = max(arrival, now) + interval
    return following if following - now <= window else None
