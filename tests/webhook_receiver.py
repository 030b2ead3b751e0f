"""A real receiver of webhooks on the loopback: it keeps what came, byte for byte, and checks the signature.

The package standardwebhooks is the oracle: what it verifies, every library of that standard does.
"""

from dataclasses import dataclass
from typing import Any, Final

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.certificate import Certificate
from tests.loopback import Loopback, Reply, Request

ELSEWHERE: Final = "/elsewhere"
BROKEN: Final = Reply(status=500)
MOVED: Final = Reply(status=302, headers={"Location": ELSEWHERE})
"""Whoever follows it comes to this path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One webhook whose signature is right."""

    id: str
    """The same for every try of one message."""
    event: Any  # JSON


class WebhookReceiver(Loopback):
    """It answers 200, or what comes `then`: BROKEN, MOVED, a gate."""

    def __init__(self, *, tls: Certificate | None = None) -> None:
        super().__init__(lambda _: Reply(), tls=tls)

    def deliveries(self, secret: str, count: int = 1) -> list[Delivery]:
        """The first requests, once they have come, every one of them signed with the secret."""
        return [opened(request, secret) for request in self.await_requests(count)]


def opened(request: Request, secret: str) -> Delivery:
    """What the request delivers; an assertion fails where it was not signed with the secret, or just now."""
    try:
        event = Webhook(secret).verify(request.body, dict(request.headers))
    except WebhookVerificationError as refused:
        msg = f"{refused}: {dict(request.headers)}"
        raise AssertionError(msg) from refused
    return Delivery(id=request.headers["webhook-id"], event=event)
