"""`keyturn notice`: what was told, to whom, and what became of it."""

from typing import TYPE_CHECKING, Any

import click

from keyturn.cli.connection import connected
from keyturn.cli.listing import fetch, more, paged
from keyturn.cli.output import Output, moment

if TYPE_CHECKING:
    from keyturn.sdk.client import Client


@click.group()
def command() -> None:
    """Read what was told, and what became of it."""


@command.command("list")
@click.option("--account", "account_id", metavar="ACCOUNT", help="Of this account only.")
@click.option("--key", "key_id", metavar="KEY", help="About this key only.")
@paged
@connected
def list_(*, api: "Client", out: Output, **query: Any) -> None:  # noqa: ANN401  # the options of a page
    """List what was told to each address and webhook, newest first."""
    page = fetch(api.list_notices, **query)
    if out.as_json:
        out.document(page)
        return
    out.table(
        ("AT", "KIND", "KEY", "TO", "STATE", "ANSWER", "ATTEMPTS"),
        (
            (moment(one["at"]), one["kind"], one["key_id"], one["to"], one["state"], one["said"], one["attempts"])
            for one in page["items"]
        ),
    )
    more(page, out)
