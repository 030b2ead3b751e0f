"""Threads by what they are for: nobody waits for those who do something else.

All together, and the slow ones (`edge.slow`), are no more than the database has connections for.
"""

from typing import Final

from anyio import CapacityLimiter

OTHERS: Final = 20
"""Of whatever has no place of its own."""


class Places:
    """How many of each kind are at work at once.  Nobody keeps a thread while verifiers are waited for."""

    def __init__(self) -> None:
        self.stopping = CapacityLimiter(6)
        """What stops something, and nothing else (K8)."""
        self.confirming = CapacityLimiter(4)
        """The looks at the leases before and after a wait (F5)."""
        self.leasing = CapacityLimiter(4)
        """Renewals of verifiers' leases (F2)."""
        self.verifying = CapacityLimiter(12)
        """Verifications that memory does not answer, and what attached verifiers ask for theirs (F3, F4)."""
