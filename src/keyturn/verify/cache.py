"""What the verifier holds: entries by the SHA-256 of the presented secret, never a secret itself.

Readers take no lock: each looks up one dictionary item at a time, and one such operation is indivisible.
Writers hold the verifier's lock.  A reader therefore sees each entry from before a change or from after it, never a
mixture, and once the writer has returned every reader sees it from after (F6).
"""

from itertools import islice
from typing import Final

from keyturn.core.feed import KeyState, Predicate, SecretState
from keyturn.core.limit import Limit
from keyturn.verify.entry import Profile, header, mark, pack

_WIDTH: Final = 32  # bytes of a fingerprint
_BATCH: Final = 256
_Shared = tuple[tuple[str, ...], tuple[str, ...], Limit | None]


class Cache:
    """Entries, the profiles they name, and which entries belong to a key.  Bounded; the longest held goes first."""

    def __init__(self, *, most_keys: int, most_profiles: int) -> None:
        self.most_keys = most_keys
        self.most_profiles = most_profiles
        self.entries: dict[bytes, bytes] = {}
        self.profiles: dict[int, Profile] = {}
        # A key has one cached fingerprint, seldom two: they stand end to end in one bytes object, which for one is
        # the very object that `entries` has as its key.
        self._of_key: dict[int, bytes] = {}
        self._profile_numbers: dict[_Shared, int] = {}
        self._next_profile = 0  # a number is never used again: a reader may still hold an entry that names it

    def put(self, fingerprint: bytes, state: KeyState, secret: SecretState) -> None:
        """Hold one version of a key."""
        self.drop(fingerprint)
        if len(self.entries) >= self.most_keys:
            self._drop_oldest(_BATCH)
        number = self._acquire(state)  # may make room as well
        self.entries[fingerprint] = pack(state, secret, number)
        held = self._of_key.get(state.number)
        self._of_key[state.number] = fingerprint if held is None else held + fingerprint

    def rewrite(self, state: KeyState) -> None:
        """Bring what is held of a key to its new state; versions it no longer has are dropped."""
        if state.number not in self._of_key:
            return
        versions = {secret.version: secret for secret in state.secrets}
        number = self._acquire(state)  # may make room, so what is held is looked up after it
        held = self._of_key.get(state.number, b"")
        for at in range(0, len(held), _WIDTH):
            fingerprint = held[at : at + _WIDTH]
            old = header(self.entries[fingerprint])
            secret = versions.get(old[6])
            if secret is None:
                self.drop(fingerprint)
            else:
                self.profiles[number].uses += 1
                self.entries[fingerprint] = pack(state, secret, number)
                self._release(old[5])
        self._release(number)

    def drop_matching(self, predicate: Predicate) -> None:
        """Drop all keys that a bulk change may have touched (F11)."""
        marks = [mark(name) for name in (predicate.account_id, predicate.owner_id) if name]
        # One pass over a million entries takes 0.1 s, and dropping half of them as long as reading them again would.
        found = [key for key, entry in self.entries.items() if all(one in entry for one in marks)] if marks else []
        if not marks or 2 * len(found) > len(self.entries):
            self.clear()
            return
        for fingerprint in found:
            self.drop(fingerprint)

    def drop(self, fingerprint: bytes) -> None:
        """Hold this one no longer."""
        entry = self.entries.pop(fingerprint, None)
        if entry is None:
            return
        number, profile = header(entry)[4:6]
        held = self._of_key.pop(number)
        if len(held) > _WIDTH:
            parts = (held[at : at + _WIDTH] for at in range(0, len(held), _WIDTH))
            self._of_key[number] = b"".join(part for part in parts if part != fingerprint)
        self._release(profile)

    def clear(self) -> None:
        """Hold nothing.  The entries go first: one whose profile is gone already would only be read again."""
        self.entries.clear()
        self._of_key.clear()
        self.profiles.clear()
        self._profile_numbers.clear()

    def _acquire(self, state: KeyState) -> int:
        """The number of the profile for this state, counted as used once more."""
        shared = (state.permissions, state.allowlist, state.limit)
        number = self._profile_numbers.get(shared)
        if number is None:
            while len(self.profiles) >= self.most_profiles:
                self._drop_oldest(1)
            number = self._next_profile
            self._next_profile += 1
            self.profiles[number] = Profile(*shared)
            self._profile_numbers[shared] = number
        self.profiles[number].uses += 1
        return number

    def _release(self, number: int) -> None:
        profile = self.profiles[number]
        profile.uses -= 1
        if not profile.uses:
            del self.profiles[number]
            del self._profile_numbers[profile.permissions, profile.allowlist, profile.limit]

    def _drop_oldest(self, count: int) -> None:
        # In batches: the front of a dictionary from which the first was taken again and again is slow to find.
        for fingerprint in list(islice(self.entries, count)):
            self.drop(fingerprint)
