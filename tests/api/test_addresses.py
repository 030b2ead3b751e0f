"""`/v1/addresses` on a running server."""

from http import HTTPStatus

from tests.api.test_members import account_with_owner
from tests.api.test_resets import PASSPHRASE
from tests.serving import Serving


def test_an_address_is_added_after_a_proof_and_removed(api: Serving) -> None:
    _account, token = account_with_owner(api, "addressed@example.com")
    wish = {"email": "Further.Addressed@example.com"}
    refused = api.call("/v1/addresses", wish, key=token)
    assert (refused.status, refused.body["code"]) == (403, "proof_required")
    shown = api.call("/v1/sessions/current/proofs", {"kind": "password", "password": PASSPHRASE}, key=token)
    assert shown.status == HTTPStatus.CREATED, shown.text
    token = shown.body["token"]
    added = api.call("/v1/addresses", wish, key=token)
    assert (added.status, added.body["email"]) == (201, "further.addressed@example.com")
    assert added.body["confirmed_at"] is None
    path = f"/v1/addresses/{added.body['id']}"
    early = api.call(f"{path}/sign-in", {"password": PASSPHRASE}, key=token)
    assert (early.status, early.body["code"]) == (409, "address_unconfirmed")
    assert api.call(f"{path}/sign-in", {"password": "wrong"}, key=token).body["code"] == "password_refused"
    assert api.call("/v1/addresses/confirm", {"token": "ktl_none"}, key="").status == HTTPStatus.NOT_FOUND
    assert [one["id"] for one in api.call("/v1/addresses", key=token).body["items"]] == [added.body["id"]]
    assert api.call(path, method="DELETE", key=token).status == HTTPStatus.OK
    assert api.call("/v1/addresses", key=token).body["items"] == []
