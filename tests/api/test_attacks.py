"""What an attacker tried and got away with once, held shut."""

import socket
import threading
from datetime import timedelta
from http import HTTPStatus
from itertools import count
from typing import Any

import pytest

from keyturn.core.instant import from_text, later, to_micros
from keyturn.outside import clock
from keyturn.outside.clock import AuthorityClock
from tests.serving import Serving

PASSPHRASE = "a pass phrase long enough"
_numbers = count()


def _email() -> str:
    return f"attack{next(_numbers)}@example.com"


def _member(api: Serving, role: str, account: str) -> str:
    email = _email()
    api.call("/v1/users", {"email": email, "password": PASSPHRASE, "role": role, "account_id": account})
    token: str = api.call("/v1/sessions", {"user": email, "password": PASSPHRASE}).body["token"]
    return token


@pytest.mark.parametrize("how", ["revoke", "suspend", "leaked"])
def test_f0_a_stopped_credential_changes_nothing_once_the_stop_has_returned(laborious: Serving, how: str) -> None:
    """Also not through requests that were let in before and waited for their turn."""
    api = laborious
    made = api.create(permissions=["keyturn.admin"])
    stop = threading.Event()

    def create_often() -> None:
        while not stop.is_set():
            api.call("/v1/users", {"email": _email(), "password": PASSPHRASE}, key=made["secret"])

    threads = [threading.Thread(target=create_often) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        while not _made_by(api, made["id"]):
            stop.wait(0.05)
        path = f"/v1/keys/{made['id']}/{'resets' if how == 'leaked' else how}"
        stopped = api.call(path, {"reason": "leaked"} if how == "leaked" else {})
        while stopped.status == HTTPStatus.SERVICE_UNAVAILABLE:  # so busy that it did not get its turn: ask again
            stopped = api.call(path, {"reason": "leaked"} if how == "leaked" else {})
        assert stopped.status in (200, 201), stopped.text
        assert stopped.body["receipt"]["confirmed"]
        before = _made_by(api, made["id"])
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert _made_by(api, made["id"]) == before


def _made_by(api: Serving, key_id: str) -> int:
    records = api.call("/v1/audit?limit=200").body["items"]
    return sum(one["actor_id"] == key_id and one["outcome"] == "done" for one in records)


@pytest.mark.parametrize(
    "body", [b"[" * 33 + b'"' + b'\\"' * 30000, b"{" + b",".join(b'"%d":0' % at for at in range(6000)) + b',"1":0}']
)
def test_a_body_made_to_be_slow_is_only_refused(api: Serving, body: bytes) -> None:
    refused = api.call("/v1/sessions", body, headers={"Authorization": "none"})
    assert refused.status == HTTPStatus.BAD_REQUEST


def test_a_head_that_never_ends_is_cut_off(api: Serving) -> None:
    with socket.create_connection(("127.0.0.1", api.port), timeout=20) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n")
        sent = 0
        try:
            while sent < 8 * 1024 * 1024:
                sent += connection.send(b"X-Padding: " + b"x" * 65_000 + b"\r\n")
            assert connection.recv(1024) == b""
        except ConnectionError:
            pass
    assert sent < 8 * 1024 * 1024
    assert api.call("/livez").status == HTTPStatus.OK


def test_a_member_makes_no_key_that_reaches_further_than_they_do(api: Serving) -> None:
    account = api.call("/v1/accounts", {"name": "club"}).body["id"]
    token = _member(api, "member", account)
    for permissions in (["keyturn.keys:reset"], ["keyturn.keys:read", "keyturn.keys:write"], ["*:admin"]):
        refused = api.call("/v1/keys", {"name": "x", "permissions": permissions}, key=token)
        assert (refused.status, refused.body["code"]) == (403, "wider_than_actor"), permissions
    assert api.call("/v1/keys", {"name": "x", "permissions": ["*:write"]}, key=token).status == HTTPStatus.CREATED


def test_nobody_makes_a_user_mightier_than_themselves(api: Serving) -> None:
    writer = api.create(permissions=["keyturn.accounts:write"])["secret"]
    own = api.call("/v1/self").body["account_id"]
    tenant = api.call("/v1/accounts", {"name": "tenant"}).body["id"]
    for account in (own, tenant):
        wish = {"email": _email(), "password": PASSPHRASE, "role": "owner", "account_id": account}
        refused = api.call("/v1/users", wish, key=writer)
        assert (refused.status, refused.body["code"]) == (403, "wider_than_actor")
    edited = api.call(f"/v1/accounts/{own}", {"floor": "aws"}, method="PATCH", key=writer)
    assert edited.body["code"] == "permission_missing"
    email = _email()
    owner = api.call("/v1/users", {"email": email, "role": "owner", "account_id": tenant}).body["id"]
    refused = api.call(f"/v1/users/{owner}/password", {"password": PASSPHRASE}, method="PUT", key=writer)
    assert refused.body["code"] == "wider_than_actor"


def test_a_person_resets_no_key_of_anothers_that_holds_rights_they_lack(api: Serving) -> None:
    own = api.call("/v1/self").body["account_id"]
    token = _member(api, "owner", own)
    admin = api.create(permissions=["keyturn.admin"])
    refused = api.call(f"/v1/keys/{admin['id']}/resets", {"reason": "routine"}, key=token)
    assert (refused.status, refused.body["code"]) == (403, "wider_than_actor")


def test_r25_what_the_leaked_keys_children_made_goes_with_them(api: Serving) -> None:
    rights = ["*:read", "keyturn.keys:write"]
    parent = api.create(permissions=rights)
    child = api.call("/v1/keys", {"name": "child", "permissions": rights}, key=parent["secret"]).body
    grandchild = api.call("/v1/keys", {"name": "grandchild"}, key=child["secret"]).body
    ask = {"reason": "leaked", "suspend_created_since": "2020-01-01T00:00:00Z"}
    api.call(f"/v1/keys/{parent['id']}/resets", ask)
    assert {api.verdict(one["secret"]) for one in (child, grandchild)} == {"suspended"}


def test_a_key_does_not_shed_what_was_put_upon_it(api: Serving) -> None:
    made = api.create(permissions=["*:read", "keyturn.keys:write"], allowlist=["127.0.0.0/8"], limit="1000/1m")
    edits: tuple[dict[str, Any], ...] = ({"allowlist": []}, {"limit": None}, {"expires_at": "2099-01-01T00:00:00Z"})
    for edit in edits:
        refused = api.call(f"/v1/keys/{made['id']}", edit, method="PATCH", key=made["secret"])
        assert (refused.status, refused.body["code"]) == (403, "wider_than_actor"), edit


def test_k10_no_single_keys_policy_moves_the_users_limit(api: Serving) -> None:
    account = api.call("/v1/accounts", {"name": "two each", "policy": "aws"}).body["id"]
    token = _member(api, "owner", account)
    wishes: tuple[dict[str, str], ...] = ({}, {}, {}, {"policy": "kraken"})
    codes = [api.call("/v1/keys", {"name": "x"} | wish, key=token).body.get("code") for wish in wishes]
    assert codes == [None, None, "key_limit_reached", "permission_missing"]


def test_k11_something_that_forwards_on_this_machine_is_a_proxy_nobody_listed(api: Serving) -> None:
    for header in ({"X-Forwarded-For": "203.0.113.9"}, {"X-Forwarded-Proto": "https"}, {"Via": "1.1 x"}):
        refused = api.call("/v1/keys", {"name": "x"}, headers=header)
        assert (refused.status, refused.body["code"]) == (403, "https_required"), header


def test_f8_the_nodes_time_never_falls_back() -> None:
    heard = AuthorityClock(clock.now())
    ahead = later(clock.now(), timedelta(hours=1))
    heard.hear(ahead)
    heard.hear(from_text("2020-01-01T00:00:00Z"))
    assert heard.micros() >= to_micros(ahead)
