"""What a customer brings in place of a secret made by the server: from files, never from arguments."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from keyturn.cli.connection import reads_stdin_once
from keyturn.cli.output import Failure
from keyturn.cli.secret import LONGEST, ask

C = TypeVar("C", bound=Callable[..., Any])
_OPTIONS: Final = (
    click.option(
        "--public-key-file",
        metavar="FILE",
        help="Bring this Ed25519 public key (PEM): requests are signed, and the server never holds a secret.",
    ),
    click.option(
        "--own-secret-file",
        metavar="FILE",
        help="Bring the secret in this file, or - for standard input, where the policy allows it.",
    ),
)


def bring_options(command: C) -> C:
    """The options `--public-key-file` and `--own-secret-file`."""
    for option in reversed(_OPTIONS):
        option(command)
    return command


def brought(public_key_file: str | None, own_secret_file: str | None) -> dict[str, Any]:
    """What they name, in the words of the API."""
    if public_key_file and own_secret_file:
        raise click.UsageError("bring a public key or an own secret, not both")
    if public_key_file:
        return {"public_key": _read(public_key_file)}
    if own_secret_file:
        reads_stdin_once(own_secret_file, click.get_current_context().params.get("credential"))
        return {"own_secret": ask(own_secret_file, what="own secret", option="--own-secret-file", twice=True)}
    return {}


def _read(file: str) -> str:
    try:
        with Path(file).open(encoding="ascii") as lines:
            return lines.read(LONGEST)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no PEM"
        raise Failure(f"the public key cannot be read from {file}: {reason}") from None
