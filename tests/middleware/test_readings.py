"""Applications of each framework that are at a prefix, take HEAD for GET, or the method from a header.

Where the middleware could read a request in another way than they do, it asks for what both ways need.
"""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from io import BytesIO
from typing import Any, Final
from urllib.parse import unquote

import pytest
from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.http import JsonResponse
from django.test import RequestFactory
from fastapi import FastAPI
from flask import Flask, request
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware

from keyturn.sdk import Verifier
from keyturn.sdk.asgi import OPEN, KeyturnMiddleware
from keyturn.sdk.django import KeyturnMiddleware as DjangoMiddleware
from keyturn.sdk.wsgi import KeyturnMiddleware as WsgiMiddleware
from tests.middleware.conftest import Site
from tests.middleware.in_process import ask, nothing, scope

pytestmark = pytest.mark.usefixtures("django_settings")

NEEDS: Final[Any] = {"/orders": "orders", "/admin": "admin:admin", "/": "orders"}


def rooted(verifier: Verifier, where: str) -> Any:
    """A FastAPI application at `/v1`, in one of the ways to say so."""
    inner = FastAPI(root_path="/v1") if where.startswith("its own") else FastAPI()

    @inner.get("/admin")
    @inner.get("/orders")
    def reached() -> str:
        return "reached"

    if where == "its own, outside":
        return KeyturnMiddleware(inner, verifier, needs=NEEDS)
    if where == "its own, behind others":
        return KeyturnMiddleware(CORSMiddleware(GZipMiddleware(inner), allow_origins=["*"]), verifier, needs=NEEDS)
    inner.add_middleware(KeyturnMiddleware, verifier=verifier, needs=NEEDS)
    if where != "mounted":
        return inner
    outer = FastAPI()
    outer.mount("/v1", inner)
    return outer


@pytest.mark.filterwarnings("ignore:The `root_path` parameter is deprecated")
@pytest.mark.parametrize("where", ["its own", "its own, outside", "its own, behind others", "the server's", "mounted"])
def test_at_a_prefix_the_path_behind_it_is_what_counts(verifier: Verifier, made: dict[str, Any], where: str) -> None:
    """Whoever compares whole paths takes `/v1/admin` for no `/admin`; the application does."""
    app = rooted(verifier, where)
    root = {"root_path": "/v1"} if where == "the server's" else {}
    got = [
        asyncio.run(ask(app, scope(made["secret"], path=path, raw_path=path.encode(), **root)))[0]["status"]
        for path in ("/v1/admin", "/v1/orders", "/v1/v1/admin")
    ]
    assert got[:2] == [HTTPStatus.FORBIDDEN, HTTPStatus.OK]
    assert got[2] in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)


def test_whoever_wraps_itself_is_not_looked_through_for_ever(verifier: Verifier, made: dict[str, Any]) -> None:
    class Wound:
        def __init__(self) -> None:
            self.app = self

        async def __call__(self, *_: Any) -> None:
            """An application without a word."""

    app = KeyturnMiddleware(Wound(), verifier, needs=NEEDS)
    assert asyncio.run(ask(app, scope(made["secret"], path="/admin")))[0]["status"] == HTTPStatus.FORBIDDEN


def test_a_folder_that_an_application_has_is_no_prefix(verifier: Verifier, made: dict[str, Any]) -> None:
    """Quart calls that `root_path`, as FastAPI its prefix."""

    class InAFolder:
        root_path = "/srv/orders"

        async def __call__(self, *_: Any) -> None:
            """An application without a word."""

    app = KeyturnMiddleware(InAFolder(), verifier, needs=NEEDS)
    sent = asyncio.run(ask(app, scope(made["secret"], path="/v1/admin", root_path="/v1")))
    assert sent[0]["status"] == HTTPStatus.FORBIDDEN


def flask(verifier: Verifier, needs: Any, *inside: Callable[[Any], Any]) -> Any:
    """An application of Flask, with these between it and the middleware."""
    site = Flask(__name__)

    @site.get("/orders/export")
    @site.get("/admin")
    def reached() -> tuple[str, dict[str, str]]:
        return "reached", {"X-Reached": "1"}

    @site.delete("/orders")
    @site.get("/orders")
    def orders() -> str:
        return request.method

    app = site.wsgi_app
    for one in inside:
        app = one(app)
    site.wsgi_app = WsgiMiddleware(app, verifier, needs=needs)  # type: ignore[method-assign]  # this is how Flask has it
    return site.test_client()


def test_a_flask_application_at_a_prefix(verifier: Verifier, made: dict[str, Any]) -> None:
    client, shown = flask(verifier, NEEDS), {"Authorization": f"Bearer {made['secret']}"}
    at = "http://localhost/v1"
    assert client.get("/orders", base_url=at, headers=shown).status_code == HTTPStatus.OK
    assert client.get("/admin", base_url=at, headers=shown).status_code == HTTPStatus.FORBIDDEN
    client = flask(verifier, {"/orders": "orders", "/v1/orders": "admin:admin", "/health": OPEN})
    assert client.get("/orders", headers=shown).status_code == HTTPStatus.OK
    assert client.get("/orders", base_url=at, headers=shown).status_code == HTTPStatus.FORBIDDEN
    # What only the prefix makes into something named is named by nobody.
    assert client.get("/admin", base_url="http://localhost/health", headers=shown).status_code == HTTPStatus.FORBIDDEN


@pytest.mark.parametrize("is_async", [False, True], ids=["wsgi", "asgi"])
def test_a_django_application_at_a_prefix(verifier: Verifier, made: dict[str, Any], *, is_async: bool) -> None:
    settings.KEYTURN = {"verifier": verifier, "needs": NEEDS}
    shown = {"Authorization": f"Bearer {made['secret']}"}
    for path, status in (("/orders", HTTPStatus.OK), ("/admin", HTTPStatus.FORBIDDEN)):
        if is_async:
            headers = [(b"authorization", shown["Authorization"].encode())]
            request: Any = ASGIRequest(scope(path=f"/v1{path}", root_path="/v1", headers=headers), BytesIO())
        else:
            request = RequestFactory(SCRIPT_NAME="/v1").get(path, headers=shown)
        assert request.path_info == path
        answer: Any = DjangoMiddleware(lambda _: JsonResponse({}))(request)
        assert answer.status_code == status


def test_a_method_that_django_s_request_was_given_counts_too(site: Site, verifier: Verifier) -> None:
    """By a middleware before this one, from a field of a form: views go by it, and the environment still says POST."""
    settings.KEYTURN = {"verifier": verifier, "needs": {"/orders": "orders", "DELETE /orders": "orders:admin"}}
    shown = {"Authorization": f"Bearer {site.secret(permissions=['orders:write'])}"}
    for method, status in (("POST", HTTPStatus.OK), ("DELETE", HTTPStatus.FORBIDDEN)):
        request: Any = RequestFactory().post("/orders", headers=shown)
        request.method = method
        answer: Any = DjangoMiddleware(lambda _: JsonResponse({}))(request)
        assert answer.status_code == status


def test_head_needs_what_get_needs(verifier: Verifier, made: dict[str, Any]) -> None:
    """Flask answers it by the view of GET."""
    needs = {"/": OPEN, "GET /admin": "admin:admin", "/orders": "orders", "GET /orders/export": "orders:admin"}
    client, shown = flask(verifier, needs), {"Authorization": f"Bearer {made['secret']}"}
    for path in ("/admin", "/orders/export"):
        for answer in (client.get(path, headers=shown), client.head(path, headers=shown)):
            assert (answer.status_code, "X-Reached" in answer.headers) == (HTTPStatus.FORBIDDEN, False)


class Override:
    """As Flask's documentation has it."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def __call__(self, environ: Any, start_response: Any) -> Any:
        environ["REQUEST_METHOD"] = environ.get("HTTP_X_HTTP_METHOD_OVERRIDE", environ["REQUEST_METHOD"]).upper()
        return self._app(environ, start_response)


def test_a_method_that_a_header_speaks_of_counts_too(site: Site, verifier: Verifier) -> None:
    reads, all_of_it = (site.secret(permissions=[f"orders:{one}"]) for one in ("read", "admin"))
    client = flask(verifier, {"/orders": "orders", "DELETE /orders": "orders:admin"}, Override)
    for key, method, status in (
        (reads, "GET", HTTPStatus.OK),
        (reads, "delete", HTTPStatus.FORBIDDEN),
        (all_of_it, "DELETE", HTTPStatus.OK),
    ):
        shown = {"Authorization": f"Bearer {key}", "X-HTTP-Method-Override": method}
        assert client.get("/orders", headers=shown).status_code == status, method


def test_asgi_too_hears_of_which_method_headers_speak(site: Site, verifier: Verifier) -> None:
    reads = scope(site.secret(permissions=["orders:read"]))
    app = KeyturnMiddleware(nothing, verifier, needs={"/orders": "orders", "DELETE /orders": "orders:admin"})
    assert asyncio.run(ask(app, reads)) == []
    for name in (b"x-http-method-override", b"X-HTTP-Method", b"x-method-override"):
        asked = reads | {"headers": [*reads["headers"], (name, b"GET"), (name, b" DELETE")]}
        assert asyncio.run(ask(app, asked))[0]["status"] == HTTPStatus.FORBIDDEN


def test_an_encoded_slash_is_one_and_is_none(site: Site, verifier: Verifier) -> None:
    """Applications that go by `raw_path` take `/health%2forders` for no path below `/health`."""
    app = KeyturnMiddleware(nothing, verifier, needs={"/": "orders", "/health": OPEN, "/a/b": "admin:admin"})
    reads = site.secret(permissions=["orders:read"])
    for raw, key, status in (
        (b"/health/x", "", None),
        (b"/health%2Fx", "", HTTPStatus.UNAUTHORIZED),
        (b"/health%2fx", reads, None),
        (b"/a%2fb", reads, HTTPStatus.FORBIDDEN),
        (b"/v1/health%2fx", "", HTTPStatus.UNAUTHORIZED),
    ):
        asked = scope(key, path=unquote(raw.decode()), raw_path=raw, root_path="/v1" if b"/v1" in raw else "")
        sent = asyncio.run(ask(app, asked))
        assert (sent[0]["status"] if sent else None) == status, raw
