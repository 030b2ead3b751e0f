"""Chromium, the distribution's, for tests that look at pages: one browser for the whole run, one visit per test.

A visit is a browser context: fresh cookies, and a reader with a screen, a language and a zone.  It writes down what a
developer would see in the console, and when it ends without having been asked about one of these complaints, the test
fails.  No page reaches another machine; every name under `.test` is this machine, so that a test can be cross-site.

    with chromium.visit(server.url, Reader(dark=True)) as visit:
        visit.page.goto("/signin")

A click ends before the page it leads to has begun: whatever is then looked at may still be the old page, or neither.
`follow` a link or a button that leads to another page; elsewhere `expect`, which waits, instead of reading at once.

Under a strict policy wait for elements (locators, `expect`): `wait_for_function` evaluates a string, which it forbids.
"""

import asyncio
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import (
    BrowserContext,
    CDPSession,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    Response,
    expect,
    sync_playwright,
)

from tests import provision

_FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
    "--site-per-process",
    "--no-proxy-server",
    "--host-resolver-rules=MAP *.test 127.0.0.1,MAP * ~NOTFOUND,EXCLUDE localhost,EXCLUDE 127.0.0.1,EXCLUDE [::1]",
)
_PATIENCE_MS: Final = 30_000
expect.set_options(timeout=_PATIENCE_MS)  # else 5 seconds, which a busy machine may take for a page
_TELL_VIOLATIONS: Final = """
addEventListener('securitypolicyviolation', event => console.debug(
    'securitypolicyviolation', event.effectiveDirective, event.blockedURI, event.sourceFile, event.lineNumber));
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Who looks at the pages, and on what."""

    phone: bool = False
    """On a phone, 390 pixels wide, instead of a screen of 1280."""
    dark: bool = False
    javascript: bool = True
    locale: str = "en-GB"
    timezone: str = "UTC"
    permissions: tuple[str, ...] = ()
    """Such as "clipboard-read" and "clipboard-write"."""

    def __str__(self) -> str:
        said = ["phone" if self.phone else "screen", "dark" if self.dark else "light"]
        said += [] if self.locale == Reader().locale else [self.locale]
        return "-".join(said if self.javascript else [*said, "no-javascript"])

    @property
    def options(self) -> dict[str, Any]:
        """The same in playwright's words."""
        return {
            "viewport": {"width": 390, "height": 844} if self.phone else {"width": 1280, "height": 900},
            "is_mobile": self.phone,
            "has_touch": self.phone,
            "color_scheme": "dark" if self.dark else "light",
            "reduced_motion": "reduce",
            "java_script_enabled": self.javascript,
            "locale": self.locale,
            "timezone_id": self.timezone,
            "permissions": list(self.permissions),
            "ignore_https_errors": True,  # the certificate is the test's own
        }


LOOKS: Final = tuple(Reader(phone=phone, dark=dark) for phone in (False, True) for dark in (False, True))
"""Both widths, both schemes."""
EACH_LOOK: Final = [
    pytest.param(one, marks=() if one.phone == one.dark else pytest.mark.full, id=str(one)) for one in LOOKS
]
"""The same for tests: each width and each scheme in `make test`, all four combinations in `make test-full`."""


class Kind(StrEnum):
    """What a complaint is about."""

    CONSOLE = "console"
    """An error or a warning in the console."""
    SCRIPT = "script"
    """An exception that no script caught."""
    POLICY = "policy"
    """Something the Content-Security-Policy forbade."""
    REQUEST = "request"
    """A request without an answer."""
    ANSWER = "answer"
    """Status 400 and up, for anything but the page itself: a test sees that one."""


@dataclass(frozen=True, slots=True)
class Complaint:
    kind: Kind
    said: str


def follow(control: Locator) -> None:
    """Press a link or a button, and wait until the page it leads to is there, whole: its address may be the same."""
    with control.page.expect_navigation():
        control.click()


class Visit:
    """One fresh context, open at a page."""

    def __init__(self, context: BrowserContext) -> None:
        self.context = context
        self._complaints: list[Complaint] = []
        context.on("console", self._on_console)
        context.on("weberror", lambda error: self._complain(Kind.SCRIPT, str(error.error)))
        context.on("requestfailed", self._on_failure)
        context.on("response", self._on_response)
        context.add_init_script(_TELL_VIOLATIONS)
        context.set_default_timeout(_PATIENCE_MS)
        self.page: Page = context.new_page()

    def heard(self, kind: Kind) -> list[str]:
        """The complaints of this kind so far.  Whoever asks has answered for them: they fail the test no more."""
        self._catch_up()
        found = [complaint.said for complaint in self._complaints if complaint.kind is kind]
        self._complaints = [complaint for complaint in self._complaints if complaint.kind is not kind]
        return found

    def unheard(self) -> list[str]:
        """What nobody asked about."""
        self._catch_up()
        return [f"{complaint.kind}: {complaint.said}" for complaint in self._complaints]

    def authenticator(self, page: Page | None = None) -> "Authenticator":
        """A passkey device for the page.  Passkeys want a name: visit `localhost`, not 127.0.0.1."""
        return Authenticator(self.context.new_cdp_session(page or self.page))

    def _complain(self, kind: Kind, said: str) -> None:
        self._complaints.append(Complaint(kind, said))

    def _on_console(self, message: ConsoleMessage) -> None:
        if "securitypolicyviolation" in message.text or "Content Security Policy" in message.text:
            self._complain(Kind.POLICY, message.text)
        elif message.type in {"error", "warning"} and not message.text.startswith("Failed to load resource"):
            self._complain(Kind.CONSOLE, message.text)  # what failed to load comes as a request or an answer

    def _on_failure(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # so ends what a page still loads when its reader goes on
            self._complain(Kind.REQUEST, f"{request.method} {request.url}: {request.failure}")

    def _on_response(self, response: Response) -> None:
        if response.status >= 400 and not response.request.is_navigation_request():
            self._complain(Kind.ANSWER, f"{response.request.method} {response.url}: {response.status}")

    def _catch_up(self) -> None:
        """Messages come in order: once this answer is here, so is everything said before it."""
        for page in self.context.pages:
            page.evaluate("0")


class Authenticator:
    """A device with passkeys, built in, whose user has always just shown a finger."""

    def __init__(self, session: CDPSession) -> None:
        self._session = session
        session.send("WebAuthn.enable")
        made = session.send(
            "WebAuthn.addVirtualAuthenticator",
            {
                "options": {
                    "protocol": "ctap2",
                    "transport": "internal",
                    "hasResidentKey": True,
                    "hasUserVerification": True,
                    "isUserVerified": True,
                    "automaticPresenceSimulation": True,
                }
            },
        )
        self._id: str = made["authenticatorId"]

    @property
    def credentials(self) -> list[dict[str, Any]]:
        """The passkeys on it."""
        held = self._session.send("WebAuthn.getCredentials", {"authenticatorId": self._id})
        credentials: list[dict[str, Any]] = held["credentials"]
        return credentials

    def verify_user(self, *, verified: bool) -> None:
        """From now on the user shows the right finger, or a wrong one."""
        self._session.send("WebAuthn.setUserVerified", {"authenticatorId": self._id, "isUserVerified": verified})

    def set_sign_count(self, credential: str, count: int) -> None:
        """As a copy of the device would: count from here."""
        held = next(held for held in self.credentials if held["credentialId"] == credential)
        self._session.send("WebAuthn.removeCredential", {"authenticatorId": self._id, "credentialId": credential})
        held["signCount"] = count
        self._session.send("WebAuthn.addCredential", {"authenticatorId": self._id, "credential": held})


class Chromium:
    """The browser.  Whoever starts it closes it."""

    def __init__(self, home: Path) -> None:
        path = next(filter(None, map(shutil.which, provision.CHROMIUM)))
        self._playwright = sync_playwright().start()
        self._loop: asyncio.AbstractEventLoop = self._playwright._loop
        self._browser = self._playwright.chromium.launch(
            executable_path=path, headless=True, args=_FLAGS, env={**os.environ, "HOME": str(home)}
        )
        asyncio._set_running_loop(None)

    @contextmanager
    def visit(
        self, url: str = "", reader: Reader | None = None, *, policy: bool = True, quiet: bool = True
    ) -> Iterator[Visit]:
        """A visit to the server at `url`.

        Without `policy` no Content-Security-Policy holds.  Without `quiet` complaints fail nothing.
        """
        options = (reader or Reader()).options | {"bypass_csp": not policy} | ({"base_url": url} if url else {})
        with self._awake():
            context = self._browser.new_context(**options)
            visit = Visit(context)
            try:
                yield visit
                complaints = visit.unheard() if quiet else []
            except Exception as failure:
                failure.add_note("\n".join(["what the browser complained of meanwhile:", *visit.unheard()]))
                raise
            finally:
                context.close()
            assert not complaints, "the browser complained:\n" + "\n".join(complaints)

    def close(self) -> None:
        """End it."""
        with self._awake():
            self._browser.close()
            self._playwright.stop()

    @contextmanager
    def _awake(self) -> Iterator[None]:
        """Playwright's loop counts as running in this thread, during a visit only: other tests run loops of theirs."""
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(self._loop)
        try:
            yield
        finally:
            asyncio._set_running_loop(before)
