"""`keyturn key`: issue keys, see them, change them, reset and stop them."""

from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import click

from keyturn.cli.bringing import bring_options, brought
from keyturn.cli.connection import connected, reads_stdin_once
from keyturn.cli.listing import fetch, more, paged
from keyturn.cli.output import FAILED, Failure, Output, moment
from keyturn.cli.receipt import exit_code, receive_reset, tell_preview, tell_receipt
from keyturn.cli.secret import ask, out_option, receiving
from keyturn.cli.sure import sure
from keyturn.cli.when import NEVER, Earlier, Expiry
from keyturn.core.own_secret import is_presentable, label_of

if TYPE_CHECKING:
    from keyturn.sdk.client import Client

Json = dict[str, Any]
REASONS: Final = ("lost", "leaked", "suspicious", "routine", "personnel", "policy")


permission_option = click.option(
    "--permission",
    "permissions",
    multiple=True,
    metavar="RESOURCE:ACTION",
    help="Such as orders:read, *:write or keyturn.verify; repeat it for several.",
)
allow_option = click.option(
    "--allow", "allowlist", multiple=True, metavar="NETWORK", help="An address or network to use it from; repeatable."
)


@click.group()
def command() -> None:
    """Issue, list, edit, reset and stop keys."""


@command.command()
@click.argument("name")
@click.option("--environment", type=click.Choice(("live", "test")), help="live unless you say test.")
@permission_option
@allow_option
@click.option("--expires", type=Expiry(), help="90d, a date, or never.")
@click.option("--limit", metavar="REQUESTS/WINDOW", help="Such as 100/1m.")
@click.option("--policy", help="Follow this policy instead of the account's.")
@click.option("--account", "account_id", metavar="ACCOUNT", help="Whose key it is; your own account's by default.")
@click.option("--owner", "owner_id", metavar="USER", help="Its owner in that account.")
@click.option("--label", help="Your own word, in the secret behind the brand: lower-case letters, digits, underscores.")
@bring_options
@click.option("--idempotency-key", metavar="TEXT", help="The same text makes the same key once, however often you try.")
@out_option
@connected
def create(
    *,
    api: "Client",
    out: Output,
    name: str,
    permissions: Sequence[str],
    allowlist: Sequence[str],
    expires: str | None,
    public_key_file: str | None,
    own_secret_file: str | None,
    out_file: str | None,
    **rest: str | None,
) -> int | None:
    """Issue a key called NAME and print its secret, once.

    Without --permission it may read everything and change nothing.
    A public key or an own secret that you bring is printed nowhere.
    """
    bring = brought(public_key_file, own_secret_file)
    with receiving(out_file, out) as receiver:
        made = api.create_key(
            name,
            permissions=permissions or None,
            allowlist=allowlist or None,
            expires_at=None if expires == NEVER else expires,
            **bring,
            **rest,
        )
        if not out.as_json:
            out.facts(_facts(made), to_stderr=True)
        delivered = receiver.deliver(made, again=f"keyturn key reset {made['id']} --reason lost")
    if out.as_json:
        out.document(made)
    return None if delivered or bring else FAILED


@command.command("list")
@click.option("--account", "account_id", metavar="ACCOUNT", help="Of this account only.")
@click.option("--owner", "owner_id", metavar="USER", help="Of this owner only.")
@paged
@connected
def list_(*, api: "Client", out: Output, **query: Any) -> None:  # noqa: ANN401  # the options of a page
    """List keys, newest first."""
    page = fetch(api.list_keys, **query)
    if out.as_json:
        out.document(page)
        return
    out.table(
        ("KEY", "NAME", "STATUS", "VERSION", "HINT", "PERMISSIONS", "LAST USED"),
        (
            (
                one["id"],
                one["name"],
                one["status"],
                one["version"],
                one["hint"],
                one["permissions"],
                moment(one["last_used_at"]),
            )
            for one in page["items"]
        ),
    )
    more(page, out)


@command.command()
@click.argument("key_id", metavar="KEY")
@connected
def show(*, api: "Client", out: Output, key_id: str) -> None:
    """Show one key, what is coming for it and the history of its secrets."""
    key = api.get_key(key_id)
    if out.as_json:
        out.document(key)
        return
    out.facts([*_facts(key), ("age", _age(key["age"])), *(("coming", _coming(one)) for one in key["coming"])])
    out.line("")
    out.table(
        ("VERSION", "HINT", "ACCEPTED FROM", "UNTIL", "WHY IT STOPPED", "LAST USED"),
        (
            (
                one["version"],
                one["hint"],
                moment(one["starts_at"]),
                moment(one["stopped_at"] or one["stops_at"]),
                one["stop_reason"],
                moment(one["last_used_at"]),
            )
            for one in key["secrets"]
        ),
    )


@command.command()
@click.argument("key_id", metavar="KEY")
@click.option("--name", help="Call it so.")
@permission_option
@click.option("--no-permissions", is_flag=True, help="Let it do nothing at all.")
@allow_option
@click.option("--no-allowlist", is_flag=True, help="Let it be used from anywhere.")
@click.option("--limit", metavar="REQUESTS/WINDOW", help="Such as 100/1m.")
@click.option("--no-limit", is_flag=True, help="Let it be used as often as one likes.")
@click.option("--expires", type=Expiry(), help="90d, a date, or never.")
@click.option("--policy", help="Follow this policy.")
@click.option("--no-policy", is_flag=True, help="Follow the account's policy.")
@connected
def edit(
    *,
    api: "Client",
    out: Output,
    key_id: str,
    name: str | None,
    permissions: Sequence[str],
    no_permissions: bool,
    allowlist: Sequence[str],
    no_allowlist: bool,
    limit: str | None,
    no_limit: bool,
    expires: str | None,
    policy: str | None,
    no_policy: bool,
) -> None:
    """Change what a key may do.  What you name takes the place of what was; the rest stays.

    Verifiers follow before this returns.
    """
    changes: Json = {"name": name} if name is not None else {}
    _choose(changes, "permissions", list(permissions) or None, drop=no_permissions, dropped=[])
    _choose(changes, "allowlist", list(allowlist) or None, drop=no_allowlist, dropped=[])
    _choose(changes, "limit", limit, drop=no_limit, dropped=None)
    _choose(changes, "policy", policy, drop=no_policy, dropped=None)
    _choose(changes, "expires_at", None if expires == NEVER else expires, drop=expires == NEVER, dropped=None)
    if not changes:
        raise click.UsageError("name what to change")
    key = api.edit_key(key_id, **changes)
    _print_key(key, out)


@command.command()
@click.argument("key_id", metavar="KEY")
@click.option(
    "--reason",
    type=click.Choice(REASONS),
    required=True,
    help="leaked and suspicious stop the old secret first and at once; the others let it go on as policy and --grace"
    " say; lost stops it at the first use of the new one.",
)
@click.option("--grace", metavar="SPAN", help="How long the old secret goes on: 1h, 0s. Policy sets the most.")
@click.option("--expected-version", type=int, help="Refuse where the key is at another version already.")
@click.option("--narrow-permission", "narrow_permissions", multiple=True, help="Leave it only this; repeatable.")
@click.option("--narrow-allow", "narrow_allowlist", multiple=True, help="Only from here; repeatable.")
@click.option("--narrow-expires", type=Expiry(), help="An earlier end: 30d, or a date.")
@click.option("--waive-cool-down", is_flag=True, help="Let the new secret start at once; takes one proof more.")
@click.option(
    "--suspend-created-since", type=Earlier(), help="With leaked: suspend what it created since: 24h ago, or a date."
)
@bring_options
@click.option("--idempotency-key", metavar="TEXT", help="The same text resets once, however often you try.")
@click.option(
    "--claim",
    is_flag=True,
    help="Order it for the key's owner to claim; no secret is made now.  By the end of --grace, counted from now, the"
    " old secret stops, claimed or not.",
)
@click.option("--dry-run", is_flag=True, help="Only say what it would do, and who uses the key now.")
@out_option
@connected
def reset(
    *,
    api: "Client",
    out: Output,
    key_id: str,
    dry_run: bool,
    narrow_permissions: Sequence[str],
    narrow_allowlist: Sequence[str],
    narrow_expires: str | None,
    waive_cool_down: bool,
    claim: bool,
    public_key_file: str | None,
    own_secret_file: str | None,
    out_file: str | None,
    **rest: Any,  # noqa: ANN401  # the rest goes to the API as it is
) -> int | None:
    """Give a key a new secret and print it, once; say what becomes of the old one.

    When this returns 0, the old secret is refused, or has the end that is printed.
    A key whose secrets you bring takes the next one here; without it, the reset waits for it.
    """
    if dry_run:
        _preview(api, out, key_id, waive_cool_down=waive_cool_down or None, reason=rest["reason"], grace=rest["grace"])
        return None
    bring = brought(public_key_file, own_secret_file)
    narrow: Json = {}
    _choose(narrow, "permissions", list(narrow_permissions) or None, drop=False, dropped=None)
    _choose(narrow, "allowlist", list(narrow_allowlist) or None, drop=False, dropped=None)
    _choose(narrow, "expires_at", narrow_expires, drop=False, dropped=None)
    asked: Json = {"narrow": narrow or None, "waive_cool_down": waive_cool_down or None, "claim": claim or None}
    return receive_reset(lambda: api.reset_key(key_id, **asked, **bring, **rest), out, out_file=out_file)


@command.command()
@click.argument("key_id", metavar="KEY")
@click.option("--reason", help="Why, for the audit log.")
@connected
def suspend(*, api: "Client", out: Output, key_id: str, reason: str | None) -> int | None:
    """Stop a key for now.  Nothing is lost: `keyturn key resume` or a reset brings it back."""
    return _stopped(api.suspend_key(key_id, reason=reason), out)


@command.command()
@click.argument("key_id", metavar="KEY")
@connected
def resume(*, api: "Client", out: Output, key_id: str) -> int | None:
    """Lift a suspension: a false alarm.  An open reset of the key ends."""
    return _stopped(api.resume_key(key_id), out)


@command.command()
@click.argument("key_id", metavar="KEY")
@click.option("--yes", is_flag=True, help="Do not ask on a terminal.")
@connected
def revoke(*, api: "Client", out: Output, key_id: str, yes: bool) -> int | None:
    """Stop a key for good; nothing brings it back."""
    sure(f"Revoke {key_id} for good?", yes=yes)
    return _stopped(api.revoke_key(key_id), out)


@command.command()
@click.option("--key-file", metavar="FILE", help="File with the key; standard input by default.")
@connected
def identify(*, api: "Client", out: Output, key_file: str | None) -> int | None:
    """Say which key a secret belongs to: one you found, say.

    Only its SHA-256 is sent.  The secret comes from standard input or a file.
    """
    context = click.get_current_context()
    reads_stdin_once(key_file or "-", context.params.get("credential"))
    secret = ask(key_file, what="key", option="--key-file")
    if not is_presentable(secret):
        raise Failure("this is no key: its form or its checksum is wrong", hint="Was it copied whole?")
    found = api.verify(key_sha256=sha256(secret.encode()).hexdigest(), label=label_of(secret) or None)
    if out.as_json:
        out.document(found)
    elif found["key_id"] is None:
        out.say("nobody's: no key here has this secret")
    else:
        names = ("key_id", "version", "account_id", "owner_id", "environment", "code", "permissions")
        out.facts((name.removesuffix("_id"), found.get(name)) for name in names)
    return None if found["key_id"] is not None else FAILED


def _preview(api: "Client", out: Output, key_id: str, **asked: Any) -> None:  # noqa: ANN401  # as they go to the API
    found = api.preview_reset(key_id, **asked)
    if out.as_json:
        out.document(found)
    else:
        tell_preview(found, out)


def _choose(changes: Json, name: str, value: object, *, drop: bool, dropped: object) -> None:
    if drop and value is not None:
        raise click.UsageError(f"{name}: give a value or drop it, not both")
    if drop:
        changes[name] = dropped
    elif value is not None:
        changes[name] = value


def _stopped(key: Json, out: Output) -> int:
    _print_key(key, out)
    if not out.as_json:
        tell_receipt(key.get("receipt"), out)
    return exit_code({"receipt": key.get("receipt")})


def _print_key(key: Json, out: Output) -> None:
    if out.as_json:
        out.document(key)
    else:
        out.facts(_facts(key))


def _facts(key: Json) -> list[tuple[str, object]]:
    facts: list[tuple[str, object]] = [(name, key[name]) for name in ("id", "name", "status", "environment")]
    facts += [
        ("version", f"{key['version']} ({key['hint']})"),
        *([("label", key["label"])] if key.get("label") else []),
        ("permissions", key["permissions"] or "none"),
        ("allowlist", key["allowlist"] or "from anywhere"),
        ("limit", key["limit"] or "none"),
        ("policy", key["policy"] or "the account's"),
        ("expires", moment(key["expires_at"]) if key["expires_at"] else "never"),
        ("account", key["account_id"]),
        ("owner", key["owner_id"]),
        ("created", f"{moment(key['created_at'])} by {key['created_by']}"),
        ("last used", moment(key["last_used_at"])),
    ]
    if held := key.get("suspended"):
        facts.append(("suspended", f"{moment(held['at'])} by {held['by']} ({held['reason'] or 'no reason given'})"))
    if key.get("revoked_at"):
        facts.append(("revoked", moment(key["revoked_at"])))
    return facts


def _age(age: Json) -> str:
    state = age["state"].replace("_", " ")
    due = f", a reset is due {moment(age['due_at'])} ({age['policy']})" if age["due_at"] else ""
    return f"{state}: its secret is of {moment(age['since'])}{due}"


def _coming(one: Json) -> str:
    said = f" ({one['policy']}: {one['field']})" if one["policy"] else ""
    return f"{moment(one['at'])} {one['what'].replace('_', ' ')}{said}"
