"""Points in time, as they are given on the command line."""

from datetime import UTC, datetime
from typing import Final

import click

from keyturn.core import duration
from keyturn.outside import clock

NEVER: Final = "never"


class Expiry(click.ParamType[str]):
    """From now (`90d`), a date (`2031-01-31T00:00:00Z`), or `never`."""

    name = "when"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if text == NEVER:
            return text
        try:
            if text[:1].isdigit() and "-" in text:
                at = datetime.fromisoformat(text)
                return _instant(at if at.tzinfo else at.replace(tzinfo=UTC))
            return _instant(clock.now() + duration.parse(text))
        except (ValueError, OverflowError):
            self.fail(f"{text!r} is neither a span such as 90d, nor a date such as 2031-01-31, nor never", param, ctx)


class Earlier(Expiry):
    """A date, or a span back from now (`24h`)."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        try:
            return _instant(clock.now() - duration.parse(text))
        except (ValueError, OverflowError):
            return super().convert(text, param, ctx)


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
