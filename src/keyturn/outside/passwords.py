"""Argon2id (RFC 9106), no more of them at once than memory allows."""

import threading
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

MOST_AT_ONCE: Final = 2
"""Each takes 64 MiB and some 50 to 200 ms of one core."""


class Argon2Passwords:
    """`ports.Passwords`."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher()
        self._places = threading.BoundedSemaphore(MOST_AT_ONCE)
        self._nobodys = ""

    def hash(self, password: str) -> str:
        """The stored form: the parameters, a new salt and the Argon2id hash."""
        with self._places:
            return self._hasher.hash(password.encode("utf-8", "surrogatepass"))

    def check(self, stored: str, password: str) -> bool:
        """Whether that is the password.  Where none is stored, the same work is done for nothing (pitfall 11)."""
        if not stored:
            self._nobodys = self._nobodys or self.hash("nobody's password")
        try:
            with self._places:
                self._hasher.verify(stored or self._nobodys, password.encode("utf-8", "surrogatepass"))
        except (VerificationError, InvalidHashError):
            return False
        return bool(stored)
