"""keyturn that is soon tired of a database that says nothing, once told: `python -m tests.api.impatient …`."""

import signal
from types import FrameType

from keyturn import cli
from keyturn.store import patience

TIRES: int = signal.SIGUSR1


def tire(_signal: int, _frame: FrameType | None) -> None:
    """Give up after a moment from now on."""
    patience.SECONDS = 1.0  # type: ignore[misc]  # the test waits for it


if __name__ == "__main__":
    signal.signal(TIRES, tire)
    cli.main()
