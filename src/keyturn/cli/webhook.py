"""`keyturn webhook`: programs that are told of what happens to an account."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from keyturn.cli.connection import connected
from keyturn.cli.listing import fetch, more, paged
from keyturn.cli.output import FAILED, Output, moment
from keyturn.cli.secret import out_option, receiving
from keyturn.cli.sure import sure

if TYPE_CHECKING:
    from keyturn.sdk.client import Client

event_option = click.option(
    "--event", "events", multiple=True, metavar="KIND", help="Such as reset.minted, key.* or *; repeatable."
)


@click.group()
def command() -> None:
    """Have programs told of what happens."""


@command.command()
@click.argument("target", metavar="URL")
@event_option
@click.option("--account", "account_id", metavar="ACCOUNT", help="Of this account; your own unless named.")
@click.option("--every-account", is_flag=True, default=None, help="Of all accounts: for the operator.")
@out_option
@connected
def create(
    *,
    api: "Client",
    out: Output,
    target: str,
    events: Sequence[str],
    out_file: str | None,
    **rest: Any,  # noqa: ANN401  # the rest goes to the API as it is
) -> int | None:
    """Have URL called, and print the secret its calls are signed with, once."""
    with receiving(out_file, out) as receiver:
        made = api.create_webhook(target, events=events or None, **rest)
        return _deliver(receiver, made, out)


@command.command("list")
@click.option("--account", "account_id", metavar="ACCOUNT", help="Of this account only.")
@paged
@connected
def list_(*, api: "Client", out: Output, **query: Any) -> None:  # noqa: ANN401  # the options of a page
    """List webhooks, newest first."""
    page = fetch(api.list_webhooks, **query)
    if out.as_json:
        out.document(page)
        return
    rows = ((one["id"], one["url"], one["events"], _state(one), moment(one["made_at"])) for one in page["items"])
    out.table(("WEBHOOK", "URL", "EVENTS", "STATE", "MADE"), rows)
    more(page, out)


@command.command()
@click.argument("webhook_id", metavar="WEBHOOK")
@connected
def show(*, api: "Client", out: Output, webhook_id: str) -> None:
    """Show one webhook."""
    _print(api.get_webhook(webhook_id), out)


@command.command()
@click.argument("webhook_id", metavar="WEBHOOK")
@click.option("--to", "target", metavar="URL", help="Call this address from now on.")
@event_option
@connected
def edit(*, api: "Client", out: Output, webhook_id: str, target: str | None, events: Sequence[str]) -> None:
    """Change where a webhook calls, or what it is told of."""
    if not (target or events):
        raise click.UsageError("name what to change")
    _print(api.edit_webhook(webhook_id, url=target, events=events or None), out)


@command.command()
@click.argument("webhook_id", metavar="WEBHOOK")
@out_option
@connected
def rotate(*, api: "Client", out: Output, webhook_id: str, out_file: str | None) -> int | None:
    """Make a new signing secret and print it, once; the one before signs on for a day."""
    with receiving(out_file, out) as receiver:
        return _deliver(receiver, api.rotate_webhook(webhook_id), out)


@command.command()
@click.argument("webhook_id", metavar="WEBHOOK")
@connected
def suspend(*, api: "Client", out: Output, webhook_id: str) -> None:
    """Have it told nothing until it is resumed."""
    _print(api.suspend_webhook(webhook_id), out)


@command.command()
@click.argument("webhook_id", metavar="WEBHOOK")
@connected
def resume(*, api: "Client", out: Output, webhook_id: str) -> None:
    """Have it told again."""
    _print(api.resume_webhook(webhook_id), out)


@command.command()
@click.argument("webhook_id", metavar="WEBHOOK")
@connected
def test(*, api: "Client", out: Output, webhook_id: str) -> None:
    """Have it told of a test; `keyturn notice list` says what came of it."""
    _print(api.test_webhook(webhook_id), out)


@command.command()
@click.argument("webhook_id", metavar="WEBHOOK")
@click.option("--yes", is_flag=True, help="Do not ask on a terminal.")
@connected
def remove(*, api: "Client", out: Output, webhook_id: str, yes: bool) -> None:
    """Remove a webhook; what still waits for it is not told."""
    sure(f"Remove {webhook_id}?", yes=yes)
    _print(api.remove_webhook(webhook_id), out)


def _deliver(receiver: Any, made: dict[str, Any], out: Output) -> int | None:  # noqa: ANN401  # what `receiving` yields
    if not out.as_json:
        out.facts(_facts(made), to_stderr=True)
    delivered = receiver.deliver(made, again=f"keyturn webhook rotate {made['id']}")
    if out.as_json:
        out.document(made)
    return None if delivered else FAILED


def _print(webhook: dict[str, Any], out: Output) -> None:
    if out.as_json:
        out.document(webhook)
    else:
        out.facts(_facts(webhook))


def _facts(one: dict[str, Any]) -> list[tuple[str, object]]:
    return [
        ("id", one["id"]),
        ("account", "every one" if one["every_account"] else one["account_id"]),
        ("url", one["url"]),
        ("events", one["events"]),
        ("state", _state(one)),
        ("secret", f"version {one['version']}"),
        ("made", moment(one["made_at"])),
    ]


def _state(one: dict[str, Any]) -> str:
    if one["suspended_at"]:
        return f"suspended since {moment(one['suspended_at'])}"
    return f"failing since {moment(one['failing_since'])}" if one["failing_since"] else "active"
