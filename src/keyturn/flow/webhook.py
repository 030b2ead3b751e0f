"""Webhooks: added, edited, rotated, suspended and removed by whoever may write the account (K11, pitfall 25)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from keyturn.core import webhook as webhooks
from keyturn.core.actor import SYSTEM, Actor
from keyturn.core.delivery import Attempt
from keyturn.core.instant import Instant
from keyturn.core.notice import TEST_KIND, Notice
from keyturn.core.permission import RIGHT_ACCOUNTS_READ, RIGHT_ACCOUNTS_WRITE
from keyturn.core.refusal import InvalidField, NotFound, PermissionMissing, Refusal, WebhookLimitReached
from keyturn.core.secret import SecretText
from keyturn.core.webhook import MOST_PER_ACCOUNT, Webhook, parse_url
from keyturn.flow.evidence import done, refused, tell
from keyturn.flow.reach import reach
from keyturn.flow.replay import Once, remember, replayed
from keyturn.ports.forge import Forge
from keyturn.ports.page import Page
from keyturn.ports.transaction import Transaction

PURPOSE: Final = "webhook"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookWish:
    """What a new webhook is to be."""

    url: str
    events: tuple[str, ...]
    account_id: str | None = None
    every_account: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEdit:
    """What an edit names; None stays."""

    url: str | None = None
    events: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookAnswer:
    """A webhook as it now is, with its signing secret where this call made one."""

    webhook: Webhook
    secret: SecretText | None = None
    secret_shown: bool = False


def create(
    tx: Transaction, *, actor: Actor, wish: WebhookWish, to_loopback: bool, forge: Forge, once: Once | None
) -> WebhookAnswer | Refusal:
    """Add a webhook to an account; its secret is shown in this answer only."""
    account_id = wish.account_id or actor.account_id
    earlier = replayed(tx, once)
    if isinstance(earlier, str) and (found := tx.webhook(earlier)) is not None:
        return WebhookAnswer(webhook=found, secret_shown=True)
    refusal = earlier if isinstance(earlier, Refusal) else _check_new(tx, actor, wish, account_id, to_loopback)
    if refusal is not None:
        return refused(tx, actor, "webhook.created", refusal, subject_id=account_id)
    webhook = Webhook(
        id=forge.id("whk"),
        account_id=account_id,
        url=wish.url,
        events=wish.events,
        every_account=wish.every_account,
        made_at=tx.now,
    )
    tx.insert_webhook(webhook)
    remember(tx, once, webhook.id)
    _done(tx, actor, "webhook.created", webhook)
    return WebhookAnswer(webhook=webhook, secret=signed_with(webhook, forge, now=tx.now)[0])


def show(tx: Transaction, *, actor: Actor, webhook_id: str) -> Webhook | Refusal:
    """One webhook, without its secret."""
    webhook = tx.webhook(webhook_id)
    if webhook is None or not actor.may(RIGHT_ACCOUNTS_READ, webhook.account_id):
        return NotFound()
    return webhook


def listing(
    tx: Transaction, *, actor: Actor, account_id: str | None, page: Page
) -> Sequence[tuple[int, Webhook]] | Refusal:
    """Webhooks of an account, or of every account the actor may read."""
    account_ids = reach(actor, RIGHT_ACCOUNTS_READ, account_id)
    if isinstance(account_ids, Refusal):
        return account_ids
    return tx.webhooks(account_ids=account_ids, page=page)


def edit(
    tx: Transaction, *, actor: Actor, webhook_id: str, edit: WebhookEdit, to_loopback: bool
) -> WebhookAnswer | Refusal:
    """Change where it calls, or what it is told of."""
    webhook = _find(tx, actor, webhook_id, "webhook.edited")
    if isinstance(webhook, Refusal):
        return webhook
    edited = replace(webhook, url=edit.url or webhook.url, events=edit.events or webhook.events)
    if refusal := _check_url(edited.url, to_loopback=to_loopback):
        return refused(tx, actor, "webhook.edited", refusal, subject_id=webhook_id, account_id=webhook.account_id)
    return WebhookAnswer(webhook=_saved(tx, actor, "webhook.edited", webhook, edited))


def rotate(
    tx: Transaction, *, actor: Actor, webhook_id: str, forge: Forge, once: Once | None
) -> WebhookAnswer | Refusal:
    """Make a new signing secret; the one before signs on for a day."""
    webhook = _find(tx, actor, webhook_id, "webhook.rotated")
    if isinstance(webhook, Refusal):
        return webhook
    earlier = replayed(tx, once)
    if isinstance(earlier, Refusal):
        return refused(tx, actor, "webhook.rotated", earlier, subject_id=webhook_id, account_id=webhook.account_id)
    if earlier is not None:
        return WebhookAnswer(webhook=webhook, secret_shown=True)
    rotated = _saved(tx, actor, "webhook.rotated", webhook, webhooks.rotated(webhook, now=tx.now))
    remember(tx, once, webhook.id)
    return WebhookAnswer(webhook=rotated, secret=signed_with(rotated, forge, now=tx.now)[0])


def suspend(tx: Transaction, *, actor: Actor, webhook_id: str) -> WebhookAnswer | Refusal:
    """Tell it nothing for now."""
    webhook = _find(tx, actor, webhook_id, "webhook.suspended")
    if isinstance(webhook, Refusal):
        return webhook
    held = replace(webhook, suspended_at=webhook.suspended_at or tx.now)
    return WebhookAnswer(webhook=_saved(tx, actor, "webhook.suspended", webhook, held))


def resume(tx: Transaction, *, actor: Actor, webhook_id: str) -> WebhookAnswer | Refusal:
    """Tell it again; what happened meanwhile is not told any more."""
    webhook = _find(tx, actor, webhook_id, "webhook.resumed")
    if isinstance(webhook, Refusal):
        return webhook
    again = replace(webhook, suspended_at=None, failing_since=None)
    return WebhookAnswer(webhook=_saved(tx, actor, "webhook.resumed", webhook, again))


def remove(tx: Transaction, *, actor: Actor, webhook_id: str) -> Webhook | Refusal:
    """Drop it; what still waits for it is not told."""
    webhook = _find(tx, actor, webhook_id, "webhook.removed")
    if not isinstance(webhook, Refusal):
        tx.remove_webhook(webhook.id)
        _done(tx, actor, "webhook.removed", webhook)
    return webhook


def test(tx: Transaction, *, actor: Actor, webhook_id: str) -> WebhookAnswer | Refusal:
    """Have it told of nothing but this test, also while it is suspended."""
    webhook = _find(tx, actor, webhook_id, "webhook.tested")
    if isinstance(webhook, Refusal):
        return webhook
    done(tx, actor, "webhook.tested", account_id=webhook.account_id, subject_id=webhook.id)
    detail = {"webhook": webhook.id}
    tx.tell(Notice(kind=TEST_KIND, account_id=webhook.account_id, owner_id="", key_id="", detail=detail))
    return WebhookAnswer(webhook=webhook)


def note_attempt(tx: Transaction, webhook_id: str, attempt: Attempt) -> None:
    """Write down what an attempt says of the webhook, where it says anything new."""
    webhook = tx.webhook(webhook_id, lock=True)
    if webhook is None:
        return
    now = webhooks.after(webhook, attempt, now=tx.now)
    if now == webhook:
        return
    tx.save_webhook(now)
    if now.suspended_at is not None and webhook.suspended_at is None:
        _done(tx, replace(SYSTEM, account_id=webhook.account_id), "webhook.suspended", now)


def signed_with(webhook: Webhook, forge: Forge, *, now: Instant) -> tuple[SecretText, ...]:
    """The secrets that sign now, the newest first: worked out, and stored nowhere."""
    return tuple(webhooks.secret_text(forge.derived(PURPOSE, name)) for name in webhooks.signing_names(webhook, now))


def _check_new(
    tx: Transaction,
    actor: Actor,
    wish: WebhookWish,
    account_id: str,
    to_loopback: bool,  # noqa: FBT001  # inside only
) -> Refusal | None:
    account = tx.account(account_id, lock=True)
    if account is None or not actor.may(RIGHT_ACCOUNTS_WRITE, account_id):
        own = account_id == actor.account_id
        return PermissionMissing(needed=RIGHT_ACCOUNTS_WRITE) if own else NotFound()
    if wish.every_account and not (actor.in_deployment_account and account_id == tx.deployment_account_id):
        return PermissionMissing(needed=RIGHT_ACCOUNTS_WRITE)
    if tx.count_webhooks(account_id) >= MOST_PER_ACCOUNT:
        return WebhookLimitReached(limit=MOST_PER_ACCOUNT)
    return _check_url(wish.url, to_loopback=to_loopback)


def _check_url(url: str, *, to_loopback: bool) -> InvalidField | None:
    try:
        parse_url(url, to_loopback=to_loopback)
    except ValueError as error:
        return InvalidField(field="url", reason=str(error))
    return None


def _find(tx: Transaction, actor: Actor, webhook_id: str, action: str) -> Webhook | Refusal:
    """The webhook, locked, for a change.  Absent and somebody else's look alike (pitfall 18)."""
    webhook = tx.webhook(webhook_id, lock=True)
    if webhook is None or not actor.may(RIGHT_ACCOUNTS_READ, webhook.account_id):
        return refused(tx, actor, action, NotFound(), subject_id=webhook_id)
    if not actor.may(RIGHT_ACCOUNTS_WRITE, webhook.account_id):
        missing = PermissionMissing(needed=RIGHT_ACCOUNTS_WRITE)
        return refused(tx, actor, action, missing, subject_id=webhook_id, account_id=webhook.account_id)
    return webhook


def _saved(tx: Transaction, actor: Actor, action: str, before: Webhook, after: Webhook) -> Webhook:
    if after != before:
        tx.save_webhook(after)
        _done(tx, actor, action, after)
    return after


def _done(tx: Transaction, actor: Actor, action: str, webhook: Webhook) -> None:
    """Record and tell it.  Only the host is named: the rest of an address may be a secret of the receiver's."""
    detail = {"host": parse_url(webhook.url, to_loopback=True).authority}
    done(tx, actor, action, account_id=webhook.account_id, subject_id=webhook.id, detail=detail)
    tell(tx, actor, action, account_id=webhook.account_id, owner_id="", detail=detail)
