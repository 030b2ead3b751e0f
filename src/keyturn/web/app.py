"""The dashboard as one ASGI application: it answers the addresses it knows and leaves the rest to the API."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Final

from starlette.requests import Request
from starlette.routing import Match, Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keyturn.edge.visit import ARRIVED_REV, Surroundings
from keyturn.web import (
    account,
    again,
    allowlists,
    keys,
    link_password,
    links,
    mails,
    members,
    new_key,
    notices,
    oidc,
    portal,
    resets,
    second_step,
    security,
    sessions,
    sign_in,
    webhooks,
)
from keyturn.web.browser import browser_of
from keyturn.web.door import DASHBOARD, FRAME, PORTAL, Door
from keyturn.web.page import Pages, answer
from keyturn.web.route import House, Place
from keyturn.web.static import PATH, Static

_PLACES: Final[tuple[Place, ...]] = (
    *sign_in.PLACES,
    *oidc.PLACES,
    *second_step.PLACES,
    *link_password.PLACES,
    *links.PLACES,
    *new_key.PLACES,
    *keys.PLACES,
    *resets.PLACES,
    *account.PLACES,
    *members.PLACES,
    *again.PLACES,
    *notices.PLACES,
    *webhooks.PLACES,
    *security.PLACES,
    *sessions.PLACES,
    *allowlists.PLACES,
    *mails.PLACES,
)
_OF_KEYS: Final[tuple[Place, ...]] = (*new_key.PLACES, *keys.PLACES, *resets.PLACES)
"""What lies behind every door."""
_BEHIND: Final[Mapping[Door, tuple[Place, ...]]] = {
    DASHBOARD: _PLACES,
    PORTAL: (*_OF_KEYS, *portal.IN_WINDOW),
    FRAME: (*_OF_KEYS, *portal.IN_FRAME),
}
_NOT_PAGES: Final = ("/v1/", "/problems/", "/docs", "/livez", "/readyz", "/metrics", "/openapi.json")


class Dashboard:
    """Every page; what is none goes to `others`."""

    def __init__(self, visits: Surroundings, others: ASGIApp) -> None:
        static = Static()
        self._house = House(visits, Pages(static, show_mails=visits.node.settings.show_mails), static)
        self._others = others
        self._router = Router(
            [
                *(place(replace(self._house, door=door)) for door, places in _BEHIND.items() for place in places),
                Route(PATH + "{tag}/{name}", static.answer, methods=["GET"]),
            ],
            redirect_slashes=False,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(_NOT_PAGES):
            await self._others(scope, receive, send)
            return
        route = self._route(scope)
        if route is not None:
            scope[ARRIVED_REV] = self._house.visits.node.verifier.applied_rev
            scope["route"] = route
            await self._page(scope, receive, send)
        elif scope["method"] in ("GET", "HEAD") and _is_a_person(scope):
            await self._refuse(scope, receive, send, said="refusal.not_found", status=404)
        else:
            await self._others(scope, receive, send)

    def _route(self, scope: Scope) -> Route | None:
        for route in self._router.routes:
            if isinstance(route, Route) and route.matches(scope)[0] is not Match.NONE:
                return route
        return None

    async def _page(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A page; where it breaks a page says so too, before the bug goes on to whoever notes it."""
        began = False

        async def sent(message: Message) -> None:
            nonlocal began
            began = True
            await send(message)

        try:
            await self._router(scope, receive, sent)
        except Exception:
            if not began and _is_a_person(scope):
                with suppress(Exception):  # of this one nothing is worth saying beside the first
                    await self._refuse(scope, receive, send, said="refused.bug", status=500)
            raise

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, *, said: str, status: int) -> None:
        visits = self._house.visits
        browser = browser_of(Request(scope), visits.node, https=scope["scheme"] == "https")
        html = self._house.pages.write(
            "refused.html",
            browser,
            visits.node.clock.now(),
            who=None,
            done="",
            text=browser.words(said),
            status=status,
            portal=None,
            back="/",
            way="link.go_on",
        )
        await answer(html, browser, status=status)(scope, receive, send)


def _is_a_person(scope: Scope) -> bool:
    """Whether a person's browser asks, rather than a program."""
    return any(name == b"accept" and b"text/html" in value for name, value in scope["headers"])
