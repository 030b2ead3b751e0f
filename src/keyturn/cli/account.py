"""`keyturn account`: whom keys belong to, and the limits they all share."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from keyturn.cli.connection import connected
from keyturn.cli.listing import fetch, more, paged
from keyturn.cli.output import Output, moment, shown
from keyturn.cli.receipt import exit_code, tell_receipt
from keyturn.cli.sure import sure
from keyturn.cli.user import ROLES

if TYPE_CHECKING:
    from keyturn.sdk.client import Client

_MEMBER = ("user_id", "email", "name", "role")
policy_option = click.option("--policy", help="What its keys follow where they name none.")
floor_option = click.option("--floor", help="A policy than which none of its keys' may be laxer.")
allow_option = click.option(
    "--reset-allow", "reset_allowlist", multiple=True, metavar="NETWORK", help="Resets start from here; repeatable."
)
most_option = click.option("--max-keys-per-user", type=click.IntRange(1), help="How many live keys one user may have.")


@click.group()
def command() -> None:
    """Add, edit and suspend accounts, and look after their members."""


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


@command.command()
@click.argument("account_id", metavar="ACCOUNT")
@connected
def members(*, api: "Client", out: Output, account_id: str) -> None:
    """List the members of an account."""
    found = api.list_members(account_id)
    if out.as_json:
        out.document(found)
        return
    out.table(("USER", "E-MAIL", "NAME", "ROLE"), [[one[n] for n in _MEMBER] for one in found["items"]])


@command.command()
@click.argument("account_id", metavar="ACCOUNT")
@click.argument("email")
@click.option("--role", type=click.Choice(ROLES), help="What they are to be; member by default.")
@click.option("--language", help="Of the mail: en or de.")
@connected
def invite(*, api: "Client", out: Output, account_id: str, email: str, **rest: Any) -> None:  # noqa: ANN401  # the rest goes to the API as it is
    """Mail an invitation to an account."""
    made = api.invite(account_id, email, **rest)
    if out.as_json:
        out.document(made)
    else:
        out.line(f"{made['id']}: {made['email']} is invited as {made['role']} until {moment(made['ends_at'])}")


@command.command()
@click.argument("account_id", metavar="ACCOUNT")
@connected
def invitations(*, api: "Client", out: Output, account_id: str) -> None:
    """List the invitations that can still be accepted."""
    found = api.list_invitations(account_id)
    if out.as_json:
        out.document(found)
        return
    rows = ((one["id"], one["email"], one["role"], moment(one["ends_at"])) for one in found["items"])
    out.table(("INVITATION", "E-MAIL", "ROLE", "UNTIL"), rows)


@command.command()
@click.argument("account_id", metavar="ACCOUNT")
@click.argument("invitation_id", metavar="INVITATION")
@connected
def withdraw(*, api: "Client", out: Output, account_id: str, invitation_id: str) -> None:
    """Take an invitation back."""
    ended = api.withdraw_invitation(account_id, invitation_id)
    if out.as_json:
        out.document(ended)
    else:
        out.line(f"{ended['id']}: withdrawn")


@command.command("add-member")
@click.argument("account_id", metavar="ACCOUNT")
@click.argument("user_id", metavar="USER")
@click.option("--role", type=click.Choice(ROLES), help="What they are to be; member by default.")
@connected
def add_member(*, api: "Client", out: Output, account_id: str, user_id: str, role: str | None) -> None:
    """Add somebody who is a user already."""
    _print_member(api.add_member(account_id, user_id, role=role), out)


@command.command("edit-member")
@click.argument("account_id", metavar="ACCOUNT")
@click.argument("user_id", metavar="USER")
@click.option("--role", type=click.Choice(ROLES), required=True, help="What they are to be from now on.")
@connected
def edit_member(*, api: "Client", out: Output, account_id: str, user_id: str, role: str) -> None:
    """Give a member another role; their sessions for the account end."""
    _print_member(api.edit_member(account_id, user_id, role=role), out)


@command.command("remove-member")
@click.argument("account_id", metavar="ACCOUNT")
@click.argument("user_id", metavar="USER")
@click.option("--keys-to", metavar="USER", help="The member who takes their keys over; else those are suspended.")
@click.option("--yes", is_flag=True, help="Do not ask on a terminal.")
@connected
def remove_member(*, api: "Client", out: Output, account_id: str, user_id: str, keys_to: str | None, yes: bool) -> None:
    """Remove a member; their sessions for the account end, their keys stay with it."""
    sure(f"Remove {user_id} from {account_id}?", yes=yes)
    removed = api.remove_member(account_id, user_id, keys_to=keys_to)
    if out.as_json:
        out.document(removed)
    else:
        out.line(f"removed; {len(removed['handed_over'])} keys handed over, {len(removed['suspended'])} suspended")


def _print_member(member: dict[str, Any], out: Output) -> None:
    if out.as_json:
        out.document(member)
    else:
        out.line(f"{member['role']} of {member['account_id']}")


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
