"""What the verifier knows of keys: filled from the store as far as F4 allows, kept in step with the feed (F6).

Times are microseconds since 1970, as `core.instant.to_micros` makes them.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from threading import Lock
from typing import Final

from keyturn.core.feed import FeedEntry, KeyState, Predicate, SecretState
from keyturn.core.instant import to_micros
from keyturn.verify.cache import Cache
from keyturn.verify.recent import Recent
from keyturn.verify.signers import Signer, Signers, signer_of
from keyturn.verify.stops import Stops

UNKNOWN_FOR: Final = 1_000_000
"""Microseconds for which a stranger's fingerprint is answered without asking the store again (pitfall 14)."""
MOST_UNKNOWN: Final = 10_000
MOST_SIGNERS: Final = 20_000
MOST_STOPS: Final = 100_000
HISTORY: Final = 4096
"""Entries whose keys are remembered, to judge fills by."""


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


class Memory:
    """Safe to share between threads.

    A reader takes no lock.  `apply` and `fill` take one among themselves, and change what is read by single dictionary
    operations: a reader finds a key's entry from before a change or from after it, and once `apply` has returned only
    from after (F6).
    """

    def __init__(self, *, most_keys: int, most_profiles: int, recent: Recent | None) -> None:
        """`recent` keeps the entries for others."""
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
        self._recent = recent
        self._cache = Cache(most_keys=most_keys, most_profiles=most_profiles)
        self._entries = self._cache.entries
        self._signers = Signers(MOST_SIGNERS)
        self._stops = Stops(min(most_keys, MOST_STOPS))
        self._unknown: dict[bytes, int] = {}
        # What the latest entries touched, to judge fills by; and keys that a fill has seen further than the feed has.
        self._touched: deque[tuple[int, int | Predicate]] = deque(maxlen=HISTORY)
        self._known_since = 0
        self._ahead: dict[int, int] = {}
        self._furthest = 0
        self._writing = Lock()

    def __len__(self) -> int:
        """How many secrets are held."""
        return len(self._entries)

    def held(self, fingerprint: bytes) -> bytes | None:
        """The entry of this secret as it is held, for a look at whose it is before anything is decided or used up."""
        return self._entries.get(fingerprint)

    def signer(self, key_id: str) -> Signer | None:
        """The key whose requests are signed, as it is held."""
        return self._signers.get(key_id)

    def knows(self, fingerprint: bytes, *, now: int) -> bool:
        """Whether the store need not be asked about this secret."""
        return fingerprint in self._entries or self._unknown.get(fingerprint, 0) > max(now, self.floor)

    def fill(self, fingerprint: bytes, fill: Fill, *, now: int) -> bool:
        """Keep what the store said, or return False: the key was touched since, so it has to be read again (F4)."""
        state, secret = fill.state, fill.secret
        with self._writing:
            self._past_is(fill.time)
            if self._is_foreign(fill) or self._touched_since(fill.rev, state):
                return False
            if state is None or secret is None:
                if len(self._unknown) >= MOST_UNKNOWN:
                    self._unknown = {}
                self._unknown[fingerprint] = max(now, self.floor) + UNKNOWN_FOR
                return True
            if not self._keep(fill.rev, state):
                return False
            self._note_stops(fill, state)
            self._cache.put(fingerprint, state, secret)
        return True

    def _is_foreign(self, fill: Fill) -> bool:
        """Whether it may be of another past than what is known here (F9).

        So is what was read in another epoch, which may have begun at a lower revision, and all that is read while
        this is estranged: it must not take the place of what is known as stopped.
        """
        return self.estranged or (bool(fill.epoch and self.epoch) and fill.epoch != self.epoch)

    def _read(self, lookup: Callable[[], Fill]) -> Fill:
        """Read the store: a lower revision than was applied here before shows that a part of the past is lost (F9)."""
        epoch, applied = self.epoch, self.applied_rev  # first: a reading that begins now has all of it
        fill = lookup()
        if fill.epoch and fill.epoch == epoch and 0 <= fill.rev < applied:
            with self._writing:
                self.estranged = self.estranged or self.epoch == epoch
        return fill

    def _keep(self, rev: int, state: KeyState) -> bool:
        if rev < self._ahead.get(state.number, 0):
            return False
        if rev > self.applied_rev:
            # The entries up to it are still to come and say less than this: `_apply` passes them over.
            self._ahead[state.number] = rev
            self._furthest = max(self._furthest, rev)
        self._rewrite(state)  # the key's other versions, too, are as this reading says
        return True

    def _note_stops(self, fill: Fill, state: KeyState) -> None:
        self._stops.read(state, fill.version)
        if fill.rev > self.applied_rev:
            self._stops.changed(state, self.applied[1])  # of the entries that `_apply` passes over this alone tells

    def _rewrite(self, state: KeyState) -> None:
        self._cache.rewrite(state)
        self._signers.rewrite(state)

    def read_signer(self, lookup: Callable[[], Fill]) -> Signer | None:
        """Ask the store for a key whose requests are signed, and keep what it says as `fill_signer` does."""
        return self.fill_signer(self._read(lookup))

    def fill_signer(self, fill: Fill) -> Signer | None:
        """What the store said of a key whose requests are signed, kept as far as F4 allows; None where it has none.

        Sound also where it is not kept: for a reading that began after the request did (F0).
        """
        state = fill.state
        if state is None:
            return None
        with self._writing:
            self._past_is(fill.time)
            stale = self._is_foreign(fill) or self._touched_since(fill.rev, state)
            if not stale and self._keep(fill.rev, state):
                self._note_stops(fill, state)
                self._signers.put(state)
        return signer_of(state)

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

    def has_applied(self, entry: FeedEntry) -> bool:
        """Whether the entry of that revision, which is not a later one, is this one as far as is known here (F9)."""
        rev, at = self.applied
        known = at if entry.rev == rev or self._recent is None else self._recent.at(entry.rev)
        return known is None or known == to_micros(entry.at)

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
            if epoch != self.epoch:
                self._stops.clear()
            else:
                self._stops.changed_many(Predicate())  # what lies in between is not told here
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

    def _apply(self, entry: FeedEntry) -> None:
        change, at = entry.change, to_micros(entry.at)
        if isinstance(change, Predicate):
            self._cache.drop_matching(change)
            self._signers.drop_matching(change)
            self._stops.changed_many(change)
            touched: int | Predicate = change
        else:
            touched = change.number
            if self._ahead.get(touched, 0) <= entry.rev:
                self._rewrite(change)
                self._stops.changed(change, at)
        self._unknown = {}
        if len(self._touched) == HISTORY:
            self._known_since = self._touched[0][0]
        self._touched.append((entry.rev, touched))
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
