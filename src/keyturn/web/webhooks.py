"""Webhooks of the account: programs that are told of what happens in it (R50)."""

from collections.abc import Callable
from typing import Final, Protocol

from starlette.responses import Response

from keyturn.core.actor import Actor
from keyturn.core.permission import RIGHT_ACCOUNTS_WRITE
from keyturn.core.refusal import InvalidField, Refusal
from keyturn.core.webhook import ALL_EVENTS, parse_events
from keyturn.edge.refused import Refused
from keyturn.flow import webhook as webhooks
from keyturn.flow.webhook import WebhookAnswer, WebhookWish
from keyturn.ports.page import Page
from keyturn.ports.transaction import Transaction
from keyturn.web import account
from keyturn.web.asked import SignedIn
from keyturn.web.route import Place, posted_by_members, shown_to_members

PATH: Final = "/account/webhooks"
_EVERY: Final = Page(size=1000)


class Step(Protocol):
    """A flow that takes a webhook's id and nothing more."""

    def __call__(self, tx: Transaction, *, actor: Actor, webhook_id: str) -> object: ...


def listing(asked: SignedIn) -> Response:
    """Which there are, how they fare, and the form for another one."""
    return _show(asked)


def _show(asked: SignedIn, *, errors: dict[str, str] | None = None, problem: str = "", status: int = 200) -> Response:
    actor = asked.actor
    found, _ = asked.call.read(lambda tx: webhooks.listing(tx, actor=actor, account_id=actor.account_id, page=_EVERY))
    return account.show(
        asked,
        "webhooks",
        webhooks=[one for _, one in found],
        may_write=actor.may(RIGHT_ACCOUNTS_WRITE, actor.account_id),
        typed={"url": asked.form("url"), "events": asked.form.raw("events") or ALL_EVENTS},
        once=asked.visit.node.forge.id("one"),
        errors=errors or {},
        problem=problem,
        status=status,
    )


def create(asked: SignedIn) -> Response:
    """Add one; its signing secret is on this page and nowhere else, ever."""
    call, words = asked.call, asked.browser.words
    call.needs_https("webhook.created", asked.actor.account_id)
    try:
        events = parse_events(list(asked.form.lines("events")))
    except ValueError:
        return _show(asked, errors={"events": words("wrong.events")}, status=422)
    wish, node = WebhookWish(url=asked.form("url"), events=events), asked.visit.node
    to_loopback = node.settings.webhooks_to_loopback
    try:
        answer, _ = call.change(
            lambda tx: webhooks.create(
                tx, actor=asked.actor, wish=wish, to_loopback=to_loopback, forge=node.forge, once=call.once
            )
        )
    except Refused as refused:
        if isinstance(refused.refusal, InvalidField):
            return _show(asked, errors={"url": words("wrong.webhook_url")}, status=refused.refusal.status)
        return _refused(asked, refused.refusal)
    return _secret(asked, answer, status=201)


def rotate(asked: SignedIn) -> Response:
    """Another signing secret; the one before signs on for a day."""
    call = asked.call
    call.needs_https("webhook.rotated", asked.form("webhook"))
    webhook_id, forge = asked.form("webhook"), asked.visit.node.forge
    try:
        answer, _ = call.change(
            lambda tx: webhooks.rotate(tx, actor=asked.actor, webhook_id=webhook_id, forge=forge, once=call.once)
        )
    except Refused as refused:
        return _refused(asked, refused.refusal)
    return _secret(asked, answer, status=200)


def _secret(asked: SignedIn, answer: WebhookAnswer, *, status: int) -> Response:
    if answer.secret is None:
        return asked.go(PATH + "?done=webhook_shown_before")
    return asked.show(
        "webhook_secret.html", tab="account", webhook=answer.webhook, secret=answer.secret.reveal, status=status
    )


def _step(flow: Step, done: str) -> Callable[[SignedIn], Response]:
    """A page that does one thing with one webhook."""

    def page(asked: SignedIn) -> Response:
        webhook_id = asked.form("webhook")
        refusal = asked.try_change(lambda tx: flow(tx, actor=asked.actor, webhook_id=webhook_id))
        return _refused(asked, refusal) if refusal else asked.go(f"{PATH}?done={done}")

    return page


def _refused(asked: SignedIn, refusal: Refusal) -> Response:
    return _show(asked, problem=asked.say(refusal), status=refusal.status)


PLACES: Final[tuple[Place, ...]] = (
    shown_to_members(PATH, listing),
    posted_by_members(PATH, create),
    posted_by_members(PATH + "/rotate", rotate),
    posted_by_members(PATH + "/test", _step(webhooks.test, "webhook_tested")),
    posted_by_members(PATH + "/suspend", _step(webhooks.suspend, "webhook_suspended")),
    posted_by_members(PATH + "/resume", _step(webhooks.resume, "webhook_resumed")),
    posted_by_members(PATH + "/remove", _step(webhooks.remove, "webhook_removed")),
)
