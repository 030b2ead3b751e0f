"""`keyturn serve`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from keyturn.cli.installation import configured, sentences

if TYPE_CHECKING:
    from keyturn.settings import Settings


@click.command("serve", short_help="Serve the API until Ctrl-C or SIGTERM.")
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port to listen on; 0 for any free one.  [default: 8787]")
@click.option("--tls-cert", type=click.Path(path_type=Path), help="Certificate chain in PEM.")
@click.option("--tls-key", type=click.Path(path_type=Path), help="Private key in PEM.")
@click.option("--base-url", metavar="URL", help="Where callers reach this server.")
@configured
def command(*, settings: "Settings") -> None:
    """Serve the API until Ctrl-C or SIGTERM, which let requests under way finish.

    The first start makes the data folder, the database and an administrator key.  Flags win over the environment
    (KEYTURN_HOST and so on), the environment over keyturn.toml.
    """
    from keyturn.wiring import log_to_stderr, serve

    log_to_stderr()
    with sentences():
        serve(settings)
