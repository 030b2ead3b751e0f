"""`keyturn policy`: the rules by which keys live and are reset."""

import json
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keyturn.cli.connection import connected
from keyturn.cli.output import Failure, Output, shown
from keyturn.cli.secret import STDIN

if TYPE_CHECKING:
    from keyturn.sdk.client import Client


@click.group()
def command() -> None:
    """Read, store and explain policies."""


@command.command("list")
@connected
def list_(*, api: "Client", out: Output) -> None:
    """List the presets and your own policies."""
    page = api.list_policies()
    if out.as_json:
        out.document(page)
        return
    out.table(
        ("POLICY", "VERSION", "BASE", "KIND", "MAX AGE", "COOL-DOWN", "GRACE UP TO"),
        (
            (
                one["name"],
                one["version"],
                one["base"],
                "preset" if one["preset"] else "own",
                one["fields"]["max_age"],
                one["fields"]["cool_down"],
                one["fields"]["grace_max"],
            )
            for one in page["items"]
        ),
    )


@command.command()
@click.argument("name")
@connected
def show(*, api: "Client", out: Output, name: str) -> None:
    """Show every field of one policy."""
    policy = api.get_policy(name)
    if out.as_json:
        out.document(policy)
        return
    sources = policy.get("sources") or {}
    out.facts([("policy", policy["name"]), ("version", policy["version"]), ("base", policy["base"])])
    out.line("")
    rows = ((name, value, sources.get(name, "")) for name, value in policy["fields"].items())
    out.table(("FIELD", "VALUE", "SOURCE"), rows)


@command.command()
@click.argument("file", metavar="FILE")
@click.option("--dry-run", is_flag=True, help="Say what it would change now, and store nothing.")
@connected
def apply(*, api: "Client", out: Output, file: str, dry_run: bool) -> None:
    """Store the policy in FILE, or its next version, and say what that changes.

    FILE is TOML or JSON (- for standard input) with `name`, `base` and the fields that differ from the base:

    \b
      name = "strict"
      base = "tradingonramp"
      max_age = "30d"
      cool_down = "24h"
    """  # noqa: D301  # click's mark is a real backspace
    fields = _read(file)
    name, base = fields.pop("name", None), fields.pop("base", None)
    if not isinstance(name, str):
        raise click.UsageError(f"{file}: a policy needs a name")
    if base is not None and not isinstance(base, str):
        raise click.UsageError(f"{file}: base is the name of a policy")
    policy = api.apply_policy(name, base=base or None, fields=fields, dry_run=dry_run)
    if out.as_json:
        out.document(policy)
        return
    impact = policy["impact"]
    out.line(f"{shown(policy['name'])} version {policy['version']}")
    out.say("stored nothing (dry run); now it would find:" if dry_run else "stored; now it finds:")
    out.facts(
        (
            ("keys that follow it", impact["keys"]),
            ("keys due for a reset", _ids(impact["keys_due"])),
            ("owners over the limit", _ids(impact["owners_over_limit"])),
            ("open resets it tightens", _ids(impact["open_resets"])),
        ),
        to_stderr=True,
    )


@command.command()
@click.option("--key", "key_id", metavar="KEY", help="For this key.")
@click.option("--account", "account_id", metavar="ACCOUNT", help="For this account.")
@connected
def explain(*, api: "Client", out: Output, key_id: str | None, account_id: str | None) -> None:
    """Say which policy is in force, and where each of its values comes from."""
    if (key_id is None) == (account_id is None):
        raise click.UsageError("name a key or an account: --key KEY or --account ACCOUNT")
    told = api.explain_policy(key_id=key_id, account_id=account_id)
    if out.as_json:
        out.document(told)
        return
    out.line(f"policy in force: {shown(told['policy'])}")
    out.line("")
    rows = ((name, one["value"], one["from"], one["doc"]) for name, one in told["fields"].items())
    out.table(("FIELD", "VALUE", "FROM", "MEANING"), rows)


def _read(file: str) -> dict[str, Any]:
    try:
        text = sys.stdin.read() if file == STDIN else Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise Failure(f"{file} cannot be read: {reason}") from None
    try:
        fields = json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise Failure(f"{file} is neither TOML nor JSON: {error}") from None
    if not isinstance(fields, dict):
        raise Failure(f"{file} holds no policy")
    return fields


def _ids(ids: list[str]) -> str:
    return f"{len(ids)}: {', '.join(ids)}" if ids else "none"
