"""Threads by what they are for: nobody waits for those who do something else.

All together, and the slow ones (`edge.slow`), are no more than the database has connections for.
"""

from enum import Enum
from typing import Final

from anyio import CapacityLimiter

from keyturn.core.reset import REVOKE_FIRST

OTHERS: Final = 17
"""Of whatever has no place of its own."""
NARROWING: Final = 3
_STOP_FIRST: Final = frozenset(one.value for one in REVOKE_FIRST)


class Aim(Enum):
    """What a request is after, as it stands: what comes of it is known too late for its place to be chosen by."""

    STOP = "stop"
    """That a key be refused from now on.  It waits for its like alone (K8, R22)."""
    NARROW = "narrow"
    """That a key be good for other things than before, and perhaps for fewer (F1).

    Programs that keep allowlists send these by the thousand, so that stops do not wait for them either.
    """
    OTHER = "other"
    """Anything else: also what makes a secret, whatever ends by it in its time."""


def aim_of_reset(reason: str) -> Aim:
    """A leaked or suspicious key is stopped as soon as its reset is asked for; others go on (R3)."""
    return Aim.STOP if reason in _STOP_FIRST else Aim.OTHER


class Places:
    """How many of each kind are at work at once.  Nobody keeps a thread while verifiers are waited for."""

    def __init__(self) -> None:
        self.stopping = CapacityLimiter(6)
        self.narrowing = CapacityLimiter(NARROWING)
        self.confirming = CapacityLimiter(4)
        """The looks at the leases before and after a wait (F5)."""
        self.leasing = CapacityLimiter(4)
        """Renewals of verifiers' leases (F2)."""
        self.verifying = CapacityLimiter(12)
        """Verifications that memory does not answer, and what attached verifiers ask for theirs (F3, F4).

        Also who they are that would stop or narrow something: a place for that is for those who may be able to.
        """

    def of(self, aim: Aim) -> CapacityLimiter | None:
        """Where such a request is worked on; None for one of the others."""
        return {Aim.STOP: self.stopping, Aim.NARROW: self.narrowing}.get(aim)
