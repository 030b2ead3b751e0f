"""`keyturn serve`."""

import json
import os
import signal
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import click

from keyturn.cli.connection import ADMIN_KEY_FILE
from keyturn.cli.installation import configured, sentences
from keyturn.cli.output import json_option

if TYPE_CHECKING:
    from keyturn.settings import Settings


@click.command("serve", short_help="Serve the API until Ctrl-C or SIGTERM.")
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port to listen on; 0 for any free one.  [default: 8787]")
@click.option("--tls-cert", type=click.Path(path_type=Path), help="Certificate chain in PEM.")
@click.option("--tls-key", type=click.Path(path_type=Path), help="Private key in PEM.")
@click.option("--base-url", metavar="URL", help="Where callers reach this server.")
@configured
@json_option
def command(*, settings: "Settings", as_json: bool) -> None:
    """Serve the API until Ctrl-C or SIGTERM, which let requests under way finish.

    The first start makes the data folder, the database and an administrator key.  Flags win over the environment
    (KEYTURN_HOST and so on), the environment over keyturn.toml.  With --json, where it listens is one line of JSON.
    """
    from keyturn.server import end_at_last, log_to_stderr, serve

    log_to_stderr()

    def listening(address: str) -> None:
        if as_json:
            told = {"url": address, "pid": os.getpid(), "admin_key_file": str(settings.data / ADMIN_KEY_FILE)}
            click.echo(json.dumps(told))  # on one line, and at once: somebody waits for it

    # A signal that comes while it starts is an orderly end too; once it serves, the runner takes them.
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, _leave)
    with suppress(KeyboardInterrupt), sentences():
        serve(settings, listening=listening, leaving=lambda: end_at_last(settings.drain_seconds))


def _leave(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
