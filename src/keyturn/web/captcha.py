"""The CAPTCHA on a page: ALTCHA's widget from here, or a service's, for which this page alone is opened to the service.

A page that shows one passes `**captcha.part(asked)` to its template, which includes `captcha.html` in its form and
`captcha_scripts.html` in its head, and `captcha.headers(asked)` as headers; `captcha.answer(asked)` is what came back.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as field_of
from typing import Any, Final

from keyturn.core.captcha import ALTCHA, FIELDS
from keyturn.web.asked import Asked
from keyturn.web.page import POLICY


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What a page needs for one kind of CAPTCHA."""

    css_class: str = ""
    script: str = ""
    origins: Mapping[str, str] = field_of(default_factory=dict)
    """By directive: what its script and frames come from."""


_HCAPTCHA: Final = "https://hcaptcha.com https://*.hcaptcha.com"
_GOOGLE: Final = "https://www.google.com/recaptcha/ https://recaptcha.google.com/recaptcha/"
_SERVICES: Final[Mapping[str, Service]] = {
    ALTCHA: Service(),
    "turnstile": Service(
        css_class="cf-turnstile",
        script="https://challenges.cloudflare.com/turnstile/v0/api.js",
        origins=dict.fromkeys(("script-src", "frame-src", "connect-src"), "https://challenges.cloudflare.com"),
    ),
    "hcaptcha": Service(
        css_class="h-captcha",
        script="https://js.hcaptcha.com/1/api.js",
        origins=dict.fromkeys(("script-src", "frame-src", "style-src", "connect-src"), _HCAPTCHA),
    ),
    "recaptcha": Service(
        css_class="g-recaptcha",
        script="https://www.google.com/recaptcha/api.js",
        origins={
            "script-src": f"{_GOOGLE} https://www.gstatic.com/recaptcha/",
            "frame-src": _GOOGLE,
            "connect-src": _GOOGLE,
        },
    ),
}


def part(asked: Asked) -> dict[str, Any]:
    """What the templates take."""
    captcha = asked.visit.node.captcha
    field = FIELDS[captcha.provider]
    return {"captcha": {"site_key": captcha.site_key, "field": field, "service": _SERVICES[captcha.provider]}}


def headers(asked: Asked) -> dict[str, str]:
    """The page's policy, opened to the service; nothing where there is none to open it to."""
    origins = _SERVICES[asked.visit.node.captcha.provider].origins
    if not origins:
        return {}
    named = dict(one.strip().split(" ", 1) for one in POLICY.split(";"))
    opened = {name: f"{named.get(name, '')} {more}".strip() for name, more in origins.items()}
    return {"content-security-policy": "; ".join(f"{name} {value}" for name, value in (named | opened).items())}


def answer(asked: Asked) -> str:
    """What the widget posted, or empty."""
    return asked.form.raw(FIELDS[asked.visit.node.captcha.provider])
