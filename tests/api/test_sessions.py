"""`/v1/sessions` on a running server."""

from http import HTTPStatus

from keyturn.api.problem import problem_headers
from keyturn.core.refusal import SecondFactorRequired, Unauthenticated
from tests.api.test_resets import PASSPHRASE
from tests.serving import Serving


def user(api: Serving, email: str) -> str:
    account = api.call("/v1/accounts", {"name": "sessions"}).body["id"]
    wish = {"email": email, "password": PASSPHRASE, "role": "owner", "account_id": account}
    made = api.call("/v1/users", wish)
    assert made.status == HTTPStatus.CREATED, made.text
    return str(made.body["id"])


def sign_in(api: Serving, email: str, **more: object) -> dict[str, str]:
    answer = api.call("/v1/sessions", {"user": email, "password": PASSPHRASE} | more, headers={"User-Agent": "tests/1"})
    assert answer.status == HTTPStatus.CREATED, answer.text
    made: dict[str, str] = answer.body
    return made


def test_one_s_own_sessions_are_listed_and_ended(api: Serving) -> None:
    user(api, "lister@example.com")
    here, second, third = (sign_in(api, "lister@example.com") for _ in range(3))
    assert here["device_token"] is None
    assert (here["address"], here["user_agent"], here["kind"]) == ("127.0.0.1", "tests/1", "person")
    listed = api.call("/v1/sessions", key=here["token"]).body["items"]
    assert {one["id"]: one["current"] for one in listed} == {
        here["id"]: True,
        second["id"]: False,
        third["id"]: False,
    }
    assert "token" not in listed[0]
    path = f"/v1/sessions/{second['id']}"
    assert api.call(path, method="DELETE").status == HTTPStatus.NOT_FOUND
    assert api.call(path, method="DELETE", key=here["token"]).status == HTTPStatus.NO_CONTENT
    assert api.call("/v1/sessions", key=second["token"]).status == HTTPStatus.UNAUTHORIZED
    assert api.call("/v1/sessions/others", method="DELETE", key=here["token"]).status == HTTPStatus.NO_CONTENT
    assert api.call("/v1/sessions", key=third["token"]).status == HTTPStatus.UNAUTHORIZED
    assert api.call("/v1/sessions/current", method="DELETE", key=here["token"]).status == HTTPStatus.NO_CONTENT
    assert api.call("/v1/sessions", key=here["token"]).status == HTTPStatus.UNAUTHORIZED
    assert api.call("/v1/sessions/current", method="DELETE").status == HTTPStatus.NOT_FOUND  # a key is no session
    assert api.call("/v1/sessions").body["items"] == []


def test_a_device_is_known_where_it_asks_to_be(api: Serving) -> None:
    user(api, "device@example.com")
    made = sign_in(api, "device@example.com", remember_device=True)
    assert made["device_token"].startswith("ktd_")
    again = sign_in(api, "device@example.com", device=made["device_token"], remember_device=True)
    assert again["device_token"] is None


def test_a_session_speaks_for_another_account_of_the_user_under_another_token(api: Serving) -> None:
    user_id = user(api, "both@example.com")
    made = sign_in(api, "both@example.com")
    refused = api.call("/v1/sessions/current/account", {"account_id": "acc_none"}, key=made["token"])
    assert (refused.status, refused.body["code"]) == (404, "not_found")
    chosen = api.call("/v1/sessions/current/account", {"account_id": made["account_id"]}, key=made["token"])
    assert chosen.status == HTTPStatus.OK
    assert (chosen.body["id"], chosen.body["user_id"]) == (made["id"], user_id)
    assert api.call("/v1/sessions", key=made["token"]).status == HTTPStatus.UNAUTHORIZED
    assert api.call("/v1/sessions", key=chosen.body["token"]).status == HTTPStatus.OK


def test_rfc_9470_a_missing_second_factor_is_asked_for_by_its_own_challenge() -> None:
    headers = problem_headers(SecondFactorRequired(enrolled=("totp",)))
    assert headers["www-authenticate"] == 'Bearer realm="keyturn", error="insufficient_user_authentication"'
    assert SecondFactorRequired.status == HTTPStatus.UNAUTHORIZED
    assert "error" not in problem_headers(Unauthenticated())["www-authenticate"]
