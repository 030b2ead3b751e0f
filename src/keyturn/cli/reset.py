"""`keyturn reset`: resets that are under way or over."""

from typing import TYPE_CHECKING, Any

import click

from keyturn.cli.bringing import bring_options, brought
from keyturn.cli.connection import connected
from keyturn.cli.listing import fetch, more, paged
from keyturn.cli.output import Output, moment
from keyturn.cli.receipt import exit_code, receive_reset, tell_reset
from keyturn.cli.secret import out_option

if TYPE_CHECKING:
    from keyturn.sdk.client import Client


@click.group()
def command() -> None:
    """Follow resets, call them off, end a grace."""


@command.command("list")
@click.option("--key", "key_id", metavar="KEY", help="Of this key only.")
@click.option("--account", "account_id", metavar="ACCOUNT", help="Of this account only.")
@click.option(
    "--waiting",
    type=click.Choice(("mine", "any")),
    help="Only those that were ordered and are not minted yet: of your own keys, or of any you see.",
)
@paged
@connected
def list_(*, api: "Client", out: Output, **query: Any) -> None:  # noqa: ANN401  # the options of a page
    """List resets, newest first."""
    page = fetch(api.list_resets, **query)
    if out.as_json:
        out.document(page)
        return
    out.table(
        ("RESET", "KEY", "REASON", "STAGE", "ASKED", "NEW STARTS", "OLD STOPS"),
        (
            (
                one["id"],
                one["key_id"],
                one["reason"],
                one["stage"],
                moment(one["asked_at"]),
                moment(one["new_starts_at"]),
                moment(one["old_stops_at"]),
            )
            for one in page["items"]
        ),
    )
    more(page, out)


@command.command()
@click.argument("reset_id", metavar="RESET")
@connected
def show(*, api: "Client", out: Output, reset_id: str) -> int | None:
    """Show one reset, and during a grace who still uses the old secret.

    Exits 3 while a proof is missing or a cool-down runs.
    """
    reset = api.get_reset(reset_id)
    if out.as_json:
        out.document(reset)
    else:
        _print(reset, out)
    return exit_code(reset)


@command.command()
@click.argument("reset_id", metavar="RESET")
@click.option("--idempotency-key", metavar="TEXT", help="The same text claims once, however often you try.")
@out_option
@connected
def claim(
    *, api: "Client", out: Output, reset_id: str, idempotency_key: str | None, out_file: str | None
) -> int | None:
    """Take on a reset that was ordered, and print the new secret, once, where your key proves enough.

    Exits 3 while a proof is missing.
    """
    return receive_reset(lambda: api.claim_reset(reset_id, idempotency_key=idempotency_key), out, out_file=out_file)


@command.command()
@click.argument("reset_id", metavar="RESET")
@bring_options
@click.option("--idempotency-key", metavar="TEXT", help="The same text mints once, however often you try.")
@out_option
@connected
def mint(
    *,
    api: "Client",
    out: Output,
    reset_id: str,
    public_key_file: str | None,
    own_secret_file: str | None,
    idempotency_key: str | None,
    out_file: str | None,
) -> int | None:
    """Make the new secret of a reset that is proven and print it, once; or bring the next one.

    A reset of a key whose secrets you bring waits for this where nothing was brought with it.
    """
    bring = brought(public_key_file, own_secret_file)
    return receive_reset(
        lambda: api.mint_reset(reset_id, idempotency_key=idempotency_key, **bring), out, out_file=out_file
    )


@command.command()
@click.argument("reset_id", metavar="RESET")
@connected
def cancel(*, api: "Client", out: Output, reset_id: str) -> None:
    """Call off a reset that is not minted yet.  What it suspended stays suspended."""
    reset = api.cancel_reset(reset_id)
    if out.as_json:
        out.document(reset)
    else:
        _print(reset, out)


@command.command()
@click.argument("reset_id", metavar="RESET")
@connected
def finish(*, api: "Client", out: Output, reset_id: str) -> int | None:
    """Stop the old secret now instead of at the end of its grace."""
    reset = api.finish_reset(reset_id)
    if out.as_json:
        out.document(reset)
    else:
        _print(reset, out)
    return exit_code(reset)


def _print(reset: dict[str, Any], out: Output) -> None:
    """The reset is the data here, so its id and stage go to standard output; what follows from it is talk."""
    out.line(f"{reset['id']} {reset['stage']}")
    tell_reset(reset, out)
