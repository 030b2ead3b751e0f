"""How often somebody may try to prove who they are: delays that grow with each failure (K8, pitfalls 11, 15).

What is counted, and what it brings about:
`account`  failures for one user from strangers' browsers; it never blocks, it asks for a CAPTCHA
`pair`     for one user from one network; it delays
`network`  from one network, whoever was meant; it delays
`second`   for one user with a wrong second factor, the password being right; it delays
`own`      in a browser in which that user has signed in before, or in their session; it delays, and nothing else does
`letters`  links of one kind that are mailed to one address; more are not sent
`asks`     for such mails, from one network; it delays

So nobody can lock an owner out whose browser is known, and in a new browser a CAPTCHA is enough.
A delay is a date before which no try is looked at: nothing sleeps, and a try that is not looked at costs nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum
from ipaddress import IPv4Address, ip_network
from typing import Final

from keyturn.core.allowlist import parse_address
from keyturn.core.instant import Instant, later


class Counted(Enum):
    """What a counter is of."""

    ACCOUNT = "account"
    PAIR = "pair"
    NETWORK = "network"
    SECOND = "second"
    OWN = "own"
    LETTERS = "letters"
    ASKS = "asks"


FREE: Final = {
    Counted.ACCOUNT: 5,
    Counted.PAIR: 3,
    Counted.NETWORK: 30,
    Counted.SECOND: 10,
    Counted.OWN: 5,
    Counted.LETTERS: 3,
    Counted.ASKS: 20,
}
"""How many go before a counter brings anything about."""
_DAY: Final = timedelta(hours=24)
_HOURS: Final = timedelta(hours=2)
QUIET: Final = {
    Counted.ACCOUNT: _DAY,
    Counted.PAIR: _HOURS,
    Counted.NETWORK: _HOURS,
    Counted.SECOND: _DAY,
    Counted.OWN: _HOURS,
    Counted.LETTERS: timedelta(minutes=30),  # no longer than a link for a new password lasts
    Counted.ASKS: _HOURS,
}
"""After so long without one more a counter begins anew."""
LONGEST_QUIET: Final = max(QUIET.values())
FIRST_DELAY: Final = timedelta(seconds=2)
LONGEST_DELAY: Final = timedelta(minutes=15)
_CLEARED: Final = frozenset({Counted.PAIR, Counted.OWN})
_DOUBLINGS: Final = 16
"""More than it takes from the first delay to the longest."""
_IPV4_PREFIX: Final = 24
_IPV6_PREFIX: Final = 56
"""What one household or office gets: a stranger has a whole such network to try from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """Failures of one kind, for one subject."""

    counted: Counted
    failures: int = 0
    last_failed_at: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """No try is looked at before that instant."""

    until: Instant


@dataclass(frozen=True, slots=True)
class CaptchaFirst:
    """A try is looked at once a CAPTCHA was solved for it."""


def network(address: str | None) -> str:
    """The network that an address is counted with; one for all whose address is not known."""
    if address is None:
        return "unknown"
    parsed = parse_address(address)
    prefix = _IPV4_PREFIX if isinstance(parsed, IPv4Address) else _IPV6_PREFIX
    return str(ip_network((parsed, prefix), strict=False))


def failures(counter: Counter, now: Instant) -> int:
    """How many count now."""
    if counter.last_failed_at is None or now - counter.last_failed_at >= QUIET[counter.counted]:
        return 0
    return counter.failures


def delay(counter: Counter, now: Instant) -> Instant | None:
    """Until when this counter holds tries up, or None."""
    over = failures(counter, now) - FREE[counter.counted]
    if over < 0 or counter.last_failed_at is None or counter.counted is Counted.ACCOUNT:
        return None
    if counter.counted is Counted.LETTERS:
        return later(counter.last_failed_at, QUIET[Counted.LETTERS])
    until = later(counter.last_failed_at, min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(over, _DOUBLINGS)))
    return until if now < until else None


def check(counters: Mapping[Counted, Counter], *, captcha: bool, now: Instant) -> Wait | CaptchaFirst | None:
    """Whether one more try is looked at now; `captcha`: one was solved for it."""
    held = [until for one in counters.values() if (until := delay(one, now)) is not None]
    if held:
        return Wait(until=max(held))
    account = counters.get(Counted.ACCOUNT)
    if account is not None and not captcha and failures(account, now) >= FREE[Counted.ACCOUNT]:
        return CaptchaFirst()
    return None


def failed(counter: Counter, now: Instant) -> Counter:
    """One failure more."""
    return replace(counter, failures=failures(counter, now) + 1, last_failed_at=now)


def succeeded(counter: Counter) -> Counter:
    """After a right try.

    A network's counter stays: whoever has an account of their own could clear it with that, and go on with others'.
    The user's stay too: what strangers tried is not undone by the owner's coming.
    """
    return Counter(counted=counter.counted) if counter.counted in _CLEARED else counter
