"""keyturn that answers those who wait as soon as it is told to end: `python -m tests.api.leaving …`."""

from keyturn import cli, server
from keyturn.settings import Settings

if __name__ == "__main__":
    server.ANSWERING_SECONDS = float(Settings.load({}).drain_seconds)  # type: ignore[misc]  # no test waits for it
    cli.main()
