"""The edge of the control plane: what surrounds every call, and what a bug or an outage looks like from outside."""

import asyncio
import dataclasses
import json
import logging
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, NoReturn

import httpx2
import pytest

from keyturn import wiring
from keyturn.api.app import build_app
from keyturn.api.body import BODY_SECONDS, refusal_of
from keyturn.core.feed import FeedEntry
from keyturn.core.instant import Instant
from keyturn.edge.node import Authority
from keyturn.flow.confirmation import LOST
from keyturn.outside.clock import AuthorityClock
from keyturn.ports.store import StoreBusy, StoreUnavailable, StoreUnsure
from keyturn.settings import Settings
from keyturn.wiring import Node
from tests.serving import Serving

MARK = "MARKED-VALUE-THAT-NOBODY-MAY-READ"


# What is asked for


@pytest.mark.parametrize("path", ["/v1/keys", "/v1/resets", "/v1/users", "/v1/accounts", "/v1/audit", "/v1/policies"])
def test_a_mistyped_or_doubled_filter_is_refused_instead_of_listing_everything(api: Serving, path: str) -> None:
    for query, field in (("acount_id=acc_x", "acount_id"), ("nonsense", "nonsense")):
        refused = api.call(f"{path}?{query}")
        assert (refused.status, refused.body["code"], refused.body["field"]) == (422, "invalid_field", field)
    if path != "/v1/policies":
        refused = api.call(f"{path}?limit=1&limit=2")
        assert (refused.status, refused.body["field"]) == (422, "limit")


@pytest.mark.parametrize(
    "query",
    [
        "keys?account_id=%00",
        "keys?owner_id=%00",
        "keys?owner_id=",
        "keys?account_id=" + "x" * 65,
        "keys?cursor=LTE",
        "keys?cursor=OTk5OTk5OTk5OTk5OTk5OTk5OTk5",
        "resets?key_id=%ff",
        "audit?subject_id=a%20b",
        "policies/explain?key_id=%00",
    ],
)
def test_what_can_be_no_id_is_refused_before_the_database_sees_it(api: Serving, query: str) -> None:
    refused = api.call(f"/v1/{query}")
    assert (refused.status, refused.body["code"]) == (422, "invalid_field"), refused.text


@pytest.mark.parametrize("name", ["%00", "%E2%82%AC", "x" * 65, "a%20b", "%FF"])
@pytest.mark.parametrize("path", ["keys/{}", "resets/{}", "users/{}", "accounts/{}", "policies/{}"])
def test_an_address_that_can_name_nothing_is_not_found(api: Serving, path: str, name: str) -> None:
    answer = api.call("/v1/" + path.format(name))
    assert (answer.status, answer.body["code"]) == (404, "not_found")


@pytest.mark.parametrize("tail", ["suspend", "resume", "revoke", "resets"])
def test_nor_does_a_change_under_such_an_address_reach_the_database(api: Serving, tail: str) -> None:
    body = {"reason": "routine"} if tail == "resets" else {}
    for name in ("%00", "x" * 65):
        assert api.call(f"/v1/keys/{name}/{tail}", body).status == HTTPStatus.NOT_FOUND
    for step in ("mint", "cancel", "finish"):
        assert api.call(f"/v1/resets/%00/{step}", {}).status == HTTPStatus.NOT_FOUND


def test_an_empty_body_says_as_much_as_an_empty_object(api: Serving) -> None:
    made = api.create()
    for step in ("suspend", "resume", "revoke"):
        assert api.call(f"/v1/keys/{made['id']}/{step}", b"").status == HTTPStatus.OK
    missing = api.call("/v1/keys", b"")
    assert (missing.status, missing.body["field"]) == (422, "name")


def test_a_stranger_is_told_nothing_of_the_body(api: Serving) -> None:
    refused = api.call("/v1/keys", {"nonsense": 1}, key="nobody")
    assert (refused.status, refused.body["code"]) == (401, "unauthenticated")


def test_a_value_that_cannot_be_used_is_not_repeated(api: Serving) -> None:
    secret = api.create()["secret"]
    made = api.create()
    stories: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("POST", "/v1/keys", {"name": secret}),
        ("POST", "/v1/keys", {"name": "x", "permissions": [secret]}),
        ("POST", "/v1/keys", {"name": "x", "allowlist": [secret]}),
        ("POST", "/v1/keys", {"name": "x", "limit": secret}),
        ("POST", "/v1/keys", {"name": "x", "environment": secret}),
        ("POST", "/v1/keys", {"name": "x", "expires_at": secret}),
        ("POST", "/v1/keys", {"name": "x", secret: 1}),
        ("POST", "/v1/keys", {"name": "x", "limit": {"requests": secret, "window": secret}}),
        ("POST", f"/v1/keys/{made['id']}/resets", {"reason": secret}),
        ("POST", f"/v1/keys/{made['id']}/resets", {"reason": "routine", "grace": secret}),
        ("POST", f"/v1/keys/{made['id']}/suspend", {"reason": secret}),
        ("POST", "/v1/policies", {"name": "echo", "max_age": secret}),
        ("POST", "/v1/policies", {"name": "echo", "allowlist_required_for": [secret]}),
        ("POST", "/v1/policies", {"name": "echo", "proofs": [secret]}),
        ("POST", "/v1/policies", {"name": "echo", secret: 1}),
        ("POST", "/v1/users", {"email": secret}),
        ("POST", "/v1/verify", {"key": "x", secret: 1}),
        ("POST", "/v1/verify", {"key": "x", "permissions": [secret]}),
        ("POST", "/v1/verify", {"key": "x", "ip": secret}),
    )
    for method, path, body in stories:
        refused = api.call(path, body, method=method)
        assert refused.status == HTTPStatus.UNPROCESSABLE_ENTITY, (path, refused.text)
        assert secret not in refused.text, (path, body)
    doubled = api.call("/v1/keys", f'{{"{secret}": 1, "{secret}": 2}}'.encode())
    assert (doubled.body["code"], secret in doubled.text) == ("duplicate_field", False)
    assert secret not in api.said


@pytest.mark.parametrize(
    "value", [5, "orders:read", [5], [{"a": 1}], {"a": 1}, [["orders:read"]], None, True], ids=repr
)
@pytest.mark.parametrize(
    "field", ["allowlist_required_for", "proofs", "grace_max", "self_reset", "attempts", "on_password_change"]
)
def test_a_policy_field_of_another_type_is_refused_in_words(api: Serving, field: str, value: object) -> None:
    if (field, value) == ("attempts", 5):
        return
    refused = api.call("/v1/policies", {"name": "wrong-type", field: value})
    assert (refused.status, refused.body["code"], refused.body["field"]) == (422, "invalid_field", field)
    assert not any(word in refused.text for word in ("object is not", "unhashable", "NoneType"))


def test_a_policy_that_could_not_be_read_is_not_stored(api: Serving) -> None:
    assert api.call("/v1/policies", {"name": "explain"}).body["code"] == "name_taken"
    both = api.call("/v1/policies/explain?key_id=key_x&account_id=acc_x")
    assert (both.status, both.body["field"]) == (422, "account_id")


# What comes back


def test_a_method_that_is_not_taken_is_answered_with_all_that_are(api: Serving) -> None:
    for path, methods in (
        ("/v1/keys", "GET, POST"),
        ("/v1/keys/key_x", "GET, PATCH"),
        ("/v1/users/usr_x/password", "PUT"),
        ("/livez", "GET, HEAD"),
    ):
        refused = api.call(path, method="DELETE")
        assert (refused.status, refused.headers["allow"]) == (405, methods)


def test_probes_may_be_asked_by_head(api: Serving) -> None:
    for path in ("/livez", "/readyz"):
        assert api.call(path, method="HEAD", key="nobody").status == HTTPStatus.OK


def test_each_request_has_a_number_under_which_it_is_logged(api: Serving) -> None:
    answer = api.call("/v1/keys/key_of_nobody?limit=1")
    number = answer.headers["x-request-id"]
    line = _logged(api, number)
    told = json.loads(line[line.index("{") :])
    assert {"route", "method", "status", "ms", "request"} == told.keys()
    assert (told["route"], told["status"]) == ("/v1/keys/{key_id}", answer.status)
    assert "key_of_nobody" not in api.said


def _logged(api: Serving, number: str) -> str:
    until = time.monotonic() + 5  # the line is written once the answer has left
    while time.monotonic() < until:
        for line in api.said.splitlines():
            if number in line:
                return line
        time.sleep(0.02)
    pytest.fail("the request was not logged")


def test_a_callers_own_limit_is_told_and_kept(api: Serving) -> None:
    made = api.create(limit="2/1h", permissions=["keyturn.keys:read"])
    first = api.call("/v1/self", key=made["secret"])
    assert first.headers["ratelimit-policy"] == '"key";q=2;w=3600'
    assert first.headers["ratelimit"].startswith('"key";r=1;')
    assert api.call("/v1/self", key=made["secret"]).status == HTTPStatus.OK
    refused = api.call("/v1/self", key=made["secret"])
    assert (refused.status, refused.body["code"]) == (429, "too_many_requests")
    assert 0 < int(refused.headers["retry-after"]) <= 1800


def test_k8_what_stops_something_is_never_limited_away(api: Serving) -> None:
    """What makes or mails something as well is, each time anew (pitfall 24)."""
    rights = ["keyturn.keys:write", "keyturn.keys:reset", "keyturn.accounts:write", "*:admin"]
    account = api.call("/v1/accounts", {"name": "stopping"}).body["id"]
    owner = {"email": "stopping@example.com", "role": "owner", "account_id": account}
    owner_id = api.call("/v1/users", owner).body["id"]
    made = api.create(limit="1/1h", permissions=rights, account_id=account, owner_id=owner_id)
    others = [api.create(account_id=account, owner_id=owner_id)["id"] for _ in range(4)]
    graced = api.call(f"/v1/keys/{others[2]}/resets", {"reason": "routine", "grace": "1h"}).body["id"]

    def post(path: str, body: object = None, method: str = "POST") -> int:
        return api.call(path, body or {}, key=made["secret"], method=method).status

    assert api.call("/v1/self", key=made["secret"]).status == HTTPStatus.OK
    assert post(f"/v1/keys/{others[0]}/resume") == HTTPStatus.TOO_MANY_REQUESTS
    assert post(f"/v1/keys/{others[0]}/suspend") == HTTPStatus.OK
    assert post(f"/v1/keys/{others[1]}/revoke") == HTTPStatus.OK
    reset, edit = f"/v1/keys/{others[3]}/resets", f"/v1/keys/{others[3]}"
    assert post(reset, {"reason": "routine"}) == HTTPStatus.TOO_MANY_REQUESTS
    assert post(edit, {"allowlist": ["192.0.2.0/24"]}, "PATCH") == HTTPStatus.TOO_MANY_REQUESTS, "or fewer"
    for _ in range(2):  # each would make a secret, a mail and a record more
        assert post(reset, {"reason": "leaked"}) == HTTPStatus.TOO_MANY_REQUESTS
        assert post("/v1/keys/key_x/resets", {"reason": "leaked"}) == HTTPStatus.TOO_MANY_REQUESTS
        assert post(f"/v1/resets/{graced}/finish") == HTTPStatus.TOO_MANY_REQUESTS
        assert post(f"/v1/accounts/{account}/members/{owner_id}", method="DELETE") == HTTPStatus.TOO_MANY_REQUESTS
        assert api.call("/v1/self/reset", {"reason": "leaked"}, key=made["secret"]).status == 429
    assert post(f"/v1/accounts/{account}/suspend") == HTTPStatus.OK
    own = api.create(limit="1/1h")
    for _ in range(2):
        api.call("/v1/self", key=own["secret"])
    assert api.call("/v1/self/revoke", {}, key=own["secret"]).status == HTTPStatus.OK


def test_a_callers_own_allowlist_is_kept(api: Serving) -> None:
    away = api.create(permissions=["keyturn.keys:read"], allowlist=["198.51.100.0/24"])
    here = api.create(permissions=["keyturn.keys:read"], allowlist=["127.0.0.0/8"])
    for _ in range(2):  # once from the store, once from memory
        assert api.call("/v1/keys", key=away["secret"]).status == HTTPStatus.UNAUTHORIZED
        assert api.call("/v1/keys", key=here["secret"]).status == HTTPStatus.OK


def test_r53_a_receipt_names_no_stop_that_is_still_to_come(api: Serving) -> None:
    made = api.create()
    path = f"/v1/keys/{made['id']}/resets"
    graced = api.call(path, {"reason": "routine", "grace": "1h"}).body
    assert (graced["receipt"]["stopped_at"], graced["old_stops_at"] is None) == (None, False)
    finished = api.call(f"/v1/resets/{graced['id']}/finish", {}).body
    assert finished["receipt"]["stopped_at"] == finished["old_stops_at"]
    leaked = api.call(path, {"reason": "leaked"}).body
    assert leaked["receipt"]["stopped_at"] == leaked["old_stops_at"]
    assert {"reset", "key", "rev", "epoch", "confirmed", "waited_ms", "verifiers"} <= leaked["receipt"].keys()


def test_r21_a_gap_is_told(api: Serving) -> None:
    key = api.create(policy="binance")
    reset = api.call(f"/v1/keys/{key['id']}/resets", {"reason": "leaked"}).body
    assert reset["gap"] == {"since": reset["old_stops_at"], "until": reset["new_starts_at"]}
    assert api.call(f"/v1/resets/{reset['id']}").body["gap"] == reset["gap"]
    plain = api.create()
    waiting = api.call(f"/v1/keys/{plain['id']}/resets", {"reason": "routine"}).body
    assert (waiting["gap"], waiting["old_version"], waiting["new_version"]) == (None, 1, 2)


def test_resets_are_counted_by_reason_and_a_replay_is_not(api: Serving) -> None:
    def counted(reason: str) -> float:
        lines = api.call("/metrics").text.splitlines()
        return float(
            next(one for one in lines if one.startswith(f'keyturn_resets_minted_total{{reason="{reason}"}}')).split()[1]
        )

    before = counted("personnel")
    made = api.create()
    for _ in range(2):
        api.call(f"/v1/keys/{made['id']}/resets", {"reason": "personnel"}, headers={"Idempotency-Key": "counted"})
    assert counted("personnel") == before + 1


def test_metrics_have_no_id_and_no_secret(api: Serving) -> None:
    made = api.create()
    api.verdict(made["secret"])
    api.call(f"/v1/keys/{made['id']}")
    text = api.call("/metrics", key="nobody").text
    assert 'route="/v1/keys/{key_id}"' in text
    for mark in (made["secret"], made["id"], made["account_id"], made["owner_id"]):
        assert mark not in text


def test_pages_for_people_are_closed_to_everything_else(api: Serving) -> None:
    for path in ("/docs", "/problems/not_found", "/problems/internal"):
        page = api.call(path, key="nobody")
        assert page.status == HTTPStatus.OK
        assert page.headers["content-type"].startswith("text/html")
        for want in ("default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"):
            assert want in page.headers["content-security-policy"]
        assert (page.headers["x-content-type-options"], page.headers["referrer-policy"]) == ("nosniff", "no-referrer")
    for text in ("<script>", "%22onload=", "a" * 200):
        assert api.call(f"/problems/{text}").status == HTTPStatus.NOT_FOUND


def test_a_large_body_is_answered_while_it_is_still_being_written(api: Serving) -> None:
    size = 4_000_000
    head = (
        f"POST /v1/keys HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.admin_key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {size}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", api.port), timeout=10) as connection:
        connection.sendall(head.encode())
        time.sleep(0.3)  # answered by now
        connection.sendall(b" " * 500_000)
        time.sleep(0.3)  # a caller who has not read yet is not cut off from the answer
        connection.sendall(b" " * 100_000)
        answer = _until(connection, b"}")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"body_too_large"' in answer
    assert b"connection: close" in answer.lower()


def test_r14_a_reset_that_was_overtaken_while_its_body_came_has_lost(api: Serving) -> None:
    made = api.create()
    path, body = f"/v1/keys/{made['id']}/resets", b'{"reason": "routine"}'
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.admin_key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", api.port), timeout=10) as connection:
        connection.sendall(head.encode())
        time.sleep(0.3)
        won = api.call(path, {"reason": "routine"})
        connection.sendall(body)
        lost = _until(connection, b"}")
    assert won.status == HTTPStatus.CREATED
    assert lost.startswith(b"HTTP/1.1 409 ")
    assert b'"key_changed"' in lost
    assert api.call(f"/v1/keys/{made['id']}").body["version"] == 2


def _until(connection: socket.socket, end: bytes) -> bytes:
    received = b""
    while not received.endswith(end) and (part := connection.recv(65536)):
        received += part
    return received


def test_a_number_is_read_as_it_is_written() -> None:
    for text in ("-1", "0", str(2**63 - 1), str(-(2**63 - 1)), "1.5", "1e3"):
        assert refusal_of(text.encode()) is None, text
    for text in (str(2**63), str(-(2**63)), "9" * 21, "1e400", "-Infinity", "01", "+1", "0x1"):
        assert refusal_of(text.encode()) is not None, text
    assert BODY_SECONDS <= 60


def test_depth_is_counted_outside_texts_only() -> None:
    assert refusal_of(json.dumps({"name": "[" * 5000 + '\\"{'}).encode()) is None
    assert refusal_of(b"[" * 32 + b"]" * 32) is None
    assert refusal_of(b"[" * 33 + b"]" * 33) is not None


# A bug, an outage


class _Broken:
    """A store that fails in one way; what it says holds a mark."""

    def __init__(self, store: Authority, error: Callable[[], Exception]) -> None:
        self._store = store
        self._error = error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def change(self, _flow: object) -> NoReturn:
        raise self._error() from ValueError(MARK)

    read = glance = lookup = change


@pytest.fixture
def node(sqlite_url: str, tmp_path: Path) -> Iterator[Node]:
    with wiring.open_node(Settings(data=tmp_path / "data", database_url=sqlite_url)) as opened:
        yield opened


def _ask(node: Node, path: str, *, key: str | None = None, body: object = None) -> httpx2.Response:
    app, _ = build_app(node)

    async def ask() -> httpx2.Response:
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False, client=("127.0.0.1", 1))
        async with httpx2.AsyncClient(transport=transport, base_url="http://keyturn") as client:
            headers = {"Authorization": f"Bearer {key or node.admin_key}"}
            return await client.request("GET" if body is None else "POST", path, json=body, headers=headers)

    return asyncio.run(ask())


def _broken(node: Node, error: Callable[[], Exception]) -> Node:
    assert _ask(node, "/v1/keys").status_code == HTTPStatus.OK  # the administrator's key is warm now
    broken: Any = _Broken(node.store, error)
    return dataclasses.replace(node, store=broken)


def test_f8_a_new_key_may_do_at_once_what_it_may_also_where_this_node_s_clock_lags(node: Node) -> None:
    """A node that is slow to hear the authority's time goes by what the feed has told (R24)."""
    made = _ask(node, "/v1/keys", body={"name": "new", "permissions": ["keyturn.admin"]}).json()
    behind = AuthorityClock(Instant(node.clock.now() - timedelta(seconds=5)))
    lagging = dataclasses.replace(node, clock=behind)
    assert _ask(lagging, f"/v1/keys/{made['id']}", key=made["secret"]).status_code == HTTPStatus.OK
    assert _ask(lagging, "/v1/accounts", key=made["secret"]).status_code == HTTPStatus.OK


@pytest.mark.parametrize("path", ["/v1/keys/{key}", "/v1/keys"])
def test_f8_a_node_hears_the_time_with_whatever_it_reads(node: Node, path: str) -> None:
    """So what it shows of what was read is not from before that: a secret that is to start in no seconds, say."""
    key = _ask(node, "/v1/keys", body={"name": "new"}).json()
    read_after = node.clock.now()
    lagging = dataclasses.replace(node, clock=AuthorityClock(Instant(read_after - timedelta(seconds=5))))
    assert _ask(lagging, path.format(key=key["id"])).status_code == HTTPStatus.OK
    assert lagging.clock.now() > read_after


@pytest.mark.parametrize(
    ("stops", "body"),
    [
        ("/v1/keys/{key}/revoke", {}),
        ("/v1/keys/{key}/resets", {"reason": "leaked"}),
        ("/v1/accounts/{account}/suspend", {}),
    ],
)
def test_f9_a_receipt_is_about_the_epoch_in_which_the_stop_was_committed(
    node: Node, stops: str, body: dict[str, str]
) -> None:
    """Whatever has become of the database between the commit and the look at the leases."""
    key = _ask(node, "/v1/keys", body={"name": "old"}).json()
    epoch = node.verifier.epoch
    follow = node.store.follow

    def put_back(entries: Sequence[FeedEntry]) -> None:
        follow(entries)
        node.store.follow = follow
        assert node.store.change(lambda tx: tx.raise_epoch(tx.epoch))

    node.store.follow = put_back
    answer = _ask(node, stops.format(key=key["id"], account=key["account_id"]), body=body)
    receipt = answer.json()["receipt"]
    assert (receipt["epoch"], receipt["confirmed"], receipt["reason"]) == (epoch, False, LOST)


def test_a_bug_is_answered_without_a_word_of_it_and_logged_without_values(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answer = _ask(_broken(node, lambda: RuntimeError(MARK)), "/v1/keys", body={"name": MARK})
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert answer.headers["content-type"] == "application/problem+json"
    assert MARK not in answer.text
    assert "RuntimeError" in caplog.text
    assert answer.headers["x-request-id"] in caplog.text
    assert MARK not in caplog.text


@pytest.mark.parametrize(
    ("error", "code"),
    [(StoreUnavailable, "store_unavailable"), (StoreBusy, "busy"), (StoreUnsure, "outcome_unknown")],
    ids=["away", "busy", "unsure"],
)
def test_an_outage_is_told_with_when_to_come_back(node: Node, error: type[Exception], code: str) -> None:
    broken = _broken(node, error)
    for path, body in (("/v1/keys", {"name": "x"}), ("/v1/keys", None), ("/v1/keys/key_x/revoke", {})):
        answer = _ask(broken, path, body=body)
        assert (answer.status_code, answer.json()["code"]) == (503, code)
        assert int(answer.headers["retry-after"]) > 0
    # A stranger's key may be somebody's: without the database nobody can say.
    assert _ask(broken, "/v1/keys", key="kts_nobody").status_code == HTTPStatus.SERVICE_UNAVAILABLE


def test_readiness_says_why(node: Node) -> None:
    node.membership.holder.deadline = node.membership.boot() + 3600 * 1_000_000  # nothing renews it here
    assert _ask(node, "/readyz").json() == {"status": "ready", "store": "here"}
    assert _ask(node, "/v1/self").status_code == HTTPStatus.OK
    broken = _broken(node, StoreUnavailable)
    assert _ask(broken, "/readyz").json()["answers"].startswith("from memory")
    deadline, node.membership.holder.deadline = node.membership.holder.deadline, 0
    assert _ask(broken, "/readyz").json()["answers"] == "none: the lease is over"
    node.membership.holder.deadline = deadline
    node.verifier.start_at(rev=node.verifier.applied_rev, now=0)
    cold = _ask(broken, "/readyz")
    assert (cold.status_code, cold.json()["code"], cold.json()["store"]) == (503, "store_unavailable", "away")
    assert cold.headers["content-type"] == "application/problem+json"
    assert _ask(broken, "/livez").status_code == HTTPStatus.OK
