"""Lists: one page, or all of them."""

from collections.abc import Callable
from typing import Any, Final

import click

from keyturn.cli.output import Output

PAGE: Final = 50
LARGEST_PAGE: Final = 200
Json = dict[str, Any]
_OPTIONS: Final = (
    click.option(
        "--limit", type=click.IntRange(1, LARGEST_PAGE), default=PAGE, show_default=True, help="How many on a page."
    ),
    click.option("--cursor", help="Where to go on: the `next_cursor` of the page before."),
    click.option("--all", "everything", is_flag=True, help="Every page."),
)


def paged(command: Callable[..., int | None]) -> Callable[..., int | None]:
    """Give a listing its options."""
    for option in reversed(_OPTIONS):
        option(command)
    return command


def fetch(get: Callable[..., Json], *, limit: int, cursor: str | None, everything: bool, **query: str | None) -> Json:
    """A page as the API answers it; with `everything`, all that follow in the same form."""
    page = get(limit=LARGEST_PAGE if everything else limit, cursor=cursor, **query)
    items = list(page["items"])
    while everything and page.get("next_cursor"):
        page = get(limit=LARGEST_PAGE, cursor=page["next_cursor"], **query)
        items += page["items"]
    return {**page, "items": items}


def more(page: Json, out: Output) -> None:
    """Say that there is more."""
    if page.get("next_cursor"):
        out.say(f"There is more: --all, or --cursor {page['next_cursor']}")
