"""Calls to real receivers: signed as the standard says, to no address but the one that was looked at (pitfall 25)."""

import socket
import ssl
from dataclasses import replace
from typing import Any

import pytest

from keyturn.core.delivery import Attempt, Delivery, Means, Parcel, Result
from keyturn.core.notice import Notice
from keyturn.core.webhook import Webhook, secret_text
from keyturn.outside import webhook as outside
from keyturn.outside.webhook import WebhookSender, resolve
from keyturn.ports.sender import Consignment
from tests.certificate import Certificate, self_signed
from tests.dripping import dripping
from tests.loopback import Reply
from tests.webhook_receiver import BROKEN, ELSEWHERE, MOVED, WebhookReceiver
from tests.world import T0

SECRETS = (secret_text(b"n" * 32), secret_text(b"o" * 32))


def consignment(url: str, **changes: Any) -> Consignment:
    notice = Notice(kind="reset.minted", account_id="acc_1", owner_id="usr_1", key_id="key_1", detail={"name": "取"})
    delivery = Delivery(id="dlv_1", means=Means.WEBHOOK, to="whk_1", made_at=T0, due_at=T0)
    plain: dict[str, Any] = {
        "parcel": Parcel(delivery=delivery, at=T0, notice=notice),
        "webhook": Webhook(id="whk_1", account_id="acc_1", url=url, events=("*",), made_at=T0),
        "signed_with": SECRETS,
    }
    return Consignment(**plain | changes)


HERE = WebhookSender(to_loopback=True)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return self_signed(tmp_path_factory.mktemp("certificate"))


def test_r50_a_call_is_signed_as_the_standard_says_with_both_secrets() -> None:
    with WebhookReceiver() as receiver:
        assert HERE.send(consignment(f"{receiver.url}/hook?a=b")) == Attempt(result=Result.TAKEN, said="200")
        for secret in SECRETS:
            (delivery,) = receiver.deliveries(secret.reveal)
            assert delivery.id == "dlv_1"
            assert (delivery.event["type"], delivery.event["timestamp"]) == ("reset.minted", "2030-01-01T00:00:00Z")
            assert delivery.event["data"]["detail"] == {"name": "取"}
        (request,) = receiver.heard
        assert (request.method, request.path, request.query) == ("POST", "/hook", {"a": "b"})
        assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
        assert request.headers["content-type"] == "application/json"


def test_what_the_receiver_answers_decides() -> None:
    with WebhookReceiver() as receiver:
        receiver.then(BROKEN, MOVED, Reply(status=404), Reply(status=410), Reply(status=204))
        said = [HERE.send(consignment(f"{receiver.url}/")) for _ in range(5)]
        assert [(one.result, one.said) for one in said] == [
            (Result.DEFERRED, "500"),
            (Result.DEFERRED, "302"),
            (Result.DEFERRED, "404"),
            (Result.REFUSED, "410"),
            (Result.TAKEN, "204"),
        ]
        assert ELSEWHERE not in [request.path for request in receiver.heard], "pitfall 25: nothing is followed"
        receiver.stop()
        assert HERE.send(consignment(f"{receiver.url}/")).said == "ConnectionRefusedError"


def test_by_https_the_receiver_is_known_by_its_certificate(certificate: Certificate) -> None:
    with WebhookReceiver(tls=certificate) as receiver:
        url = f"https://localhost:{receiver.port}/"
        assert HERE.send(consignment(url)).said == "SSLCertVerificationError"
        trusting = replace(HERE, context=certificate.client_context())
        assert trusting.send(consignment(url)).result is Result.TAKEN
        assert receiver.heard[0].headers["host"] == f"localhost:{receiver.port}"


def test_pitfall_25_the_name_is_asked_once_and_that_address_is_called(certificate: Certificate) -> None:
    """Name and certificate stay those of the receiver, whatever address they stand for."""
    asked: list[tuple[str, int]] = []

    def answers(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return ["127.0.0.1"]

    with WebhookReceiver(tls=certificate) as receiver:
        sender = replace(HERE, context=certificate.client_context(), resolve=answers)
        wrong = sender.send(consignment(f"https://hooks.example.com:{receiver.port}/"))
        assert wrong.said == "SSLCertVerificationError", "the certificate is another's"
        assert asked == [("hooks.example.com", receiver.port)]
        assert receiver.heard == []
        assert sender.send(consignment(f"https://localhost:{receiver.port}/")).result is Result.TAKEN
        assert len(asked) == 2


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["10.0.0.1"], ["::1"], ["169.254.169.254"], ["64:ff9b::7f00:1"], ["8.8.8.8", "127.0.0.1"], []],
    ids=str,
)
def test_pitfall_25_a_name_that_leads_inside_is_not_called(
    addresses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[Any] = []
    monkeypatch.setattr(socket, "create_connection", lambda *words: called.append(words))
    sender = WebhookSender(resolve=lambda _host, _port: addresses)
    assert sender.send(consignment("https://hooks.example.com/")) == Attempt(
        result=Result.UNREACHABLE, said="NotAllowed"
    )
    assert called == []


def test_pitfall_25_an_address_that_was_allowed_when_it_was_entered_is_looked_at_again() -> None:
    with WebhookReceiver() as receiver:
        attempt = WebhookSender().send(consignment(f"{receiver.url}/"))
        assert attempt == Attempt(result=Result.UNREACHABLE, said="its address is not allowed any more")
        assert receiver.heard == []


def test_a_second_address_is_tried_where_the_first_is_silent() -> None:
    with WebhookReceiver() as receiver:
        sender = replace(HERE, resolve=lambda _host, _port: ["127.0.0.2", "127.0.0.1"])
        assert sender.send(consignment(f"http://localhost:{receiver.port}/")).result is Result.TAKEN


def test_the_system_s_resolver_is_asked() -> None:
    assert resolve("127.0.0.1", 443) == ["127.0.0.1"]
    assert set(resolve("localhost", 443)) <= {"127.0.0.1", "::1"}


def test_a_receiver_that_drips_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "_ALL_SECONDS", 0.3)
    with dripping(b"HTTP/1.1 2") as port:
        attempt = HERE.send(consignment(f"http://127.0.0.1:{port}/"))
    assert attempt.result is Result.UNREACHABLE


def test_certificates_are_checked_unless_somebody_says_otherwise() -> None:
    context = WebhookSender().context
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
