"""The control plane put together: FastAPI, and below it what every request passes."""

import json
import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from secrets import token_hex
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keyturn import __version__
from keyturn.api import (
    accounts,
    addresses,
    authenticators,
    captcha,
    feed,
    fleet,
    keys,
    members,
    notices,
    own,
    pages,
    passwords,
    policies,
    portals,
    probes,
    resets,
    sessions,
    trail,
    users,
    webhooks,
)
from keyturn.api.body import StrictBody
from keyturn.api.call import RATE_HEADERS
from keyturn.api.described import PATHS
from keyturn.api.feed import FEED
from keyturn.api.hot_protocol import HotProtocol
from keyturn.api.problem import (
    MEDIA_TYPE,
    internal_bytes,
    note_bug,
    of_validation,
    problem_bytes,
    problem_headers,
)
from keyturn.api.schemas import Problem
from keyturn.api.verdict import AUTHZ, VERIFY, Hot
from keyturn.api.verifying import Verifying, is_authz
from keyturn.core.allowlist import Matcher
from keyturn.core.refusal import MalformedBody, MethodNotAllowed, NotFound, Refusal
from keyturn.edge.metrics import Metrics
from keyturn.edge.node import Node
from keyturn.edge.outage import of_outage
from keyturn.edge.places import Places
from keyturn.edge.receipt import Receipts
from keyturn.edge.refused import Refused
from keyturn.edge.slow import Slowly
from keyturn.edge.visit import Surroundings
from keyturn.ports.store import StoreUnavailable

log = logging.getLogger("keyturn.request")
_PARTS: Final = (
    keys,
    resets,
    own,
    accounts,
    users,
    members,
    sessions,
    portals,
    passwords,
    addresses,
    authenticators,
    captcha,
    policies,
    trail,
    webhooks,
    notices,
    probes,
    pages,
    feed,
    fleet,
)
_DESCRIPTION: Final = """\
Issue, verify and reset API keys.

Show a key as `Authorization: Bearer …`. Times are RFC 3339 in UTC, durations texts such as `"24h"`.
Refusals are problem documents (RFC 9457); decide by their `code`.
"""
_STATUSES: Final = {
    400: "Malformed.",
    401: "No valid credential.",
    403: "Not allowed.",
    404: "Not found, or somebody else's.",
    405: "Not that method.",
    409: "Not possible in this state.",
    410: "Lapsed.",
    413: "Body over 64 KiB.",
    415: "Not JSON.",
    422: "A field cannot be used.",
    429: "Too many.",
    503: "The database is away; nothing was changed, unless the code is `outcome_unknown`.",
}


def build_app(
    node: Node, *, pages: Callable[[Surroundings, ASGIApp], ASGIApp] | None = None
) -> tuple["Watched", Callable[..., HotProtocol]]:
    """The application of a node, and the protocol that answers plain verifications before it is asked.

    `pages` makes another face of the same node, which answers what it knows and leaves the rest to the API.
    """
    settings = node.settings
    proxies, gateways = Matcher(settings.trusted_proxies), Matcher(settings.trusted_gateways)
    hot = Hot(
        verifier=node.verifier,
        holder=node.membership.holder,
        boot=node.membership.boot,
        lookup=node.store.lookup,
        lookup_own=node.own_secrets.lookup,
        lookup_signer=node.store.lookup_signer,
        share=node.sharing.decide,
        deployment_account_id=node.deployment_account_id,
        proxies=proxies,
        gateways=gateways,
        hops=Matcher((*settings.trusted_proxies, *settings.trusted_gateways)),
        base_url=settings.base_url,
    )
    metrics = Metrics(node)
    places = Places()
    receipts = Receipts(node, places.confirming)
    around = Surroundings(
        node=node,
        proxies=proxies,
        metrics=metrics,
        places=places,
        receipts=receipts,
        slowly=Slowly(),
        slowly_known=Slowly(),
    )
    api = _build_api(around)
    verifying = Verifying(api, node, hot, places.verifying)
    strict = StrictBody(verifying, applied_rev=lambda: node.verifier.applied_rev, base_url=settings.base_url)
    # A gateway's question carries the head of the caller's request, and perhaps a body of any kind: not ours to judge.
    others = strict if pages is None else pages(around, strict)
    # Neither is a stream of lines that goes on for as long as a verifier is attached.
    feeding = feed.Feeding(node, proxies, places.leasing, base_url=settings.base_url)
    split = _Split(authz=verifying, feed=feeding, others=others)
    return Watched(split, metrics, base_url=settings.base_url, leave=receipts.leave), partial(HotProtocol, hot=hot)


class _Split:
    """ASGI: gateways' questions one way, verifiers' streams another, and everything else the third."""

    def __init__(self, *, authz: ASGIApp, feed: ASGIApp, others: ASGIApp) -> None:
        self._authz = authz
        self._feed = feed
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" else ""
        chosen = self._authz if is_authz(path) else self._feed if path == FEED else self._others
        await chosen(scope, receive, send)


def _build_api(around: Surroundings) -> FastAPI:
    problems: dict[int | str, dict[str, Any]] = {
        status: {"description": said, "model": Problem, "content": {"application/problem+json": {}}}
        for status, said in _STATUSES.items()
    }
    app = _Api(
        title="keyturn",
        version=__version__,
        description=_DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        responses=problems,
        redirect_slashes=False,
        # It would hand whole bodies and exception messages, secrets among them, to whatever the environment names.
        telemetry={
            "tracing": False,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
        },
    )
    app.state.around = around
    for part in _PARTS:
        app.include_router(part.router)
    _handle_refusals(app, around)
    return app


class _Api(FastAPI):
    """Its document is made when it is first asked for: that takes as long as the rest of a start."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401  # as its base takes them
        super().__init__(**settings)
        self._document: dict[str, Any] | None = None
        self._making = threading.Lock()

    def openapi(self) -> dict[str, Any]:
        """With the calls that FastAPI does not know of.  Not for the event loop, which it would hold up."""
        with self._making:
            if self._document is None:
                made = super().openapi()
                self._document = made | {"paths": PATHS | made["paths"]}
            return self._document


def _handle_refusals(app: FastAPI, around: Surroundings) -> None:
    base_url = around.node.settings.base_url

    def answer(refusal: Refusal) -> Response:
        return Response(
            problem_bytes(refusal, base_url=base_url), status_code=refusal.status, headers=problem_headers(refusal)
        )

    @app.exception_handler(Refused)
    async def refused(_request: Request, error: Refused) -> Response:
        return answer(error.refusal)

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> Response:
        return answer(of_validation(error.errors()))

    @app.exception_handler(StoreUnavailable)
    async def away(_request: Request, error: StoreUnavailable) -> Response:
        around.metrics.outages.inc()
        return answer(of_outage(error))

    @app.exception_handler(HTTPException)
    async def no_route(request: Request, error: HTTPException) -> Response:
        if error.status_code == MethodNotAllowed.status:
            made = answer(MethodNotAllowed())
            made.headers["allow"] = ", ".join(sorted(_methods(request.scope)))
            return made
        return answer(NotFound() if error.status_code == NotFound.status else MalformedBody(reason="it cannot be read"))

    @app.exception_handler(Exception)
    async def bug(_request: Request, _error: Exception) -> Response:
        # Raised on from here, and noted by `Watched`, which answers where this cannot.
        return Response(internal_bytes(base_url=base_url), status_code=500, media_type=MEDIA_TYPE)


def _methods(scope: Scope) -> set[str]:
    """Every method that this address takes: each has a route of its own."""
    path = scope["route"].path
    return {
        method
        for part in _PARTS
        for route in part.router.routes
        if isinstance(route, APIRoute) and route.path == path
        for method in route.methods or ()
    }


class Watched:
    """ASGI middleware: counts, logs and times each request by its route template, and answers for bugs.

    Neither a raw path nor a query is logged or counted: both may hold anything.
    """

    def __init__(
        self, app: ASGIApp, metrics: Metrics, *, base_url: str, leave: Callable[[float], None] = lambda _seconds: None
    ) -> None:
        """`leave`: told within how many seconds everybody is to have an answer, for the server ends."""
        self.leave = leave
        self._app = app
        self._metrics = metrics
        self._base_url = base_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        request_id = token_hex(_ID_BYTES)
        answered = _Answered(scope, send, request_id)
        try:
            await self._app(scope, receive, answered)
        except Exception as error:  # noqa: BLE001  # whatever it is, the caller gets an answer that says nothing of it
            note_bug(error, request_id=request_id)
            await answered.internal(self._base_url)
        self._tell(scope, answered.status, time.perf_counter() - began, request_id)

    def _tell(self, scope: Scope, status: int, seconds: float, request_id: str) -> None:
        route = getattr(scope.get("route"), "path", "(none)")
        if scope["path"] == VERIFY or is_authz(scope["path"]):
            route = VERIFY if scope["path"] == VERIFY else AUTHZ
        elif scope["path"] == FEED:
            route = FEED
        method = scope["method"] if scope["method"] in _METHODS else "(other)"
        self._metrics.seconds.labels(route, method, str(status)).observe(seconds)
        if route not in _QUIET:
            line = {"request": request_id, "route": route, "method": method, "status": status}
            line["ms"] = round(seconds * 1e3, 1)
            log.info("%s", json.dumps(line))


_QUIET: Final = frozenset({"/livez", "/readyz", "/metrics", VERIFY, AUTHZ})
"""Counted, not logged: they come by the thousand."""
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_ID_BYTES: Final = 8
_ALWAYS: Final = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


class _Answered:
    """Sends on, with the headers that every answer has, and remembers the status."""

    def __init__(self, scope: Scope, send: Send, request_id: str) -> None:
        self._scope = scope
        self._send = send
        self._request_id = request_id
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            named = {name for name, _ in message.get("headers", ())}
            limits = self._scope.get(RATE_HEADERS) or {}
            extra = [(name, value) for name, value in _ALWAYS if name not in named]
            extra.append((b"x-request-id", self._request_id.encode()))
            extra += [(name.encode(), value.encode()) for name, value in limits.items()]
            message = {**message, "headers": [*message.get("headers", ()), *extra]}
        await self._send(message)

    async def internal(self, base_url: str) -> None:
        if self.status:
            return  # the answer had begun; the connection ends with it
        document = internal_bytes(base_url=base_url)
        headers = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(document)).encode())]
        await self({"type": "http.response.start", "status": 500, "headers": headers})
        await self({"type": "http.response.body", "body": document})
