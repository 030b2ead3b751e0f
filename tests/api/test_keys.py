"""`/v1/keys` over a real server, on both databases."""

from http import HTTPStatus

import pytest

from tests.serving import Serving


def test_k11_a_created_key_shows_its_secret_once(api: Serving) -> None:
    made = api.create(permissions=["orders:write"], allowlist=["192.0.2.0/24"], limit="100/1m")
    assert made["secret"].startswith("kt_live_")
    assert (made["version"], made["status"], made["secret_shown"]) == (1, "active", False)
    again = api.call(f"/v1/keys/{made['id']}").body
    assert "secret" not in again
    assert again["hint"] == f"kt_live_…{made['secret'][-4:]}"
    assert (again["permissions"], again["allowlist"], again["limit"]) == (
        ["orders:write"],
        ["192.0.2.0/24"],
        "100/1m",
    )


def test_k20_environment_expiry_and_the_long_form_of_a_limit(api: Serving) -> None:
    made = api.create(environment="test", expires_at="2099-01-01T00:00:00+01:00", limit={"requests": 5, "window": "1h"})
    assert made["secret"].startswith("kt_test_")
    assert (made["expires_at"], made["limit"]) == ("2098-12-31T23:00:00Z", "5/1h")


def test_pitfall_8_an_empty_set_grants_nothing(api: Serving) -> None:
    made = api.create(permissions=[])
    assert api.verdict(made["secret"]) == "valid"
    assert api.verdict(made["secret"], permissions=["orders:read"]) == "permission_missing"


def test_k21_permissions_are_ordered_and_a_star_matches_only_where_it_is_written(api: Serving) -> None:
    made = api.create(permissions=["orders:write", "*:read"])
    stories = {
        "orders:read": "valid",
        "orders:write": "valid",
        "orders:admin": "permission_missing",
        "fills:read": "valid",
        "fills:write": "permission_missing",
        "*:read": "valid",
        "*:write": "permission_missing",
        "keyturn.keys:read": "permission_missing",
    }
    for wanted, code in stories.items():
        assert api.verdict(made["secret"], permissions=[wanted]) == code, wanted


def test_pitfall_26_edits_are_followed_at_once(api: Serving) -> None:
    made = api.create(permissions=["orders:write"])
    asked = {"permissions": ["orders:write"], "ip": "192.0.2.7"}
    assert api.verdict(made["secret"], **asked) == "valid"
    path = f"/v1/keys/{made['id']}"
    edited = api.call(path, {"permissions": ["orders:read"]}, method="PATCH")
    assert edited.body["receipt"]["confirmed"] is True
    assert api.verdict(made["secret"], **asked) == "permission_missing"
    api.call(path, {"permissions": ["orders:write"], "allowlist": ["198.51.100.0/24"]}, method="PATCH")
    assert api.verdict(made["secret"], **asked) == "ip_not_allowed"
    api.call(path, {"allowlist": ["192.0.2.7"]}, method="PATCH")
    assert api.verdict(made["secret"], **asked) == "valid"


def test_edit_drops_with_null_and_leaves_the_rest(api: Serving) -> None:
    made = api.create(limit="5/1m", expires_at="2099-01-01T00:00:00Z")
    path = f"/v1/keys/{made['id']}"
    edited = api.call(path, {"limit": None, "name": "renamed"}, method="PATCH").body
    assert (edited["limit"], edited["name"], edited["expires_at"]) == (None, "renamed", "2099-01-01T00:00:00Z")
    assert api.call(path, {"expires_at": None}, method="PATCH").body["expires_at"] is None
    assert api.call(path, {}, method="PATCH").body["receipt"] is None


def test_r22_suspend_resume_and_revoke(api: Serving) -> None:
    made = api.create()
    path = f"/v1/keys/{made['id']}"
    held = api.call(f"{path}/suspend", {"reason": "odd traffic"}).body
    assert (held["status"], held["suspended"]["reason"], held["receipt"]["confirmed"]) == (
        "suspended",
        "odd traffic",
        True,
    )
    assert api.verdict(made["secret"]) == "suspended"
    again = api.call(f"{path}/suspend", {}).body  # F10: the first answer may have been lost
    assert (again["receipt"]["confirmed"], again["receipt"]["stopped_at"]) == (True, held["suspended"]["at"])
    assert again["suspended"] == held["suspended"]
    assert api.call(f"{path}/resume", {}).body["status"] == "active"
    assert api.verdict(made["secret"]) == "valid"
    assert api.call(f"{path}/revoke", {}).body["status"] == "revoked"
    assert api.verdict(made["secret"]) == "revoked"
    for step in ("suspend", "resume"):
        refused = api.call(f"{path}/{step}", {})
        assert (refused.status, refused.body["code"]) == (HTTPStatus.CONFLICT, "key_revoked")


def test_pages_go_on_by_cursor(api: Serving) -> None:
    account = api.call("/v1/accounts", {"name": "paged", "max_keys_per_user": 1000}).body["id"]
    made = [api.create(account_id=account, name=f"key {at}")["id"] for at in range(5)]
    seen: list[str] = []
    cursor = ""
    while True:
        page = api.call(f"/v1/keys?account_id={account}&limit=2{cursor}").body
        seen += [one["id"] for one in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == made[::-1]
    assert api.call("/v1/keys?cursor=nonsense!").body["code"] == "invalid_field"


def test_k10_r23_the_limit_of_keys_a_user_is_kept(api: Serving) -> None:
    account = api.call("/v1/accounts", {"name": "small", "max_keys_per_user": 2}).body["id"]
    owner = api.call("/v1/users", {"email": f"{account}@example.com", "account_id": account, "role": "owner"}).body[
        "id"
    ]
    wish = {"account_id": account, "owner_id": owner}
    first = api.create(**wish)
    api.create(**wish)
    refused = api.call("/v1/keys", {"name": "third"} | wish)
    assert (refused.status, refused.body["code"], refused.body["limit"]) == (409, "key_limit_reached", 2)
    assert api.call(f"/v1/keys/{first['id']}/resets", {"reason": "routine"}).status == HTTPStatus.CREATED
    api.call(f"/v1/keys/{first['id']}/revoke", {})
    api.create(**wish)


def test_pitfall_16_a_replay_is_answered_without_the_secret_and_to_its_caller_only(api: Serving) -> None:
    once = {"Idempotency-Key": "create-1"}
    first = api.call("/v1/keys", {"name": "once"}, headers=once)
    again = api.call("/v1/keys", {"name": "once"}, headers=once)
    assert (again.status, again.body["id"], again.body["secret"], again.body["secret_shown"]) == (
        HTTPStatus.CREATED,
        first.body["id"],
        None,
        True,
    )
    other = api.call("/v1/keys", {"name": "something else"}, headers=once)
    assert (other.status, other.body["code"]) == (422, "idempotency_key_reused")
    stranger = api.create(permissions=["*:read", "keyturn.keys:write"])["secret"]
    fresh = api.call("/v1/keys", {"name": "once"}, key=stranger, headers=once)
    assert fresh.body["id"] != first.body["id"]
    assert fresh.body["secret"]


@pytest.mark.parametrize("key", ["", "x" * 256, "with space", "ümlaut"])
def test_an_idempotency_key_is_visible_ascii(api: Serving, key: str) -> None:
    refused = api.call("/v1/keys", {"name": "x"}, headers={"Idempotency-Key": key.encode("utf-8").decode("latin-1")})
    assert (refused.status, refused.body["code"]) == (400, "invalid_header")


def test_k14_a_key_tells_its_age_and_what_is_coming(api: Serving) -> None:
    api.call("/v1/policies", {"name": "ageing", "max_age": "60d", "on_max_age": "require_reset", "idle_expiry": "90d"})
    made = api.create(policy="ageing", expires_at="2099-01-01T00:00:00Z")
    read = api.call(f"/v1/keys/{made['id']}").body
    age, coming = read["age"], read["coming"]
    assert (age["since"], age["state"], age["then"], age["policy"]) == (
        made["created_at"],
        "fresh",
        "require_reset",
        "ageing",
    )
    assert [(one["what"], one["policy"], one["field"]) for one in coming] == [
        ("require_reset", "ageing", "max_age"),
        ("expire", "ageing", "idle_expiry"),
        ("expire", None, None),
    ]
    assert coming[0]["at"] == age["due_at"]
    itself = api.call("/v1/self", key=made["secret"]).body
    assert itself["age"] == age
