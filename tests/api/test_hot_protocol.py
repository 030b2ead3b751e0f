"""One connection, and how requests come in on it: neither way answers what is not a request, or out of turn."""

import json
from typing import Any

import pytest

from tests.api.wire import Got, Wire, ask, http_request, let_read, verify_request, warm_key
from tests.serving import Serving


@pytest.mark.parametrize("warm", [True, False])
def test_a_request_may_come_in_any_two_pieces(hot: Serving, warm: bool) -> None:  # noqa: FBT001  # a parameter of the test
    made = warm_key(hot)
    request = verify_request(hot, {"key": made["secret"]})
    expected = ask(hot, request)
    assert expected.quick
    at_once = range(1, len(request))
    for at in at_once if warm else at_once[::10]:
        asked = request
        if not warm:
            made = hot.create()
            asked = verify_request(hot, {"key": made["secret"]})
        with Wire(hot) as wire:
            wire.send(asked[:at])
            let_read(hot)
            got = wire.send(asked[at:]).get()
            assert (got.status, got.json["code"], got.json["key_id"]) == (200, "valid", made["id"]), at
            assert wire.send(asked).get().quick  # and the connection is as good as before


def test_many_in_one_piece_are_answered_in_order(hot: Serving) -> None:
    warm, also, cold = warm_key(hot), warm_key(hot), hot.create()
    turn = [warm, also, cold, warm, also]
    data = b"".join(verify_request(hot, {"key": one["secret"]}) for one in turn)
    with Wire(hot) as wire:
        got = [wire.send(data).get()] + [wire.get() for _ in turn[1:]]
        assert [one.json["key_id"] for one in got] == [one["id"] for one in turn]
        assert [one.quick for one in got[:3]] == [True, True, False]
        # Also with other calls between them, and cut somewhere.
        mixed = data + http_request("GET /livez HTTP/1.1", {}) + data
        wire.send(mixed[:-100])
        let_read(hot)
        wire.send(mixed[-100:])
        again = [wire.get() for _ in range(len(turn) * 2 + 1)]
        assert [one.json["key_id"] for at, one in enumerate(again) if at != len(turn)] == [
            one["id"] for one in turn * 2
        ]


def test_a_quick_answer_does_not_overtake_a_slow_one(hot: Serving) -> None:
    warm = warm_key(hot)
    with Wire(hot) as wire:
        for _ in range(30):
            cold = hot.create()
            wire.send(verify_request(hot, {"key": cold["secret"]}))
            let_read(hot)
            wire.send(verify_request(hot, {"key": warm["secret"]}))
            assert [wire.get().json["key_id"], wire.get().json["key_id"]] == [cold["id"], warm["id"]]


def test_a_request_in_the_body_of_another_is_not_one(hot: Serving) -> None:
    made = warm_key(hot)
    inner = verify_request(hot, {"key": made["secret"]})
    with Wire(hot) as wire:
        outer = http_request(
            "POST /v1/keys HTTP/1.1", {"Authorization": "Bearer x", "Content-Type": "application/json"}, inner
        )
        head, _, _ = outer.partition(inner)
        wire.send(head)
        let_read(hot)  # the parser stands at the beginning of a body
        assert wire.send(inner).get().status in (400, 401)
        assert wire.send(inner).get().json["valid"]


def test_a_request_in_the_head_of_another_is_not_one(hot: Serving) -> None:
    made = warm_key(hot)
    inner = verify_request(hot, {"key": made["secret"]})
    with Wire(hot) as wire:
        wire.send(b"POST /v1/keys HTTP/1.1\r\nHost: x\r\nX-Nothing: ")
        let_read(hot)  # the parser stands inside a header
        got = wire.send(inner).get()
        assert (got.status, got.json["code"]) == (422, "unknown_field")


def test_a_body_that_is_complete_before_it_ends_is_waited_for(hot: Serving) -> None:
    made = warm_key(hot)
    request = verify_request(hot, json.dumps({"key": made["secret"]}).encode() + b"    ")
    with Wire(hot) as wire:
        for cut in (1, 2, 4):
            wire.send(request[:-cut])
            let_read(hot)
            assert wire.send(request[-cut:]).get().json["valid"]
        assert wire.send(request).get().quick


def test_http_1_0_and_close_end_the_connection(hot: Serving) -> None:
    made = warm_key(hot)
    request = verify_request(hot, {"key": made["secret"]})
    for asked in (
        request.replace(b"HTTP/1.1", b"HTTP/1.0"),
        verify_request(hot, {"key": made["secret"]}, Connection="close"),
    ):
        with Wire(hot) as wire:
            assert wire.send(asked).get().json["valid"]
            assert wire.ended()
    with Wire(hot) as wire:
        got = wire.send(verify_request(hot, {"key": made["secret"]}, Connection="keep-alive")).get()
        assert got.quick
        assert wire.send(request).get().quick


def test_a_chunked_body_is_read(hot: Serving) -> None:
    made = warm_key(hot)
    body = json.dumps({"key": made["secret"]}).encode()
    head = http_request(
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
        assert wire.send(verify_request(hot, {"key": made["secret"]})).get().quick


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
    made = warm_key(hot)
    with Wire(hot) as wire:
        assert_refused(wire.send(garbage).get(), 400, "malformed_request")
        assert wire.ended()
    assert ask(hot, verify_request(hot, {"key": made["secret"]})).json["valid"]


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
    asked = http_request("GET /v1/keys HTTP/1.1", {"Authorization": f"Bearer {hot.admin_key}"})
    with Wire(hot) as wire:
        wire.send(asked * before + b"GET nonsense\r\n\r\n")
        assert wire.ended()


def test_a_body_that_cannot_be_read_is_refused(hot: Serving) -> None:
    """That request itself is answered, whatever it had asked for."""
    head = {"Authorization": f"Bearer {hot.admin_key}", "Content-Type": "application/json"}
    chunked = http_request("POST /v1/keys HTTP/1.1", {**head, "Transfer-Encoding": "chunked"})
    with Wire(hot) as wire:
        assert_refused(wire.send(chunked + b"no length\r\n").get(), 400, "malformed_request")
        assert wire.ended()


@pytest.mark.parametrize("begins", [b"GET /", b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Long: "], ids=["line", "header"])
def test_a_head_that_does_not_end_is_refused(hot: Serving, begins: bytes) -> None:
    with Wire(hot) as wire:
        wire.send(begins)
        let_read(hot)
        wire.send(b"a" * 262_145)  # and refuses with the last byte, so that none is left unread
        assert_refused(wire.get(), 431, "head_too_large")


def test_trailers_are_no_headers_and_have_an_end(hot: Serving) -> None:
    """Whatever stands before the server judges headers, and not what comes after the body."""
    head = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    shown = f"Authorization: Bearer {hot.admin_key}\r\n".encode()
    with Wire(hot) as wire:
        got = wire.send(http_request("POST /v1/keys HTTP/1.1", head) + b"2\r\n{}\r\n0\r\n" + shown + b"\r\n").get()
        assert got.status == 401
    with Wire(hot) as wire:
        wire.send(
            http_request("POST /v1/keys HTTP/1.1", {"Authorization": f"Bearer {hot.admin_key}"} | head) + b"0\r\nX: "
        )
        let_read(hot)
        wire.send(b"a" * 262_145)
        assert_refused(wire.get(), 431, "head_too_large")


def test_a_drained_server_answers_what_came_before(tmp_path: Any) -> None:
    server = Serving(folder=tmp_path / "data").start()
    try:
        made = warm_key(server.leased())
        with Wire(server) as wire:
            request = verify_request(server, {"key": made["secret"]})
            assert wire.send(request).get().quick
            assert wire.send(request).get().quick
            assert server.stop() == 0
            assert wire.ended()
    finally:
        server.kill()
