"""What a command prints: data on standard output, talk on standard error.

Names come from other people, so no control or right-to-left character of theirs reaches a terminal (pitfall 27).
"""

import json
import os
import sys
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import IO, Any, Final, TypeVar

import click

from keyturn.core.visible import HIDDEN

F = TypeVar("F", bound=Callable[..., object])

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
PENDING: Final = 3
SIGN_IN: Final = 4
UNCONFIRMED: Final = 5

_NOTHING: Final = "-"

json_option: Final = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, as the API has it; an error is JSON on standard error."
)


class Failure(click.ClickException):
    """An expected end of a command: a sentence, what to do next, and the exit code."""

    def __init__(
        self, message: str, *, hint: str = "", exit_code: int = FAILED, problem: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.hint = hint
        vars(self)["exit_code"] = exit_code  # click declares it as one number for the whole class
        self.problem = problem
        """The same as a JSON object, where the command was to print JSON."""

    def show(self, file: IO[Any] | None = None) -> None:
        if self.problem is not None:
            click.echo(json.dumps(self.problem, ensure_ascii=False), file=file, err=True)
            return
        head = click.style("keyturn:", fg="red", bold=True) if has_colour(sys.stderr) else "keyturn:"
        click.echo(f"{head} {shown(self.message)}", file=file, err=True)
        for line in self.hint.splitlines():
            click.echo(f"         {line}", file=file, err=True)


class Unwritten(Failure):
    """What a command did stands, and nobody is told of it: standard output takes no more."""


class Output:
    """Where one command's answers go.  Raises Failure where standard output is closed, before anything is done."""

    def __init__(self, *, as_json: bool) -> None:
        if sys.stdout is None:  # the caller has closed it
            raise Failure("standard output is closed", hint="Send it to /dev/null where nobody is to read it.")
        self.as_json = as_json
        self._colour = has_colour(sys.stdout)

    def say(self, text: str) -> None:
        """Talk: never data, so a program that reads our output never sees it."""
        click.echo(text, err=True)

    def document(self, document: object) -> None:
        """The answer as JSON."""
        _write(json.dumps(document, indent=2, ensure_ascii=False))

    def line(self, text: str) -> None:
        """One line of data.  Raises Unwritten."""
        _write(text)

    def facts(self, facts: Iterable[tuple[str, object]], *, to_stderr: bool = False) -> None:
        """Names and values, aligned."""
        pairs = [(name, shown(value)) for name, value in facts]
        width = max((len(name) for name, _ in pairs), default=0)
        for name, value in pairs:
            line = f"{self._dim(name.ljust(width), to_stderr=to_stderr)}  {value}"
            self.say(line) if to_stderr else _write(line)

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Rows under headings, aligned; on a terminal the headings are bold."""
        texts = [[shown(cell) for cell in row] for row in rows]
        if not texts:
            self.say("nothing to list")
            return
        widths = [max(len(cell) for cell in column) for column in zip(headings, *texts, strict=True)]
        head = "  ".join(name.ljust(width) for name, width in zip(headings, widths, strict=True)).rstrip()
        _write(click.style(head, bold=True) if self._colour else head)
        for row in texts:
            _write("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())

    def mark(self, text: str, colour: str) -> str:
        """A word in colour, where there is colour."""
        return click.style(text, fg=colour) if self._colour else text

    def _dim(self, text: str, *, to_stderr: bool) -> str:
        colour = has_colour(sys.stderr) if to_stderr else self._colour
        return click.style(text, dim=True) if colour else text


def _write(text: str) -> None:
    try:
        click.echo(text)
    except BrokenPipeError:
        raise  # whoever reads has had enough
    except OSError as error:
        msg = f"the answer could not be written to standard output: {error.strerror}"
        raise Unwritten(msg, hint="What was to be done has been done.") from None


def has_colour(stream: IO[Any] | None) -> bool:
    """Whether to colour what goes there: on a terminal that knows colour, unless NO_COLOR is set."""
    return (
        stream is not None and stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    )


def shown(value: object) -> str:
    """A value as text for a person, with nothing in it that moves a cursor or turns the reading direction."""
    if value is None or value in ("", [], ()):
        return _NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(shown(one) for one in value)
    return "".join(f"\\u{ord(one):04x}" if unicodedata.category(one) in HIDDEN else one for one in str(value))


def moment(text: str | None) -> str:
    """An instant of the API, to the second."""
    if not text:
        return _NOTHING
    day, _, time = text.partition("T")
    return f"{day} {time.rstrip('Z').partition('.')[0].partition('+')[0]}Z" if time else day
