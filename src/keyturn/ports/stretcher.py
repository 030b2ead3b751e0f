"""Own secrets, made slow to guess."""

from collections.abc import Sequence
from typing import Protocol


class Stretcher(Protocol):
    """Argon2id of own secrets, and how hard they are to guess (R42).  Too many at once: `StoreBusy`, closed."""

    def stretch(self, secret: bytes, salt: bytes) -> bytes: ...
    def estimate(self, text: str, *, known: Sequence[str]) -> tuple[int, float]: ...
