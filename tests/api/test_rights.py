"""Who may do what to whose keys (pitfalls 7, 8, 18, 19; ADR 6)."""

from http import HTTPStatus
from typing import Any

import pytest

from tests.serving import Serving


def _account(api: Serving, name: str) -> tuple[str, str]:
    account: str = api.call("/v1/accounts", {"name": name}).body["id"]
    wish = {"email": f"{account}@example.com", "account_id": account, "role": "owner"}
    owner: str = api.call("/v1/users", wish).body["id"]
    return account, owner


def _automation(api: Serving, *rights: str, account: str | None = None) -> str:
    wish: dict[str, Any] = {"permissions": list(rights)}
    if account:
        wish["account_id"] = account
    secret: str = api.create(**wish)["secret"]
    return secret


CALLS = ("", "/suspend", "/resume", "/revoke", "/resets")


@pytest.mark.parametrize("tail", CALLS)
def test_pitfall_18_unknown_and_foreign_ids_look_alike(api: Serving, tail: str) -> None:
    one, _ = _account(api, "one")
    other, _ = _account(api, "other")
    stranger = _automation(api, "*:admin", "keyturn.keys:read", "keyturn.keys:write", "keyturn.keys:reset", account=one)
    foreign = api.create(account_id=other)
    body = None if not tail else {"reason": "leaked"} if tail in ("/resets", "/suspend") else {}
    answers = [api.call(f"/v1/keys/{key}{tail}", body, key=stranger) for key in (foreign["id"], "key_" + "0" * 20)]
    assert [answer.status for answer in answers] == [HTTPStatus.NOT_FOUND] * 2
    assert answers[0].text == answers[1].text
    assert api.verdict(foreign["secret"]) == "valid"
    reset = api.call(f"/v1/keys/{foreign['id']}/resets", {"reason": "routine"}).body["id"]
    for path in (f"/v1/resets/{reset}", f"/v1/accounts/{other}", f"/v1/keys?account_id={other}"):
        assert api.call(path, key=stranger).status == HTTPStatus.NOT_FOUND, path


def test_pitfall_18_a_customers_verifier_sees_its_own_keys_only(api: Serving) -> None:
    one, _ = _account(api, "one")
    own = api.create(account_id=one)["secret"]
    foreign = api.create()["secret"]
    verifier = _automation(api, "keyturn.verify", account=one)
    for secret, code in ((own, "valid"), (foreign, "unknown"), (foreign, "unknown"), (own, "valid")):
        assert api.call("/v1/verify", {"key": secret}, key=verifier).body["code"] == code
    operators = _automation(api, "keyturn.verify")
    assert api.call("/v1/verify", {"key": own}, key=operators).body["code"] == "valid"


def test_verify_takes_the_right_to_verify(api: Serving) -> None:
    plain = api.create(permissions=["*:admin"])["secret"]
    refused = api.call("/v1/verify", {"key": plain}, key=plain)
    assert refused.body["code"] in ("unknown", "permission_missing")
    assert refused.body.get("valid") is not True


def test_pitfall_19_resetting_takes_its_own_right(api: Serving) -> None:
    target = api.create(permissions=["*:read"])
    writer = _automation(api, "*:admin", "keyturn.keys:write")
    refused = api.call(f"/v1/keys/{target['id']}/resets", {"reason": "routine"}, key=writer)
    assert (refused.status, refused.body["code"], refused.body["needed"]) == (
        403,
        "permission_missing",
        "keyturn.keys:reset",
    )
    resetter = _automation(api, "keyturn.keys:reset")
    assert api.call(f"/v1/keys/{target['id']}/resets", {"reason": "routine"}, key=resetter).body["secret"]
    assert api.call("/v1/keys", {"name": "x"}, key=resetter).body["code"] == "permission_missing"
    assert api.call(f"/v1/keys/{target['id']}/revoke", {}, key=resetter).status == HTTPStatus.OK


def test_pitfall_8_nobody_hands_out_what_they_do_not_hold(api: Serving) -> None:
    narrow = _automation(api, "orders:read", "keyturn.keys:write")
    for permissions in (["orders:write"], ["*:read"], ["keyturn.admin"], ["keyturn.keys:reset"]):
        refused = api.call("/v1/keys", {"name": "x", "permissions": permissions}, key=narrow)
        assert (refused.status, refused.body["code"], refused.body["beyond"]) == (403, "wider_than_actor", permissions)
    child = api.call("/v1/keys", {"name": "x", "permissions": ["orders:read"]}, key=narrow)
    assert child.status == HTTPStatus.CREATED
    widened = api.call(f"/v1/keys/{child.body['id']}", {"permissions": ["*:write"]}, key=narrow, method="PATCH")
    assert widened.body["code"] == "wider_than_actor"


def test_nobody_resets_a_key_that_holds_rights_they_lack(api: Serving) -> None:
    resetter = _automation(api, "*:admin", "keyturn.keys:reset", "keyturn.keys:write")
    admin = api.create(permissions=["keyturn.admin"])
    path = f"/v1/keys/{admin['id']}"
    assert api.call(f"{path}/resets", {"reason": "routine"}, key=resetter).body["code"] == "wider_than_actor"
    assert api.call(path, {"allowlist": ["192.0.2.0/24"]}, key=resetter, method="PATCH").status == 403
    assert api.call(f"{path}/suspend", {}, key=resetter).status == HTTPStatus.OK  # the safe direction
    assert api.call(f"{path}/resume", {}, key=resetter).body["code"] == "wider_than_actor"


def test_a_right_that_names_an_account_reaches_it_and_no_other(api: Serving) -> None:
    one, _ = _account(api, "named")
    other, _ = _account(api, "not named")
    automation = _automation(api, f"keyturn.keys:reset@{one}", f"keyturn.keys:read@{one}")
    mine, theirs = api.create(account_id=one), api.create(account_id=other)
    assert api.call(f"/v1/keys/{mine['id']}/resets", {"reason": "routine"}, key=automation).body["secret"]
    assert api.call(f"/v1/keys/{theirs['id']}/resets", {"reason": "routine"}, key=automation).status == 404
    listed = api.call("/v1/keys", key=automation).body["items"]
    assert {key["account_id"] for key in listed} == {one}


@pytest.mark.parametrize("field", ["account_id", "owner_id"])
def test_pitfall_7_another_account_or_owner_takes_the_right_over_it(api: Serving, field: str) -> None:
    account, owner = _account(api, "other")
    plain = _automation(api, "*:admin", "keyturn.keys:write")
    refused = api.call("/v1/keys", {"name": "x", field: {"account_id": account, "owner_id": owner}[field]}, key=plain)
    assert refused.status in (403, 404)


@pytest.mark.parametrize("field", ["role", "status", "id", "version", "created_by", "rights", "suspended"])
def test_pitfall_7_no_field_names_what_is_not_the_callers(api: Serving, field: str) -> None:
    refused = api.call("/v1/keys", {"name": "x", field: "x"})
    assert (refused.status, refused.body["code"], refused.body["field"]) == (422, "unknown_field", field)


def test_r52_strangers_get_one_answer(api: Serving) -> None:
    revoked = api.create(permissions=["keyturn.admin"])
    api.call(f"/v1/keys/{revoked['id']}/revoke", {})
    suspended = api.create(permissions=["keyturn.admin"])
    api.call(f"/v1/keys/{suspended['id']}/suspend", {})
    shown = [revoked["secret"], suspended["secret"], "nonsense", "kt_live_" + "0" * 49, "kts_nonsense"]
    answers = [api.call("/v1/keys", key=key) for key in shown]
    answers.append(api.call("/v1/keys", headers={"Authorization": "Basic eDp5"}))
    assert {(answer.status, answer.text) for answer in answers} == {(401, answers[0].text)}
    assert all("Bearer" in answer.headers["www-authenticate"] for answer in answers)


def test_r52_the_whole_old_secret_is_told_that_it_was_replaced(api: Serving) -> None:
    made = api.create(permissions=["keyturn.keys:read"])
    reset = api.call(f"/v1/keys/{made['id']}/resets", {"reason": "leaked"}).body
    told = api.call("/v1/keys", key=made["secret"])
    assert (told.status, told.body["code"], told.body["reset_id"]) == (401, "replaced", reset["id"])
    assert told.body["replaced_at"] == reset["old_stops_at"]
    assert "www-authenticate" in told.headers
