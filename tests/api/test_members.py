"""Members and invitations on a running server."""

from http import HTTPStatus
from pathlib import Path

from sqlalchemy import text

from keyturn.outside.forge import SystemForge, load_peppers
from keyturn.store.database import connect
from tests.api.test_resets import PASSPHRASE
from tests.serving import Serving

OTHER = "tide lamp orbit nine"


def account_with_owner(api: Serving, email: str) -> tuple[str, str]:
    account = api.call("/v1/accounts", {"name": "Members"}).body["id"]
    wish = {"email": email, "password": PASSPHRASE, "role": "owner", "account_id": account}
    assert api.call("/v1/users", wish).status == HTTPStatus.CREATED
    return account, api.call("/v1/sessions", {"user": email, "password": PASSPHRASE}).body["token"]


def link_of(api: Serving, invitation_id: str) -> str:
    """The token of its link, worked out as the mail's writer does: it is stored nowhere."""
    engine = connect(api.database_url or f"sqlite:///{api.folder / 'keyturn.db'}")
    with engine.connect() as connection:
        found = connection.execute(text("SELECT id FROM links WHERE subject_id = :id"), {"id": invitation_id}).one()
    engine.dispose()
    return SystemForge(load_peppers(Path(api.folder))[0]).link_token(found.id)[0]


def test_an_invitation_makes_a_member_who_is_given_a_role_and_removed(api: Serving) -> None:
    account, owner = account_with_owner(api, "inviting@example.com")
    path = f"/v1/accounts/{account}/invitations"
    invited = api.call(path, {"email": "Invited@example.com", "role": "member"}, key=owner)
    assert (invited.status, invited.body["email"]) == (201, "invited@example.com")
    assert "ktl_" not in invited.text
    assert [one["id"] for one in api.call(path, key=owner).body["items"]] == [invited.body["id"]]
    wish = {"token": link_of(api, invited.body["id"]), "name": "Inga", "username": "inga.m", "password": OTHER}
    weak = api.call("/v1/invitations/accept", wish | {"password": "inga.m@example.com"}, key="")
    assert (weak.status, weak.body["reason"]) == (422, "known_words")
    accepted = api.call("/v1/invitations/accept", wish, key="")
    assert accepted.status == HTTPStatus.CREATED, accepted.text
    member, token = accepted.body["user_id"], accepted.body["token"]
    assert api.call("/v1/keys", {"name": "mine"}, key=token).status == HTTPStatus.CREATED

    members = f"/v1/accounts/{account}/members"
    assert api.call(members, key=token).body["code"] == "permission_missing"
    listed = {one["user_id"]: one["role"] for one in api.call(members, key=owner).body["items"]}
    assert listed[member] == "member"
    edited = api.call(f"{members}/{member}", {"role": "auditor"}, method="PATCH", key=owner)
    assert (edited.status, edited.body["role"]) == (200, "auditor")
    assert api.call("/v1/sessions", key=token).status == HTTPStatus.UNAUTHORIZED
    last = api.call(f"{members}/{next(one for one in listed if one != member)}", method="DELETE", key=owner)
    assert (last.status, last.body["code"]) == (409, "last_owner")
    removed = api.call(f"{members}/{member}", method="DELETE", key=owner)
    assert (removed.status, len(removed.body["suspended"])) == (200, 1)
    assert api.call("/v1/sessions", {"user": "inga.m", "password": OTHER}).status == HTTPStatus.UNAUTHORIZED


def test_a_user_joins_another_account_and_invitations_are_withdrawn(api: Serving) -> None:
    account, owner = account_with_owner(api, "joined@example.com")
    _other, known = account_with_owner(api, "joining@example.com")
    path = f"/v1/accounts/{account}/invitations"
    first = api.call(path, {"email": "joining@example.com"}, key=owner).body["id"]
    joined = api.call("/v1/invitations/join", {"token": link_of(api, first)}, key=known)
    assert (joined.status, joined.body) == (201, {"account_id": account, "role": "member"})
    chosen = api.call("/v1/sessions/current/account", {"account_id": account}, key=known)
    assert chosen.body["role"] == "member"
    second = api.call(path, {"email": "never@example.com"}, key=owner).body["id"]
    token = link_of(api, second)
    assert api.call(f"{path}/{second}", method="DELETE", key=owner).body["ended_at"] is not None
    spent = api.call("/v1/invitations/join", {"token": token}, key=owner)
    assert (spent.status, spent.body["code"]) == (410, "link_spent")
    staff = api.call(path, {"email": "staff@example.com", "role": "support"}, key=owner)
    assert (staff.status, staff.body["field"]) == (422, "role")


def test_the_operator_adds_who_is_a_user_already(api: Serving) -> None:
    account, owner = account_with_owner(api, "host@example.com")
    account_with_owner(api, "guest@example.com")
    guest = next(one["id"] for one in api.call("/v1/users").body["items"] if one["email"] == "guest@example.com")
    path = f"/v1/accounts/{account}/members"
    assert api.call(path, {"user_id": guest}, key=owner).body["code"] == "permission_missing"
    assert api.call(path, {"user_id": guest, "role": "admin"}).body["role"] == "admin"
    assert api.call(path, {"user_id": guest}).body["code"] == "already_member"
