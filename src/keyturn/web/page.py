"""Writing a page: templates, texts, times in the reader's zone, and the headers that every page has."""

import re
from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from typing import Any, Final
from unicodedata import category

from babel.dates import get_timezone_name
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse, RedirectResponse, Response

from keyturn.core import duration
from keyturn.core.instant import FOREVER, Instant, to_text
from keyturn.core.refusal import Refusal
from keyturn.outside.words import Words
from keyturn.web.browser import Browser
from keyturn.web.static import Static

_NOT_FRAMED: Final = "frame-ancestors 'none'"
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    f" worker-src 'self'; font-src 'self'; form-action 'self'; {_NOT_FRAMED}; base-uri 'none'"
)
HEADERS: Final = {
    "content-security-policy": POLICY,
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    # With `no-referrer` a browser would call the origin of our own forms `null`.
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
}
_HSTS: Final = "max-age=31536000"
_DECEIVING: Final = frozenset({"Cc", "Cf", "Zl", "Zp"})
"""What a reader cannot see, or what turns text around: shown as a mark, so that no name passes for another."""


_FROM_ROOT: Final = re.compile(r'(\s[a-z-]+=")/(?!static/|v1/)(?=[a-z?"])')
"""An attribute that is the address of a page; whatever somebody else chose has its quotation marks escaped."""


class Pages:
    """Writes pages from the templates."""

    def __init__(self, static: Static, *, show_mails: bool = False) -> None:
        self._templates = Environment(
            loader=PackageLoader("keyturn.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._templates.globals["static"] = static.address
        self._templates.globals["show_mails"] = show_mails
        self._templates.filters["plain"] = plain

    def write(self, template: str, browser: Browser, now: Instant, **values: Any) -> str:  # noqa: ANN401  # a template's
        """The text of a page or of a part of one."""
        words = browser.words
        html = self._templates.get_template(template).render(
            t=texts(words),
            has_text=words.has,
            lang=words.language,
            zone_name=_zone_name(browser),
            csrf=browser.csrf,
            door=browser.door,
            when=lambda instant: _when(instant, browser),
            ago=lambda instant: _away(instant, now, browser),
            span=lambda span: _span(span, words),
            now=now,
            **values,
        )
        # Addresses in templates start at the root: a page puts the prefix of its door before each of them.
        prefix = browser.door.prefix
        return _FROM_ROOT.sub(rf"\1{prefix}/", html) if prefix else html


def answer(
    html: str, browser: Browser, *, status: int = 200, headers: Mapping[str, str] | None = None, framed_by: str = ""
) -> Response:
    """A page as a response.  `framed_by` is the one origin whose pages may stand around it, or empty."""
    response = HTMLResponse(html, status_code=status, headers={**HEADERS, **(headers or {})})
    if framed_by:
        policy = response.headers["content-security-policy"]
        response.headers["content-security-policy"] = policy.replace(_NOT_FRAMED, f"frame-ancestors {framed_by}")
        response.headers["cross-origin-resource-policy"] = "cross-origin"
        del response.headers["x-frame-options"]
    if browser.https:
        response.headers["strict-transport-security"] = _HSTS
    browser.introduce(response)
    return response


def see_other(path: str, browser: Browser) -> Response:
    """Go on to another page of ours after a form."""
    response = RedirectResponse(path, status_code=303, headers=HEADERS)
    browser.introduce(response)
    return response


def refusal_text(refusal: Refusal, words: Words) -> str:
    """What a refusal says to a person, with what they need to go on."""
    own = {one.name: _shown(getattr(refusal, one.name)) for one in fields(refusal)}
    return words(f"refusal.{refusal.kind}", **own)


def plain(text: str) -> str:
    """A name or any other text that somebody else chose, without marks that would mislead its reader (pitfall 27)."""
    return "".join("\N{REPLACEMENT CHARACTER}" if category(one) in _DECEIVING else one for one in text)


def texts(words: Words) -> Any:  # noqa: ANN401  # a template's function
    """The catalogue for templates: texts may hold markup of ours, values never."""

    def t(key: str, **values: object) -> Markup:
        return Markup(words(key, **{name: _safe(value) for name, value in values.items()}))  # noqa: S704  # the catalogue is ours and each value was escaped above

    return t


def _safe(value: object) -> object:
    return value if isinstance(value, int | Markup) else escape(plain(str(value)))


def _shown(value: object) -> object:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return value if isinstance(value, int) else plain(str(value))


def _when(instant: Instant | None, browser: Browser) -> Markup:
    if instant is None or instant >= FOREVER:
        return escape(browser.words("time.never"))
    shown = browser.words.moment(instant, browser.zone)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(to_text(instant), to_text(instant), shown)


def _away(instant: Instant | None, now: Instant, browser: Browser) -> Markup:
    if instant is None or instant >= FOREVER:
        return escape(browser.words("time.never"))
    shown = browser.words.away(instant - now)
    exact = browser.words.to_the_second(instant, browser.zone)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(to_text(instant), exact, shown)


def _span(span: timedelta | None, words: Words) -> str:
    if span is None:
        return words("time.never")
    return words("time.until_stopped") if span == duration.UNTIL_STOPPED else words.span(span)


def _zone_name(browser: Browser) -> str:
    if browser.zone.key == "UTC":
        return "UTC"
    return str(get_timezone_name(browser.zone, locale=browser.words.locale, width="long"))
