"""Verifying over HTTP: the quick way and the careful way are one, whoever asks."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.wire import Wire, ask, authz_request, carefully, http_request, verify_request, warm_key
from tests.serving import Serving


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server that takes this machine for a gateway."""
    folder = tmp_path_factory.mktemp("gate")
    (folder / "keyturn.toml").write_text('trusted_gateways = ["127.0.0.0/8"]\n')
    server = Serving(folder=folder / "data", flags=["--config", str(folder / "keyturn.toml")]).start()
    try:
        yield server.leased()
    finally:
        server.kill()


def test_cold_then_warm_is_the_same_answer(hot: Serving) -> None:
    """Pitfall 5: the first comes from the store, the second from memory."""
    made = hot.create(permissions=["orders:read"])
    request = verify_request(hot, {"key": made["secret"], "permissions": ["orders:read"]})
    cold, warm = ask(hot, request), ask(hot, request)
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


def test_other_methods_are_told_which_one(hot: Serving) -> None:
    for method in ("GET", "PUT", "PATCH", "DELETE", "OPTIONS"):
        got = ask(hot, http_request(f"{method} /v1/verify HTTP/1.1", {"Authorization": f"Bearer {hot.admin_key}"}))
        assert (got.status, got.headers["allow"], got.json["code"]) == (405, "POST", "method_not_allowed")
    with Wire(hot) as wire:
        head = http_request("HEAD /v1/verify HTTP/1.1", {"Authorization": f"Bearer {hot.admin_key}"})
        assert wire.send(head).get(head_only=True).status == 405
        assert wire.send(http_request("GET /livez HTTP/1.1", {})).get().status == 200


def test_a_stopped_credential_is_refused_on_the_very_connection(hot: Serving) -> None:
    """F6: what a head was read as is remembered, never what was decided on it."""
    asker = hot.create(permissions=["keyturn.verify"])
    made = warm_key(hot)
    request = verify_request(hot, {"key": made["secret"]}, key=asker["secret"])
    with Wire(hot) as wire:
        assert not wire.send(request).get().quick  # the credential is cold
        assert wire.send(request).get().quick
        assert hot.call(f"/v1/keys/{asker['id']}/revoke", {}).status == 200
        got = wire.send(request).get()
        assert (got.status, got.json["code"]) == (401, "unauthenticated")
        assert "www-authenticate" in got.headers


def test_r52_a_replaced_key_is_told_when_and_by_which_reset(hot: Serving) -> None:
    made = warm_key(hot)
    done = hot.call(f"/v1/keys/{made['id']}/resets", {"reason": "leaked"}).body
    for request in (
        verify_request(hot, {"key": made["secret"]}),
        carefully(verify_request(hot, {"key": made["secret"]})),
    ):
        got = ask(hot, request)
        assert got.json["code"] == "replaced"
        assert got.json["reset_id"] == done["id"]
        assert got.json["replaced_at"] == done["old_stops_at"]
        assert not got.json["valid"]
    assert hot.verdict(done["secret"]) == "valid"


def test_strangers_get_one_answer(hot: Serving) -> None:
    """R52: whatever is wrong with what they show."""
    made = warm_key(hot)
    made_up = made["secret"][:-6] + "000000"
    answers = set()
    for shown in ("", "Bearer", "Bearer x", f"Bearer {made_up}", "Basic eDp5", "Bearer é"):
        headers = {"Content-Type": "application/json"} | ({"Authorization": shown} if shown else {})
        got = ask(hot, http_request("POST /v1/verify HTTP/1.1", headers, b'{"key": "x"}'))
        assert got.status == 401
        answers.add((got.headers["www-authenticate"], got.body))
    assert len(answers) == 1


def test_a_credential_without_the_right_is_told_so(hot: Serving) -> None:
    plain = hot.create(permissions=["*:admin"])
    got = ask(hot, verify_request(hot, {"key": plain["secret"]}, key=plain["secret"]))
    assert (got.status, got.json["code"]) == (403, "permission_missing")


def test_r24_a_credential_in_its_cool_down_may_do_nothing_dangerous(hot: Serving) -> None:
    """Rights rank as admin: they wait until `dangerous_starts_at`, on this call and on all others."""
    wait = {"name": "wait", "cool_down": "1h", "cool_down_scope": "dangerous_only"}
    assert hot.call("/v1/policies", wait).status == 201
    rights = ["keyturn.keys:write", "keyturn.verify"]
    asker, made = hot.create(permissions=rights, policy="wait"), warm_key(hot)
    fresh = hot.call(f"/v1/keys/{asker['id']}/resets", {"reason": "routine"}).body["secret"]
    assert hot.verdict(fresh) == "valid"
    assert hot.verdict(fresh, permissions=["keyturn.verify"]) == "not_yet_active"
    request = verify_request(hot, {"key": made["secret"]}, key=fresh)
    for way in (request, carefully(request)):
        assert (ask(hot, way).status, ask(hot, way).json["code"]) == (403, "permission_missing")
    assert hot.call("/v1/keys", {"name": "x"}, key=fresh).body["code"] == "permission_missing"
    assert hot.call("/v1/keys", {"name": "x", "permissions": []}, key=asker["secret"]).status == 201


def test_pitfall_18_another_account_s_key_is_unknown_and_stays_unused(hot: Serving) -> None:
    """Whoever may verify for one account learns nothing of another's keys, and uses nothing of them up."""
    there = hot.call("/v1/accounts", {"name": "elsewhere"}).body["id"]
    member = {"email": "owner@elsewhere.example", "account_id": there, "role": "owner"}
    assert hot.call("/v1/users", member).status == 201
    asker = hot.create(permissions=["keyturn.verify"], account_id=there)
    theirs = hot.create(account_id=there, limit="1/1h")
    cold, warm = hot.create(limit="2/1h"), warm_key(hot, limit="2/1h")
    for ours in (cold, warm):
        for _ in range(3):
            got = ask(hot, verify_request(hot, {"key": ours["secret"]}, key=asker["secret"]))
            assert (got.status, got.json["code"], got.json["key_id"]) == (200, "unknown", None)
            gateway = authz_request(hot, ours["secret"], X_Keyturn_Credential=asker["secret"])
            assert (ask(hot, gateway).status, ask(hot, gateway).headers["x-keyturn-code"]) == (401, "unknown")
    assert [hot.verdict(cold["secret"]) for _ in range(3)] == ["valid", "valid", "rate_limited"]
    assert [hot.verdict(warm["secret"]) for _ in range(2)] == ["valid", "rate_limited"]
    assert ask(hot, verify_request(hot, {"key": theirs["secret"]}, key=asker["secret"])).json["code"] == "valid"


def test_handing_on_uses_nothing_up(hot: Serving) -> None:
    """R23: a caller with a limit is counted once a request, whichever way it takes."""
    asker = hot.create(permissions=["keyturn.verify"], limit="6/1h")
    cold = [hot.create() for _ in range(3)]
    for made in cold:
        assert ask(hot, verify_request(hot, {"key": made["secret"]}, key=asker["secret"])).status == 200
    for made in cold:
        assert ask(hot, verify_request(hot, {"key": made["secret"]}, key=asker["secret"])).quick
    got = ask(hot, verify_request(hot, {"key": cold[0]["secret"]}, key=asker["secret"]))
    assert (got.status, got.json["code"]) == (429, "too_many_requests")
    assert int(got.headers["retry-after"]) > 0


def test_a_limit_is_told_and_kept_both_ways(hot: Serving) -> None:
    made = hot.create(limit="5/1d")
    request = verify_request(hot, {"key": made["secret"]})
    left = [ask(hot, way).json.get("remaining") for way in (request, request, carefully(request), request)]
    assert left == [4, 3, 2, 1]
    assert ask(hot, request).json["remaining"] == 0
    for way in (request, carefully(request)):
        refused = ask(hot, way)
        assert refused.json["code"] == "rate_limited"
        assert 17_000 <= refused.json["retry_after"] <= 17_280
    gateway = ask(hot, authz_request(hot, made["secret"]))
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
    request = authz_request(
        hot, made["secret"], line=line, **{name.replace("-", "_"): text for name, text in headers.items()}
    )
    for way, quick in ((request, True), (carefully(request), False)):
        got = ask(hot, way)
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
    one, other = warm_key(hot)["secret"], warm_key(hot)["secret"]
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
        request = http_request("GET /v1/authz HTTP/1.1", own | headers)
        quick, careful = ask(hot, request), ask(hot, carefully(request))
        assert quick.said == careful.said
        assert quick.status == status, headers


def test_a_gateway_that_lost_its_setting_lets_nobody_through(hot: Serving) -> None:
    made = warm_key(hot)
    for text in ("", ",", "orders", "orders:read;x"):
        got = ask(hot, authz_request(hot, made["secret"], X_Keyturn_Permission=text))
        assert (got.status, got.json["code"]) == (400, "invalid_header"), text


def test_heads_have_no_body(hot: Serving) -> None:
    made = warm_key(hot)
    with Wire(hot) as wire:
        for key, status in ((made["secret"], 200), ("x", 401)):
            asked = authz_request(hot, key, line="HEAD /v1/authz HTTP/1.1")
            assert wire.send(asked).get(head_only=True).status == status


def test_a_gateway_by_address_needs_no_credential(gate: Serving) -> None:
    made = gate.create()
    for turn in range(2):
        got = ask(gate, http_request("GET /v1/authz HTTP/1.1", {"Authorization": f"Bearer {made['secret']}"}))
        assert (got.status, got.headers["x-keyturn-code"]) == (200, "valid")
        assert got.quick is (turn == 1)
    body = json.dumps({"key": made["secret"]}).encode()
    got = ask(gate, http_request("POST /v1/verify HTTP/1.1", {"Content-Type": "application/json"}, body))
    assert got.quick
    assert got.json["valid"]


def test_no_gateway_and_no_credential(hot: Serving) -> None:
    made = warm_key(hot)
    got = ask(hot, http_request("GET /v1/authz HTTP/1.1", {"Authorization": f"Bearer {made['secret']}"}))
    assert (got.status, got.headers["x-keyturn-code"]) == (401, "unauthenticated")
    assert "www-authenticate" in got.headers
