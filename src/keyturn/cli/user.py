"""`keyturn user`: people, and the passwords by which they prove who they are."""

from typing import TYPE_CHECKING, Any, Final

import click

from keyturn.cli.connection import connected, reads_stdin_once
from keyturn.cli.listing import fetch, more, paged
from keyturn.cli.output import Output, moment
from keyturn.cli.secret import ask

if TYPE_CHECKING:
    from keyturn.sdk.client import Client

ROLES: Final = ("owner", "admin", "member", "auditor", "support", "security")
password_option = click.option(
    "--password-file",
    metavar="FILE",
    help="File with the password, - for standard input; at least 15 characters, and none that is easily guessed.",
)


@click.group()
def command() -> None:
    """Add people and set their passwords."""


@command.command()
@click.argument("email")
@click.option("--name", help="The person's name.")
@click.option("--username", help="What they may sign in with instead of the address.")
@click.option("--role", type=click.Choice(ROLES), help="What they are to the account; member by default.")
@click.option("--account", "account_id", metavar="ACCOUNT", help="Your own by default.")
@password_option
@click.option("--ask-password", is_flag=True, help="Ask for it on this terminal.")
@connected
def create(*, api: "Client", out: Output, password_file: str | None, ask_password: bool, **rest: Any) -> None:  # noqa: ANN401  # the rest goes to the API as it is
    """Add the person with this e-mail address.  Without a password they cannot sign in yet."""
    password = None
    if password_file or ask_password:
        password = _password(password_file)
    _print(api.create_user(rest.pop("email"), password=password, **rest), out)


@command.command("list")
@click.option("--account", "account_id", metavar="ACCOUNT", help="Of this account only.")
@paged
@connected
def list_(*, api: "Client", out: Output, **query: Any) -> None:  # noqa: ANN401  # the options of a page
    """List people, newest first."""
    page = fetch(api.list_users, **query)
    if out.as_json:
        out.document(page)
        return
    rows = ((one["id"], one["email"], one["name"], _roles(one), moment(one["created_at"])) for one in page["items"])
    out.table(("USER", "E-MAIL", "NAME", "ROLES", "CREATED"), rows)
    more(page, out)


@command.command()
@click.argument("user_id", metavar="USER")
@connected
def show(*, api: "Client", out: Output, user_id: str) -> None:
    """Show one person and the accounts they belong to."""
    _print(api.get_user(user_id), out)


@command.command()
@click.argument("user_id", metavar="USER")
@click.option("--name", help="The person's name.")
@click.option("--username", help="What they may sign in with instead of the address.")
@click.option("--no-username", is_flag=True, help="Let them sign in with the address only.")
@click.option("--language", help="Of pages and mails: en or de.")
@click.option("--time-zone", metavar="ZONE", help="Such as Europe/Berlin.")
@connected
def edit(*, api: "Client", out: Output, user_id: str, no_username: bool, **options: Any) -> None:  # noqa: ANN401  # the edits by their names
    """Change how a person is called and reads.  What you name takes the place of what was; the rest stays."""
    changes = {name: value for name, value in options.items() if value is not None}
    if no_username:
        if "username" in changes:
            raise click.UsageError("username: give a value or drop it, not both")
        changes["username"] = None
    if not changes:
        raise click.UsageError("name what to change")
    _print(api.edit_user(user_id, **changes), out)


@command.command()
@click.argument("user_id", metavar="USER")
@password_option
@connected
def password(*, api: "Client", out: Output, user_id: str, password_file: str | None) -> None:
    """Put another password in place; every session of the person ends.

    It comes from standard input or a file; on a terminal you are asked.
    """
    _print(api.set_password(user_id, _password(password_file)), out)


def _password(file: str | None) -> str:
    reads_stdin_once(file or "-", click.get_current_context().params.get("credential"))
    return ask(file, what="password", option="--password-file", twice=True)


def _print(user: dict[str, Any], out: Output) -> None:
    if out.as_json:
        out.document(user)
    else:
        facts = [(name, user[name]) for name in ("id", "email", "username", "name") if user[name]]
        out.facts([*facts, ("roles", _roles(user)), ("created", moment(user["created_at"]))])


def _roles(user: dict[str, Any]) -> list[str]:
    return [f"{one['role']} of {one['account_id']}" for one in user.get("memberships") or ()]
