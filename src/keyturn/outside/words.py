"""The message catalogue: what pages and mails say, in the reader's language.

Texts lie in `keyturn/words/<part>.<language>.toml`.  `{name}` stands for a value; a table with `one` and `other`
depends on `count` (Unicode CLDR's plural rules, by Babel).
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from importlib.resources import files
from typing import Any, Final
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError, negotiate_locale
from babel.dates import format_datetime, format_skeleton, format_timedelta
from babel.numbers import format_decimal
from babel.units import format_unit

from keyturn.core.instant import Instant

LANGUAGES: Final = ("en", "de")
"""Every one of them is complete; a test compares them."""
_LOCALES: Final = {"en": "en_GB", "de": "de_DE"}
_UNITS: Final = (("day", timedelta(days=1)), ("hour", timedelta(hours=1)), ("minute", timedelta(minutes=1)))


@dataclass(frozen=True, slots=True)
class Words:
    """The texts of one language."""

    language: str
    texts: Mapping[str, str]
    locale: Locale

    def __call__(self, key: str, **values: object) -> str:
        """The text of that key with its values in place.  Raises KeyError for a text that is not there."""
        text = self.texts.get(key)
        if text is None:
            text = self.texts[f"{key}.{self._plural(values['count'])}"]
        shown = {name: self.number(value) if isinstance(value, int) else value for name, value in values.items()}
        return text.format(**shown) if shown else text

    def has(self, key: str) -> bool:
        """Whether there is such a text."""
        return key in self.texts

    def number(self, value: int) -> str:
        """A number as the language writes it."""
        return format_decimal(value, locale=self.locale)

    def moment(self, instant: Instant, zone: ZoneInfo) -> str:
        """An instant in the reader's zone, to the minute."""
        day = format_skeleton("yMMMd", instant, tzinfo=zone, locale=self.locale)
        return f"{day}, {format_datetime(instant, 'HH:mm', tzinfo=zone, locale=self.locale)}"

    def to_the_second(self, instant: Instant, zone: ZoneInfo) -> str:
        """The same to the second, with the zone's short name."""
        return format_datetime(instant, format="long", tzinfo=zone, locale=self.locale)

    def span(self, span: timedelta) -> str:
        """A span in the largest unit that it is a whole number of: `90 days`, `36 hours`; a long odd one rounded."""
        for unit, size in _UNITS:
            count, rest = divmod(span, size)
            if count and not rest:
                return str(format_unit(count, unit, locale=self.locale))
        if span < timedelta(hours=1):
            return str(format_unit(round(span.total_seconds()), "second", locale=self.locale))
        return format_timedelta(span, threshold=2, locale=self.locale)

    def away(self, span: timedelta) -> str:
        """How far off: `in 3 days`, `2 hours ago`."""
        return format_timedelta(span, add_direction=True, locale=self.locale)

    def _plural(self, count: object) -> str:
        return "other" if not isinstance(count, int) else self.locale.plural_form(count)


@cache
def load(language: str) -> Words:
    """The catalogue of one of `LANGUAGES`."""
    texts: dict[str, str] = {}
    for file in sorted(files("keyturn.words").iterdir(), key=lambda file: file.name):
        if file.name.endswith(f".{language}.toml"):
            texts |= _flat(tomllib.loads(file.read_text("utf-8")))
    return Words(language, texts, Locale.parse(_LOCALES[language]))


def negotiate(wanted: Sequence[str]) -> str:
    """The language of ours that fits best; English where none does.  `wanted` are tags such as `de-CH`."""
    asked = [tag.strip().replace("-", "_")[:35] for tag in wanted if tag.strip()]
    try:
        return negotiate_locale(asked, LANGUAGES) or LANGUAGES[0]
    except (UnknownLocaleError, ValueError):
        return LANGUAGES[0]


def _flat(table: Mapping[str, Any], above: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in table.items():
        flat |= _flat(value, f"{above}{name}.") if isinstance(value, dict) else {f"{above}{name}": value}
    return flat
