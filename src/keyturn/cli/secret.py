"""Secrets on their way in and out: from a file, standard input or a hidden prompt; to standard output or a file.

Never from an argument: arguments are in the process list and in the shell's history.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click

from keyturn.cli.output import Failure, Output, Unwritten

STDIN: Final = "-"
LONGEST: Final = 8192
_LOST: Final = "It is lost; reset the key: keyturn key reset KEY --reason lost"

out_option: Final = click.option(
    "--out",
    "out_file",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Write the secret to this new file, readable by you alone, instead of standard output.",
)


def read_first_line(file: str, *, what: str) -> str:
    """The first line of a file, or of standard input for `-`, without its end."""
    try:
        if file == STDIN:
            text = sys.stdin.readline(LONGEST)
        else:
            with Path(file).open(encoding="utf-8") as lines:
                text = lines.readline(LONGEST)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise Failure(f"the {what} cannot be read from {file}: {reason}") from None
    return text.rstrip("\r\n")


def ask(file: str | None, *, what: str, option: str, twice: bool = False) -> str:
    """A secret from the named file, from standard input, or from a hidden prompt where that is a terminal."""
    if file in (None, STDIN) and sys.stdin.isatty():
        answer: str = click.prompt(what.capitalize(), hide_input=True, confirmation_prompt=twice, err=True)
        return answer
    text = read_first_line(file or STDIN, what=what)
    if not text:
        raise click.UsageError(f"no {what} came; write it to standard input, or give {option} FILE")
    return text


class Receiver:
    """Where a new secret will go: made before the secret is, so that none is minted with nowhere to go."""

    def __init__(self, file: str | None, out: Output) -> None:
        self._file = Path(file) if file else None
        self._out = out
        self._descriptor = -1
        self.is_delivered = False

    def open(self) -> None:
        """Make the file.  It must be new: a secret never replaces another."""
        if self._file is None:
            return
        try:
            self._descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            hint = "Name a file that does not exist yet." if isinstance(error, FileExistsError) else ""
            raise Failure(f"{self._file} cannot be made: {error.strerror}", hint=hint) from None

    def deliver(self, answer: dict[str, Any], *, again: str) -> bool:
        """Hand the answer's secret over, once; whether there was one."""
        secret = answer.get("secret")
        if not secret:
            if answer.get("secret_shown"):
                self._out.say("An earlier attempt was answered with the secret, and nobody is shown it twice.")
                self._out.say(f"Where it was lost, reset the key: {again}")
            return False
        if self._file is not None:
            self._write(secret)
            answer["secret"], answer["secret_file"] = None, str(self._file)
            self._out.say(f"The secret lies in {self._file}; it is shown nowhere else, and never again.")
        elif not self._out.as_json:
            self._print(secret)
            self._out.say("This secret is shown once. Keep it safe; a lost one is mended by a reset.")
        self.is_delivered = True
        return True

    def close(self) -> None:
        """Leave no empty file behind."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            if self._file is not None and not self.is_delivered:
                self._file.unlink(missing_ok=True)

    def _print(self, secret: str) -> None:
        try:
            self._out.line(secret)
        except (Unwritten, BrokenPipeError):
            raise Unwritten("the secret was made but could not be written to standard output", hint=_LOST) from None

    def _write(self, secret: str) -> None:
        try:
            os.write(self._descriptor, (secret + "\n").encode())
            os.fsync(self._descriptor)
        except OSError as error:
            msg = f"the secret was made but could not be written to {self._file}: {error.strerror}"
            raise Failure(msg, hint=_LOST) from None


@contextmanager
def receiving(file: str | None, out: Output) -> Iterator[Receiver]:
    """A place for a new secret, for the time of one call."""
    receiver = Receiver(file, out)
    receiver.open()
    try:
        yield receiver
    finally:
        receiver.close()
