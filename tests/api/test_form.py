"""Bad input: a 4xx problem with a code, never a 5xx, nothing half done."""

import json
import socket
from http import HTTPStatus
from typing import Any

import pytest

from tests.serving import Serving

PATHS = ("/v1/keys", "/v1/verify", "/v1/policies", "/v1/sessions")
DEEP = b'{"name": ' + b"[" * 5000 + b"]" * 5000 + b"}"

BODIES = {
    "not JSON": (b"{", 400, "malformed_body"),
    "trailing data": (b"{} {}", 400, "malformed_body"),
    "not UTF-8": (b'{"name": "\xff"}', 400, "malformed_body"),
    "a field twice": (b'{"name": "a", "name": "b"}', 400, "duplicate_field"),
    "a field twice, once escaped": (b'{"name": "a", "n\\u0061me": "b"}', 400, "duplicate_field"),
    "deep": (DEEP, 400, "malformed_body"),
    "NaN": (b'{"name": NaN}', 400, "malformed_body"),
    "infinity": (b'{"name": 1e999}', 400, "malformed_body"),
    "a huge number": (b'{"name": ' + b"9" * 5000 + b"}", 400, "malformed_body"),
    "half a character": (b'{"name": "\\ud800"}', 400, "malformed_body"),
    "NUL": (b'{"name": "a\\u0000b"}', 400, "malformed_body"),
    "too large": (b'{"name": "' + b"x" * 70_000 + b'"}', 413, "body_too_large"),
    "no object": (b"[]", 422, "invalid_field"),
    "an unknown field": (b'{"name": "x", "nonsense": 1}', 422, None),
    "a wrong type": (b'{"name": 5, "key": 5, "user": 5}', 422, None),
    "nothing": (b"{}", 422, "invalid_field"),
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("story", BODIES)
def test_a_bad_body_is_a_problem_with_a_code(api: Serving, path: str, story: str) -> None:
    body, status, code = BODIES[story]
    keys = len(api.call("/v1/keys?limit=200").body["items"])
    refused = api.call(path, body)
    assert refused.status == status, refused.text
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.body["code"] in ((code,) if code else ("invalid_field", "unknown_field"))
    assert {"type", "title", "status", "detail"} <= refused.body.keys()
    assert len(api.call("/v1/keys?limit=200").body["items"]) == keys


@pytest.mark.parametrize(
    "media", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1"]
)
@pytest.mark.parametrize("path", PATHS)
def test_another_media_type_is_refused(api: Serving, path: str, media: str) -> None:
    refused = api.call(path, b'{"name": "x"}', headers={"Content-Type": media})
    assert (refused.status, refused.body["code"]) == (415, "unsupported_media_type")


FIELDS: dict[str, tuple[str, dict[str, Any]]] = {
    "a bare number for a duration": ("/resets", {"reason": "routine", "grace": 60}),
    "a month": ("/resets", {"reason": "routine", "grace": "P1M"}),
    "a negative duration": ("/resets", {"reason": "routine", "grace": "-1d"}),
    "an unknown reason": ("/resets", {"reason": "boredom"}),
    "a version of zero": ("/resets", {"reason": "routine", "expected_version": 0}),
    "a version as text": ("/resets", {"reason": "routine", "expected_version": "1"}),
    "a truth as text": ("/resets", {"reason": "routine", "waive_cool_down": "yes"}),
    "a permission without an action": ("", {"permissions": ["orders"]}),
    "a right that is none": ("", {"permissions": ["keyturn.keys:steal"]}),
    "an address with a zone": ("", {"allowlist": ["fe80::1%eth0"]}),
    "host bits": ("", {"allowlist": ["192.0.2.1/24"]}),
    "a number for a network": ("", {"allowlist": ["167772160"]}),
    "digits of another script": ("", {"allowlist": ["\uff11\uff19\uff12.0.2.1"]}),
    "a time without an offset": ("", {"expires_at": "2099-01-01T00:00:00"}),
    "a time in the past": ("", {"expires_at": "2001-01-01T00:00:00Z"}),
    "a time out of range": ("", {"expires_at": "0001-01-01T00:00:00+14:00"}),
    "a limit without a window": ("", {"limit": "100"}),
    "a limit of nothing": ("", {"limit": "0/1m"}),
    "a name with a line break": ("", {"name": "a\nb"}),
    "a name that turns the reading direction": ("", {"name": "a\u202eb"}),
    "a name too long": ("", {"name": "x" * 201}),
    "an empty name": ("", {"name": " "}),
}


@pytest.mark.parametrize("story", FIELDS)
def test_a_bad_value_names_its_field(api: Serving, story: str) -> None:
    tail, body = FIELDS[story]
    made = api.create()
    path = f"/v1/keys/{made['id']}{tail}"
    refused = api.call(path, body, method="POST" if tail else "PATCH")
    assert (refused.status, refused.body["code"]) == (422, "invalid_field"), refused.text
    assert refused.body["field"].split(".")[0] in body
    key = api.call(f"/v1/keys/{made['id']}").body
    assert (key["version"], key["name"], key["allowlist"], key["expires_at"]) == (1, "test", [], None)


def test_a_secret_in_a_url_is_refused(api: Serving) -> None:
    secret = api.create()["secret"]
    for path in (
        f"/v1/keys?key={secret}",
        "/v1/keys?api_key=x",
        f"/v1/keys?owner_id={secret}",
        f"/v1/verify?token={secret}",
        f"/v1/authz?access_token={secret}",
        f"/v1/keys/{secret}",
        "/v1/keys?%6Bey=x",
    ):
        refused = api.call(path, {} if "verify" in path else None)
        assert (refused.status, refused.body["code"]) == (400, "key_in_query"), path
    assert secret not in api.said


@pytest.mark.parametrize("path", ["/v1/keys", "/v1/verify", "/v1/authz"])
def test_two_authorization_headers_are_refused(api: Serving, path: str) -> None:
    secret = api.admin_key
    method, body = ("POST", b'{"key": "x"}') if path == "/v1/verify" else ("GET", b"")
    request = (
        f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {secret}\r\nAuthorization: Bearer {secret}\r\n"
        f"X-Keyturn-Credential: {secret}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    status, answer = _raw(api, request.encode() + body)
    assert (status, json.loads(answer)["code"]) == (400, "duplicate_header")


def test_two_different_keys_are_refused(api: Serving) -> None:
    one, other = api.create()["secret"], api.create()["secret"]
    headers = {"X-Keyturn-Credential": api.admin_key, "X-API-Key": other}
    refused = api.call("/v1/authz", key=one, headers=headers)
    assert (refused.status, refused.body["code"]) == (400, "duplicate_header")
    assert api.call("/v1/authz", key=one, headers=headers | {"X-API-Key": one}).status == HTTPStatus.OK


def test_a_body_that_never_ends_is_answered(api: Serving) -> None:
    head = (
        f"POST /v1/keys HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.admin_key}\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    chunk = b"1000\r\n" + b" " * 0x1000 + b"\r\n"
    status, answer = _raw(api, head.encode() + chunk * 40)
    assert (status, json.loads(answer)["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    "request_",
    [b"NONSENSE\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x00\x01\x02\r\n\r\n", b"GET / HTTP/1.1\r\n: x\r\n\r\n"],
)
def test_what_is_not_http_is_refused(api: Serving, request_: bytes) -> None:
    status, _ = _raw(api, request_)
    assert status == HTTPStatus.BAD_REQUEST
    assert api.call("/livez").status == HTTPStatus.OK


def test_unknown_paths_and_methods_are_problems(api: Serving) -> None:
    missing = api.call("/v1/nonsense")
    assert (missing.status, missing.body["code"]) == (404, "not_found")
    for path, method in (("/v1/keys", "DELETE"), ("/v1/verify", "GET"), ("/v1/self/revoke", "GET")):
        refused = api.call(path, method=method)
        assert (refused.status, refused.body["code"]) == (405, "method_not_allowed"), path
        assert "allow" in {name.lower() for name in refused.headers}


def test_every_answer_forbids_caching(api: Serving) -> None:
    for path in ("/v1/keys", "/v1/nonsense", "/livez"):
        assert api.call(path).headers["cache-control"] == "no-store"


def _raw(api: Serving, request: bytes) -> tuple[int, bytes]:
    with socket.create_connection(("127.0.0.1", api.port), timeout=10) as connection:
        connection.sendall(request)
        received = b""
        while b"\r\n\r\n" not in received:
            part = connection.recv(65536)
            if not part:
                break
            received += part
        head, _, body = received.partition(b"\r\n\r\n")
        length = next(
            (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0
        )
        while len(body) < length and (part := connection.recv(65536)):
            body += part
        return int(head.split()[1]), body
