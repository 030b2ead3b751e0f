"""Argon2id (RFC 9106), no more of them at once than memory allows; and which passwords are guessed first."""

import threading
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from keyturn.core import password as passwords
from keyturn.core.password import Rules
from keyturn.core.refusal import PasswordUnfit

MOST_AT_ONCE: Final = 2
"""Each takes 64 MiB and some 50 to 200 ms of one core."""
TIME_COST: Final = 3
MEMORY_COST: Final = 65_536
PARALLELISM: Final = 4


class Argon2Passwords:
    """`ports.passwords.Passwords`."""

    def __init__(self, *, time_cost: int = TIME_COST, memory_cost: int = MEMORY_COST) -> None:
        self._hasher = PasswordHasher(time_cost=time_cost, memory_cost=memory_cost, parallelism=PARALLELISM)
        self._places = threading.BoundedSemaphore(MOST_AT_ONCE)
        self._nobodys = ""
        self._common: frozenset[str] = frozenset()

    def unfit(self, password: str, rules: Rules) -> PasswordUnfit | None:
        """Why that password is not taken, or None."""
        if not self._common:
            from zxcvbn.frequency_lists import FREQUENCY_LISTS  # type: ignore[import-untyped]  # it has no types

            self._common = frozenset(FREQUENCY_LISTS["passwords"])
        return passwords.check(password, rules, self._common)

    def hash(self, password: str) -> str:
        """The stored form: the parameters, a new salt and the Argon2id hash."""
        with self._places:
            return self._hasher.hash(_bytes_of(password))

    def check(self, stored: str, password: str) -> bool:
        """Whether that is the password.  Where none is stored, the same work is done for nothing (pitfall 11)."""
        if not stored:
            self._nobodys = self._nobodys or self.hash("nobody's password")
        try:
            with self._places:
                self._hasher.verify(stored or self._nobodys, _bytes_of(password))
        except (VerificationError, InvalidHashError):
            return False
        return bool(stored)


def _bytes_of(password: str) -> bytes:
    # Cut only where no password of ours can reach: what is shown may be of any length.
    return passwords.normalised(password[: passwords.MOST + 1]).encode("utf-8", "surrogatepass")
