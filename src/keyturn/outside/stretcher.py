"""Argon2id of customers' own secrets (R42), no more of them at once than memory allows, and what they are worth."""

import math
import threading
from collections.abc import Sequence
from typing import Final

from argon2.low_level import Type, hash_secret_raw

from keyturn.core.own_secret import JUDGED, LONGEST
from keyturn.ports.store import StoreBusy

MOST_AT_ONCE: Final = 2
"""Each takes 64 MiB and some 50 to 200 ms of one core."""
MOST_WAITING: Final = 20
"""Whoever comes after that is turned away: threads that wait are missing elsewhere."""
TIME_COST: Final = 3
MEMORY_COST: Final = 65_536
PARALLELISM: Final = 4
MOST_READINGS: Final = 32
"""In how many ways the symbols of what is judged may be read as letters.  Few secrets have that many."""
_BYTES: Final = 32


def what_is_judged(text: str) -> str:
    """The beginning of it that zxcvbn can judge in reasonable time.  The whole is no weaker than that.

    Its time grows with the length, and with in how many ways symbols may be read as letters: 5 s for 128 characters
    that were made to be slow, where 0.01 s is usual and this leaves 0.07 s.
    """
    from zxcvbn.matching import L33T_TABLE  # type: ignore[import-untyped]  # it ships no types

    judged = text[:JUDGED]
    while math.prod(max(1, sum(one in judged for one in ways)) for ways in L33T_TABLE.values()) > MOST_READINGS:
        judged = judged[:-1]
    return judged


class Argon2Stretcher:
    """`ports.stretcher.Stretcher`."""

    def __init__(self, *, time_cost: int = TIME_COST, memory_cost: int = MEMORY_COST) -> None:
        self._time_cost = time_cost
        self._memory_cost = memory_cost
        self._places = threading.BoundedSemaphore(MOST_AT_ONCE)
        self._judging = threading.Lock()  # pure Python: two at once are no quicker than one after the other
        self._lock = threading.Lock()
        self._under_way = 0

    def stretch(self, secret: bytes, salt: bytes) -> bytes:
        """The Argon2id.  Raises StoreBusy where too many wait already."""
        with self._lock:
            if self._under_way >= MOST_AT_ONCE + MOST_WAITING:
                raise StoreBusy
            self._under_way += 1
        try:
            with self._places:
                return hash_secret_raw(
                    secret,
                    salt,
                    time_cost=self._time_cost,
                    memory_cost=self._memory_cost,
                    parallelism=PARALLELISM,
                    hash_len=_BYTES,
                    type=Type.ID,
                )
        finally:
            with self._lock:
                self._under_way -= 1

    def estimate(self, text: str, *, known: Sequence[str]) -> tuple[int, float]:
        """The score from 0 to 4 and the guesses in bits that zxcvbn gives what is judged of it."""
        from zxcvbn import zxcvbn  # type: ignore[import-untyped]  # it ships no types

        judged = what_is_judged(text)
        if not judged:
            return 0, 0.0
        with self._judging:
            found = zxcvbn(judged, user_inputs=list(known), max_length=LONGEST)
        return found["score"], math.log2(max(1, int(found["guesses"])))
