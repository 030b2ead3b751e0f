"""WebSockets before the real server, with a real client: who gets one, and what the others are told."""

import json
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.middleware.conftest import Site
from tests.middleware.program import Application, running

LONG: Final = 60.0
REFUSED: Final[Mapping[str, tuple[Callable[[Site], str], int, str]]] = {
    "no key": (lambda _: "", 401, "unauthenticated"),
    "what cannot be a key": (lambda _: "nonsense", 401, "malformed"),
    "to read only": (lambda site: site.secret(permissions=["orders:read"]), 403, "permission_missing"),
    "revoked": (lambda site: _after(site, "revoke"), 401, "revoked"),
    "suspended": (lambda site: _after(site, "suspend"), 401, "suspended"),
    "replaced": (lambda site: _after(site, "resets", reason="leaked"), 401, "replaced"),
}


def _after(site: Site, what: str, **wish: Any) -> str:
    """The secret of a key to which this has happened."""
    made = site.keyturn.create(permissions=["orders:write"])
    assert site.keyturn.call(f"/v1/keys/{made['id']}/{what}", wish).status < HTTPStatus.BAD_REQUEST
    return str(made["secret"])


@pytest.fixture(scope="module", params=["asgi", "fastapi"])
def application(request: pytest.FixtureRequest, site: Site) -> Iterator[Application]:
    """The examples that have one."""
    with running(request.param, keyturn=[site.keyturn.url], credential=site.credential) as started:
        yield started


def dial(application: Application, *, key: str = "", path: str = "/orders", **headers: str) -> ClientConnection:
    """An open WebSocket."""
    shown = ({"Authorization": f"Bearer {key}"} if key else {}) | headers
    url = f"ws://127.0.0.1:{application.port}{path}"
    return connect(url, additional_headers=shown, proxy=None, open_timeout=LONG, close_timeout=LONG)


def say(socket: ClientConnection, text: str) -> Any:
    """What it answers."""
    socket.send(text)
    return json.loads(socket.recv(timeout=LONG))


def assert_refused(application: Application, status: int, code: str, **shown: str) -> None:
    """The opening is answered with the whole problem, and with no WebSocket."""
    with pytest.raises(InvalidStatus) as caught:
        dial(application, **shown)
    answer = caught.value.response
    body = json.loads(answer.body or b"")
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert (body["status"], body["code"]) == (status, code)
    assert answer.headers.get("www-authenticate", "") == ('Bearer realm="api"' if status == 401 else "")


@pytest.mark.parametrize("header", ["Authorization", "X-API-Key"])
def test_with_a_key_that_writes_it_opens_and_carries_both_ways(
    site: Site, application: Application, header: str
) -> None:
    made = site.keyturn.create(permissions=["orders:write"])
    shown = f"Bearer {made['secret']}" if header == "Authorization" else made["secret"]
    with dial(application, **{header: shown}) as socket:
        for text in ("one", "two"):
            assert say(socket, text) == {"key_id": made["id"], "heard": text}


@pytest.mark.parametrize("story", REFUSED)
def test_who_gets_none_and_what_they_are_told(site: Site, application: Application, story: str) -> None:
    make, status, code = REFUSED[story]
    assert_refused(application, status, code, key=make(site))


@pytest.mark.parametrize("name", ["key", "token", "access_token"])
def test_a_key_in_the_query_opens_none(site: Site, application: Application, name: str) -> None:
    """Browsers cannot set headers on a WebSocket, so this is what people try."""
    secret = site.secret(permissions=["orders:write"])
    assert_refused(application, 400, "key_in_query", path=f"/orders?{name}={secret}")
    assert_refused(application, 400, "key_in_query", path=f"/orders?{name}={secret}", key=secret)


def test_two_keys_that_differ_open_none(site: Site, application: Application) -> None:
    one, other = (site.secret(permissions=["orders:write"]) for _ in range(2))
    assert_refused(application, 400, "duplicate_header", key=one, **{"X-API-Key": other})


@pytest.mark.parametrize("name", ["teller", "fastapi teller"])
def test_what_only_keyturn_may_say_does_not_reach_the_application(site: Site, name: str) -> None:
    made = site.keyturn.create(permissions=["orders:write"])
    with running(name, keyturn=[site.keyturn.url], credential=site.credential) as application:
        forged = {"X-Keyturn-Key-Id": "key_forged", "X_Keyturn_Account_Id": "acc_forged", "X-Keyturnish": "kept"}
        with dial(application, key=made["secret"], **forged) as socket:
            told = json.loads(socket.recv(timeout=LONG))
    assert told["key_id"] == made["id"]
    assert {one for one in told["headers"] if "keyturn" in one.lower()} == {"x-keyturnish"}
