"""A tiny model of R2 and R20, written from the clauses alone: lists, flags and dates, no code of keyturn's core.

The state machine of `test_laws.py` tells it what happened and asks it what must be accepted.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

NEVER = datetime(9999, 12, 31, 23, 59, 59)  # noqa: DTZ001  # naive like every date here
REVOKE_FIRST = ("leaked", "suspicious")


@dataclass
class Terms:
    """What a policy says, as far as dates go.  Times are naive: microseconds matter, zones do not."""

    cool_down: timedelta = timedelta(0)
    dangerous_only: bool = False
    grace_default: timedelta = timedelta(0)
    grace_max: timedelta | None = timedelta(days=7)
    """None: until stopped."""
    wait: bool = False
    quiet: timedelta | None = None


@dataclass
class MSecret:
    text: str
    starts: datetime
    dangerous: datetime
    stops: datetime = NEVER
    dead: bool = False
    killer: str = ""
    watched: bool = False
    last_use: datetime | None = None

    def over(self, now: datetime) -> bool:
        return self.dead or now >= self.stops


@dataclass
class MReset:
    id: str
    reason: str
    by: str
    asked: datetime
    terms: Terms
    grace: timedelta | None
    """None: until stopped."""
    longest: timedelta | None
    stage: str = "asked"
    proved: datetime | None = None
    wrong: int = 0
    new: int = -1
    minted: datetime | None = None
    first_use: datetime | None = None

    def open(self, now: datetime) -> bool:
        return self.stage in ("asked", "proven") and now < self.asked + timedelta(minutes=30)


@dataclass
class MKey:
    id: str
    expires: datetime
    secrets: list[MSecret] = field(default_factory=list)
    resets: list[MReset] = field(default_factory=list)
    suspended: bool = False
    revoked: bool = False

    def accepted(self, index: int, now: datetime, *, write: bool) -> bool:
        """R2 and R24, word for word."""
        one = self.secrets[index]
        if self.revoked or self.suspended or now >= self.expires or one.dead:
            return False
        return (one.dangerous if write else one.starts) <= now < one.stops

    def open_reset(self, now: datetime) -> MReset | None:
        return next((one for one in self.resets if one.open(now)), None)

    def ask(self, reset: MReset) -> None:
        self.resets.append(reset)
        if reset.reason in REVOKE_FIRST:
            self.suspended = True

    def prove(self, reset: MReset, now: datetime) -> None:
        reset.stage, reset.proved = "proven", now
        if reset.reason in REVOKE_FIRST:
            for one in self.secrets:
                kill(one, now, reset.id)

    def mint(self, reset: MReset, text: str, now: datetime) -> None:
        terms = reset.terms
        full = plus(now, terms.cool_down)
        start = now if terms.dangerous_only else full
        last = self.secrets[-1]
        waiting = last if not last.over(now) and (now < last.starts or now < last.dangerous) else None
        if waiting is not None:
            start, full = max(now, waiting.starts), max(now, waiting.dangerous)
        live = [one for one in self.secrets if not one.over(now) and one is not waiting]
        for one in live[:-1]:
            bring(one, start, now)
        for one in live[-1:]:
            bring(one, min(plus(full, reset.longest), self.expires), now)
            one.watched = not one.over(now)
        if waiting is not None:
            kill(waiting, now, reset.id)
        for other in self.resets:
            never = other.stage == "minted" and other.new == len(self.secrets) - 1 and now < last.starts
            if never and last.killer == reset.id:
                other.stage = "ended"
        self.secrets.append(MSecret(text, start, full, watched=True))
        reset.stage, reset.minted, reset.new = "minted", now, len(self.secrets) - 1
        if reset.reason in REVOKE_FIRST:
            self.suspended = False

    def first_use(self, index: int, used: datetime, now: datetime) -> None:
        """What verifiers report: the new secret was used."""
        for reset in self.resets:
            if reset.new == index and reset.stage == "minted" and reset.first_use is None:
                reset.first_use = used
                self.secrets[index].watched = False
                for one in self.secrets[:index]:
                    bring(one, plus(max(used, self.secrets[index].dangerous), reset.grace), now)

    def end_quiet(self, now: datetime) -> None:
        """R33."""
        for reset in reversed(self.resets):
            old = self.secrets[: max(reset.new, 0)]
            if reset.stage != "minted" or reset.first_use is None or reset.terms.quiet is None or reset.minted is None:
                continue
            if now < self.secrets[reset.new].dangerous:
                continue
            since = max([reset.minted, *(one.last_use for one in old if one.last_use)])
            if now - since >= reset.terms.quiet:
                for one in old:
                    kill(one, now)

    def finish(self, reset: MReset, now: datetime) -> bool:
        """Whether it changed anything."""
        old = [one for one in self.secrets[: reset.new] if not one.over(now)]
        for one in old:
            kill(one, now)
        return bool(old)


def plus(start: datetime, span: timedelta | None) -> datetime:
    """A date, or never."""
    if span is None:
        return NEVER
    return start + span


def kill(secret: MSecret, now: datetime, by: str = "") -> None:
    """Stopped for good, unless it is over already."""
    if not secret.over(now):
        secret.dead, secret.watched, secret.killer = True, False, by


def bring(secret: MSecret, end: datetime, now: datetime) -> None:
    """Dates only ever move earlier."""
    if secret.over(now) or end >= secret.stops:
        return
    if end <= now:
        kill(secret, now)
    else:
        secret.stops = end
