"""Notices and letters: to whom they go, one delivery at a time, and what became of each (R50, R51).

The flow that does something writes one row; who is to be told of it is worked out here, later, so that nothing about
mail can hold up or undo a reset.
"""

from collections.abc import Iterator, Sequence

from keyturn.core import delivery as deliveries
from keyturn.core import webhook as webhooks
from keyturn.core.account import Role
from keyturn.core.actor import SYSTEM, Actor
from keyturn.core.delivery import Attempt, Delivery, Means, Parcel, Result
from keyturn.core.instant import later
from keyturn.core.letter import Letter
from keyturn.core.link import LASTS, Link, LinkKind
from keyturn.core.notice import EVERY_MEMBER, TEST_KIND, Notice, is_personal
from keyturn.core.permission import RIGHT_AUDIT_READ
from keyturn.core.refusal import Refusal
from keyturn.core.webhook import Webhook
from keyturn.flow import webhook as webhook_flow
from keyturn.flow.reach import reach
from keyturn.ports.forge import Forge
from keyturn.ports.page import Page
from keyturn.ports.sender import Consignment
from keyturn.ports.transaction import Transaction


def address(tx: Transaction, *, forge: Forge, limit: int) -> Sequence[Notice]:
    """Make the deliveries of what is new: one for each address and webhook, none twice.  Answers the notices."""
    found = tx.new_notices(limit=limit)
    for number, notice in found:
        tx.insert_deliveries(list(_of_notice(tx, number, notice, forge)))
    letters = tx.new_letters(limit=limit)
    tx.insert_deliveries([_of_letter(tx, number, letter, forge) for number, letter in letters])
    tx.addressed(
        notice_numbers=[number for number, _ in found],
        letter_numbers=[number for number, _ in letters],
    )
    return [notice for _, notice in found]


def take(tx: Transaction, means: Means, *, by: str, forge: Forge) -> Consignment | None:
    """The next delivery with all it needs, leased to `by`; None where nothing is due."""
    while (waiting := tx.next_delivery(means)) is not None:
        taken = deliveries.leased(waiting, by=by, now=tx.now)
        consignment = _consignment(tx, tx.parcel(taken), forge)
        if not _is_of_no_use(tx, consignment):
            tx.save_delivery(taken)
            return consignment
        tx.save_delivery(deliveries.tried(taken, Attempt(result=Result.LAPSED), now=tx.now))
    return None


def settle(tx: Transaction, delivery_id: str, attempt: Attempt, *, by: str) -> Delivery | None:
    """Write down what came of an attempt; None where it does not count any more."""
    delivery = tx.delivery(delivery_id, lock=True)
    if delivery is None or delivery.state is not deliveries.State.WAITING:
        return None
    if delivery.leased_by != by and attempt.result is not Result.TAKEN:
        return None  # somebody else is at it by now; but what was taken is taken
    tried = deliveries.tried(delivery, attempt, now=tx.now)
    tx.save_delivery(tried)
    if delivery.means is Means.WEBHOOK:
        webhook_flow.note_attempt(tx, delivery.to, attempt)
    return tried


def listing(
    tx: Transaction, *, actor: Actor, account_id: str | None, key_id: str | None, page: Page
) -> Sequence[tuple[int, Parcel]] | Refusal:
    """What was told, to whom and with what outcome, of the accounts that the actor may audit."""
    account_ids = reach(actor, RIGHT_AUDIT_READ, account_id)
    if isinstance(account_ids, Refusal):
        return account_ids
    return tx.told(account_ids=account_ids, key_id=key_id, page=page)


def _of_notice(tx: Transaction, number: int, notice: Notice, forge: Forge) -> Iterator[Delivery]:
    for webhook in _webhooks(tx, notice):
        yield Delivery(
            id=forge.id("dlv"),
            means=Means.WEBHOOK,
            to=webhook.id,
            account_id=webhook.account_id,
            notice_number=number,
            made_at=tx.now,
            due_at=tx.now,
        )
    if notice.kind == TEST_KIND:
        return
    seen: set[str] = set()
    for user_id in _concerned(tx, notice):
        for address in tx.addresses_of(user_id):
            if address.casefold() not in seen:
                seen.add(address.casefold())
                yield Delivery(
                    id=forge.id("dlv"),
                    means=Means.MAIL,
                    to=address,
                    user_id=user_id,
                    account_id=notice.account_id,
                    link_id=_not_me(tx, notice, user_id=user_id, address=address, forge=forge),
                    notice_number=number,
                    made_at=tx.now,
                    due_at=tx.now,
                )


def _webhooks(tx: Transaction, notice: Notice) -> Sequence[Webhook]:
    if notice.kind == TEST_KIND:
        tried = tx.webhook(notice.detail["webhook"])
        return [tried] if tried else []
    return [one for one in tx.webhooks_told_of(notice.account_id) if webhooks.wants(one, notice.kind)]


def _concerned(tx: Transaction, notice: Notice) -> Sequence[str]:
    """The users a notice is for, each once: whom it happened to first."""
    others: list[str] = []
    if not is_personal(notice.kind):
        everybody = notice.kind in EVERY_MEMBER
        members = tx.members(account_id=notice.account_id)
        others = [one.user_id for one in members if everybody or one.role is Role.OWNER]
    return list(dict.fromkeys(one for one in (notice.owner_id, *others) if one and one != SYSTEM.id))


def _not_me(tx: Transaction, notice: Notice, *, user_id: str, address: str, forge: Forge) -> str:
    """The one link of a notice.  It stops the key it is about, or else all that is the reader's."""
    link = Link(
        id=forge.id("lnk"),
        kind=LinkKind.NOT_ME,
        made_at=tx.now,
        ends_at=later(tx.now, LASTS[LinkKind.NOT_ME]),
        user_id=user_id,
        account_id=notice.account_id,
        subject_id=notice.key_id or user_id,
        email=address,
    )
    _text, digest = forge.link_token(link.id)
    tx.insert_link(link, digest=digest)
    return link.id


def _of_letter(tx: Transaction, number: int, letter: Letter, forge: Forge) -> Delivery:
    return Delivery(
        id=forge.id("dlv"),
        means=Means.MAIL,
        to=letter.to,
        link_id=letter.link_id,
        letter_number=number,
        made_at=tx.now,
        due_at=tx.now,
        in_order=False,  # somebody waits for it, so it waits for nothing
    )


def _consignment(tx: Transaction, parcel: Parcel, forge: Forge) -> Consignment:
    notice, delivery = parcel.notice, parcel.delivery
    link = tx.link_by_id(delivery.link_id) if delivery.link_id else None
    webhook = tx.webhook(delivery.to) if delivery.means is Means.WEBHOOK else None
    return Consignment(
        parcel=parcel,
        key=tx.key(notice.key_id) if notice and notice.key_id else None,
        account=tx.account(delivery.account_id) if delivery.account_id else None,
        user=tx.user(delivery.user_id) if delivery.user_id else None,
        actor=_name(tx, notice, reader=delivery.user_id) if notice else "",
        link_token=forge.link_token(link.id)[0] if link else "",
        link_ends_at=link.ends_at if link else None,
        webhook=webhook,
        signed_with=webhook_flow.signed_with(webhook, forge, now=tx.now) if webhook else (),
    )


def _is_of_no_use(tx: Transaction, consignment: Consignment) -> bool:
    """Whether its webhook is gone or suspended, or it is a letter whose link has ended before it could be sent."""
    parcel, webhook, ends_at = consignment.parcel, consignment.webhook, consignment.link_ends_at
    if parcel.delivery.means is Means.WEBHOOK:
        is_test = parcel.notice is not None and parcel.notice.kind == TEST_KIND
        return webhook is None or (webhook.suspended_at is not None and not is_test)
    return parcel.letter is not None and ends_at is not None and tx.now >= ends_at


def _name(tx: Transaction, notice: Notice, *, reader: str) -> str:
    """Who did it, as people know them; empty for the reader, and for nobody."""
    if notice.actor_id in ("", SYSTEM.id, reader):
        return ""
    user = tx.user(notice.actor_id)
    if user is not None:
        return user.name or user.email
    key = tx.key(notice.actor_id)
    return key.name if key is not None else ""
