"""`/v1/webhooks`: programs that are told of what happens to an account."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field, PlainValidator, WithJsonSchema

from keyturn.api import page, shown
from keyturn.api.call import AnyCall, OnceCall, id_in_path
from keyturn.api.keys import OfAccount
from keyturn.api.schemas import ARRAY, Form, Id, Nothing, PageShown, Shown, texts
from keyturn.core.webhook import LONGEST_URL, parse_events
from keyturn.flow import webhook as webhooks
from keyturn.flow.webhook import WebhookAnswer, WebhookEdit, WebhookWish

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])
Events = Annotated[
    tuple[str, ...],
    PlainValidator(texts(parse_events)),
    WithJsonSchema(ARRAY | {"examples": [["reset.*", "key.suspended"], ["*"]]}),
]
Url = Annotated[str, Field(max_length=LONGEST_URL)]


class CreateWebhook(Form):
    """A webhook to be."""

    url: Url
    events: Events = ("*",)
    account_id: Id | None = None
    every_account: bool = False


class EditWebhook(Form):
    """What is to be other than it is."""

    url: Url | None = None
    events: Events | None = None


class WebhookShown(Shown):
    """A webhook, without its secret."""

    id: str
    account_id: str
    url: str
    events: list[str]
    every_account: bool
    version: int
    made_at: str
    rotated_at: str | None
    failing_since: str | None
    suspended_at: str | None


class CreatedWebhook(WebhookShown):
    """A webhook with its signing secret, which is shown this once."""

    secret: str | None
    secret_shown: bool


@router.post("", status_code=201, response_model=CreatedWebhook, summary="Add a webhook")
def create(call: OnceCall, body: CreateWebhook) -> dict[str, Any]:
    """Calls are signed in the form of Standard Webhooks; the signing secret is in this answer and nowhere else."""
    call.needs_https("webhook.created", body.account_id or "")
    node, actor = call.node, call.actor
    wish = WebhookWish(url=body.url, events=body.events, account_id=body.account_id, every_account=body.every_account)
    local = node.settings.webhooks_to_loopback
    answer, _ = call.change(
        lambda tx: webhooks.create(tx, actor=actor, wish=wish, to_loopback=local, forge=node.forge, once=call.once)
    )
    return _with_secret(answer)


@router.get("", response_model=PageShown[WebhookShown], summary="List webhooks")
def listing(
    call: AnyCall, account_id: OfAccount = None, limit: page.Size = page.USUAL, cursor: page.Cursor = None
) -> dict[str, Any]:
    """Newest first, without their secrets."""
    asked = page.asked(limit, cursor)
    found, _ = call.read(lambda tx: webhooks.listing(tx, actor=call.actor, account_id=account_id, page=asked))
    return shown.listing(found, limit, shown.webhook)


@router.get("/{webhook_id}", response_model=WebhookShown, summary="Read a webhook")
def show(call: AnyCall, webhook_id: str) -> dict[str, Any]:
    """What it is told of, and since when it fails."""
    found, _ = call.read(lambda tx: webhooks.show(tx, actor=call.actor, webhook_id=id_in_path(webhook_id)))
    return shown.webhook(found)


@router.patch("/{webhook_id}", response_model=WebhookShown, summary="Edit a webhook")
def edit(call: AnyCall, webhook_id: str, body: EditWebhook) -> dict[str, Any]:
    """Where it calls, or what it is told of."""
    change, local = WebhookEdit(url=body.url, events=body.events), call.node.settings.webhooks_to_loopback
    answer, _ = call.change(
        lambda tx: webhooks.edit(
            tx, actor=call.actor, webhook_id=id_in_path(webhook_id), edit=change, to_loopback=local
        )
    )
    return shown.webhook(answer.webhook)


@router.post("/{webhook_id}/rotate", response_model=CreatedWebhook, summary="Make a new signing secret")
def rotate(call: OnceCall, webhook_id: str, body: Nothing | None = None) -> dict[str, Any]:  # noqa: ARG001  # it takes none
    """The secret before signs on for a day, beside the new one."""
    call.needs_https("webhook.rotated", webhook_id)
    answer, _ = call.change(
        lambda tx: webhooks.rotate(
            tx, actor=call.actor, webhook_id=id_in_path(webhook_id), forge=call.node.forge, once=call.once
        )
    )
    return _with_secret(answer)


@router.post("/{webhook_id}/suspend", response_model=WebhookShown, summary="Suspend a webhook")
def suspend(call: AnyCall, webhook_id: str, body: Nothing | None = None) -> dict[str, Any]:  # noqa: ARG001  # as above
    """It is told nothing until it is resumed; what happens meanwhile is not told later."""
    answer, _ = call.change(lambda tx: webhooks.suspend(tx, actor=call.actor, webhook_id=id_in_path(webhook_id)))
    return shown.webhook(answer.webhook)


@router.post("/{webhook_id}/resume", response_model=WebhookShown, summary="Resume a webhook")
def resume(call: AnyCall, webhook_id: str, body: Nothing | None = None) -> dict[str, Any]:  # noqa: ARG001  # as above
    """Also one that was suspended for failing."""
    answer, _ = call.change(lambda tx: webhooks.resume(tx, actor=call.actor, webhook_id=id_in_path(webhook_id)))
    return shown.webhook(answer.webhook)


@router.post("/{webhook_id}/test", status_code=202, response_model=WebhookShown, summary="Send a test")
def send_test(call: AnyCall, webhook_id: str, body: Nothing | None = None) -> dict[str, Any]:  # noqa: ARG001  # as above
    """It is told of `webhook.test`; what came of it stands in `/v1/notices`."""
    answer, _ = call.change(lambda tx: webhooks.test(tx, actor=call.actor, webhook_id=id_in_path(webhook_id)))
    return shown.webhook(answer.webhook)


@router.delete("/{webhook_id}", response_model=WebhookShown, summary="Remove a webhook")
def remove(call: AnyCall, webhook_id: str) -> dict[str, Any]:
    """What still waits for it is not told."""
    removed, _ = call.change(lambda tx: webhooks.remove(tx, actor=call.actor, webhook_id=id_in_path(webhook_id)))
    return shown.webhook(removed)


def _with_secret(answer: WebhookAnswer) -> dict[str, Any]:
    secret = answer.secret.reveal if answer.secret else None
    return shown.webhook(answer.webhook) | {"secret": secret, "secret_shown": answer.secret_shown}
