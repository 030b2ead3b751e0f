"""Passwords, as they are kept and checked."""

from typing import Protocol

from keyturn.core.password import Rules
from keyturn.core.refusal import PasswordUnfit


class Passwords(Protocol):
    """Argon2id in a bounded pool.  Its outage: closed, nobody is proved."""

    def unfit(self, password: str, rules: Rules) -> PasswordUnfit | None: ...
    def hash(self, password: str) -> str: ...
    def check(self, stored: str, password: str) -> bool: ...
