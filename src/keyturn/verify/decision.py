"""The one decision, for warm and cold requests alike (R2, R24, pitfall 5).

`judge` is a pure function of a key's entry, the time, the wanted permissions and the address.
Its answer carries the span of time for which it stays the answer, so it may be remembered: a remembered judgement is
not a second, faster decision but the same one.  What depends on earlier requests, the limit, is asked last, of
`Counters` or `Shares`; so a request refused for another reason uses up nothing.
"""

from typing import Final, NamedTuple

from keyturn.core import permission
from keyturn.verify.entry import REVOKED, SIGNS, STOPPED, SUSPENDED, WATCHED, EntryView, Profile, view
from keyturn.verify.usage import Way

VALID: Final = "valid"
UNKNOWN: Final = "unknown"
MALFORMED: Final = "malformed"
NOT_YET_ACTIVE: Final = "not_yet_active"
REPLACED: Final = "replaced"
IS_REVOKED: Final = "revoked"
EXPIRED: Final = "expired"
IS_SUSPENDED: Final = "suspended"
IP_NOT_ALLOWED: Final = "ip_not_allowed"
PERMISSION_MISSING: Final = "permission_missing"
RATE_LIMITED: Final = "rate_limited"
STALE: Final = "stale"
"""Of a signed request: signed too long ago, in the future, or run out."""
REPLAYED: Final = "replayed"
"""Of a signed request: the very same one was accepted here before."""
ASK: Final = "ask"
"""No answer: all but the limit allows the request, and this process has no share of that to spend (F15)."""
CODES: Final = (
    VALID,
    UNKNOWN,
    MALFORMED,
    NOT_YET_ACTIVE,
    REPLACED,
    IS_REVOKED,
    EXPIRED,
    IS_SUSPENDED,
    IP_NOT_ALLOWED,
    PERMISSION_MISSING,
    RATE_LIMITED,
    STALE,
    REPLAYED,
)
STATUS_OF: Final = dict.fromkeys(CODES, 401) | {
    VALID: 200,
    IP_NOT_ALLOWED: 403,
    PERMISSION_MISSING: 403,
    RATE_LIMITED: 429,
}
"""The HTTP status of an answer to whoever presented the key."""

BORROW: Final = -1
"""In the place of a wait: nothing is known of the limit here, so a share of it has to be borrowed."""

_MICROS: Final = 1_000_000
_ALWAYS: Final = 1 << 62
_NO_PROFILE: Final = Profile((), (), None)
_NOWHERE: Final = Way(-1, None, ())


class Verdict(NamedTuple):
    """What was decided, and of what."""

    code: str
    entry: bytes
    """The key as it was decided on; empty for `unknown`, `malformed` and `MISS`."""
    profile: Profile
    """What it holds; of a `valid` one in its cool-down what it may do so far (R24)."""
    wait: int
    """Microseconds until a `rate_limited` request fits again; 0 for every other code."""

    @property
    def valid(self) -> bool:
        """Whether the request may go on."""
        return self.code == VALID

    def __bool__(self) -> bool:
        """The same: a tuple would be true whatever it says."""
        return self.code == VALID

    @property
    def view(self) -> EntryView | None:
        """The key's names and dates, or None for a stranger's."""
        return view(self.entry) if self.entry else None

    @property
    def retry_after(self) -> int:
        """Whole seconds after which a `rate_limited` request fits again."""
        return -(-self.wait // _MICROS)


UNKNOWN_VERDICT: Final = Verdict(UNKNOWN, b"", _NO_PROFILE, 0)
MALFORMED_VERDICT: Final = Verdict(MALFORMED, b"", _NO_PROFILE, 0)
STALE_VERDICT: Final = Verdict(STALE, b"", _NO_PROFILE, 0)
MISS: Final = Verdict("miss", b"", _NO_PROFILE, 0)
"""Not a verdict: the cache does not know, the store has to be asked.  Compared with `is`."""


def wait_verdict(wait: int) -> Verdict:
    """`rate_limited`, of no key: so many wrong secrets came for its label that the next one waits (R42)."""
    return Verdict(RATE_LIMITED, b"", _NO_PROFILE, wait)


class Judgement(NamedTuple):
    """A verdict as far as the key alone settles it, and from when until when (microseconds) it stays the same."""

    since: int
    until: int
    verdict: Verdict
    number: int
    """The key whose limit is to be asked and whose use is to be noted; -1 where the request is refused already."""
    interval: int
    """Microseconds of its window that one request uses up; 0 where there is no limit."""
    window: int
    watched: int
    """The version, where its uses are to be reported; else 0."""
    way: Way
    """Where its uses are counted."""


def judge(
    entry: bytes,
    profile: Profile,
    now: int,
    wanted: tuple[str, ...],
    ip: str | None,
    *,
    earliest: int | None = None,
    signed: bool = False,
) -> Judgement:
    """Decide on one secret at `now`, in microseconds, all but the limit.

    Where the time is known within bounds only, `now` is the latest it can be and `earliest` the other end: what stops
    has stopped by the one, what starts has started by the other (F8).
    `wanted` are canonical permissions, all of which it must hold; `profile` is the one that the entry names.
    `signed` says that the request's signature was checked with the public key this entry is about (R42).
    """
    seen = view(entry)
    if bool(seen.flags & SIGNS) != signed:
        # A public key is public: whoever shows it, or anything made of it, has shown nothing.
        return Judgement(-_ALWAYS, _ALWAYS, UNKNOWN_VERDICT, -1, 0, 0, 0, _NOWHERE)
    earliest = now if earliest is None else earliest
    code = _by_state(seen, now, earliest, wanted)
    if code is None:
        if not profile.admits(ip):
            code = IP_NOT_ALLOWED
        elif not profile.grants(wanted):
            code = PERMISSION_MISSING
        else:
            code = VALID
    # The time enters by comparison with these four dates alone, so the answer is the same between two neighbours.
    dates = (seen.starts, seen.dangerous_starts, seen.stops, seen.expires)
    since = max((date for date in dates if date <= now), default=-_ALWAYS)
    until = min((date for date in dates if date > now), default=_ALWAYS)
    if any(earliest < date <= now for date in dates[:2]):
        until = now + 1  # not until one of them, but until more is known
    if code != VALID:
        verdict = Verdict(code, entry, profile, 0)
        return Judgement(since, until, verdict, -1, 0, 0, 0, _NOWHERE)
    # What the caller may do now is read from the verdict too: no more than what would be granted (R24).
    held = profile.reading if earliest < seen.dangerous_starts else profile
    verdict = Verdict(code, entry, held, 0)
    watched = seen.version if seen.flags & WATCHED else 0
    way = Way(seen.number, ip, wanted)
    return Judgement(since, until, verdict, seen.number, profile.interval, profile.window, watched, way)


def _by_state(seen: EntryView, now: int, earliest: int, wanted: tuple[str, ...]) -> str | None:
    """What the flags and dates alone say against the request, or None."""
    if seen.flags & REVOKED:
        return IS_REVOKED
    if seen.flags & STOPPED or now >= seen.stops:
        return _stopped(seen, now)
    if now >= seen.expires:
        return EXPIRED
    if seen.flags & SUSPENDED:
        return IS_SUSPENDED
    if earliest < seen.starts or (earliest < seen.dangerous_starts and any(map(permission.action_rank, wanted))):
        return NOT_YET_ACTIVE
    return None


def stop_of(entry: bytes, now: int) -> str | None:
    """Why the secret is accepted no longer, where that is so, whatever is asked of it."""
    code = _by_state(view(entry), now, now, ())
    return None if code == NOT_YET_ACTIVE else code


def _stopped(seen: EntryView, now: int) -> str:
    if seen.replaced_by:
        return REPLACED
    if not seen.flags & STOPPED and now >= seen.expires:
        return EXPIRED  # it ran out together with its key; nobody stopped it
    return IS_REVOKED
