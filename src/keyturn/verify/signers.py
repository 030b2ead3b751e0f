"""Keys whose requests are signed, as they are held: by the key's id, with every version's public key (R42).

They stand apart from the secrets, so no fingerprint that anyone presents can find one.  Values of plain Python: such
keys are few, and checking a signature costs more than all that is done with them here.
"""

from itertools import islice
from typing import Final, NamedTuple

from keyturn.core.feed import KeyState, Predicate
from keyturn.verify.entry import Profile, pack

_BATCH: Final = 64


class Signer(NamedTuple):
    """One key, ready to be decided on."""

    account_id: str
    owner_id: str
    profile: Profile
    versions: tuple[tuple[bytes, bytes], ...]
    """Newest first: the public key, and the entry that a request signed with it is decided on."""


def signer_of(state: KeyState) -> Signer:
    """Everything about the key that a signed request needs."""
    return Signer(
        account_id=state.account_id,
        owner_id=state.owner_id,
        profile=Profile(state.permissions, state.allowlist, state.limit),
        versions=tuple((one.public_key, pack(state, one, 0)) for one in reversed(state.secrets) if one.public_key),
    )


class Signers:
    """Bounded; the longest held go first.  Readers take no lock, writers hold the verifier's, as for `Cache`."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._held: dict[str, Signer] = {}
        self.get = self._held.get

    def __len__(self) -> int:
        """How many keys are held."""
        return len(self._held)

    def put(self, state: KeyState) -> None:
        """Hold a key."""
        if len(self._held) >= self.most:
            for key_id in list(islice(self._held, _BATCH)):
                del self._held[key_id]
        self._held[state.key_id] = signer_of(state)

    def rewrite(self, state: KeyState) -> None:
        """Bring a key that is held to its new state."""
        if state.key_id in self._held:
            self._held[state.key_id] = signer_of(state)

    def drop_matching(self, predicate: Predicate) -> None:
        """Drop all keys that a bulk change may have touched (F11)."""
        for key_id, held in list(self._held.items()):
            of_account = predicate.account_id in ("", held.account_id)
            if of_account and predicate.owner_id in ("", held.owner_id):
                del self._held[key_id]

    def clear(self) -> None:
        """Hold nothing."""
        self._held.clear()
