"""What an outage of the database is told as, on every face."""

from keyturn.core.refusal import Busy, OutcomeUnknown, Refusal, StoreAway
from keyturn.ports.store import StoreBusy, StoreUnavailable, StoreUnsure


def of_outage(error: StoreUnavailable) -> Refusal:
    """The refusal that it becomes."""
    if isinstance(error, StoreUnsure):
        return OutcomeUnknown()
    return Busy() if isinstance(error, StoreBusy) else StoreAway()
