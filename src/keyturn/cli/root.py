"""`keyturn` itself: which commands there are, and what becomes of their answers and errors.

A command's module is imported when it is used; `keyturn --help` imports none.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

import click

from keyturn.cli.output import Unwritten

COMMANDS: Final = {
    "serve": "Serve the API until Ctrl-C or SIGTERM.",
    "demo": "Play one reset on a real server and database.",
    "init": "Make the data folder, the database and the administrator key.",
    "migrate": "Bring the database to this version's schema, and say what that took.",
    "doctor": "Look for what is wrong with this installation; changes nothing.",
    "key": "Issue, list, edit, reset and stop keys.",
    "reset": "Follow resets, call them off, end a grace.",
    "receipt": "Check the signed receipts of stops.",
    "verify": "Ask whether a key is accepted.",
    "policy": "Read, store and explain policies.",
    "user": "Add people and set their passwords.",
    "account": "Add, edit and suspend accounts, and look after their members.",
    "webhook": "Have programs told of what happens.",
    "notice": "Read what was told, and what became of it.",
    "audit": "Read who did what.",
    "fleet": "Look at nodes and verifiers, and at whom a stop waits for.",
    "bench": "Measure, each figure beside a floor in the same run.",
}
"""In the order of the help.  Each is the `command` of the module of its name; a test compares the sentences."""

INTERRUPTED: Final = 130
_ENDING: Final = """\
\b
Environment:
  KEYTURN_URL       where the server is (http://127.0.0.1:8787)
  KEYTURN_KEY       the key you act with, or
  KEYTURN_KEY_FILE  the file it lies in; without both, and for a server on
                    this machine, admin.key in the data folder if you can read it
  KEYTURN_DATA      the data folder (./keyturn-data)
  NO_COLOR          no colour

\b
Exit codes:
  0  done
  1  failed
  2  the command was written wrongly
  3  pending: a proof is missing, or a cool-down runs
  4  sign in: no key, or one that is not accepted
  5  done, but not yet confirmed everywhere

Begin with `keyturn demo`, or with `keyturn serve` and `keyturn key create`.
"""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # the same
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"keyturn.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # the same
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _version(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from keyturn import __version__

        click.echo(f"keyturn {__version__}")
        ctx.exit()


@click.command("keyturn", cls=LazyGroup, epilog=_ENDING, context_settings={"max_content_width": 100})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Say which version this is."
)
def root() -> None:
    """Issue, verify and reset API keys; a reset is final when it returns."""


def run(arguments: Sequence[str]) -> int:
    """Run one command; the answer is its exit code."""
    try:
        answer: Any = root.main(list(arguments), prog_name="keyturn", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        if isinstance(error, Unwritten):
            _give_up_stdout()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        _give_up_stdout()  # whoever read our output has had enough
        return 1
    return answer if isinstance(answer, int) else 0


def _give_up_stdout() -> None:
    """What is left in the buffer must not fail once more at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main() -> None:
    """The program."""
    sys.exit(run(sys.argv[1:]))
