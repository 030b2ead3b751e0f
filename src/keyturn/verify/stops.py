"""What has stopped as far as was told here: what is left to refuse by once the authority has lost it (F9).

The cache forgets what a bulk change may have touched (F11), and what was held longest; this does not.
"""

from collections.abc import Callable
from typing import Final

from keyturn.core.feed import KeyState, Predicate, SecretState
from keyturn.core.instant import FOREVER, to_micros
from keyturn.verify.entry import HEADER, REVOKED, STOPPED, SUSPENDED, header, pack

LATELY: Final = 3_600_000_000
"""Microseconds before a change at which a version was over before it, rather than by it."""
MOST_PREDICATES: Final = 1_000
MOST_VERSIONS: Final = 32
"""Of one key; beyond that every key of its owner may have stopped."""
_EVERYTHING: Final = Predicate()
_WHOLE: Final = REVOKED | SUSPENDED
_NEVER: Final = to_micros(FOREVER)


class PastLost(Exception):  # noqa: N818  # says what stands in the way
    """The authority has lost a part of its past, and nobody here can tell any more whether this key stopped in it."""


class Stops:
    """Bounded: beyond that every key may have stopped.  Readers take no lock, writers hold the verifier's."""

    def __init__(self, most: int) -> None:
        self.most = most
        # By key: an entry for each version that has an end; one at least of a key that is revoked or suspended.
        self._of_key: dict[str, tuple[bytes, ...]] = {}
        self._many: tuple[Predicate, ...] = ()

    def __len__(self) -> int:
        """Of how many keys a stop is known."""
        return len(self._of_key)

    def changed(self, state: KeyState, at: int) -> None:
        """A key was changed `at` that time.  What was over long before was told before, or never."""
        self._put(state, lambda one: to_micros(one.stops_at) >= at - LATELY)

    def read(self, state: KeyState, version: int) -> None:
        """A key was read, because of that version."""
        self._put(state, lambda one: one.version == version)

    def changed_many(self, predicate: Predicate) -> None:
        """Keys were changed together, nobody knows how: they may have stopped (F11)."""
        if predicate in self._many or _EVERYTHING in self._many:
            return
        is_too_much = predicate == _EVERYTHING or len(self._many) >= MOST_PREDICATES
        self._many = (_EVERYTHING,) if is_too_much else (*self._many, predicate)

    def clear(self) -> None:
        """Know of nothing."""
        self._of_key = {}
        self._many = ()

    def of(self, key_id: str, version: int) -> bytes | None:
        """The entry by which this version of the key has stopped, or will."""
        found = self._of_key.get(key_id, ())
        own = next((one for one in found if header(one)[6] == version), None)
        return own or next((one for one in found[-1:] if header(one)[7] & _WHOLE), None)

    def is_final(self, key_id: str, version: int) -> bool:
        """Whether it has stopped for good: nothing of the same past has it live again."""
        entry = self.of(key_id, version)
        if entry is None:
            return False
        _, _, _, _, _, _, its, flags = header(entry)
        return bool(flags & REVOKED) or (bool(flags & STOPPED) and its == version)

    def may_be_of(self, account_id: str, owner_id: str) -> bool:
        """Whether a key of theirs may have stopped without its being known here which."""
        return any(one.account_id in ("", account_id) and one.owner_id in ("", owner_id) for one in self._many)

    def _put(self, state: KeyState, is_news: Callable[[SecretState], bool]) -> None:
        before = self._of_key.pop(state.key_id, ())
        known = {header(one)[6] for one in before}
        ended = [one for one in state.secrets if _ends(one) and (one.version in known or is_news(one))]
        if state.revoked or state.suspended:
            ended += [one for one in state.secrets[-1:] if one not in ended]
        # A state names whatever may still be accepted: what had an end, and is named no more, is over.
        named = {one.version for one in state.secrets}
        over = (_under(state, one) for one in before if _has_end(one) and header(one)[6] not in named)
        found = (*over, *(pack(state, one, 0) for one in ended))
        if found and len(self._of_key) >= self.most:
            self._many = (_EVERYTHING,)
        elif found:
            self._of_key[state.key_id] = found[-MOST_VERSIONS:]
        if len(found) > MOST_VERSIONS:
            self.changed_many(Predicate(account_id=state.account_id, owner_id=state.owner_id))


def _has_end(entry: bytes) -> bool:
    _, _, stops, _, _, _, _, flags = header(entry)
    return bool(flags & STOPPED) or stops < _NEVER


def _under(state: KeyState, entry: bytes) -> bytes:
    """The same version where the key as a whole is as that state says."""
    *times, flags = header(entry)
    whole = (REVOKED if state.revoked else 0) | (SUSPENDED if state.suspended else 0)
    return HEADER.pack(*times, flags & ~_WHOLE | whole) + entry[HEADER.size :]


def _ends(secret: SecretState) -> bool:
    return secret.stopped or secret.stops_at < FOREVER
