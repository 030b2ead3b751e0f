"""Passwords on a running server: the rules, one's own, a forgotten one, user names."""

from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from keyturn.outside.forge import SystemForge, load_peppers
from keyturn.store.database import connect
from tests.api.test_resets import PASSPHRASE
from tests.serving import Serving

OTHER = "tide lamp orbit nine"


def add(api: Serving, email: str, **more: Any) -> dict[str, Any]:
    account = api.call("/v1/accounts", {"name": "Acme Trading"}).body["id"]
    wish = {"email": email, "password": PASSPHRASE, "role": "owner", "account_id": account} | more
    made = api.call("/v1/users", wish)
    assert made.status == HTTPStatus.CREATED, made.text
    user: dict[str, Any] = made.body
    return user


def sign_in(api: Serving, user: str, password: str = PASSPHRASE) -> Any:
    return api.call("/v1/sessions", {"user": user, "password": password})


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("fourteen chars", "too_short"),
        ("passwordpassword", "common"),
        ("123456789012345678", "pattern"),
        ("rules.person@example.com", "known_words"),
        ("ﷺ" * 60, "too_long"),
    ],
)
def test_a_password_that_is_guessed_first_is_refused_and_recorded(api: Serving, password: str, reason: str) -> None:
    wish = {"email": "rules.person@example.com", "password": password}
    refused = api.call("/v1/users", wish)
    assert (refused.status, refused.body["code"], refused.body["reason"]) == (422, "password_unfit", reason)
    assert password not in refused.text
    last = api.call("/v1/audit?limit=1").body["items"][0]
    assert (last["action"], last["outcome"]) == ("user.created", "password_unfit")


def test_one_signs_in_with_a_user_name_and_changes_it(api: Serving) -> None:
    user = add(api, "named@example.com", username="Named.One")
    assert user["username"] == "named.one"
    token = sign_in(api, "NAMED.one").body["token"]
    path = f"/v1/users/{user['id']}"
    changed = api.call(
        path, {"username": "named.two", "language": "de", "time_zone": "Europe/Berlin"}, method="PATCH", key=token
    )
    assert changed.status == HTTPStatus.OK
    assert (changed.body["username"], changed.body["language"]) == ("named.two", "de")
    assert changed.body["time_zone"] == "Europe/Berlin"
    assert sign_in(api, "named.one").status == HTTPStatus.UNAUTHORIZED
    assert sign_in(api, "named.two").status == HTTPStatus.CREATED
    other = add(api, "other.named@example.com")
    taken = api.call(f"/v1/users/{other['id']}", {"username": "named.two"}, method="PATCH")
    assert (taken.status, taken.body["code"], taken.body["field"]) == (409, "name_taken", "username")
    assert api.call("/v1/users", {"email": "x.named@example.com", "username": "named.two"}).body["code"] == "name_taken"
    assert api.call(f"/v1/users/{other['id']}", {"name": "x"}, method="PATCH", key=token).status == HTTPStatus.NOT_FOUND
    for field, wrong in (("username", "a@b"), ("username", "ab"), ("language", "xx"), ("time_zone", "Mars/Base")):
        refused = api.call(path, {field: wrong}, method="PATCH", key=token)
        assert (refused.status, refused.body["field"]) == (422, field)
    assert api.call(path, {"username": None}, method="PATCH", key=token).body["username"] is None


def test_one_changes_one_s_own_password(api: Serving) -> None:
    add(api, "changer@example.com")
    token = sign_in(api, "changer@example.com").body["token"]
    elsewhere = sign_in(api, "changer@example.com").body["token"]
    path = "/v1/sessions/current/password"
    wrong = api.call(path, {"password": OTHER, "new_password": OTHER}, key=token)
    assert (wrong.status, wrong.body["code"]) == (403, "password_refused")
    weak = api.call(path, {"password": PASSPHRASE, "new_password": "changerchangerchanger"}, key=token)
    assert (weak.status, weak.body["reason"]) == (422, "known_words")
    changed = api.call(path, {"password": PASSPHRASE, "new_password": OTHER}, key=token)
    assert changed.status == HTTPStatus.OK, changed.text
    assert api.call("/v1/sessions", key=token).status == HTTPStatus.UNAUTHORIZED
    assert api.call("/v1/sessions", key=elsewhere).status == HTTPStatus.UNAUTHORIZED
    assert api.call("/v1/sessions", key=changed.body["token"]).status == HTTPStatus.OK
    assert sign_in(api, "changer@example.com", OTHER).status == HTTPStatus.CREATED


def test_one_password_is_one_however_it_is_typed(api: Serving) -> None:
    add(api, "accents@example.com", password="Ångström über alle Ströme")
    assert sign_in(api, "accents@example.com", "A\u030angstro\u0308m über alle Ströme").status == HTTPStatus.CREATED


def test_pitfall_11_a_forgotten_password_has_one_answer_and_a_link(api: Serving) -> None:
    user = add(api, "forgetful@example.com")
    somebody = api.call("/v1/passwords/forgotten", {"user": "forgetful@example.com"}, key="")
    nobody = api.call("/v1/passwords/forgotten", {"user": "nobody.there@example.com"}, key="")
    assert (somebody.status, somebody.text) == (nobody.status, nobody.text) == (202, "null")
    for body in ({"token": "ktl_none", "password": OTHER}, {"token": "kts_x", "password": OTHER}):
        refused = api.call("/v1/passwords/reset", body, key="")
        assert (refused.status, refused.body["code"]) == (404, "not_found")
    record = api.call(f"/v1/audit?subject_id={user['id']}").body["items"][0]
    assert record["action"] == "user.password_forgotten"


def test_a_mailed_link_sets_a_new_password(api: Serving) -> None:
    add(api, "mailed@example.com")
    assert api.call("/v1/passwords/forgotten", {"user": "mailed@example.com"}, key="").status == HTTPStatus.ACCEPTED
    token = newest_link(api)
    weak = api.call("/v1/passwords/reset", {"token": token, "password": "short"}, key="")
    assert (weak.status, weak.body["reason"]) == (422, "too_short")
    done = api.call("/v1/passwords/reset", {"token": token, "password": OTHER}, key="")
    assert done.status == HTTPStatus.OK, done.text
    body = {
        "user": "mailed@example.com",
        "password": OTHER,
        "device": done.body["device_token"],
        "remember_device": True,
    }
    assert api.call("/v1/sessions", body).body["device_token"] is None  # that program is known
    spent = api.call("/v1/passwords/reset", {"token": token, "password": OTHER}, key="")
    assert (spent.status, spent.body["code"]) == (410, "link_spent")


def newest_link(api: Serving) -> str:
    """The token of the newest link, worked out as the mail's writer does: it is stored nowhere."""
    engine = connect(api.database_url or f"sqlite:///{api.folder / 'keyturn.db'}")
    with engine.connect() as connection:
        newest = connection.execute(text("SELECT id FROM links WHERE kind = 'password' ORDER BY made_at DESC")).first()
    engine.dispose()
    assert newest is not None
    return SystemForge(load_peppers(Path(api.folder))[0]).link_token(newest.id)[0]
