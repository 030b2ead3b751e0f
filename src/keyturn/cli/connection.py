"""How a command reaches the server: the options all such commands share, and what to do when the server says no."""

import functools
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from keyturn.cli.output import FAILED, PENDING, SIGN_IN, USAGE, Failure, Output, json_option
from keyturn.cli.secret import STDIN, read_first_line

if TYPE_CHECKING:
    from keyturn.sdk.client import ApiError, Client, ServerUnreachable

DEFAULT_URL: Final = "http://127.0.0.1:8787"
DEFAULT_DATA: Final = "keyturn-data"
ADMIN_KEY_FILE: Final = "admin.key"

_OPTIONS: Final = (
    click.option("--url", envvar="KEYTURN_URL", default=DEFAULT_URL, show_default=True, help="Where the server is."),
    click.option(
        "--credential",
        metavar="FILE",
        help="File with the key you act with, - for standard input; goes before KEYTURN_KEY and KEYTURN_KEY_FILE."
        " Without any, admin.key in the data folder, for a server on this machine.",
    ),
    click.option(
        "--ca-file",
        envvar="KEYTURN_CA_FILE",
        type=click.Path(exists=True, dir_okay=False),
        help="Certificates to trust instead of the system's.",
    ),
    click.option("--allow-plain-http", is_flag=True, help="Send keys over plain HTTP to another machine."),
    json_option,
)

_HINTS: Final = {
    "replaced": "It was reset; act with its new secret.",
    "permission_missing": "Act with a key that holds this right, or edit this one: keyturn key edit --permission …",
    "https_required": "Serve with --tls-cert and --tls-key and use https://, or run this on the server itself.",
    "not_found": "Check the id; `keyturn key list` and `keyturn reset list` show what this credential can see.",
    "key_changed": "Somebody reset it meanwhile: keyturn key show, then decide again.",
    "reset_already_open": "Finish or call it off first: keyturn reset list, keyturn reset cancel RESET",
    "proof_required": "Who administers the account proves it by credential: act with such a key.",
    "key_limit_reached": "Revoke a key nobody needs, or raise the limit: keyturn account edit --max-keys-per-user",
    "policy_unknown": "keyturn policy list names those there are.",
    "new_not_started": "Wait for the cool-down; or, if the old secret is in wrong hands, reset with --reason leaked.",
    "store_unavailable": "Nothing was changed. Look after the database (keyturn doctor), then try again.",
    "outcome_unknown": "It may have been carried out: look (keyturn key show, reset list) before you try again.",
    "busy": "Nothing was changed. Try again in a moment.",
}
_PENDING: Final = frozenset({"proof_required", "new_not_started"})


def connected(command: Callable[..., int | None]) -> Callable[..., int | None]:
    """Give a command the options of a client, and call it with `api` (a Client) and `out` (an Output)."""

    @functools.wraps(command)
    def run(  # the options by their names, the rest for the command
        *,
        url: str,
        credential: str | None,
        ca_file: str | None,
        allow_plain_http: bool,
        as_json: bool,
        **rest: Any,  # noqa: ANN401  # each command has its own
    ) -> int | None:
        out = Output(as_json=as_json)
        with (
            _sentences(url, as_json=as_json),
            _client(url, credential, ca_file, allow_plain_http=allow_plain_http) as api,
        ):
            return command(api=api, out=out, **rest)

    for option in reversed(_OPTIONS):
        option(run)
    return run


def data_folder() -> Path:
    """Where this machine's data folder is, as far as the environment says."""
    return Path(os.environ.get("KEYTURN_DATA") or DEFAULT_DATA)


def _client(url: str, credential: str | None, ca_file: str | None, *, allow_plain_http: bool) -> "Client":
    from keyturn.sdk.client import Client, is_loopback_url

    try:
        is_here = is_loopback_url(url)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    key, source = _credential(credential, is_here=is_here)
    if not key:
        raise Failure(
            "no key to act with",
            hint="Set KEYTURN_KEY_FILE to the file it lies in, or give --credential FILE.\n"
            "The first start writes an administrator key to admin.key in the data folder (KEYTURN_DATA).",
            exit_code=SIGN_IN,
        )
    try:
        return Client(url, key=key, ca_file=ca_file, allow_plain_http=allow_plain_http, retries=1)
    except (ValueError, OSError) as error:
        raise Failure(f"{error} (the key is from {source})", exit_code=USAGE) from None


def _credential(named: str | None, *, is_here: bool) -> tuple[str, str]:
    """The key to act with, and where it is from."""
    if named:
        return read_first_line(named, what="credential"), "--credential"
    if key := os.environ.get("KEYTURN_KEY", "").strip():
        return key, "KEYTURN_KEY"
    if file := os.environ.get("KEYTURN_KEY_FILE", ""):
        return read_first_line(file, what="credential"), "KEYTURN_KEY_FILE"
    file = str(data_folder() / ADMIN_KEY_FILE)
    # The key of this machine's server is no other server's business.
    if is_here and os.access(file, os.R_OK):
        return read_first_line(file, what="credential"), file
    return "", ""


@contextmanager
def _sentences(url: str, *, as_json: bool) -> Iterator[None]:
    """Turn what the server, or its absence, says into a sentence, a hint and an exit code."""
    from keyturn.sdk.client import ApiError, BadArgument, ServerUnreachable

    try:
        yield
    except BadArgument as error:
        raise click.UsageError(str(error)) from None
    except ApiError as error:
        raise _refused(error, as_json=as_json) from None
    except ServerUnreachable as error:
        raise _unreachable(error, url, as_json=as_json) from None


def _refused(error: "ApiError", *, as_json: bool) -> Failure:
    problem: Mapping[str, Any] | None = None
    if as_json:
        members = {"code": error.code, "status": error.status, "title": error.title, "detail": error.detail}
        problem = {**members, **error.fields}
    if error.status == 401:
        hint = _HINTS.get(error.code, "The key is unknown here, revoked, suspended or expired. Act with another:\n")
        if error.code not in _HINTS:
            hint += "--credential FILE, KEYTURN_KEY_FILE or KEYTURN_KEY; `keyturn init --new-admin-key` makes one."
        return Failure(_said(error), hint=hint, exit_code=SIGN_IN, problem=problem)
    exit_code = PENDING if error.code in _PENDING else FAILED
    return Failure(_said(error), hint=_HINTS.get(error.code, ""), exit_code=exit_code, problem=problem)


def _said(error: "ApiError") -> str:
    return f"{error.detail or error.title} [{error.code}]"


def _unreachable(error: "ServerUnreachable", url: str, *, as_json: bool) -> Failure:
    hint = "Is it running? Start it with `keyturn serve`, or name another with --url or KEYTURN_URL."
    if not error.never_sent:
        hint = "The request may have been carried out; look before you repeat it."
    problem = {"code": "unreachable", "title": str(error), "url": url} if as_json else None
    return Failure(str(error), hint=hint, problem=problem)


def reads_stdin_once(*files: str | None) -> None:
    """Standard input holds one secret; two options cannot both read it."""
    if sum(file == STDIN for file in files) > 1:
        raise click.UsageError("only one secret can come from standard input")
