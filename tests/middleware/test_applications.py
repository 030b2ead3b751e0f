"""Each example application on its real framework, before a real server: who comes through, and what a caller is told.

Pitfall 12 is held here for what asks through a middleware: the client's address comes through listed proxies only.
"""

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

import pytest

from keyturn.core.secret import RANDOM_CHARS, checksum
from tests.middleware.conftest import Site
from tests.middleware.program import APPLICATIONS, Application, running
from tests.serving import Answer

AWAY = "198.51.100.7"


def assert_refused(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    assert (answer.body["status"], answer.body["code"]) == (status, code)
    challenge = answer.headers.get("www-authenticate", "")
    assert challenge == ('Bearer realm="api"' if status == HTTPStatus.UNAUTHORIZED else "")
    waits = int(answer.headers.get("retry-after", 0))
    assert bool(waits) is (status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE))


@pytest.mark.parametrize("header", ["Authorization", "X-API-Key"])
def test_a_valid_key_comes_through_and_the_application_knows_whose_it_is(
    site: Site, application: Application, header: str
) -> None:
    made = site.keyturn.create(permissions=["orders:write"])
    shown = f"Bearer {made['secret']}" if header == "Authorization" else made["secret"]
    for method in ("GET", "POST"):
        answer = application.call(method=method, headers=[(header, shown)])
        assert (answer.status, answer.body) == (HTTPStatus.OK, {"orders": [], "key_id": made["id"]})


def test_f0_after_a_confirmed_reset_the_old_secret_is_refused_and_the_new_one_accepted(
    site: Site, application: Application
) -> None:
    made = site.keyturn.create(permissions=["orders:read"])
    old = made["secret"]
    for _ in range(8):  # each of several processes has it in memory
        assert application.call(key=old).status == HTTPStatus.OK
    reset = site.keyturn.call(f"/v1/keys/{made['id']}/resets", {"reason": "leaked"}).body
    assert reset["receipt"]["confirmed"] is True
    for _ in range(8):
        assert_refused(application.call(key=old), 401, "replaced")
        assert application.call(key=reset["secret"]).body["key_id"] == made["id"]


UPGRADE: Final = (
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
)


def test_asking_for_a_websocket_is_no_way_past_the_middleware(site: Site, application: Application) -> None:
    """Where the server speaks none it is a GET like any other; who gets one is held in `test_websockets`."""
    if application.name == "django on asgi":  # Django itself serves no WebSocket, and says so before any middleware
        key = site.secret(permissions=["orders:write"])
        assert application.call(headers=UPGRADE, key=key).status == HTTPStatus.INTERNAL_SERVER_ERROR
        return
    assert_refused(application.call(headers=UPGRADE), 401, "unauthenticated")
    assert_refused(
        application.call(headers=UPGRADE, key=site.secret(permissions=["a:admin"])), 403, "permission_missing"
    )


NOBODYS: Final = "kt_live_" + "0" * RANDOM_CHARS
REFUSED: dict[str, tuple[Callable[[Site], str], str, int, str]] = {
    "no key": (lambda _: "", "POST", 401, "unauthenticated"),
    "what cannot be a key": (lambda _: "nonsense", "POST", 401, "malformed"),
    "a key of nobody": (lambda _: NOBODYS + checksum(NOBODYS), "POST", 401, "unknown"),
    "the permission of something else": (lambda site: site.secret(permissions=["a:admin"]), "GET", 403, ""),
    "to write with a key that reads": (lambda site: site.secret(permissions=["orders:read"]), "POST", 403, ""),
    "what the path needs": (lambda site: site.secret(permissions=["orders:write"]), "DELETE", 403, ""),
}


@pytest.mark.parametrize("story", REFUSED)
def test_who_is_refused_and_what_they_are_told(site: Site, application: Application, story: str) -> None:
    make, method, status, code = REFUSED[story]
    key = make(site)
    answer = application.call(key=key, method=method)
    assert_refused(answer, status, code or "permission_missing")
    assert not key or key not in answer.text


def test_what_is_open_needs_no_key_and_what_is_not_named_is_refused(site: Site, application: Application) -> None:
    assert application.call("/health").body["key_id"] is None
    nowhere = application.call("/elsewhere", key=site.secret(permissions=["*:admin"]))
    assert nowhere.status in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)  # of routes, there is none


def test_two_keys_that_differ_are_refused(site: Site, application: Application) -> None:
    one, other = (site.secret(permissions=["orders:read"]) for _ in range(2))
    same = application.call(headers=[("Authorization", f"Bearer {one}"), ("X-API-Key", one)])
    assert same.status == HTTPStatus.OK
    for headers in (
        [("Authorization", f"Bearer {one}"), ("X-API-Key", other)],
        [("X-API-Key", one), ("X-API-Key", other)],
        [("Authorization", f"Bearer {one}"), ("Authorization", f"Bearer {other}")],
    ):
        assert application.call(headers=headers).status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED)


@pytest.mark.parametrize("name", ["key", "page", "{secret}"])
def test_a_key_in_the_query_is_never_read_and_its_request_refused(
    site: Site, application: Application, name: str
) -> None:
    secret = site.secret(permissions=["orders:read"])
    query = f"{name}={secret}".format(secret=secret)
    assert_refused(application.call(f"/orders?{query}", key=secret), 400, "key_in_query")
    assert application.call("/orders?key=7", key=secret).status == HTTPStatus.OK


def test_over_its_limit_a_key_is_told_when_to_come_again(site: Site, application: Application) -> None:
    key = site.secret(permissions=["orders:read"], limit="2/1h")
    assert [application.call(key=key).status for _ in range(2)] == [HTTPStatus.OK] * 2
    assert_refused(application.call(key=key), 429, "rate_limited")


def test_pitfall_12_an_address_that_a_client_claims_is_not_believed(site: Site, application: Application) -> None:
    key = site.secret(permissions=["orders:read"], allowlist=[AWAY])
    here = site.secret(permissions=["orders:read"], allowlist=["127.0.0.1"])
    for claims in ([], [("X-Forwarded-For", AWAY)], [("X-Forwarded-For", AWAY), ("X-Real-IP", AWAY)]):
        assert_refused(application.call(key=key, headers=claims), 403, "ip_not_allowed")
        assert application.call(key=here, headers=claims).status == HTTPStatus.OK


@pytest.mark.parametrize("name", APPLICATIONS)
def test_pitfall_12_a_listed_proxy_is_believed_as_far_as_it_saw_itself(site: Site, name: str) -> None:
    key = site.secret(permissions=["orders:read"], allowlist=[AWAY])
    nodes = [site.keyturn.url]
    with running(name, keyturn=nodes, credential=site.credential, proxies="127.0.0.0/8") as application:
        for said, status in {
            AWAY: HTTPStatus.OK,
            f"203.0.113.1, {AWAY}": HTTPStatus.OK,
            f"{AWAY}, 203.0.113.1": HTTPStatus.FORBIDDEN,
            f"{AWAY}, nonsense": HTTPStatus.FORBIDDEN,
            "": HTTPStatus.FORBIDDEN,
        }.items():
            assert application.call(key=key, headers=[("X-Forwarded-For", said)]).status == status, said


def test_head_has_no_body(site: Site, application: Application) -> None:
    answer = application.call(method="HEAD")
    assert answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.METHOD_NOT_ALLOWED)
    assert not answer.text


def test_a_refusal_is_json_without_the_secret(site: Site, application: Application) -> None:
    made = site.keyturn.create(permissions=["orders:read"])
    site.keyturn.call(f"/v1/keys/{made['id']}/suspend", {})
    answer = application.call(key=made["secret"])
    assert_refused(answer, 401, "suspended")
    assert set(json.loads(answer.text)) == {"title", "status", "detail", "code"}
