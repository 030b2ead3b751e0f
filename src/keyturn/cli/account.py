"""`keyturn account`: whom keys belong to, and the limits they all share."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from keyturn.cli.connection import connected
from keyturn.cli.key import sure
from keyturn.cli.listing import fetch, more, paged
from keyturn.cli.output import Output, moment, shown
from keyturn.cli.receipt import exit_code, tell_receipt

if TYPE_CHECKING:
    from keyturn.sdk.client import Client

policy_option = click.option("--policy", help="What its keys follow where they name none.")
floor_option = click.option("--floor", help="A policy than which none of its keys' may be laxer.")
allow_option = click.option(
    "--reset-allow", "reset_allowlist", multiple=True, metavar="NETWORK", help="Resets start from here; repeatable."
)
most_option = click.option("--max-keys-per-user", type=click.IntRange(1), help="How many live keys one user may have.")


@click.group()
def command() -> None:
    """Add, edit and suspend accounts."""


@command.command()
@click.argument("name")
@policy_option
@floor_option
@allow_option
@most_option
@connected
def create(*, api: "Client", out: Output, name: str, reset_allowlist: Sequence[str], **rest: Any) -> None:  # noqa: ANN401  # the rest goes to the API as it is
    """Add an account called NAME."""
    _print(api.create_account(name, reset_allowlist=reset_allowlist or None, **rest), out)


@command.command("list")
@paged
@connected
def list_(*, api: "Client", out: Output, **query: Any) -> None:  # noqa: ANN401  # the options of a page
    """List accounts, newest first."""
    page = fetch(api.list_accounts, **query)
    if out.as_json:
        out.document(page)
        return
    rows = ((one["id"], one["name"], one["policy"], one["floor"], moment(one["created_at"])) for one in page["items"])
    out.table(("ACCOUNT", "NAME", "POLICY", "FLOOR", "CREATED"), rows)
    more(page, out)


@command.command()
@click.argument("account_id", metavar="ACCOUNT")
@connected
def show(*, api: "Client", out: Output, account_id: str) -> None:
    """Show one account."""
    _print(api.get_account(account_id), out)


@command.command()
@click.argument("account_id", metavar="ACCOUNT")
@click.option("--name", help="Call it so.")
@policy_option
@click.option("--no-policy", is_flag=True, help="Follow the deployment's policy.")
@floor_option
@click.option("--no-floor", is_flag=True, help="Have no floor of its own.")
@allow_option
@click.option("--no-reset-allowlist", is_flag=True, help="Let resets start from anywhere.")
@most_option
@click.option("--no-max-keys-per-user", is_flag=True, help="Leave the number of keys to the policy.")
@connected
def edit(*, api: "Client", out: Output, account_id: str, reset_allowlist: Sequence[str], **options: Any) -> None:  # noqa: ANN401  # the edits by their names
    """Change an account.  What you name takes the place of what was; the rest stays."""
    changes: dict[str, Any] = {"reset_allowlist": list(reset_allowlist)} if reset_allowlist else {}
    changes |= {name: value for name, value in options.items() if value is not None and not name.startswith("no_")}
    for flag in (name for name, value in options.items() if name.startswith("no_") and value):
        name = flag.removeprefix("no_")
        if name in changes:
            raise click.UsageError(f"{name}: give a value or drop it, not both")
        changes[name] = [] if name == "reset_allowlist" else None
    if not changes:
        raise click.UsageError("name what to change")
    _print(api.edit_account(account_id, **changes), out)


@command.command()
@click.argument("account_id", metavar="ACCOUNT")
@click.option("--reason", help="Why, for the audit log.")
@click.option("--yes", is_flag=True, help="Do not ask on a terminal.")
@connected
def suspend(*, api: "Client", out: Output, account_id: str, reason: str | None, yes: bool) -> int | None:
    """Suspend every live key of an account, in one step."""
    sure(f"Suspend every key of {account_id}?", yes=yes)
    answer = api.suspend_account(account_id, reason=reason)
    if out.as_json:
        out.document(answer)
    else:
        out.line(f"{answer['keys']} keys suspended")
        tell_receipt(answer.get("receipt"), out)
    return exit_code({"receipt": answer.get("receipt")})


def _print(account: dict[str, Any], out: Output) -> None:
    if out.as_json:
        out.document(account)
        return
    out.facts(
        (
            ("id", account["id"]),
            ("name", account["name"]),
            ("policy", account["policy"] or "the deployment's"),
            ("floor", account["floor"] or "none"),
            ("resets start from", shown(account["reset_allowlist"]) if account["reset_allowlist"] else "anywhere"),
            ("keys per user", account["max_keys_per_user"] or "as the policy says"),
            ("created", moment(account["created_at"])),
        )
    )
