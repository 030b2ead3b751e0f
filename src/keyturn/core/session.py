"""A signed-in person's session: how it begins, what it may do before the second factor, and when it ends.

Its token is stored as a digest only, and changes whenever the session may do more than before: a token from before
sign-in, or before the second factor, is never one after it.  Both ends are dates: no job has to run for them (R2).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import Enum
from typing import Final

from keyturn.core.account import Role
from keyturn.core.instant import Instant, later

IDLE: Final = timedelta(minutes=30)
LONGEST: Final = timedelta(hours=12)
SEEN_EVERY: Final = timedelta(minutes=1)
"""How often it is written down at most that a session is in use."""
SECOND_FACTOR_WITHIN: Final = timedelta(minutes=10)
SECOND_FACTOR_TRIES: Final = 5
LONGEST_SHOWN: Final = 200


class SessionKind(Enum):
    """How a session came about."""

    PERSON = "person"
    """Somebody signed in."""
    PORTAL = "portal"
    """An operator's credential vouched for a user of one account."""


class SessionStage(Enum):
    """What a session may do."""

    AWAITING_SECOND_FACTOR = "awaiting_second_factor"
    """Nothing but the second step, and to end."""
    OPEN = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spans:
    """How long sessions last, as the settings say."""

    idle: timedelta = IDLE
    longest: timedelta = LONGEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Where somebody who signs in comes from."""

    address: str | None
    user_agent: str = ""
    device: bytes | None = None
    """The digest of the token that this browser was given when its owner signed in before."""
    remember: bool = True
    """Whether this browser is to be known next time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A person signed in, by whichever face.  Its token is stored as a digest only."""

    id: str
    user_id: str
    account_id: str
    role: Role
    started_at: Instant
    seen_at: Instant
    ends_at: Instant
    """The latest end, however busy it is."""
    idle_ends_at: Instant
    """The end, if it is not used again."""
    stage: SessionStage = SessionStage.OPEN
    kind: SessionKind = SessionKind.PERSON
    version: int = 1
    """Which of its tokens is good: each one takes the place of the one before."""
    how: tuple[str, ...] = ()
    """What was shown to open it: `password`, `totp`, `oidc`."""
    refused_steps: int = 0
    """How often a wrong second factor was shown."""
    address: str | None = None
    """Where it began, for its owner to recognise; it decides nothing."""
    user_agent: str = ""
    vouched: Mapping[str, str] = field(default_factory=dict)
    """Of a portal session: the proofs the operator vouches for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A browser in which its user has signed in before, known by a token of its own."""

    id: str
    user_id: str
    made_at: Instant
    seen_at: Instant


def begin(
    session_id: str,
    *,
    user_id: str,
    account_id: str,
    role: Role,
    how: tuple[str, ...],
    second_factor: bool,
    visitor: Visitor,
    spans: Spans,
    now: Instant,
) -> Session:
    """The session of somebody whose proof was right; `second_factor`: another one is still to be shown."""
    longest = SECOND_FACTOR_WITHIN if second_factor else spans.longest
    ends_at = later(now, longest)
    return Session(
        id=session_id,
        user_id=user_id,
        account_id=account_id,
        role=role,
        started_at=now,
        seen_at=now,
        ends_at=ends_at,
        idle_ends_at=min(ends_at, later(now, spans.idle)),
        stage=SessionStage.AWAITING_SECOND_FACTOR if second_factor else SessionStage.OPEN,
        how=how,
        address=visitor.address,
        user_agent=shown_text(visitor.user_agent),
    )


def is_on(session: Session, now: Instant) -> bool:
    """Whether neither end has come, whatever its stage."""
    return now < session.ends_at and now < session.idle_ends_at


def is_open(session: Session, now: Instant) -> bool:
    """Whether it may do what its owner may."""
    return session.stage is SessionStage.OPEN and is_on(session, now)


def awaits_second_factor(session: Session, now: Instant) -> bool:
    """Whether the second step is still to come, and may still come."""
    return session.stage is SessionStage.AWAITING_SECOND_FACTOR and is_on(session, now)


def opened(session: Session, *, how: str, spans: Spans, now: Instant) -> Session:
    """The same after its second step: another token, and the whole span from now on."""
    ends_at = later(now, spans.longest)
    return replace(
        session,
        stage=SessionStage.OPEN,
        version=session.version + 1,
        how=(*session.how, how),
        seen_at=now,
        ends_at=ends_at,
        idle_ends_at=min(ends_at, later(now, spans.idle)),
    )


def count_refused_step(session: Session) -> tuple[Session | None, int]:
    """One more wrong second factor: the session and the tries that are left; None where it has ended with the last."""
    counted = replace(session, refused_steps=session.refused_steps + 1)
    left = max(0, SECOND_FACTOR_TRIES - counted.refused_steps)
    return (counted if left else None), left


def rotated(session: Session) -> Session:
    """The same under another token; nothing lasts longer for it."""
    return replace(session, version=session.version + 1)


def is_due(session: Session, now: Instant) -> bool:
    """Whether its use is to be written down again."""
    return now - session.seen_at >= SEEN_EVERY


def seen(session: Session, *, spans: Spans, now: Instant) -> Session:
    """The same, used now; an end that has come stays."""
    return replace(session, seen_at=now, idle_ends_at=min(session.ends_at, later(now, spans.idle)))


def shown_text(text: str) -> str:
    """What a stranger's program calls itself, safe to show: printable, without direction marks, short (pitfall 27)."""
    kept = "".join(one if one.isprintable() else " " for one in text[: 4 * LONGEST_SHOWN])
    return " ".join(kept.split())[:LONGEST_SHOWN]
