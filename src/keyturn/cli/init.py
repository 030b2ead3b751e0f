"""`keyturn init`: everything the first start would make, without serving."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from keyturn.cli.installation import configured, database_shown, sentences
from keyturn.cli.output import Output, json_option

if TYPE_CHECKING:
    from keyturn.settings import Settings
    from keyturn.wiring import Node

_MADE: Final = "made"
_THERE: Final = "there already"


@click.command("init")
@configured
@click.option("--new-admin-key", is_flag=True, help="Make one more administrator key; those there are stay accepted.")
@json_option
def command(*, settings: "Settings", new_admin_key: bool, as_json: bool) -> None:
    """Make the data folder, the database and the administrator key.

    What is there already stays as it is.  The key lies in admin.key in the data folder, readable by you alone; on a
    terminal it is printed too, once.
    """
    from keyturn.wiring import open_node

    out = Output(as_json=as_json)
    had_folder = settings.data.is_dir()
    with sentences(), open_node(settings) as node:
        key, key_id, file = node.admin_key, None, node.admin_key_file
        if new_admin_key and not key:
            key, key_id, file = _one_more(node)
    if as_json:
        out.document(
            {
                "data": str(settings.data),
                "made_folder": not had_folder,
                "founded": bool(node.admin_key),
                "admin_key_made": bool(key),
                "admin_key_id": key_id,
                "admin_key_file": str(file),
            }
        )
        return
    out.facts(
        (
            ("data folder", f"{settings.data} ({_THERE if had_folder else _MADE})"),
            ("database", f"{database_shown(settings)} ({_MADE if node.admin_key else _THERE})"),
            ("administrator key", f"{file} ({_MADE if key else _THERE if file.exists() else 'missing'})"),
        )
    )
    if not key and not file.exists():
        out.say("The administrator key is not where it was left: keyturn init --new-admin-key makes one more.")
    if key and sys.stdout.isatty():
        # To the terminal and nowhere else: what is piped may end up in a file or a log.
        out.say(f"\n{key}\n\nThis key is shown once. It may do everything; keep it safe.")


def _one_more(node: "Node") -> tuple[str, str, Path]:
    from keyturn.flow.bootstrap import new_administrator_key
    from keyturn.outside import folder

    key, secret = node.store.change(
        lambda tx: new_administrator_key(tx, brand=node.settings.brand, forge=node.forge),
    )
    file = node.admin_key_file
    if file.exists():
        file = file.with_name(f"admin-{key.id}.key")  # what is there may be the only copy of a key in use
    folder.write_secret(file, secret.reveal)
    return secret.reveal, key.id, file
