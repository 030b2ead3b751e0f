"""The verifier: looks a presented secret up, decides, and follows the feed.  It reads no clock and opens nothing.

The shell asks `verify`; on `MISS` it reads the store, hands the `Fill` to `fill` and asks again (`verify_cold`).
Times are microseconds since 1970, as `core.instant.to_micros` makes them.
The caller has read the clock before it asks, so the time is always read before the entry (F3).
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import takewhile
from threading import Lock
from typing import Final

from keyturn.core.feed import FeedEntry, KeyState, Predicate, SecretState
from keyturn.core.instant import to_micros
from keyturn.core.own_secret import is_presentable
from keyturn.verify.cache import Cache
from keyturn.verify.counters import Counters
from keyturn.verify.decision import (
    ASK,
    CODES,
    MALFORMED,
    MALFORMED_VERDICT,
    MISS,
    RATE_LIMITED,
    REPLAYED,
    STALE,
    STALE_VERDICT,
    UNKNOWN,
    UNKNOWN_VERDICT,
    VALID,
    Judgement,
    Verdict,
    judge,
    stop_of,
)
from keyturn.verify.entry import Profile, header, pack
from keyturn.verify.recent import Recent
from keyturn.verify.shares import Shares
from keyturn.verify.signed import Replays, Signed, is_fresh, read
from keyturn.verify.signers import Signer, Signers, signer_of
from keyturn.verify.usage import Callers, Origin, Usage, Uses, Way

UNKNOWN_FOR: Final = 1_000_000
"""Microseconds for which a stranger's fingerprint is answered without asking the store again (pitfall 14)."""
MOST_UNKNOWN: Final = 10_000
MOST_JUDGEMENTS: Final = 32_768
MOST_SIGNERS: Final = 20_000

_MOST_PAST: Final = 2 * MOST_JUDGEMENTS
_HISTORY: Final = 4096
_TRIES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """What the store knows of one fingerprint, and the revision of the snapshot it was read in (F4)."""

    rev: int
    state: KeyState | None = None
    version: int = 0
    time: int = 0
    """The authority's time as it was read: what was stored by then with that start has started (F8)."""
    epoch: int = 0
    """Of the same snapshot; 0 where there is none.  Revisions of two epochs say nothing of one another (F9)."""

    @property
    def secret(self) -> SecretState | None:
        """The version that was asked for, or None for a stranger's fingerprint."""
        secrets = self.state.secrets if self.state else ()
        return next((secret for secret in secrets if secret.version == self.version), None)


class Verifier:
    """One per process; safe to share between threads.

    A request takes no lock but that of the limits.  `apply` and `fill` take one among themselves, and change what a
    request reads by single dictionary operations: a request finds a key's entry from before a change or from after
    it, and once `apply` has returned only from after (F6).
    """

    def __init__(
        self,
        *,
        most_keys: int = 1_000_000,
        most_profiles: int = 65_536,
        recent: Recent | None = None,
        limits: Counters | Shares | None = None,
    ) -> None:
        """`recent` keeps the entries for others.  Rate limits are counted here unless `limits` says otherwise (F15)."""
        self.floor = 0
        """Nothing is decided as of an earlier time: time never runs back (F8)."""
        self.earliest = 0
        """The latest authority time heard of: it is surely past."""
        self.width = 0
        """By how much `now` may be ahead of the authority: what starts is judged as of that much earlier (F8)."""
        self.applied_rev = 0
        self.applied = (0, 0)
        """The same, and when that entry was written: whether it is the one that others know by this revision (F9)."""
        self.epoch = 0
        self.estranged = False
        """Whether more was applied here than the authority holds now: what has stopped stays so until this begins anew
        (F9)."""
        self.counts: dict[str, int] = dict.fromkeys(CODES, 0)
        """Requests answered, by code.  For metrics: of two threads that count at once, one may be lost."""
        self._recent = recent
        self._cache = Cache(most_keys=most_keys, most_profiles=most_profiles)
        self._entries = self._cache.entries
        self._limits = Counters(most_keys) if limits is None else limits
        self._signers = Signers(MOST_SIGNERS)
        self._replays = Replays()
        self._usage = Usage()
        self._take = self._limits.take
        self._used: dict[int, int] = {}
        # Keyed by all that a judgement follows from, the entry's own bytes among them, so nothing has to be thrown out
        # when a key changes: its new entry is another key of this dictionary.
        self._judged: dict[tuple[bytes, tuple[str, ...], str | None], Judgement] = {}
        # Ways of judgements that are no longer held, for the next drain; the oldest are dropped where nobody drains.
        self._past: deque[Way] = deque(maxlen=_MOST_PAST)
        self._unknown: dict[bytes, int] = {}
        # What the latest entries touched, to judge fills by; and keys that a fill has seen further than the feed has.
        self._touched: deque[tuple[int, int | Predicate]] = deque(maxlen=_HISTORY)
        self._known_since = 0
        self._ahead: dict[int, int] = {}
        self._furthest = 0
        self._writing = Lock()

    def __len__(self) -> int:
        """How many secrets are held."""
        return len(self._entries)

    def verify(
        self,
        presented: str,
        *,
        permissions: tuple[str, ...] = (),
        ip: str | None = None,
        user_agent: str = "",
        now: int,
    ) -> Verdict:
        """Decide on a presented secret at `now`, or answer `MISS`, or ASK where a share of the limit is to be borrowed.

        `permissions` are canonical, as `permission.parse` writes them; all of them are wanted.
        """
        try:
            fingerprint = sha256(presented.encode()).digest()
        except UnicodeEncodeError:
            fingerprint = b""
        entry = self._entries.get(fingerprint)
        if entry is None:
            if not is_presentable(presented):
                return self.malformed()
            return self._stranger(fingerprint, now)
        return self.decide(entry, permissions, ip, user_agent, now)

    def verify_fingerprint(
        self,
        fingerprint: bytes,
        *,
        permissions: tuple[str, ...] = (),
        ip: str | None = None,
        user_agent: str = "",
        now: int,
    ) -> Verdict:
        """`verify` by the SHA-256 of the secret, which does not show whether the secret was malformed."""
        entry = self._entries.get(fingerprint)
        if entry is None:
            return self._stranger(fingerprint, now)
        return self.decide(entry, permissions, ip, user_agent, now)

    def held(self, fingerprint: bytes) -> bytes | None:
        """The entry of this secret as it is held, for a look at whose it is before anything is decided or used up."""
        return self._entries.get(fingerprint)

    def signer(self, key_id: str) -> Signer | None:
        """The key whose requests are signed, as it is held."""
        return self._signers.get(key_id)

    def refuse_signed(self, signed: Signed, *, now: int) -> Verdict | None:
        """What is wrong with a signed request whosever it is; None where its signature is worth checking."""
        said = read(signed)
        if said is None:
            return self.malformed()
        if is_fresh(said, max(now, self.floor)):
            return None
        self.counts[STALE] += 1
        return STALE_VERDICT

    def decide_signed(
        self,
        signer: Signer,
        signed: Signed,
        matches: Callable[[bytes], bool],
        *,
        permissions: tuple[str, ...] = (),
        ip: str | None = None,
        user_agent: str = "",
        now: int,
    ) -> Verdict:
        """Decide on a request that `refuse_signed` let through; each signature is accepted once.

        `matches` checks the signature over the exact bytes of the base with a public key (pitfall 23).
        """
        now = max(now, self.floor)
        entry = next((entry for public_key, entry in signer.versions if matches(public_key)), None)
        if entry is None:
            self.counts[UNKNOWN] += 1
            return UNKNOWN_VERDICT
        kept = self._signers.get(signed.key_id) if self.estranged else None
        for public_key, known in kept.versions if kept else ():
            lost = self._stop(known, now) if matches(public_key) else None
            if lost is not None:
                return lost
        if not self._replays.claim(signed.signature, now=now):
            self.counts[REPLAYED] += 1
            return Verdict(REPLAYED, entry, signer.profile, 0)
        judged = judge(entry, signer.profile, now, permissions, ip, earliest=self._earliest(now), signed=True)
        verdict = self._settle(judged, permissions, ip, user_agent, now)
        self._past.append(judged.way)
        if verdict.code != VALID:
            self._replays.release(signed.signature)
        return verdict

    def knows(self, fingerprint: bytes, *, now: int) -> bool:
        """Whether the store need not be asked about this secret."""
        return fingerprint in self._entries or self._unknown.get(fingerprint, 0) > max(now, self.floor)

    def malformed(self) -> Verdict:
        """The answer to what cannot be a secret at all."""
        self.counts[MALFORMED] += 1
        return MALFORMED_VERDICT

    def decide(self, entry: bytes, wanted: tuple[str, ...], ip: str | None, user_agent: str, now: int) -> Verdict:
        """`verify` for a caller that has just looked the entry up with `held`, at or after reading `now`."""
        if now < self.floor:  # noqa: PLR1730  # `max` costs a tenth of a SHA-256
            now = self.floor
        judged = self._judged.get((entry, wanted, ip))
        if judged is None or not judged[0] <= now < judged[1]:
            profile = self._cache.profiles.get(header(entry)[5])
            if profile is None:
                return MISS  # the entry was dropped, and its profile with it, since it was looked up
            fresh = judge(entry, profile, now, wanted, ip, earliest=self._earliest(now))
            judged = self._remember(fresh, judged, (entry, wanted, ip))
        return self._settle(judged, wanted, ip, user_agent, now)

    def _remember(
        self, judged: Judgement, earlier: Judgement | None, key: tuple[bytes, tuple[str, ...], str | None]
    ) -> Judgement:
        if earlier is not None:
            self._past.append(earlier.way)
        if len(self._judged) >= MOST_JUDGEMENTS:
            self._past.extend(one.way for one in list(self._judged.values()))
            self._judged = {}
        self._judged[key] = judged
        return judged

    def _settle(self, judged: Judgement, wanted: tuple[str, ...], ip: str | None, user_agent: str, now: int) -> Verdict:
        """Ask the limit and note the use: what is left once the key itself allows the request."""
        _, _, verdict, number, interval, window, watched, way = judged
        if number < 0:
            self.counts[verdict[0]] += 1
            return verdict
        if interval:
            wait = self._take(number, interval, window, now)
            if wait:
                if wait < 0:
                    return Verdict(ASK, verdict.entry, verdict.profile, 0)
                self.counts[RATE_LIMITED] += 1
                return Verdict(RATE_LIMITED, verdict.entry, verdict.profile, wait)
        self._used[number] = now
        if user_agent != way.user_agent:
            way = way.by(user_agent)
        way.count += 1
        way.last = now
        if watched:
            self._usage.watch(Origin(number, watched, ip, wanted, user_agent), now)
        self.counts["valid"] += 1
        return verdict

    def _stranger(self, fingerprint: bytes, now: int) -> Verdict:
        if self._unknown.get(fingerprint, 0) <= max(now, self.floor):
            return MISS
        self.counts[UNKNOWN] += 1
        return UNKNOWN_VERDICT

    def verify_cold(
        self,
        fingerprint: bytes,
        lookup: Callable[[bytes], Fill],
        *,
        permissions: tuple[str, ...] = (),
        ip: str | None = None,
        user_agent: str = "",
        now: int,
        leased: bool = True,
    ) -> Verdict:
        """Ask the store after a `MISS`, keep what it says as far as F4 allows, and decide.

        `lookup` may raise; then nothing is kept.  While the key keeps changing, the latest reading decides unkept; so
        it does where no lease is held, since memory then decides nothing (F3).
        """
        lost = self.remembered_stop(fingerprint, now=now)
        if lost is not None:
            return lost
        for _ in range(_TRIES if leased else 0):
            if self.fill(fingerprint, lookup(fingerprint), now=now):
                verdict = self.verify_fingerprint(
                    fingerprint, permissions=permissions, ip=ip, user_agent=user_agent, now=now
                )
                if verdict is not MISS:
                    return verdict
        return self.decide_fill(lookup(fingerprint), permissions=permissions, ip=ip, user_agent=user_agent, now=now)

    def remembered_stop(self, fingerprint: bytes, *, now: int) -> Verdict | None:
        """The refusal of what had stopped in a past that the authority has lost; None for anything else (F9).

        A restored backup is met by refusal, not by life.
        """
        entry = self._entries.get(fingerprint) if self.estranged else None
        return None if entry is None else self._stop(entry, now)

    def _stop(self, entry: bytes, now: int) -> Verdict | None:
        code = stop_of(entry, max(now, self.floor))
        if code is None:
            return None
        self.counts[code] += 1
        return Verdict(code, entry, Profile((), (), None), 0)

    def fill(self, fingerprint: bytes, fill: Fill, *, now: int) -> bool:
        """Keep what the store said, or return False: the key was touched since, so it has to be read again (F4)."""
        state, secret = fill.state, fill.secret
        with self._writing:
            self._past_is(fill.time)
            if self._of_another_past(fill) or self._touched_since(fill.rev, state):
                return False
            if state is None or secret is None:
                if len(self._unknown) >= MOST_UNKNOWN:
                    self._unknown = {}
                self._unknown[fingerprint] = max(now, self.floor) + UNKNOWN_FOR
                return True
            if not self._keep(fill.rev, state):
                return False
            self._cache.put(fingerprint, state, secret)
        return True

    def _of_another_past(self, fill: Fill) -> bool:
        """Whether it was read in another epoch than this one, which may have begun at a lower revision (F9)."""
        return bool(fill.epoch and self.epoch) and fill.epoch != self.epoch

    def _keep(self, rev: int, state: KeyState) -> bool:
        if rev < self._ahead.get(state.number, 0):
            return False
        if rev > self.applied_rev:
            # The entries up to it are still to come and say less than this: `_apply` passes them over.
            self._ahead[state.number] = rev
            self._furthest = max(self._furthest, rev)
        if len(self._used) > self._cache.most_keys:
            self._used = {}  # nobody drains it
        self._rewrite(state)  # the key's other versions, too, are as this reading says
        return True

    def _rewrite(self, state: KeyState) -> None:
        self._cache.rewrite(state)
        self._signers.rewrite(state)

    def fill_signer(self, fill: Fill) -> Signer | None:
        """What the store said of a key whose requests are signed, kept as far as F4 allows; None where it has none.

        Sound also where it is not kept: for a reading that began after the request did (F0).
        """
        state = fill.state
        if state is None:
            return None
        with self._writing:
            self._past_is(fill.time)
            stale = self._of_another_past(fill) or self._touched_since(fill.rev, state)
            if not stale and self._keep(fill.rev, state):
                self._signers.put(state)
        return signer_of(state)

    def decide_fill(
        self,
        fill: Fill,
        *,
        permissions: tuple[str, ...] = (),
        ip: str | None = None,
        user_agent: str = "",
        now: int,
    ) -> Verdict:
        """Decide on what the store said without keeping it.

        Sound for a reading that began after the request did, whatever was committed since (F0).
        """
        state, secret = fill.state, fill.secret
        if state is None or secret is None:
            self.counts[UNKNOWN] += 1
            return UNKNOWN_VERDICT
        self.hear(earliest=fill.time, latest=fill.time)
        now = max(now, self.floor)
        profile = Profile(state.permissions, state.allowlist, state.limit)
        # Not reckoned back from `now`: where no lease is held the clocks may have parted by more than `width`.
        earliest = min(self.earliest, now) if fill.time else self._earliest(now)
        judged = judge(pack(state, secret, 0), profile, now, permissions, ip, earliest=earliest)
        self._past.append(judged.way)
        return self._settle(judged, permissions, ip, user_agent, now)

    def apply(self, entries: Sequence[FeedEntry]) -> bool:
        """Follow the feed.  False means a gap: what stood before it is applied, the rest has to be read again (F6).

        Entries already applied are passed over.
        """
        with self._writing:
            for entry in entries:
                if entry.rev <= self.applied_rev:
                    continue
                if entry.rev != self.applied_rev + 1:
                    return False
                self._apply(entry)
        return True

    def start_at(self, *, rev: int, now: int, epoch: int = 0, at: int = 0) -> None:
        """Hold nothing and follow the feed from `rev` on: at the start, and when the authority's epoch rises (F9).

        `at` is when the entry `rev` was written.
        """
        with self._writing:
            self._cache.clear()
            self._signers.clear()
            self._unknown = {}
            self._touched.clear()
            self._ahead.clear()
            self._past_is(now)
            if self._recent is not None:
                self._recent.start_at(rev, at=at)
            self.applied = rev, at
            self.applied_rev = rev
            self.epoch = epoch
            self.estranged = False
            self._known_since = rev

    def hear(self, *, earliest: int, latest: int) -> None:
        """The authority's time is at least `earliest`; requests may have been decided as of `latest` (F8)."""
        with self._writing:
            self._past_is(earliest)
            self.floor = max(self.floor, latest)

    def _past_is(self, time: int) -> None:
        self.earliest = max(self.earliest, time)
        self.floor = max(self.floor, time)

    def _earliest(self, now: int) -> int:
        """The earliest that the authority's time can be where it is `now` at the latest."""
        return max(now - self.width, min(self.earliest, now))

    def remaining(self, verdict: Verdict, *, now: int) -> int:
        """How many more requests fit at once under the limit of the key of a `valid` verdict that has one."""
        profile, now = verdict.profile, max(now, self.floor)  # as it was decided
        return self._limits.remaining(header(verdict.entry)[4], profile.interval, profile.window, now)

    def take_back(self, verdict: Verdict) -> None:
        """Undo what a `valid` verdict has used up of its key's limit: its request is decided once more."""
        if verdict.profile.interval:
            self._limits.give_back(header(verdict.entry)[4], verdict.profile.interval)

    def drain_uses(self) -> Uses:
        """All uses noted since the last call, which are forgotten here."""
        used, self._used = self._used, {}
        # A thread that is just noting a use may still write into the old dictionary, so that one isn't handed out.
        return Uses(dict(used), self._usage.drain())

    def drain_callers(self) -> list[Callers]:
        """Who has used which key for what since the last call."""
        past, self._past = self._past, deque(maxlen=_MOST_PAST)
        ways = [*past, *(one.way for one in list(self._judged.values()))]
        return [told for way in ways for told in way.drain()]

    def _apply(self, entry: FeedEntry) -> None:
        change = entry.change
        if isinstance(change, Predicate):
            self._cache.drop_matching(change)
            self._signers.drop_matching(change)
            touched: int | Predicate = change
        else:
            touched = change.number
            if self._ahead.get(touched, 0) <= entry.rev:
                self._rewrite(change)
        self._unknown = {}
        if len(self._touched) == _HISTORY:
            self._known_since = self._touched[0][0]
        self._touched.append((entry.rev, touched))
        at = to_micros(entry.at)
        self._past_is(at)
        if self._recent is not None:
            self._recent.add(entry)
        self.applied = entry.rev, at
        self.applied_rev = entry.rev
        if self._furthest <= entry.rev:
            self._ahead.clear()

    def _touched_since(self, rev: int, state: KeyState | None) -> bool:
        """Whether an applied entry after `rev` may have touched the key; of a stranger's, any may."""
        if rev >= self.applied_rev:
            return False
        if state is None or rev < self._known_since:
            return True
        after = takewhile(lambda one: one[0] > rev, reversed(self._touched))
        return any(_touches(touched, state) for _, touched in after)


def _touches(touched: int | Predicate, state: KeyState) -> bool:
    if not isinstance(touched, Predicate):
        return touched == state.number
    return touched.account_id in ("", state.account_id) and touched.owner_id in ("", state.owner_id)
