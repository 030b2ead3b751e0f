"""`/v1/webhooks` and `/v1/notices` on a running server, with a real receiver and a real mail server."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest

from tests.mailbox import Mailbox
from tests.serving import Serving
from tests.webhook_receiver import WebhookReceiver


@pytest.fixture(scope="module")
def receiver() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def box() -> Iterator[Mailbox]:
    with Mailbox() as box:
        yield box


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, box: Mailbox) -> Iterator[Serving]:
    """A server that may call this machine."""
    folder = tmp_path_factory.mktemp("webhooks")
    config = folder / "keyturn.toml"
    config.write_text(
        f'base_url = "https://keys.example.com"\nwebhooks_to_loopback = true\nmail = "smtp://127.0.0.1:{box.port}"\n'
    )
    server = Serving(folder=folder / "data", flags=("--config", str(config))).start()
    yield server
    server.kill()


@pytest.fixture
def account(server: Serving) -> str:
    made = server.call("/v1/accounts", {"name": "Customer"}).body["id"]
    server.call("/v1/users", {"email": f"{made}@example.com", "role": "owner", "account_id": made})
    return str(made)


def hook(server: Serving, receiver: WebhookReceiver, account: str, **wish: Any) -> dict[str, Any]:
    made = server.call("/v1/webhooks", {"url": f"{receiver.url}/hook", "account_id": account} | wish)
    assert made.status == HTTPStatus.CREATED, made.text
    body: dict[str, Any] = made.body
    return body


def test_r50_a_reset_is_told_by_mail_and_by_webhook_and_listed(
    server: Serving, receiver: WebhookReceiver, box: Mailbox, account: str
) -> None:
    receiver.heard.clear()
    made = hook(server, receiver, account, events=["reset.*"])
    key = server.create(account_id=account)
    reset = server.call(f"/v1/keys/{key['id']}/resets", {"reason": "routine"}).body
    types = [one.event["type"] for one in receiver.deliveries(made["secret"], 4)]
    assert types == ["reset.asked", "reset.proven", "reset.minted", "reset.settled"]
    mails = box.await_mails(7, to=f"{account}@example.com".lower())
    before = ["member.added", "webhook.created", "key.created"]
    assert [mail.message["X-Keyturn-Event"] for mail in mails] == [*before, *types]
    for secret in (key["secret"], reset["secret"], made["secret"], server.admin_key):
        for request in receiver.heard:
            assert secret.encode() not in request.body
        for mail in mails:
            assert secret not in mail.raw.decode()
    listed = server.call(f"/v1/notices?key_id={key['id']}&account_id={account}").body["items"]
    hooks = [one for one in listed if one["means"] == "webhook"]
    assert [one["kind"] for one in reversed(hooks)] == types
    assert {one["to"] for one in listed} == {made["id"], "a…@example.com"}
    assert {one["key_id"] for one in listed} == {key["id"]}
    assert server.call(f"/v1/notices?key_id={key['id']}&limit=1").body["next_cursor"]


def test_a_webhook_is_read_edited_tested_rotated_suspended_and_removed(
    server: Serving, receiver: WebhookReceiver, account: str
) -> None:
    receiver.heard.clear()
    made = hook(server, receiver, account, events=["reset.*"])
    path = f"/v1/webhooks/{made['id']}"
    shown = server.call(path).body
    assert "secret" not in shown
    assert shown == {name: value for name, value in made.items() if name not in ("secret", "secret_shown")}
    assert [one["id"] for one in server.call(f"/v1/webhooks?account_id={account}").body["items"]] == [made["id"]]
    assert server.call(path, {"events": ["key.*"]}, method="PATCH").body["events"] == ["key.*"]
    tested = server.call(f"{path}/test", {})
    assert tested.status == HTTPStatus.ACCEPTED
    assert receiver.deliveries(made["secret"])[0].event["type"] == "webhook.test"
    rotated = server.call(f"{path}/rotate", {}, headers={"Idempotency-Key": "once"}).body
    assert rotated["version"] == 2
    assert rotated["secret"] != made["secret"]
    again = server.call(f"{path}/rotate", {}, headers={"Idempotency-Key": "once"}).body
    assert (again["secret"], again["secret_shown"], again["version"]) == (None, True, 2)
    assert server.call(f"{path}/suspend", {}).body["suspended_at"]
    assert server.call(f"{path}/resume", {}).body["suspended_at"] is None
    assert server.call(path, method="DELETE").body["id"] == made["id"]
    assert server.call(path).status == HTTPStatus.NOT_FOUND


def test_what_is_asked_for_is_read_strictly(server: Serving, account: str) -> None:
    refused: list[tuple[dict[str, Any], str]] = [
        ({"url": "http://hooks.example.com/"}, "url"),
        ({"url": "https://10.0.0.1/"}, "url"),
        ({"url": "https://hooks.example.com/", "events": []}, "events"),
        ({"url": "https://hooks.example.com/", "events": ["nonsense"]}, "events"),
        ({"url": "https://hooks.example.com/", "events": "reset.*"}, "events"),
        ({}, "url"),
    ]
    for wish, field in refused:
        answer = server.call("/v1/webhooks", {"account_id": account} | wish)
        assert (answer.status, answer.body["field"]) == (HTTPStatus.UNPROCESSABLE_ENTITY, field), wish


def test_pitfall_18_another_account_s_webhook_is_not_found(
    server: Serving, receiver: WebhookReceiver, account: str
) -> None:
    made = hook(server, receiver, account)
    other = server.call("/v1/accounts", {"name": "Other"}).body["id"]
    rights = ["keyturn.accounts:write", "keyturn.audit:read"]
    server.call("/v1/users", {"email": f"{other}@example.com", "role": "owner", "account_id": other})
    key = server.create(account_id=other, permissions=rights)["secret"]
    assert server.call(f"/v1/webhooks/{made['id']}", key=key).status == HTTPStatus.NOT_FOUND
    assert server.call(f"/v1/webhooks/{made['id']}", key=key, method="DELETE").status == HTTPStatus.NOT_FOUND
    assert server.call("/v1/webhooks", key=key).body["items"] == []
    assert not [one for one in server.call("/v1/notices", key=key).body["items"] if one["account_id"] == account]
    weak = server.create(account_id=account, permissions=["*:read"])["secret"]
    assert server.call("/v1/webhooks", {"url": "https://hooks.example.com/"}, key=weak).status == HTTPStatus.FORBIDDEN
    assert server.call("/v1/notices", key=weak).status == HTTPStatus.FORBIDDEN
