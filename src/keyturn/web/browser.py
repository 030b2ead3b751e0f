"""What a browser brings along: its cookies, its language and zone, and the token its forms must carry.

Cookies are `__Host-` ones over HTTPS.  Over plain HTTP, which only this very machine gets secrets over (K11), a browser
would not keep them, so there they go without the prefix.
In a page of another site a browser keeps cookies only where they say so, and apart for each such site (CHIPS).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hmac import compare_digest
from typing import Final
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response

from keyturn.core.refusal import CrossSite
from keyturn.edge.node import Node
from keyturn.edge.refused import Refused
from keyturn.outside import words
from keyturn.outside.words import Words
from keyturn.web.door import DASHBOARD, Door

SESSION: Final = "keyturn"
"""The session's token."""
VISIT: Final = "keyturn-visit"
"""A random name for this browser before it has a session: forms of strangers are bound to it."""
DEVICE: Final = "keyturn-device"
"""That somebody has signed in here before; it proves nothing by itself."""
LANGUAGE: Final = "keyturn-language"
ZONE: Final = "keyturn-zone"
_YEAR: Final = 365 * 24 * 3600
_LONGEST: Final = 512
_UTC: Final = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Browser:
    """One browser, as far as it tells."""

    https: bool
    cookies: Mapping[str, str]
    words: Words
    zone: ZoneInfo
    csrf: str
    """What every form of this browser carries."""
    new_visit: str
    """The name it is to be given, where it has none yet."""
    door: Door = DASHBOARD
    """The way in whose cookies these are."""

    def cookie(self, name: str) -> str:
        """A cookie of ours, or empty."""
        return self.cookies.get(self._name(name), "")

    def keep(self, response: Response, name: str, value: str, *, seconds: int | None = None) -> None:
        """Have the browser keep a cookie: for so long, or until it closes."""
        self._keep(response, self._name(name), value, seconds)

    def _keep(self, response: Response, name: str, value: str, seconds: int | None) -> None:
        apart = self.https and self.door.framed
        response.set_cookie(
            name,
            value,
            max_age=seconds,
            path="/",
            secure=self.https,
            httponly=True,
            samesite="none" if apart else "lax",
        )
        if apart:
            _partition(response)

    def drop(self, response: Response, name: str) -> None:
        """Have it forget one."""
        self.keep(response, name, "", seconds=0)

    def introduce(self, response: Response) -> None:
        """Give it a name, where it has none."""
        if self.new_visit:
            self.keep(response, VISIT, self.new_visit)

    def remember_language(self, response: Response, language: str) -> None:
        """Keep the language that was chosen."""
        if language in words.LANGUAGES:
            self.keep(response, LANGUAGE, language, seconds=_YEAR)

    def remember_zone(self, response: Response, zone: str) -> None:
        """Keep the zone that the reader is in, where a script of ours could not."""
        self._keep(response, _cookie_name(ZONE, self.door, https=False), _zone(zone).key, None)

    def _name(self, name: str) -> str:
        return _cookie_name(name, self.door, https=self.https)


def _cookie_name(name: str, door: Door, *, https: bool) -> str:
    own = door.cookies + name.removeprefix(DASHBOARD.cookies)
    return f"__Host-{own}" if https else own


def _partition(response: Response) -> None:
    """Have the browser keep the last cookie apart for each site that frames us (CHIPS).

    Before Python 3.14 the standard library does not know the attribute.
    """
    name, value = response.raw_headers[-1]
    response.raw_headers[-1] = (name, value + b"; Partitioned")


def browser_of(request: Request, node: Node, *, https: bool, door: Door = DASHBOARD) -> Browser:
    """Read what the request brings."""
    named = {name: value for name, value in request.cookies.items() if len(value) <= _LONGEST}

    def cookie(name: str) -> str:
        return named.get(_cookie_name(name, door, https=https), "")

    visit, chosen = cookie(VISIT), cookie(LANGUAGE)
    new_visit = "" if visit else node.forge.id("vis")
    asked = [one.partition(";")[0] for one in request.headers.get("accept-language", "")[:200].split(",")]
    language = chosen if chosen in words.LANGUAGES else words.negotiate(asked)
    # The token changes with the session: a form from before sign-in is worth nothing after it.
    bound = f"{visit or new_visit}\n{cookie(SESSION)}"
    return Browser(
        https=https,
        cookies=named,
        words=words.load(language),
        zone=_zone(named.get(_cookie_name(ZONE, door, https=False), "")),  # a script's: it cannot be a `__Host-` one
        csrf=node.forge.derived("csrf", bound).hex(),
        new_visit=new_visit,
        door=door,
    )


def check_same_site(request: Request, browser: Browser, token: str) -> None:
    """Refuse a form that another site has sent, or that this browser was never shown.  Raises Refused."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    host = request.headers.get("host", "")
    foreign = site not in (None, "same-origin") or (
        site is None and origin is not None and origin.partition("://")[2].lower() != host.lower()
    )
    if foreign or not compare_digest(token.encode(), browser.csrf.encode()):
        raise Refused(CrossSite())


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name) if 0 < len(name) <= 60 else _UTC  # longer than any zone's name
    except (KeyError, ValueError, OSError):
        return _UTC
