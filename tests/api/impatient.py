"""keyturn that soon gives up on a database that says nothing: `python -m tests.api.impatient …`."""

from keyturn import cli
from keyturn.store import patience

if __name__ == "__main__":
    patience.SECONDS = 1.0  # type: ignore[misc]  # the test waits for it
    cli.main()
