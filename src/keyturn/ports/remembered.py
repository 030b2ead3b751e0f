"""An answer, remembered for a request that may come again."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """An earlier answer under the same Idempotency-Key (R15)."""

    request: bytes
    """A digest of what was asked."""
    subject_id: str
