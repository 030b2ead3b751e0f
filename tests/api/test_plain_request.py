"""The quick way and the careful way read every request alike (pitfall 5)."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.wire import Wire, ask, carefully, http_request, verify_request
from tests.serving import Serving


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
    request = http_request("POST /v1/verify HTTP/1.1", own | headers, body)
    with Wire(hot) as wire:
        careful = wire.send(carefully(request)).get()
    assert not careful.quick
    assert careful.status < 500
    for _ in range(1 + again):
        with Wire(hot) as wire:
            assert wire.send(request).get().said == careful.said


@pytest.mark.parametrize("dress", ["plain", "spaced", "escaped", "twice", "cut", "nul", "not utf-8"])
@pytest.mark.parametrize("ip", ["192.0.2.7", "fe80::1%1", ""])
def test_pitfall_5_both_ways_read_a_body_alike(hot: Serving, shelf: list[str], dress: str, ip: str) -> None:
    body = _dressed({"key": shelf[0], "permissions": ["orders:read"], "ip": ip}, dress)
    request = verify_request(hot, body)
    careful, got = ask(hot, carefully(request)), ask(hot, request)
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
    request = http_request(f"{line} HTTP/1.1", own | headers)
    careful, quick = ask(hot, carefully(request)), ask(hot, request)
    assert not careful.quick
    assert careful.status < 500
    assert quick.said == careful.said
