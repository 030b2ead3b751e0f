"""`keyturn migrate`: the schema, brought up to date while nothing serves."""

from typing import TYPE_CHECKING

import click

from keyturn.cli.installation import configured, database_shown, sentences
from keyturn.cli.output import Output, json_option

if TYPE_CHECKING:
    from keyturn.settings import Settings


@click.command("migrate")
@configured
@json_option
def command(*, settings: "Settings", as_json: bool) -> None:
    """Bring the database to this version's schema, and say what that took.

    `keyturn serve` does the same when it starts.  Refused while a server uses the database.
    """
    out = Output(as_json=as_json)
    with sentences():
        before, after = _migrate(settings)
    if as_json:
        out.document({"database": database_shown(settings), "before": before, "after": after})
        return
    done = "it was up to date" if before == after else f"migrated from {before or 'an empty database'}"
    out.line(f"{database_shown(settings)}: at revision {after}; {done}")


def _migrate(settings: "Settings") -> tuple[str | None, str | None]:
    from sqlalchemy.exc import SQLAlchemyError

    from keyturn.outside import folder
    from keyturn.ports.store import StoreUnavailable
    from keyturn.store.database import connect, reason_of, sqlite_file
    from keyturn.store.migrate import migrate, revisions
    from keyturn.store.presence import Presence, check_sessions

    with folder.alone(settings.data, sqlite_file(settings.database)):
        engine = connect(settings.database)
        presence = Presence(engine)
        try:
            check_sessions(engine)
            presence.alone()
            before, _ = revisions(engine)
            migrate(engine)
            after, _ = revisions(engine)
        except (SQLAlchemyError, UnicodeError) as error:
            raise StoreUnavailable(f"the database cannot be opened: {reason_of(error)}") from None
        finally:
            presence.release()
            engine.dispose()
    return before, after
