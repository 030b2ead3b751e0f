"""Verifying over HTTP: the quick way and the careful way are one, however a request comes in."""

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.serving import Serving

_VARIES = frozenset({"date", "x-request-id", "retry-after"})


@dataclass(frozen=True)
class Got:
    """One answer as it came over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def quick(self) -> bool:
        """Whether it came the quick way: only the careful one numbers its requests."""
        return "x-request-id" not in self.headers

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def said(self) -> tuple[int, dict[str, str], bytes]:
        """What must not depend on the way."""
        return self.status, {name: text for name, text in self.headers.items() if name not in _VARIES}, self.body


class Wire:
    """A plain connection."""

    def __init__(self, server: Serving) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._kept = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> Self:
        """Send as one piece."""
        self._socket.sendall(data)
        return self

    def get(self, *, head_only: bool = False) -> Got:
        """The next answer."""
        while b"\r\n\r\n" not in self._kept:
            self._more()
        head, _, self._kept = self._kept.partition(b"\r\n\r\n")
        line, *lines = head.decode("latin-1").split("\r\n")
        headers: dict[str, str] = {}
        for one in lines:
            name, _, text = one.partition(": ")
            assert name not in headers
            headers[name] = text
        length = 0 if head_only else int(headers["content-length"])
        while len(self._kept) < length:
            self._more()
        body, self._kept = self._kept[:length], self._kept[length:]
        return Got(int(line.split()[1]), headers, body)

    def ended(self) -> bool:
        """Whether the server has closed and said nothing more."""
        return not self._kept and self._socket.recv(1) == b""

    def _more(self) -> None:
        part = self._socket.recv(65536)
        if not part:
            msg = f"the connection ended; so far: {self._kept[:200]!r}"
            raise ConnectionError(msg)
        self._kept += part


@pytest.fixture(scope="module")
def hot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server with nothing else to do."""
    folder = tmp_path_factory.mktemp("hot")
    server = Serving(folder=folder / "data").start()
    lift = server.call("/v1/accounts").body["items"][-1]["id"]
    server.call(f"/v1/accounts/{lift}", {"max_keys_per_user": 100_000}, method="PATCH")
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server that takes this machine for a gateway."""
    folder = tmp_path_factory.mktemp("gate")
    (folder / "keyturn.toml").write_text('trusted_gateways = ["127.0.0.0/8"]\n')
    server = Serving(folder=folder / "data", flags=["--config", str(folder / "keyturn.toml")]).start()
    try:
        yield server
    finally:
        server.kill()


def _request(line: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    lines = [line, "Host: x", *(f"{name}: {text}" for name, text in headers.items())]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def _verify(server: Serving, asked: object, *, key: str = "", **headers: str) -> bytes:
    body = asked if isinstance(asked, bytes) else json.dumps(asked).encode()
    own = {"Authorization": f"Bearer {key or server.admin_key}", "Content-Type": "application/json"}
    return _request("POST /v1/verify HTTP/1.1", own | {k.replace("_", "-"): v for k, v in headers.items()}, body)


def _authz(server: Serving, key: str, *, line: str = "GET /v1/authz HTTP/1.1", **headers: str) -> bytes:
    own = {"Authorization": f"Bearer {key}", "X-Keyturn-Credential": server.admin_key}
    return _request(line, own | {name.replace("_", "-"): text for name, text in headers.items()})


def _carefully(request: bytes) -> bytes:
    """The same request in a dress that the quick way does not know: two spaces before a header that means nothing."""
    line, _, rest = request.partition(b"\r\n")
    return line + b"\r\nX-Nothing:  at all\r\n" + rest


def _ask(server: Serving, request: bytes) -> Got:
    with Wire(server) as wire:
        return wire.send(request).get()


def _let_read(server: Serving) -> None:
    """Have it read what was sent so far as a piece of its own: it reads in the order in which things come."""
    assert _ask(server, _request("GET /livez HTTP/1.1", {})).status == 200


def _warm(server: Serving, **wish: object) -> dict[str, Any]:
    """A new key that memory knows already."""
    made = server.create(**wish)
    assert server.verdict(made["secret"]) == "valid"
    return made


def test_cold_then_warm_is_the_same_answer(hot: Serving) -> None:
    """Pitfall 5: the first comes from the store, the second from memory."""
    made = hot.create(permissions=["orders:read"])
    request = _verify(hot, {"key": made["secret"], "permissions": ["orders:read"]})
    cold, warm = _ask(hot, request), _ask(hot, request)
    assert (cold.quick, warm.quick) == (False, True)
    assert cold.said == warm.said
    assert warm.json == {
        "valid": True,
        "code": "valid",
        "key_id": made["id"],
        "account_id": made["account_id"],
        "owner_id": made["owner_id"],
        "environment": "live",
        "permissions": ["orders:read"],
        "version": 1,
        "expires_at": None,
    }


@pytest.mark.parametrize("warm", [True, False])
def test_a_request_may_come_in_any_two_pieces(hot: Serving, warm: bool) -> None:  # noqa: FBT001  # a parameter of the test
    made = _warm(hot)
    request = _verify(hot, {"key": made["secret"]})
    expected = _ask(hot, request)
    assert expected.quick
    at_once = range(1, len(request))
    for at in at_once if warm else at_once[::10]:
        asked = request
        if not warm:
            made = hot.create()
            asked = _verify(hot, {"key": made["secret"]})
        with Wire(hot) as wire:
            wire.send(asked[:at])
            _let_read(hot)
            got = wire.send(asked[at:]).get()
            assert (got.status, got.json["code"], got.json["key_id"]) == (200, "valid", made["id"]), at
            assert wire.send(asked).get().quick  # and the connection is as good as before


def test_many_in_one_piece_are_answered_in_order(hot: Serving) -> None:
    warm, also, cold = _warm(hot), _warm(hot), hot.create()
    turn = [warm, also, cold, warm, also]
    data = b"".join(_verify(hot, {"key": one["secret"]}) for one in turn)
    with Wire(hot) as wire:
        got = [wire.send(data).get()] + [wire.get() for _ in turn[1:]]
        assert [one.json["key_id"] for one in got] == [one["id"] for one in turn]
        assert [one.quick for one in got[:3]] == [True, True, False]
        # Also with other calls between them, and cut somewhere.
        mixed = data + _request("GET /livez HTTP/1.1", {}) + data
        wire.send(mixed[:-100])
        _let_read(hot)
        wire.send(mixed[-100:])
        again = [wire.get() for _ in range(len(turn) * 2 + 1)]
        assert [one.json["key_id"] for at, one in enumerate(again) if at != len(turn)] == [
            one["id"] for one in turn * 2
        ]


def test_a_quick_answer_does_not_overtake_a_slow_one(hot: Serving) -> None:
    warm = _warm(hot)
    with Wire(hot) as wire:
        for _ in range(30):
            cold = hot.create()
            wire.send(_verify(hot, {"key": cold["secret"]}))
            _let_read(hot)
            wire.send(_verify(hot, {"key": warm["secret"]}))
            assert [wire.get().json["key_id"], wire.get().json["key_id"]] == [cold["id"], warm["id"]]


def test_a_request_in_the_body_of_another_is_not_one(hot: Serving) -> None:
    made = _warm(hot)
    inner = _verify(hot, {"key": made["secret"]})
    with Wire(hot) as wire:
        outer = _request(
            "POST /v1/keys HTTP/1.1", {"Authorization": "Bearer x", "Content-Type": "application/json"}, inner
        )
        head, _, _ = outer.partition(inner)
        wire.send(head)
        _let_read(hot)  # the parser stands at the beginning of a body
        assert wire.send(inner).get().status in (400, 401)
        assert wire.send(inner).get().json["valid"]


def test_a_request_in_the_head_of_another_is_not_one(hot: Serving) -> None:
    made = _warm(hot)
    inner = _verify(hot, {"key": made["secret"]})
    with Wire(hot) as wire:
        wire.send(b"POST /v1/keys HTTP/1.1\r\nHost: x\r\nX-Nothing: ")
        _let_read(hot)  # the parser stands inside a header
        got = wire.send(inner).get()
        assert (got.status, got.json["code"]) == (422, "unknown_field")


def test_a_body_that_is_complete_before_it_ends_is_waited_for(hot: Serving) -> None:
    made = _warm(hot)
    request = _verify(hot, json.dumps({"key": made["secret"]}).encode() + b"    ")
    with Wire(hot) as wire:
        for cut in (1, 2, 4):
            wire.send(request[:-cut])
            _let_read(hot)
            assert wire.send(request[-cut:]).get().json["valid"]
        assert wire.send(request).get().quick


def test_http_1_0_and_close_end_the_connection(hot: Serving) -> None:
    made = _warm(hot)
    request = _verify(hot, {"key": made["secret"]})
    for asked in (request.replace(b"HTTP/1.1", b"HTTP/1.0"), _verify(hot, {"key": made["secret"]}, Connection="close")):
        with Wire(hot) as wire:
            assert wire.send(asked).get().json["valid"]
            assert wire.ended()
    with Wire(hot) as wire:
        got = wire.send(_verify(hot, {"key": made["secret"]}, Connection="keep-alive")).get()
        assert got.quick
        assert wire.send(request).get().quick


def test_a_chunked_body_is_read(hot: Serving) -> None:
    made = _warm(hot)
    body = json.dumps({"key": made["secret"]}).encode()
    head = _request(
        "POST /v1/verify HTTP/1.1",
        {
            "Authorization": f"Bearer {hot.admin_key}",
            "Content-Type": "application/json",
            "Transfer-Encoding": "chunked",
        },
    )
    with Wire(hot) as wire:
        got = wire.send(head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)).get()
        assert got.json["valid"]
        assert wire.send(_verify(hot, {"key": made["secret"]})).get().quick


@pytest.mark.parametrize(
    "garbage",
    [
        b"POST /v1/verify HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"POST /v1/verify HTTP/1.1\r\nHost: x\r\nContent-Length: -2\r\n\r\n{}",
        b"POST /v1/verify HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/verify HTTP/1.1\r\nHost x\r\n\r\n",
        b"POST /v1/verify HTTP/9.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
)
def test_garbage_ends_the_connection_and_nothing_else(hot: Serving, garbage: bytes) -> None:
    made = _warm(hot)
    with Wire(hot) as wire:
        assert_refused(wire.send(garbage).get(), 400, "malformed_request")
        assert wire.ended()
    assert _ask(hot, _verify(hot, {"key": made["secret"]})).json["valid"]


def assert_refused(got: Got, status: int, code: str) -> None:
    """Refused as everything else is (RFC 9457), though no application has seen it."""
    assert (got.status, got.headers["content-type"], got.headers["connection"]) == (
        status,
        "application/problem+json",
        "close",
    )
    assert (got.json["status"], got.json["code"]) == (status, code)
    assert got.json["type"].endswith(f"/problems/{code}")
    assert (got.headers["cache-control"], "date" in got.headers) == ("no-store", True)


@pytest.mark.parametrize("before", [1, 2])
def test_garbage_behind_a_request_is_not_answered_in_its_place(hot: Serving, before: int) -> None:
    """Whoever sent it would take the refusal for its own answer, though it is carried out."""
    asked = _request("GET /v1/keys HTTP/1.1", {"Authorization": f"Bearer {hot.admin_key}"})
    with Wire(hot) as wire:
        wire.send(asked * before + b"GET nonsense\r\n\r\n")
        assert wire.ended()


def test_a_body_that_cannot_be_read_is_refused(hot: Serving) -> None:
    """That request itself is answered, whatever it had asked for."""
    head = {"Authorization": f"Bearer {hot.admin_key}", "Content-Type": "application/json"}
    chunked = _request("POST /v1/keys HTTP/1.1", {**head, "Transfer-Encoding": "chunked"})
    with Wire(hot) as wire:
        assert_refused(wire.send(chunked + b"no length\r\n").get(), 400, "malformed_request")
        assert wire.ended()


@pytest.mark.parametrize("begins", [b"GET /", b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Long: "], ids=["line", "header"])
def test_a_head_that_does_not_end_is_refused(hot: Serving, begins: bytes) -> None:
    with Wire(hot) as wire:
        wire.send(begins)
        _let_read(hot)
        wire.send(b"a" * 262_145)  # and refuses with the last byte, so that none is left unread
        assert_refused(wire.get(), 431, "head_too_large")


def test_trailers_are_no_headers_and_have_an_end(hot: Serving) -> None:
    """Whatever stands before the server judges headers, and not what comes after the body."""
    head = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    shown = f"Authorization: Bearer {hot.admin_key}\r\n".encode()
    with Wire(hot) as wire:
        got = wire.send(_request("POST /v1/keys HTTP/1.1", head) + b"2\r\n{}\r\n0\r\n" + shown + b"\r\n").get()
        assert got.status == 401
    with Wire(hot) as wire:
        wire.send(_request("POST /v1/keys HTTP/1.1", {"Authorization": f"Bearer {hot.admin_key}"} | head) + b"0\r\nX: ")
        _let_read(hot)
        wire.send(b"a" * 262_145)
        assert_refused(wire.get(), 431, "head_too_large")


def test_other_methods_are_told_which_one(hot: Serving) -> None:
    for method in ("GET", "PUT", "PATCH", "DELETE", "OPTIONS"):
        got = _ask(hot, _request(f"{method} /v1/verify HTTP/1.1", {"Authorization": f"Bearer {hot.admin_key}"}))
        assert (got.status, got.headers["allow"], got.json["code"]) == (405, "POST", "method_not_allowed")
    with Wire(hot) as wire:
        head = _request("HEAD /v1/verify HTTP/1.1", {"Authorization": f"Bearer {hot.admin_key}"})
        assert wire.send(head).get(head_only=True).status == 405
        assert wire.send(_request("GET /livez HTTP/1.1", {})).get().status == 200


def test_a_stopped_credential_is_refused_on_the_very_connection(hot: Serving) -> None:
    """F6: what a head was read as is remembered, never what was decided on it."""
    asker = hot.create(permissions=["keyturn.verify"])
    made = _warm(hot)
    request = _verify(hot, {"key": made["secret"]}, key=asker["secret"])
    with Wire(hot) as wire:
        assert not wire.send(request).get().quick  # the credential is cold
        assert wire.send(request).get().quick
        assert hot.call(f"/v1/keys/{asker['id']}/revoke", {}).status == 200
        got = wire.send(request).get()
        assert (got.status, got.json["code"]) == (401, "unauthenticated")
        assert "www-authenticate" in got.headers


def test_r52_a_replaced_key_is_told_when_and_by_which_reset(hot: Serving) -> None:
    made = _warm(hot)
    done = hot.call(f"/v1/keys/{made['id']}/resets", {"reason": "leaked"}).body
    for request in (_verify(hot, {"key": made["secret"]}), _carefully(_verify(hot, {"key": made["secret"]}))):
        got = _ask(hot, request)
        assert got.json["code"] == "replaced"
        assert got.json["reset_id"] == done["id"]
        assert got.json["replaced_at"] == done["old_stops_at"]
        assert not got.json["valid"]
    assert hot.verdict(done["secret"]) == "valid"


def test_strangers_get_one_answer(hot: Serving) -> None:
    """R52: whatever is wrong with what they show."""
    made = _warm(hot)
    made_up = made["secret"][:-6] + "000000"
    answers = set()
    for shown in ("", "Bearer", "Bearer x", f"Bearer {made_up}", "Basic eDp5", "Bearer é"):
        headers = {"Content-Type": "application/json"} | ({"Authorization": shown} if shown else {})
        got = _ask(hot, _request("POST /v1/verify HTTP/1.1", headers, b'{"key": "x"}'))
        assert got.status == 401
        answers.add((got.headers["www-authenticate"], got.body))
    assert len(answers) == 1


def test_a_credential_without_the_right_is_told_so(hot: Serving) -> None:
    plain = hot.create(permissions=["*:admin"])
    got = _ask(hot, _verify(hot, {"key": plain["secret"]}, key=plain["secret"]))
    assert (got.status, got.json["code"]) == (403, "permission_missing")


def test_r24_a_credential_in_its_cool_down_may_do_nothing_dangerous(hot: Serving) -> None:
    """Rights rank as admin: they wait until `dangerous_starts_at`, on this call and on all others."""
    wait = {"name": "wait", "cool_down": "1h", "cool_down_scope": "dangerous_only"}
    assert hot.call("/v1/policies", wait).status == 201
    rights = ["keyturn.keys:write", "keyturn.verify"]
    asker, made = hot.create(permissions=rights, policy="wait"), _warm(hot)
    fresh = hot.call(f"/v1/keys/{asker['id']}/resets", {"reason": "routine"}).body["secret"]
    assert hot.verdict(fresh) == "valid"
    assert hot.verdict(fresh, permissions=["keyturn.verify"]) == "not_yet_active"
    request = _verify(hot, {"key": made["secret"]}, key=fresh)
    for way in (request, _carefully(request)):
        assert (_ask(hot, way).status, _ask(hot, way).json["code"]) == (403, "permission_missing")
    assert hot.call("/v1/keys", {"name": "x"}, key=fresh).body["code"] == "permission_missing"
    assert hot.call("/v1/keys", {"name": "x", "permissions": []}, key=asker["secret"]).status == 201


def test_pitfall_18_another_account_s_key_is_unknown_and_stays_unused(hot: Serving) -> None:
    """Whoever may verify for one account learns nothing of another's keys, and uses nothing of them up."""
    there = hot.call("/v1/accounts", {"name": "elsewhere"}).body["id"]
    member = {"email": "owner@elsewhere.example", "account_id": there, "role": "owner"}
    assert hot.call("/v1/users", member).status == 201
    asker = hot.create(permissions=["keyturn.verify"], account_id=there)
    theirs = hot.create(account_id=there, limit="1/1h")
    cold, warm = hot.create(limit="2/1h"), _warm(hot, limit="2/1h")
    for ours in (cold, warm):
        for _ in range(3):
            got = _ask(hot, _verify(hot, {"key": ours["secret"]}, key=asker["secret"]))
            assert (got.status, got.json["code"], got.json["key_id"]) == (200, "unknown", None)
            gateway = _authz(hot, ours["secret"], X_Keyturn_Credential=asker["secret"])
            assert (_ask(hot, gateway).status, _ask(hot, gateway).headers["x-keyturn-code"]) == (401, "unknown")
    assert [hot.verdict(cold["secret"]) for _ in range(3)] == ["valid", "valid", "rate_limited"]
    assert [hot.verdict(warm["secret"]) for _ in range(2)] == ["valid", "rate_limited"]
    assert _ask(hot, _verify(hot, {"key": theirs["secret"]}, key=asker["secret"])).json["code"] == "valid"


def test_handing_on_uses_nothing_up(hot: Serving) -> None:
    """R23: a caller with a limit is counted once a request, whichever way it takes."""
    asker = hot.create(permissions=["keyturn.verify"], limit="6/1h")
    cold = [hot.create() for _ in range(3)]
    for made in cold:
        assert _ask(hot, _verify(hot, {"key": made["secret"]}, key=asker["secret"])).status == 200
    for made in cold:
        assert _ask(hot, _verify(hot, {"key": made["secret"]}, key=asker["secret"])).quick
    got = _ask(hot, _verify(hot, {"key": cold[0]["secret"]}, key=asker["secret"]))
    assert (got.status, got.json["code"]) == (429, "too_many_requests")
    assert int(got.headers["retry-after"]) > 0


def test_a_limit_is_told_and_kept_both_ways(hot: Serving) -> None:
    made = hot.create(limit="5/1d")
    request = _verify(hot, {"key": made["secret"]})
    left = [_ask(hot, way).json.get("remaining") for way in (request, request, _carefully(request), request)]
    assert left == [4, 3, 2, 1]
    assert _ask(hot, request).json["remaining"] == 0
    for way in (request, _carefully(request)):
        refused = _ask(hot, way)
        assert refused.json["code"] == "rate_limited"
        assert 17_000 <= refused.json["retry_after"] <= 17_280
    gateway = _ask(hot, _authz(hot, made["secret"]))
    assert gateway.status == 429
    assert 17_000 <= int(gateway.headers["retry-after"]) <= 17_280


AUTHZ_STORIES: dict[str, tuple[dict[str, Any], dict[str, str], int, str]] = {
    "no permission asked for": ({}, {}, 200, "valid"),
    "a permission it has": ({}, {"X-Keyturn-Permission": "orders:read"}, 200, "valid"),
    "several": ({}, {"X-Keyturn-Permission": "orders:read, orders:write"}, 200, "valid"),
    "a permission it lacks": ({}, {"X-Keyturn-Permission": "orders:admin"}, 403, "permission_missing"),
    "an address inside": ({"allowlist": ["192.0.2.0/24"]}, {"X-Forwarded-For": "10.0.0.1, 192.0.2.7"}, 200, "valid"),
    "an address outside": (
        {"allowlist": ["192.0.2.0/24"]},
        {"X-Forwarded-For": "192.0.2.7, 203.0.113.1"},
        403,
        "ip_not_allowed",
    ),
    "no address told: the gateway's own is nobody's": ({"allowlist": ["127.0.0.0/8"]}, {}, 403, "ip_not_allowed"),
    "garbage for an address": (
        {"allowlist": ["192.0.2.0/24"]},
        {"X-Forwarded-For": "192.0.2.7, x"},
        403,
        "ip_not_allowed",
    ),
}


@pytest.mark.parametrize("story", AUTHZ_STORIES)
@pytest.mark.parametrize("line", ["GET /v1/authz HTTP/1.1", "DELETE /v1/authz/any/thing HTTP/1.1"])
def test_gateways(hot: Serving, story: str, line: str) -> None:
    """Pitfall 12: the right-most address that is no listed proxy."""
    wish, headers, status, code = AUTHZ_STORIES[story]
    made = hot.create(permissions=["orders:write"], **wish)
    hot.verdict(made["secret"])
    request = _authz(hot, made["secret"], line=line, **{name.replace("-", "_"): text for name, text in headers.items()})
    for way, quick in ((request, True), (_carefully(request), False)):
        got = _ask(hot, way)
        assert (got.status, got.headers["x-keyturn-code"], got.quick) == (status, code, quick)
        if status == 200:
            assert got.body == b""
            assert got.headers["x-keyturn-key-id"] == made["id"]
            assert got.headers["x-keyturn-account-id"] == made["account_id"]
            assert got.headers["x-keyturn-permissions"] == "orders:write"
        else:
            assert got.json["code"] == code
            assert "x-keyturn-key-id" not in got.headers


def test_gateways_present_keys_in_either_header(hot: Serving) -> None:
    one, other = _warm(hot)["secret"], _warm(hot)["secret"]
    own = {"X-Keyturn-Credential": hot.admin_key}
    for headers, status in (
        ({"X-API-Key": one}, 200),
        ({"X-API-Key": one, "Authorization": f"Bearer {one}"}, 200),
        ({"X-API-Key": one, "Authorization": f"bearer {one}"}, 200),
        ({"X-API-Key": one, "Authorization": "Basic eDp5"}, 200),
        ({"X-API-Key": one, "Authorization": f"Bearer {other}"}, 400),
        ({"Authorization": "Basic eDp5"}, 401),
        ({}, 401),
    ):
        request = _request("GET /v1/authz HTTP/1.1", own | headers)
        quick, careful = _ask(hot, request), _ask(hot, _carefully(request))
        assert quick.said == careful.said
        assert quick.status == status, headers


def test_a_gateway_that_lost_its_setting_lets_nobody_through(hot: Serving) -> None:
    made = _warm(hot)
    for text in ("", ",", "orders", "orders:read;x"):
        got = _ask(hot, _authz(hot, made["secret"], X_Keyturn_Permission=text))
        assert (got.status, got.json["code"]) == (400, "invalid_header"), text


def test_heads_have_no_body(hot: Serving) -> None:
    made = _warm(hot)
    with Wire(hot) as wire:
        for key, status in ((made["secret"], 200), ("x", 401)):
            asked = _authz(hot, key, line="HEAD /v1/authz HTTP/1.1")
            assert wire.send(asked).get(head_only=True).status == status


def test_a_gateway_by_address_needs_no_credential(gate: Serving) -> None:
    made = gate.create()
    for turn in range(2):
        got = _ask(gate, _request("GET /v1/authz HTTP/1.1", {"Authorization": f"Bearer {made['secret']}"}))
        assert (got.status, got.headers["x-keyturn-code"]) == (200, "valid")
        assert got.quick is (turn == 1)
    body = json.dumps({"key": made["secret"]}).encode()
    got = _ask(gate, _request("POST /v1/verify HTTP/1.1", {"Content-Type": "application/json"}, body))
    assert got.quick
    assert got.json["valid"]


def test_no_gateway_and_no_credential(hot: Serving) -> None:
    made = _warm(hot)
    got = _ask(hot, _request("GET /v1/authz HTTP/1.1", {"Authorization": f"Bearer {made['secret']}"}))
    assert (got.status, got.headers["x-keyturn-code"]) == (401, "unauthenticated")
    assert "www-authenticate" in got.headers


def test_a_drained_server_answers_what_came_before(tmp_path: Any) -> None:
    server = Serving(folder=tmp_path / "data").start()
    try:
        made = _warm(server)
        with Wire(server) as wire:
            request = _verify(server, {"key": made["secret"]})
            assert wire.send(request).get().quick
            assert wire.send(request).get().quick
            assert server.stop() == 0
            assert wire.ended()
    finally:
        server.kill()


# -- the two ways, over requests of all kinds


@pytest.fixture(scope="module")
def shelf(hot: Serving) -> list[str]:
    """Keys of several kinds, all warm, and what is none."""
    plain, narrow, closed, gone = (
        hot.create(permissions=["orders:write"])["secret"],
        hot.create(allowlist=["192.0.2.0/24"])["secret"],
        hot.create(),
        hot.create(),
    )
    hot.call(f"/v1/keys/{closed['id']}/suspend", {"reason": "test"})
    hot.call(f"/v1/keys/{gone['id']}/revoke", {})
    keys = [plain, narrow, closed["secret"], gone["secret"]]
    for key in keys:
        hot.verdict(key)
    return [*keys, "x", "", plain[:-1], plain + " ", plain[:-6] + "000000"]


permission_lists = st.lists(
    st.sampled_from(["orders:read", "orders:admin", "read_only", "nonsense", "*:read"]), max_size=3
)
ip_texts = st.sampled_from(["192.0.2.7", "::ffff:192.0.2.7", "203.0.113.1", "fe80::1%1", "", "192.0.2.7:80"])
plain_fields = st.fixed_dictionaries(
    {"key": st.integers(0, 8)}, optional={"permissions": permission_lists, "ip": ip_texts}
)
wild_fields: st.SearchStrategy[dict[str, object]] = st.fixed_dictionaries(
    {"key": st.integers(0, 8)},
    optional={
        "permissions": st.one_of(permission_lists, st.none(), st.just("orders:read")),
        "ip": st.one_of(ip_texts, st.sampled_from([None, 7])),
        "context": st.sampled_from([None, {}, {"user_agent": "x"}, {"user_agent": 7}, {"a": {"b": []}}]),
        "key_sha256": st.sampled_from(["00" * 32, "zz" * 32, "0 " * 32, None]),
        "other": st.just(1),
    },
)
fields: st.SearchStrategy[dict[str, Any]] = st.one_of(plain_fields, plain_fields, wild_fields)
dresses = st.sampled_from([*["plain"] * 6, "spaced", "escaped", "twice", "cut", "nul", "not utf-8"])
heads = st.dictionaries(
    st.sampled_from(["Content-Type", "User-Agent", "X-Forwarded-For", "Accept", "Idempotency-Key", "Authorization"]),
    st.sampled_from(
        ["application/json", "application/json; charset=utf-8", "text/plain", "192.0.2.7", "Bearer x", "*/*"]
    ),
    max_size=2,
)


def _dressed(asked: dict[str, Any], dress: str) -> bytes:
    body = json.dumps(asked).encode()
    if dress == "spaced":
        return json.dumps(asked, indent=1).encode()
    if dress == "escaped":
        return body.replace(b'"key"', b'"k\\u0065y"')
    if dress == "twice":
        return body.replace(b'{"key"', b'{"key": "x", "key"')
    if dress == "not utf-8":
        return body.replace(b'"}', b'\xff"}')
    if dress == "nul":
        return body.replace(b'"key": "', b'"key": "\\u0000')
    return body[:-1] if dress == "cut" else body


@given(asked=fields, dress=dresses, headers=heads, again=st.booleans())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pitfall_5_both_ways_say_the_same_of_every_question(
    hot: Serving,
    shelf: list[str],
    asked: dict[str, Any],
    dress: str,
    headers: dict[str, str],
    again: bool,  # noqa: FBT001  # drawn
) -> None:
    body = _dressed(asked | {"key": shelf[asked["key"]]}, dress)
    own = {"Authorization": f"Bearer {hot.admin_key}", "Content-Type": "application/json"}
    request = _request("POST /v1/verify HTTP/1.1", own | headers, body)
    with Wire(hot) as wire:
        careful = wire.send(_carefully(request)).get()
    assert not careful.quick
    assert careful.status < 500
    for _ in range(1 + again):
        with Wire(hot) as wire:
            assert wire.send(request).get().said == careful.said


@pytest.mark.parametrize("dress", ["plain", "spaced", "escaped", "twice", "cut", "nul", "not utf-8"])
@pytest.mark.parametrize("ip", ["192.0.2.7", "fe80::1%1", ""])
def test_pitfall_5_both_ways_read_a_body_alike(hot: Serving, shelf: list[str], dress: str, ip: str) -> None:
    body = _dressed({"key": shelf[0], "permissions": ["orders:read"], "ip": ip}, dress)
    request = _verify(hot, body)
    careful, got = _ask(hot, _carefully(request)), _ask(hot, request)
    assert got.said == careful.said
    assert got.quick == (ip == "192.0.2.7" and dress in ("plain", "spaced"))


gateway_heads = st.dictionaries(
    st.sampled_from(["X-API-Key", "X-Keyturn-Permission", "X-Forwarded-For", "User-Agent", "Content-Length", "Accept"]),
    st.sampled_from(["orders:read", "orders:admin", "192.0.2.7", "203.0.113.1, 192.0.2.7", "x", "0", "nonsense,"]),
    max_size=3,
)


@given(
    key=st.integers(0, 8),
    line=st.sampled_from(
        ["GET /v1/authz", "POST /v1/authz/a", "OPTIONS /v1/authz/", "GET /v1/authz?x=1", "GET /v1/authz/%41"]
    ),
    headers=gateway_heads,
)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pitfall_5_both_ways_say_the_same_to_every_gateway(
    hot: Serving, shelf: list[str], key: int, line: str, headers: dict[str, str]
) -> None:
    if headers.get("Content-Length", "0") != "0":
        headers = {name: text for name, text in headers.items() if name != "Content-Length"}
    own = {"Authorization": f"Bearer {shelf[key]}", "X-Keyturn-Credential": hot.admin_key}
    request = _request(f"{line} HTTP/1.1", own | headers)
    careful, quick = _ask(hot, _carefully(request)), _ask(hot, request)
    assert not careful.quick
    assert careful.status < 500
    assert quick.said == careful.said
