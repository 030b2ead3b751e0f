"""`keyturn serve`."""

from pathlib import Path
from typing import Any

import click

from keyturn.cli.output import Failure


@click.command("serve", short_help="Serve the API until Ctrl-C or SIGTERM.")
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port to listen on; 0 for any free one.  [default: 8787]")
@click.option("--data", type=click.Path(path_type=Path), help="Data folder.  [default: ./keyturn-data]")
@click.option(
    "--database-url",
    metavar="URL",
    help="sqlite:///path or postgresql://….  A password in it belongs into KEYTURN_DATABASE_URL, not on the command"
    " line.  [default: SQLite in the data folder]",
)
@click.option("--tls-cert", type=click.Path(path_type=Path), help="Certificate chain in PEM.")
@click.option("--tls-key", type=click.Path(path_type=Path), help="Private key in PEM.")
@click.option("--base-url", metavar="URL", help="Where callers reach this server.")
@click.option("--config", "file", type=click.Path(path_type=Path), help="Settings file.  [default: ./keyturn.toml]")
def command(*, file: Path | None, **flags: Any) -> None:  # noqa: ANN401  # each option has its type
    """Serve the API until Ctrl-C or SIGTERM, which let requests under way finish.

    The first start makes the data folder, the database and an administrator key.  Flags win over the environment
    (KEYTURN_HOST and so on), the environment over keyturn.toml.
    """
    from keyturn.api.server import CannotListen
    from keyturn.outside.folder import FolderInUse
    from keyturn.ports import StoreUnavailable
    from keyturn.settings import Settings
    from keyturn.store.alone import NotAlone
    from keyturn.wiring import log_to_stderr, serve

    log_to_stderr()
    try:
        serve(Settings.load(flags, file=file))
    except (CannotListen, FolderInUse, NotAlone, StoreUnavailable, OSError, ValueError) as error:
        raise Failure(str(error), hint="`keyturn doctor` looks for what is wrong.") from None
