"""The receiver keeps what came and believes a right signature only."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from standardwebhooks.webhooks import Webhook

from tests.webhook_receiver import BROKEN, ELSEWHERE, MOVED, Delivery, WebhookReceiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
FRESH = timedelta(0)


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as server:
        yield server


def _deliver(
    receiver: WebhookReceiver, *, secret: str = SECRET, age: timedelta = FRESH, signed: str = '{"type": "key.reset"}'
) -> httpx2.Response:
    at = datetime.now(UTC) - age
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign("msg_1", at, signed),
    }
    return httpx2.post(receiver.url, content=b'{"type": "key.reset"}', headers=headers)


def test_what_is_signed_is_delivered(receiver: WebhookReceiver) -> None:
    assert _deliver(receiver).status_code == 200
    assert receiver.deliveries(SECRET) == [Delivery(id="msg_1", event={"type": "key.reset"})]
    assert receiver.heard[0].body == b'{"type": "key.reset"}'


FORGED = {
    "another secret": {"secret": "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},
    "another body": {"signed": json.dumps({"type": "key.made"})},
    "an old one": {"age": timedelta(minutes=6)},
}


@pytest.mark.parametrize("story", FORGED)
def test_what_is_forged_is_not(receiver: WebhookReceiver, story: str) -> None:
    _deliver(receiver, **FORGED[story])  # type: ignore[arg-type]  # one table for arguments of two types
    with pytest.raises(AssertionError, match=r"No matching|too old"):
        receiver.deliveries(SECRET)


def test_it_breaks_and_moves_when_it_is_told_to(receiver: WebhookReceiver) -> None:
    receiver.then(BROKEN, MOVED)
    assert [_deliver(receiver).status_code for _ in range(3)] == [500, 302, 200]
    httpx2.get(receiver.url + ELSEWHERE)
    assert receiver.heard[-1].path == ELSEWHERE
