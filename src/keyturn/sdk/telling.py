"""The calls of the API about what is told: webhooks, and what became of each notice."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Generic

from keyturn.sdk.call import A, Call, delete, get, given, once, part, post, texts


class TellingCalls(ABC, Generic[A]):
    """A part of `Calls`."""

    @abstractmethod
    def send(self, call: Call) -> A:
        """Send one call and answer its JSON object; raises `ApiError` where the server said no."""

    def create_webhook(
        self,
        url: str,
        *,
        events: Iterable[str] | None = None,
        account_id: str | None = None,
        every_account: bool | None = None,
        idempotency_key: str | None = None,
    ) -> A:
        """Have `url` called with what happens; the answer has the signing `secret`, once."""
        body = given(url=url, events=texts(events), account_id=account_id, every_account=every_account)
        return self.send(once("/v1/webhooks", body, idempotency_key))

    def list_webhooks(self, *, account_id: str | None = None, limit: int | None = None, cursor: str | None = None) -> A:
        return self.send(get("/v1/webhooks", account_id=account_id, limit=limit, cursor=cursor))

    def get_webhook(self, webhook_id: str) -> A:
        return self.send(get(f"/v1/webhooks/{part(webhook_id)}"))

    def edit_webhook(self, webhook_id: str, *, url: str | None = None, events: Iterable[str] | None = None) -> A:
        """Change what is named."""
        body = given(url=url, events=texts(events))
        return self.send(Call(method="PATCH", path=f"/v1/webhooks/{part(webhook_id)}", body=body))

    def rotate_webhook(self, webhook_id: str, *, idempotency_key: str | None = None) -> A:
        """Make a new signing secret, which is in the answer, once; the one before signs on for a day."""
        return self.send(once(f"/v1/webhooks/{part(webhook_id)}/rotate", {}, idempotency_key))

    def suspend_webhook(self, webhook_id: str) -> A:
        return self.send(post(f"/v1/webhooks/{part(webhook_id)}/suspend"))

    def resume_webhook(self, webhook_id: str) -> A:
        return self.send(post(f"/v1/webhooks/{part(webhook_id)}/resume"))

    def test_webhook(self, webhook_id: str) -> A:
        """Have it called with `webhook.test`; `list_notices` tells what came of it."""
        return self.send(post(f"/v1/webhooks/{part(webhook_id)}/test"))

    def remove_webhook(self, webhook_id: str) -> A:
        return self.send(delete(f"/v1/webhooks/{part(webhook_id)}"))

    def list_notices(
        self,
        *,
        account_id: str | None = None,
        key_id: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> A:
        """What was told, to which address (masked) or webhook, and what became of it."""
        query = {"account_id": account_id, "key_id": key_id}
        return self.send(get("/v1/notices", **query, limit=limit, cursor=cursor))
