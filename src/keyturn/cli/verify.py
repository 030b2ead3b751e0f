"""`keyturn verify`: what a verifier would answer."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from keyturn.cli.connection import connected, reads_stdin_once
from keyturn.cli.output import FAILED, PENDING, Output
from keyturn.cli.secret import ask

if TYPE_CHECKING:
    from keyturn.sdk.client import Client


@click.command()
@click.option("--key-file", metavar="FILE", help="File with the key; standard input by default.")
@click.option(
    "--permission", "permissions", multiple=True, metavar="RESOURCE:ACTION", help="It must hold this; repeatable."
)
@click.option("--ip", help="The address it is used from; a key with an allowlist needs one.")
@connected
def command(
    *, api: "Client", out: Output, key_file: str | None, permissions: Sequence[str], ip: str | None
) -> int | None:
    """Ask whether a key is accepted.

    Prints the code: valid, unknown, malformed, not_yet_active, replaced, revoked, expired, suspended, ip_not_allowed,
    permission_missing or rate_limited; of a signed request also stale or replayed.
    Exits 0 where it is valid, 3 where it is not yet active, else 1.
    The key comes from standard input or a file, never from an argument.
    """
    reads_stdin_once(key_file or "-", click.get_current_context().params.get("credential"))
    key = ask(key_file, what="key", option="--key-file")
    answer = api.verify(key, permissions=permissions or None, ip=ip)
    if out.as_json:
        out.document(answer)
    else:
        out.line(out.mark(answer["code"], "green" if answer["valid"] else "red"))
        names = ("key_id", "version", "account_id", "owner_id", "environment", "permissions", "replaced_at", "reset_id")
        out.facts(
            ((name.removesuffix("_id"), answer[name]) for name in names if answer.get(name) is not None),
            to_stderr=True,
        )
    if answer["code"] == "not_yet_active":
        return PENDING
    return None if answer["valid"] else FAILED
