"""A signed request (RFC 9421, R42b): what is looked at before its signature is, and whether it was there before."""

from itertools import islice
from threading import Lock
from typing import Final, NamedTuple

from keyturn.core.public_key import ALGORITHM
from keyturn.core.signature import SignatureParams, read_base

FRESH_FOR: Final = 300_000_000
"""Microseconds for which a signature may be on its way."""
AHEAD_BY: Final = 5_000_000
"""Microseconds by which the signer's clock may be ahead of the authority's."""
SIGNATURE_BYTES: Final = 64
MOST_REMEMBERED: Final = 65_536
_MICROS: Final = 1_000_000
_BATCH: Final = 1024


class Signed(NamedTuple):
    """What is to be verified instead of a secret."""

    key_id: str
    base: str
    """The signature base, as whoever serves the API has built it from the request it got."""
    signature: bytes


def read(signed: Signed) -> SignatureParams | None:
    """What the base says, where it is one of this key and this algorithm; else None."""
    said = read_base(signed.base) if len(signed.signature) == SIGNATURE_BYTES else None
    if said is None or said.key_id != signed.key_id or said.algorithm != ALGORITHM:
        return None
    return said


def is_fresh(said: SignatureParams, now: int) -> bool:
    """Whether it was signed lately, not in the future, and has not run out."""
    created = said.created * _MICROS
    if not now - FRESH_FOR <= created <= now + AHEAD_BY:
        return False
    return said.expires is None or now < said.expires * _MICROS


class Replays:
    """Signatures that were accepted here while they were fresh.

    What it promises: this node accepts a signature once.  Nobody but the key's holder can make another for the same
    request, and that one makes the same again unless a nonce or another second sets the two apart.  What it does not
    promise: another node of the same deployment, or this one after a restart, accepts it once more; and where more than
    `most` are accepted within the window, the longest held are forgotten.
    """

    def __init__(self, most: int = MOST_REMEMBERED) -> None:
        self.most = most
        self._until: dict[bytes, int] = {}
        self._lock = Lock()

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._until)

    def claim(self, signature: bytes, *, now: int) -> bool:
        """Take it as seen; False where it was seen before.  One step, so of a thousand at once one is accepted."""
        with self._lock:
            if self._until.get(signature, -1) >= now:
                return False
            if len(self._until) >= self.most:
                for oldest in list(islice(self._until, _BATCH)):
                    del self._until[oldest]
            self._until.pop(signature, None)  # it stands last again
            self._until[signature] = now + FRESH_FOR + AHEAD_BY
        return True

    def release(self, signature: bytes) -> None:
        """It was not accepted after all, so it may come again."""
        with self._lock:
            self._until.pop(signature, None)
