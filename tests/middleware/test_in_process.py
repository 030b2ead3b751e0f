"""What no request over HTTP shows: headers that are taken away, event loops that go on, WebSockets, bad settings."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from io import BytesIO
from typing import Annotated, Any, Final

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.asgi import ASGIRequest
from django.http import JsonResponse
from django.test import RequestFactory
from fastapi import Depends, FastAPI, Request, WebSocket

from keyturn.sdk import Verifier, asking
from keyturn.sdk import admission as decision
from keyturn.sdk.admission import UNIX, Admission, Problem, Question
from keyturn.sdk.admission import Request as Asked
from keyturn.sdk.asgi import OPEN, KeyturnMiddleware
from keyturn.sdk.asking import Asking
from keyturn.sdk.django import KeyturnMiddleware as DjangoMiddleware
from keyturn.sdk.django import admission
from keyturn.sdk.fastapi import AcceptedKey, Keyturn
from keyturn.sdk.wsgi import KeyturnMiddleware as WsgiMiddleware
from tests.middleware.conftest import Site
from tests.middleware.in_process import Messages, ask, nothing, scope

pytestmark = pytest.mark.usefixtures("django_settings")

LONG: Final = 60.0
AWAY: Final = "198.51.100.7"


# -- what only keyturn may say

FORGED: Final = [("X-Keyturn-Key-Id", "key_forged"), ("x_keyturn_account_id", "acc_forged"), ("X-KEYTURN-Any", "1")]
RAW: Final = [(name.lower().encode(), value.encode()) for name, value in FORGED]


def test_asgi_takes_away_what_only_keyturn_may_say(verifier: Verifier, made: dict[str, Any]) -> None:
    heard: list[Any] = []

    async def app(scope: Any, *_: Any) -> None:
        heard.append((scope["headers"], scope["keyturn"]))

    wrapped = KeyturnMiddleware(app, verifier, needs={"/orders": "orders", "/open": OPEN})
    asked = scope(made["secret"])
    own, others = list(asked["headers"]), [(b"x-keyturnish", b"1"), (b"accept", b"*/*")]
    asyncio.run(ask(wrapped, asked | {"headers": own + RAW + others, "keyturn": "forged"}))
    asyncio.run(ask(wrapped, scope(path="/open", keyturn="forged") | {"headers": RAW}))
    (headers, key), (nothing, nobody) = heard
    assert headers == own + others
    assert (key.key_id, key.account_id, key.owner_id) == (made["id"], made["account_id"], made["owner_id"])
    assert (key.environment, key.permissions) == ("live", ("orders:write",))
    assert (nothing, nobody) == ([], None)


def test_asgi_decides_on_the_headers_that_the_application_gets(site: Site, made: dict[str, Any]) -> None:
    """Servers add trailers to their list whenever they come, so also while a node is asked about the key."""
    heard: list[Any] = []

    async def app(scope: Any, *_: Any) -> None:
        heard.append(scope["headers"])

    async def between(verifier: Verifier) -> None:
        served = scope(made["secret"])
        before = list(served["headers"])
        waiting = asyncio.create_task(ask(KeyturnMiddleware(app, verifier, needs="orders"), served))
        await asyncio.sleep(0)  # it has asked
        served["headers"].append((b"x-forwarded-for", b"198.51.100.7"))
        await waiting
        assert heard == [before]

    with Verifier(site.keyturn.url, credential_file=site.credential) as fresh:
        asyncio.run(between(fresh))


def environ(key: str = "", path: str = "/orders", **more: str) -> dict[str, Any]:
    forged = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in FORGED}
    plain = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": path, "REMOTE_ADDR": "127.0.0.1"}
    return plain | forged | ({"HTTP_AUTHORIZATION": f"Bearer {key}"} if key else {}) | more


def test_wsgi_takes_away_what_only_keyturn_may_say(verifier: Verifier, made: dict[str, Any]) -> None:
    heard: list[Any] = []
    said: list[Any] = []

    def orders(environ: Any, _: Any) -> list[bytes]:
        heard.append(environ)
        return []

    def start(*line: Any) -> Any:
        said.append(line)

    app = WsgiMiddleware(orders, verifier, needs={"/orders": "orders"})
    list(app(environ(made["secret"], HTTP_ACCEPT="*/*"), start))
    (got,) = heard
    assert [name for name in got if name.startswith("HTTP_")] == ["HTTP_AUTHORIZATION", "HTTP_ACCEPT"]
    assert got["keyturn"].key_id == made["id"]
    list(app(environ(SCRIPT_NAME="/orders", PATH_INFO="/\xc3\xa9"), start))
    assert [one[0] for one in said] == ["401 Unauthorized"]


def test_fastapi_takes_away_what_only_keyturn_may_say(verifier: Verifier, made: dict[str, Any]) -> None:
    keys, heard = Keyturn(verifier), list[Any]()
    app = FastAPI()

    @app.get("/orders")
    def orders(request: Request, key: Annotated[AcceptedKey, Depends(keys.needs("orders"))]) -> None:
        heard.append((request.headers.keys(), request.scope["headers"], key.key_id))

    asked = scope(made["secret"])
    asyncio.run(ask(app, asked | {"headers": asked["headers"] + RAW}))
    assert heard == [(["authorization"], asked["headers"], made["id"])]


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_django_takes_away_what_only_keyturn_may_say(
    verifier: Verifier, made: dict[str, Any], *, is_async: bool
) -> None:
    heard: list[Any] = []

    def view(request: Any) -> Any:
        heard.append((dict(request.headers), request.keyturn.key_id))
        return JsonResponse({})

    async def later(request: Any) -> Any:
        return view(request)

    request = RequestFactory().get("/orders", headers=dict(FORGED) | {"Authorization": f"Bearer {made['secret']}"})
    assert "X-Keyturn-Key-Id" in request.headers  # somebody has looked before
    settings.KEYTURN = {"verifier": verifier, "needs": "orders"}
    answer: Any = DjangoMiddleware(later if is_async else view)(request)
    assert (asyncio.run(_wait(answer)) if is_async else answer).status_code == HTTPStatus.OK
    ((headers, key_id),) = heard
    assert not [name for name in headers if "keyturn" in name.lower()]
    assert key_id == made["id"]


def test_django_on_asgi_takes_it_away_from_the_scope_too(verifier: Verifier, made: dict[str, Any]) -> None:
    heard: list[Any] = []

    def view(request: Any) -> Any:
        heard.append(request.scope["headers"])
        return JsonResponse({})

    served = scope(made["secret"])
    own = list(served["headers"])
    settings.KEYTURN = {"verifier": verifier, "needs": "orders"}
    DjangoMiddleware(view)(ASGIRequest(served | {"headers": own + RAW}, BytesIO()))
    assert heard == [own]


async def _wait(answer: Any) -> Any:
    return await answer


def test_django_is_told_what_its_settings_lack() -> None:
    with pytest.raises(ImproperlyConfigured, match="needs"):
        admission({"urls": "http://127.0.0.1:1", "credential": "kt_x"})


# -- event loops


@contextmanager
def silent() -> Iterator[str]:
    """A node that takes every connection and says nothing, until it is gone."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_node_that_says_nothing_holds_up_no_other_request(site: Site) -> None:
    secret = site.secret()

    async def both(url: str) -> None:
        with Verifier(url, "kt_x") as verifier:
            app = KeyturnMiddleware(nothing, verifier, needs={"/orders": "orders", "/open": OPEN})
            waiting = asyncio.create_task(ask(app, scope(secret)))
            await asyncio.sleep(0)  # it has asked
            for _ in range(20):
                assert await ask(app, scope(path="/open")) == []
                assert (await ask(app, scope("nonsense", path="/elsewhere")))[0]["status"] == HTTPStatus.FORBIDDEN
            assert not waiting.done()
            assert (await waiting)[0]["status"] == HTTPStatus.SERVICE_UNAVAILABLE

    with silent() as url:
        asyncio.run(both(url))


def test_only_so_many_wait_for_a_node(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_MOST_WAITING", 2)
    secret = site.secret()

    async def many(url: str) -> list[Messages]:
        with Verifier(url, "kt_x") as verifier:
            app = KeyturnMiddleware(nothing, verifier, needs="orders")
            tasks = [asyncio.create_task(ask(app, scope(secret))) for _ in range(3)]
            done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            assert len(rest) == len(tasks) - 1
            answers = [task.result() for task in done] + list(await asyncio.gather(*rest))
            # Their places are free again.
            following = asyncio.create_task(ask(app, scope(secret)))
            await asyncio.sleep(0)
            assert not following.done()
            return [*answers, await following]

    with silent() as url:
        answers = asyncio.run(many(url))
    assert [one[0]["status"] for one in answers] == [HTTPStatus.SERVICE_UNAVAILABLE] * 4


def test_open_websockets_take_no_place_of_requests_and_none_of_each_other(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked about again, each waits for a place: that there is none just now says nothing of its key."""
    monkeypatch.setattr(asking, "_MOST_WAITING", 1)
    monkeypatch.setattr(asking, "_MOST_AGAIN", 1)
    secret = site.secret()

    async def many(url: str) -> list[Any]:
        with Verifier(url, "kt_x") as verifier:
            waits = Asking(Admission(verifier, needs="orders"))
            question = waits._admission.read(asked(secret))
            assert isinstance(question, Question)
            tasks: list[asyncio.Task[Any]] = [asyncio.create_task(waits.again(question)) for _ in range(2)]
            await asyncio.sleep(0)  # they have asked, or found no place
            tasks.append(asyncio.create_task(waits.answer(question)))
            await asyncio.sleep(0)
            assert not any(task.done() for task in tasks)
            assert await waits.answer(question), "there is one place for requests, and it is taken"
            assert not any(task.done() for task in tasks)
            return await asyncio.gather(*tasks)

    with silent() as url:
        answers = asyncio.run(many(url))
    assert [one.status for one in answers] == [HTTPStatus.SERVICE_UNAVAILABLE] * 3


FORKS: Final = """
import asyncio, os, sys
from keyturn.sdk import Verifier
from keyturn.sdk.admission import AcceptedKey, Admission, Request
from keyturn.sdk.asking import Asking
url, credential, secret = sys.argv[1:]
verifier = Verifier(url, credential_file=credential)
asking = Asking(Admission(verifier, needs=()))
request = Request("GET", "/", "", "127.0.0.1", [f"Bearer {secret}"], [], [], "")
assert isinstance(asyncio.run(asking.admit(request)), AcceptedKey)
child = os.fork()
if child == 0:
    os._exit(0 if isinstance(asyncio.run(asking.admit(request)), AcceptedKey) else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
verifier.close()
"""


def test_f10_a_child_asks_in_threads_of_its_own(site: Site) -> None:
    words = [sys.executable, "-c", FORKS, site.keyturn.url, str(site.credential), site.secret()]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=LONG)
    assert done.returncode == 0, done.stderr


# -- what is not HTTP


def test_a_websocket_reads_and_writes(site: Site, verifier: Verifier, made: dict[str, Any]) -> None:
    reads = site.secret(permissions=["orders:read"])
    app = KeyturnMiddleware(_answering, verifier, needs="orders")
    websocket = {"type": "websocket"}
    assert asyncio.run(ask(app, scope(made["secret"]) | websocket)) == [{"type": "websocket.accept"}]
    assert asyncio.run(ask(app, scope(reads) | websocket)) == [{"type": "websocket.close", "code": 1008}]
    able: dict[str, Any] = websocket | {"extensions": {"websocket.http.response": {}}}
    start, body = asyncio.run(ask(app, scope(reads) | able))
    assert (start["type"], start["status"]) == ("websocket.http.response.start", HTTPStatus.FORBIDDEN)
    assert (body["type"], b"permission_missing" in body["body"]) == ("websocket.http.response.body", True)


async def _answering(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "websocket.accept"})


def test_a_websocket_of_fastapi(site: Site, verifier: Verifier, made: dict[str, Any]) -> None:
    keys = Keyturn(verifier)
    app = FastAPI()
    keys.install(app)

    @app.websocket("/orders")
    async def orders(websocket: WebSocket, _: Annotated[AcceptedKey, Depends(keys.needs("orders"))]) -> None:
        await websocket.accept()

    reads = site.secret(permissions=["orders:read"])
    accepted, refused = (asyncio.run(ask(app, scope(one, type="websocket"))) for one in (made["secret"], reads))
    assert [one["type"] for one in accepted][:1] == ["websocket.accept"]
    assert refused == [{"type": "websocket.close", "code": 1008}]
    able = scope(reads, type="websocket", extensions={"websocket.http.response": {}})
    start, body = asyncio.run(ask(app, able))
    assert (start["type"], start["status"]) == ("websocket.http.response.start", HTTPStatus.FORBIDDEN)
    assert b"permission_missing" in body["body"]
    app = FastAPI()
    app.websocket("/orders")(orders)
    with pytest.raises(RuntimeError, match="install"):  # nothing would end it
        asyncio.run(ask(app, scope(made["secret"], type="websocket")))


def test_what_begins_and_ends_with_the_server_passes_and_what_nobody_knows_does_not(verifier: Verifier) -> None:
    heard: list[Any] = []

    async def app(scope: Any, *_: Any) -> None:
        heard.append(scope)

    wrapped = KeyturnMiddleware(app, verifier, needs="orders")
    asyncio.run(ask(wrapped, {"type": "lifespan"}))
    assert heard == [{"type": "lifespan"}]
    with pytest.raises(KeyError):
        asyncio.run(ask(wrapped, {"type": "unheard-of"}))
    assert len(heard) == 1


# -- refusals


def test_fastapi_answers_with_the_status_also_where_nothing_was_installed(verifier: Verifier) -> None:
    keys = Keyturn(verifier)
    app = FastAPI()

    @app.get("/orders")
    def orders(_: Annotated[AcceptedKey, Depends(keys.needs("orders"))]) -> None:
        """Nothing."""

    start, _ = asyncio.run(ask(app, scope()))
    assert start["status"] == HTTPStatus.UNAUTHORIZED
    assert (b"www-authenticate", b'Bearer realm="api"') in start["headers"]
    described = app.openapi()
    assert described["paths"]["/orders"]["get"]["security"] == [{"HTTPBearer": []}, {"APIKeyHeader": []}]


def test_the_whole_of_a_fastapi_application_is_behind_it(verifier: Verifier, made: dict[str, Any]) -> None:
    app = FastAPI()
    app.add_middleware(KeyturnMiddleware, verifier=verifier, needs="orders")

    @app.get("/orders")
    def orders(request: Request) -> str:
        key: AcceptedKey = request.scope["keyturn"]
        return key.key_id

    for key, status in (("", HTTPStatus.UNAUTHORIZED), (made["secret"], HTTPStatus.OK)):
        start, body = asyncio.run(ask(app, scope(key)))[:2]
        assert (start["status"], made["id"].encode() in body["body"]) == (status, status == HTTPStatus.OK)


def asked(key: str = "", **more: Any) -> Asked:
    plain = {"method": "GET", "path": "/", "query": "", "peer": "127.0.0.1", "user_agent": ""}
    return Asked(**{**plain, "authorization": [f"Bearer {key}"] if key else [], "api_key": [], "forwarded": [], **more})


def test_a_problem_leads_to_its_page_and_a_challenge_names_the_realm(verifier: Verifier) -> None:
    decides = Admission(verifier, needs="orders", realm="orders of mine", problems="https://keys.example.com/problems/")
    refused = decides.admit(asked())
    assert isinstance(refused, Problem)
    assert b'"type": "https://keys.example.com/problems/unauthenticated"' in refused.body
    assert dict(refused.headers)["www-authenticate"] == 'Bearer realm="orders of mine"'
    for realm in ('a"b', "a\\b", "a\nb", "\xe4"):
        with pytest.raises(ValueError, match="realm"):
            Admission(verifier, needs="orders", realm=realm)


def test_the_key_is_a_bearer_s_or_an_api_key(verifier: Verifier, made: dict[str, Any]) -> None:
    decides = Admission(verifier, needs="orders")
    key = made["secret"]
    for shown in (
        {"authorization": [f"bearer {key}"]},
        {"authorization": [f"Bearer  {key} "]},
        {"api_key": [key]},
        {"authorization": ["Basic Zm9v"], "api_key": [f" {key} "]},
    ):
        assert isinstance(decides.admit(asked(**shown)), AcceptedKey), shown
    for shown in ({"authorization": [f"Basic {key}"]}, {"authorization": [key]}, {"authorization": [f"Bearer{key}"]}):
        refused = decides.admit(asked(**shown))
        assert isinstance(refused, Problem)
        assert refused.status == HTTPStatus.UNAUTHORIZED


def test_a_key_in_the_query_is_seen_however_it_is_written(verifier: Verifier, made: dict[str, Any]) -> None:
    decides = Admission(verifier, needs="orders")
    key = made["secret"]
    coded = "".join(f"%{ord(one):02X}" for one in key)
    for query in (f"a={key}", f"a=1;b={key}", key, f"a=%20{key}", f"a={coded}", f"a={coded.replace('%', '%25')}"):
        refused = decides.admit(asked(key, query=query))
        assert isinstance(refused, Problem)
        assert refused.status == HTTPStatus.BAD_REQUEST, query
    assert isinstance(decides.admit(asked(key, query="token=7&a=%zz&=&;")), AcceptedKey)


def test_pitfall_12_a_unix_socket_is_a_proxy_where_it_is_listed(site: Site, verifier: Verifier) -> None:
    key = site.secret(permissions=["orders:read"], allowlist=[AWAY])
    through: dict[str, Any] = {"peer": "", "forwarded": [f"203.0.113.1, {AWAY}, 10.0.0.1".encode()]}
    listed = Admission(verifier, needs="orders", proxies=[UNIX, "10.0.0.0/8"])
    assert isinstance(listed.admit(asked(key, **through)), AcceptedKey)
    assert isinstance(listed.admit(asked(key, **through | {"forwarded": [f"{AWAY}, 203.0.113.1".encode()]})), Problem)
    assert isinstance(listed.admit(asked(key, **through | {"peer": "203.0.113.9"})), Problem)
    assert isinstance(Admission(verifier, needs="orders", proxies=["10.0.0.0/8"]).admit(asked(key, **through)), Problem)


def test_what_is_remembered_of_addresses_is_bounded(verifier: Verifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decision, "_MOST_REMEMBERED", 8)
    decides = Admission(verifier, needs="orders", proxies=["127.0.0.0/8"])
    for at in range(20):
        decides.admit(asked("nonsense", forwarded=[f"198.51.100.{at}".encode()]))
        assert 0 < len(decides._addresses) <= 8
    before = len(decides._addresses)
    decides.admit(asked("nonsense", forwarded=[b"198.51.100.1, " * 20]))
    assert len(decides._addresses) == before


def test_pitfall_12_a_proxy_that_is_no_network_is_said_at_the_start(verifier: Verifier) -> None:
    for wrong in ("10.0.0.1/8", "localhost", "fe80::1%eth0", "", "*"):
        with pytest.raises(ValueError, match=r"network|host bits"):
            Admission(verifier, needs="orders", proxies=[wrong])


def test_memory_answers_without_a_thread(verifier: Verifier, made: dict[str, Any]) -> None:
    assert verifier.verify(made["secret"])
    waits = Asking(Admission(verifier, needs="orders"))
    assert isinstance(asyncio.run(waits.admit(asked(made["secret"]))), AcceptedKey)
    assert not hasattr(waits, "_threads")
