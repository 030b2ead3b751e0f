"""Commands that work on this machine's installation instead of asking a server: their options and their errors."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from keyturn.cli.output import USAGE, Failure

if TYPE_CHECKING:
    from keyturn.settings import Settings

_OPTIONS: Final = (
    click.option(
        "--data", type=click.Path(path_type=Path), help="Data folder (KEYTURN_DATA).  [default: ./keyturn-data]"
    ),
    click.option(
        "--database-url",
        metavar="URL",
        help="sqlite:///path or postgresql://….  A password in it belongs into KEYTURN_DATABASE_URL, not on the command"
        " line.  [default: SQLite in the data folder]",
    ),
    click.option(
        "--config",
        "config_file",
        type=click.Path(path_type=Path),
        help="Settings file (KEYTURN_CONFIG).  [default: ./keyturn.toml]",
    ),
)


def configured(command: Callable[..., int | None]) -> Callable[..., int | None]:
    """Give a command the options that name an installation, and call it with `settings`.

    Options of the command that bear a setting's name are flags for that setting.
    """

    @functools.wraps(command)
    def run(*, config_file: Path | None, **options: Any) -> int | None:  # noqa: ANN401  # each option has its type
        from dataclasses import fields

        from keyturn.settings import SettingError, Settings

        flags = {one.name: options.pop(one.name) for one in fields(Settings) if one.name in options}
        try:
            settings = Settings.load(flags, file=config_file)
        except SettingError as error:
            hint = "Flags win over the environment (KEYTURN_…), the environment over keyturn.toml."
            raise Failure(str(error), hint=hint, exit_code=USAGE) from None
        return command(settings=settings, **options)

    for option in reversed(_OPTIONS):
        option(run)
    return run


@contextmanager
def sentences() -> Iterator[None]:
    """Turn what stands in the way into a sentence and a hint."""
    from keyturn.api.server import CannotListen
    from keyturn.outside.folder import FolderInUse
    from keyturn.ports.store import StoreUnavailable
    from keyturn.store.presence import NotAlone

    try:
        yield
    except CannotListen as error:
        raise Failure(str(error), hint="Choose another with --host and --port, or end what listens there.") from None
    except FolderInUse as error:
        raise Failure(
            str(error), hint="End that server first; one at a time serves from a data folder or a SQLite file."
        ) from None
    except NotAlone as error:
        raise Failure(str(error), hint="End every server that uses it first.") from None
    except (StoreUnavailable, OSError, ValueError) as error:
        raise Failure(str(error), hint="`keyturn doctor` looks for what is wrong.") from None


def database_shown(settings: "Settings") -> str:
    """The database's address, without a password and without what else its query may hold."""
    from keyturn.store import address

    return address.shown(settings.database)
