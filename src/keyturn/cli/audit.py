"""`keyturn audit`: who did, or tried to do, what."""

from typing import TYPE_CHECKING, Any

import click

from keyturn.cli.connection import connected
from keyturn.cli.listing import fetch, more, paged
from keyturn.cli.output import Output, moment

if TYPE_CHECKING:
    from keyturn.sdk.client import Client


@click.group()
def command() -> None:
    """Read who did what."""


@command.command("list")
@click.option("--subject", "subject_id", metavar="ID", help="About this key, reset, user or account only.")
@click.option("--account", "account_id", metavar="ACCOUNT", help="In this account only.")
@paged
@connected
def list_(*, api: "Client", out: Output, **query: Any) -> None:  # noqa: ANN401  # the options of a page
    """List changes and refused attempts, newest first."""
    page = fetch(api.list_audit, **query)
    if out.as_json:
        out.document(page)
        return
    out.table(
        ("NUMBER", "AT", "ACTION", "OUTCOME", "SUBJECT", "ACTOR", "CHANNEL", "ADDRESS"),
        (
            (
                one["number"],
                moment(one["at"]),
                one["action"],
                one["outcome"],
                one["subject_id"],
                one["actor_id"],
                one["channel"],
                one["address"],
            )
            for one in page["items"]
        ),
    )
    more(page, out)
