"""A person's second factors over HTTP (K2): enrolled, shown again, taken away."""

from http import HTTPStatus
from typing import Any

import pyotp

from tests.api.conftest import NAMED
from tests.passkey import Passkey
from tests.serving import Serving

PASSPHRASE = "correct horse battery staple"
AGAIN = "/v1/sessions/current/proofs"


def person(api: Serving, name: str) -> str:
    """Somebody with an account of their own, signed in; answers the session's token."""
    account = api.call("/v1/accounts", {"name": name}).body["id"]
    wish = {"email": f"{name}@example.com", "password": PASSPHRASE, "account_id": account, "role": "owner"}
    assert api.call("/v1/users", wish).status == HTTPStatus.CREATED
    signed_in = api.call("/v1/sessions", {"user": wish["email"], "password": PASSPHRASE})
    token: str = signed_in.body["token"]
    return token


def again(api: Serving, token: str) -> str:
    """The password once more; answers the session's new token."""
    shown: str = api.call(AGAIN, {"kind": "password", "password": PASSPHRASE}, key=token).body["token"]
    return shown


def test_k2_an_app_from_its_secret_to_its_end(api: Serving) -> None:
    token = person(api, "app")
    begin = {"name": "phone"}
    first = api.call("/v1/authenticators/totp", begin, key=token)
    assert (first.status, first.body["code"], first.body["missing"]) == (403, "proof_required", ["password"])
    wrong = api.call(AGAIN, {"kind": "password", "password": "not it"}, key=token)
    assert (wrong.status, wrong.body["code"]) == (403, "authenticator_refused")
    proof = api.call(AGAIN, {"kind": "password", "password": PASSPHRASE}, key=token)
    assert (proof.status, proof.body["kind"]) == (201, "password")
    assert api.call("/v1/authenticators", key=token).status == HTTPStatus.UNAUTHORIZED  # it may do more: another token
    token = proof.body["token"]
    begun = api.call("/v1/authenticators/totp", begin, key=token)
    assert begun.status == HTTPStatus.CREATED
    app = pyotp.parse_uri(begun.body["uri"])
    assert app.secret == begun.body["secret"]
    path = f"/v1/authenticators/totp/{begun.body['id']}/confirm"
    assert api.call(path, {"code": "000000"}, key=token).body["code"] == "authenticator_refused"
    assert isinstance(app, pyotp.TOTP)
    confirmed = api.call(path, {"code": app.now()}, key=token)
    assert (confirmed.status, len(confirmed.body["recovery_codes"])) == (200, 10)
    listed = api.call("/v1/authenticators", key=token).body
    assert ([one["name"] for one in listed["items"]], listed["recovery_codes_left"]) == (["phone"], 10)
    one = f"/v1/authenticators/{begun.body['id']}"
    assert api.call(one, {"name": "old phone"}, method="PATCH", key=token).body["name"] == "old phone"
    spent = api.call(AGAIN, {"kind": "recovery_code", "code": confirmed.body["recovery_codes"][3]}, key=token)
    assert spent.status == HTTPStatus.CREATED
    token = spent.body["token"]
    codes = api.call("/v1/authenticators/recovery-codes", {}, key=token)
    assert (codes.status, len(codes.body["codes"])) == (201, 10)
    assert api.call(one, method="DELETE", key=token).status == HTTPStatus.OK
    assert api.call("/v1/authenticators", key=token).body == {"items": [], "recovery_codes_left": 0}


def test_k2_a_passkey_over_http(named: Serving) -> None:
    token = person(named, "passkey")
    token = again(named, token)
    device = Passkey(origin=NAMED, rp_id="keys.example.com")
    options = named.call("/v1/authenticators/passkeys/challenge", {}, key=token).body
    assert (options["rp"]["id"], options["authenticatorSelection"]["userVerification"]) == (device.rp_id, "required")
    made = named.call(
        "/v1/authenticators/passkeys", {"name": "laptop", "credential": device.create(options)}, key=token
    )
    assert (made.status, made.body["kind"], len(made.body["recovery_codes"])) == (201, "passkey", 10)
    asked = named.call(f"{AGAIN}/passkey", {}, key=token).body
    shown: dict[str, Any] = {"kind": "passkey", "credential": device.get(asked)}
    proof = named.call(AGAIN, shown, key=token)
    assert proof.status == HTTPStatus.CREATED
    token = proof.body["token"]
    assert named.call(AGAIN, shown, key=token).body["code"] == "authenticator_refused"


def test_a_server_without_a_name_says_that_it_cannot_use_passkeys(api: Serving) -> None:
    token = person(api, "nameless")
    token = again(api, token)
    answer = api.call("/v1/authenticators/passkeys/challenge", {}, key=token)
    assert (answer.status, answer.body["code"]) == (501, "passkeys_unavailable")
    assert "base_url" in answer.body["reason"]


def test_r40_a_key_has_no_second_factors(api: Serving) -> None:
    calls: dict[str, Any] = {
        "/v1/authenticators": None,
        "/v1/authenticators/totp": {"name": "phone"},
        "/v1/authenticators/passkeys/challenge": {},
        "/v1/authenticators/recovery-codes": {},
        f"{AGAIN}/passkey": {},
        AGAIN: {"kind": "password", "password": PASSPHRASE},
    }
    for path, body in calls.items():
        answer = api.call(path, body)
        assert (answer.status, answer.body["code"]) == (403, "person_required"), path
