"""`keyturn demo`."""

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn

import click

from keyturn.cli.output import Failure, Output, has_colour, json_option

_CLEAR_LINE: Final = "\r\x1b[K"


@click.command("demo")
@click.option("--once", is_flag=True, help="Play it and leave.")
@click.option("--port", type=click.IntRange(0, 65535), default=8787, show_default=True, help="0 for any free one.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo-data"),
    show_default=True,
    help="The demo's own data folder; it is made, and used again.",
)
@json_option
def command(*, once: bool, port: int, data: Path, as_json: bool) -> None:
    """Play one reset on a real server and database.

    Starts `keyturn serve` on this machine, seeds it with accounts, people, keys and traffic, lets a key leak and resets
    it before your eyes, then hands another over with a grace.  Prints sign-ins and commands to try, and goes on until
    Ctrl-C.
    """
    from keyturn.demo.house import DemoError
    from keyturn.demo.narration import Narration
    from keyturn.demo.play import play

    out = Output(as_json=as_json)
    stream = sys.stderr if as_json else sys.stdout
    narration = Narration(lambda text: click.echo(text, file=stream), colour=has_colour(stream))

    def told(counted: dict[str, Any]) -> None:
        if as_json:
            out.document(counted)
            sys.stdout.flush()

    # Set outright: a shell that starts us in the background has SIGINT ignored.
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, _leave)
    status = _show_status if sys.stderr.isatty() and not once else None
    try:
        play(data, port=port, narration=narration, once=once, told=told, status=status)
    except DemoError as error:
        raise Failure(str(error)) from None
    except KeyboardInterrupt:
        out.say(f"\nstopped; what it made stays in {data}")


def _leave(_signal: int, _frame: FrameType | None) -> NoReturn:
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)  # once is enough: what follows is the server's orderly end
    raise KeyboardInterrupt


def _show_status(text: str) -> None:
    click.echo(f"{_CLEAR_LINE}{text}", nl=False, err=True)
