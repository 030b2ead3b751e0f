"""The verifier: looks a presented secret up in what it knows, and decides.  It reads no clock and opens nothing.

The shell asks `verify`; on `MISS` it reads the store, hands the `Fill` to `fill` and asks again (`verify_cold`).
Times are microseconds since 1970, as `core.instant.to_micros` makes them.
The caller has read the clock before it asks, so the time is always read before the entry (F3).
"""

from collections import deque
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from typing import Final

from keyturn.core.feed import KeyState
from keyturn.core.own_secret import is_presentable
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
from keyturn.verify.entry import Profile, header, pack, view
from keyturn.verify.memory import Fill, Memory
from keyturn.verify.recent import Recent
from keyturn.verify.shares import Shares
from keyturn.verify.signed import Replays, Signed, is_fresh, read
from keyturn.verify.signers import Signer
from keyturn.verify.stops import PastLost
from keyturn.verify.usage import Callers, Origin, Usage, Uses, Way

MOST_JUDGEMENTS: Final = 32_768

_MOST_PAST: Final = 2 * MOST_JUDGEMENTS
_TRIES: Final = 3


class Verifier(Memory):
    """One per process; safe to share between threads.  A request takes no lock but that of the limits."""

    def __init__(
        self,
        *,
        most_keys: int = 1_000_000,
        most_profiles: int = 65_536,
        recent: Recent | None = None,
        limits: Counters | Shares | None = None,
    ) -> None:
        """Rate limits are counted here unless `limits` says otherwise (F15)."""
        super().__init__(most_keys=most_keys, most_profiles=most_profiles, recent=recent)
        self.counts: dict[str, int] = dict.fromkeys(CODES, 0)
        """Requests answered, by code.  For metrics: of two threads that count at once, one may be lost."""
        self._limits = Counters(most_keys) if limits is None else limits
        self._take = self._limits.take
        self._replays = Replays()
        self._usage = Usage()
        self._used: dict[int, int] = {}
        # Keyed by all that a judgement follows from, the entry's own bytes among them, so nothing has to be thrown out
        # when a key changes: its new entry is another key of this dictionary.
        self._judged: dict[tuple[bytes, tuple[str, ...], str | None], Judgement] = {}
        # Ways of judgements that are no longer held, for the next drain; the oldest are dropped where nobody drains.
        self._past: deque[Way] = deque(maxlen=_MOST_PAST)

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

    def verify_again(
        self,
        presented: str,
        *,
        permissions: tuple[str, ...] = (),
        ip: str | None = None,
        user_agent: str = "",
        now: int,
    ) -> Verdict:
        """`verify` for whoever was let in before and is still there: it counts as a use, but against no limit.

        `MISS` for whatever is not in memory.
        """
        entry = self._entries.get(sha256(presented.encode(errors="surrogatepass")).digest())
        profile = None if entry is None else self._cache.profiles.get(header(entry)[5])
        if entry is None or profile is None:
            return MISS
        now = max(now, self.floor)
        judged = judge(entry, profile, now, permissions, ip, earliest=self._earliest(now))
        self._past.append(judged.way)
        return self._settle(judged._replace(interval=0), permissions, ip, user_agent, now)

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
        if self.estranged or signer is not self._signers.get(signed.key_id):
            stop = self._lost_signed(signed.key_id, entry, matches, now)
            if stop is not None:
                return stop
        if not self._replays.claim(signed.signature, now=now):
            self.counts[REPLAYED] += 1
            return Verdict(REPLAYED, entry, signer.profile, 0)
        judged = judge(entry, signer.profile, now, permissions, ip, earliest=self._earliest(now), signed=True)
        verdict = self._settle(judged, permissions, ip, user_agent, now)
        self._past.append(judged.way)
        if verdict.code != VALID:
            self._replays.release(signed.signature)
        return verdict

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
        it does where no lease is held, since memory then decides nothing (F3).  Raises PastLost.
        """
        stop = self.remembered_stop(fingerprint, now=now)
        if stop is not None:
            return stop
        reading = partial(self._read_secret, fingerprint, lookup, now)
        for _ in range(_TRIES if leased else 0):
            fill, stop = reading()
            if stop is not None:
                return stop
            if self.fill(fingerprint, fill, now=now):
                verdict = self.verify_fingerprint(
                    fingerprint, permissions=permissions, ip=ip, user_agent=user_agent, now=now
                )
                if verdict is not MISS:
                    return verdict
        fill, stop = reading()
        if stop is not None:
            return stop
        return self.decide_fill(fill, permissions=permissions, ip=ip, user_agent=user_agent, now=now)

    def remembered_stop(self, fingerprint: bytes, *, now: int) -> Verdict | None:
        """The refusal of what had stopped in a past that the authority has lost; None for anything else (F9).

        A restored backup is met by refusal, not by life.
        """
        entry = self._entries.get(fingerprint) if self.estranged else None
        return None if entry is None else self._stop(entry, now)

    def believed(self, fingerprint: bytes, told: Verdict, *, now: int) -> Verdict:
        """What somebody else has decided by the store, or the refusal of what had stopped here (F9).

        Raises PastLost.
        """
        if not told.valid or not told.entry:
            return told
        stop = self._lost(told.entry, is_known=fingerprint in self._entries, now=now)
        return told if stop is None else stop

    def _read_secret(
        self, fingerprint: bytes, lookup: Callable[[bytes], Fill], now: int
    ) -> tuple[Fill, Verdict | None]:
        """What the store says, and the refusal of what had stopped in a past that it has lost (F9)."""
        fill = self._read(partial(lookup, fingerprint))
        stop = self.remembered_stop(fingerprint, now=now)
        is_judged = self.estranged or (fill.epoch and fill.epoch == self.epoch)
        if stop is None and is_judged and fill.state is not None and fill.secret is not None:
            entry = pack(fill.state, fill.secret, 0)
            stop = self._lost(entry, is_known=fingerprint in self._entries, now=now)
        return fill, stop

    def _lost_signed(self, key_id: str, told: bytes, matches: Callable[[bytes], bool], now: int) -> Verdict | None:
        """The same of a key whose requests are signed."""
        kept = self._signers.get(key_id)
        for public_key, known in kept.versions if kept and self.estranged else ():
            stop = self._stop(known, now) if matches(public_key) else None
            if stop is not None:
                return stop
        return self._lost(told, is_known=kept is not None, now=now)

    def _lost(self, told: bytes, *, is_known: bool, now: int) -> Verdict | None:
        """The refusal of a key that the store may have live only because it has lost a part of its past (F9).

        What has stopped for good lives in no other way, so nobody need have noticed yet.  What `is_known` of a key is
        so as of the end of that past.  Raises PastLost where nobody can tell.
        """
        seen, stops = view(told), self._stops
        entry = stops.of(seen.key_id, seen.version)
        if not self.estranged and not stops.is_final(seen.key_id, seen.version):
            return None
        stop = None if entry is None else self._stop(entry, now)
        if stop is None and not is_known and stops.may_be_of(seen.account_id, seen.owner_id):
            raise PastLost
        return stop

    def _stop(self, entry: bytes, now: int) -> Verdict | None:
        code = stop_of(entry, max(now, self.floor))
        if code is None:
            return None
        self.counts[code] += 1
        return Verdict(code, entry, Profile((), (), None), 0)

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

    def remaining(self, verdict: Verdict, *, now: int) -> int:
        """How many more requests fit at once under the limit of the key of a `valid` verdict that has one."""
        profile, now = verdict.profile, max(now, self.floor)  # as it was decided
        return self._limits.remaining(header(verdict.entry)[4], profile.interval, profile.window, now)

    def shorten(self, by: int) -> None:
        """It cannot be as late as was thought, by so many microseconds: what was lent ends as much sooner (F15)."""
        if isinstance(self._limits, Shares):
            self._limits.shorten(by)

    def undo(self, verdict: Verdict, permissions: tuple[str, ...], ip: str | None, user_agent: str) -> None:
        """Undo a `valid` verdict, what it has used up of its key's limit and that it was counted.

        For a request that is decided once more, as of a moment later.
        """
        if verdict.profile.interval:
            self._limits.undo(header(verdict.entry)[4], verdict.profile.interval)
        self.counts[VALID] -= 1
        judged = self._judged.get((verdict.entry, permissions, ip))
        if judged is not None:
            judged.way.by(user_agent).count -= 1
            if judged.watched:
                self._usage.unwatch(Origin(judged.number, judged.watched, ip, permissions, user_agent))

    def _keep(self, rev: int, state: KeyState) -> bool:
        if len(self._used) > self._cache.most_keys:
            self._used = {}  # nobody drains it
        return super()._keep(rev, state)

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
