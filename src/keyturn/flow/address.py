"""Where a person is told: further addresses, added and removed by their owner, confirmed by a mailed link (R50).

Adding and removing take a proof of the last ten minutes, for notices are what tells an owner of a thief.
"""

from collections.abc import Sequence
from dataclasses import replace

from keyturn.core.account import User
from keyturn.core.actor import Actor, reader, stranger
from keyturn.core.address import MOST_ADDRESSES, Address
from keyturn.core.consequence import Cause
from keyturn.core.instant import later
from keyturn.core.letter import Letter
from keyturn.core.link import LASTS, Link, LinkKind, check_link
from keyturn.core.refusal import (
    AddressUnconfirmed,
    NameTaken,
    NotFound,
    PasswordRefused,
    Refusal,
    TooManyAddresses,
)
from keyturn.flow import throttle
from keyturn.flow.consequence import after_account_change
from keyturn.flow.evidence import done, done_to_person, refused
from keyturn.flow.session_proof import check_change, check_person
from keyturn.ports.forge import Forge
from keyturn.ports.transaction import Transaction


def listing(tx: Transaction, *, actor: Actor) -> Sequence[Address]:
    """One's own, also those that are not confirmed yet."""
    return tx.addresses(actor.user_id) if actor.signed_in else ()


def add(tx: Transaction, *, actor: Actor, email: str, forge: Forge) -> Address | Refusal:
    """Add one, and mail a link there that confirms it."""
    attempt = throttle.of_letter(forge, kind=LinkKind.ADDRESS, to=email)
    refusal = check_change(tx, actor) or _check_new(tx, actor, email) or throttle.check(tx, attempt)
    user = tx.user(actor.user_id)
    if refusal is not None or user is None:
        return refused(tx, actor, "address.added", refusal or NotFound(), subject_id=actor.user_id)
    throttle.failed(tx, attempt)
    added = Address(id=forge.id("adr"), user_id=user.id, email=email, made_at=tx.now)
    tx.insert_address(added)
    link = Link(
        id=forge.id("lnk"),
        kind=LinkKind.ADDRESS,
        made_at=tx.now,
        ends_at=later(tx.now, LASTS[LinkKind.ADDRESS]),
        user_id=user.id,
        subject_id=added.id,
        email=email,
    )
    _text, digest = forge.link_token(link.id)
    tx.insert_link(link, digest=digest)
    tx.send(Letter(kind="address", to=email, language=user.language, link_id=link.id))
    done(tx, actor, "address.added", account_id=actor.account_id, subject_id=added.id)
    return added


def opened(tx: Transaction, digest: bytes) -> Address | Refusal:
    """The address that the link of that token confirms; it is not used by being looked at."""
    found = _find(tx, digest)
    return found if isinstance(found, Refusal) else found[1]


def confirm(tx: Transaction, digest: bytes, *, address: str | None) -> Address | Refusal:
    """Confirm it: whoever presses the button reads mails there.  `address` is where they come from."""
    found = _find(tx, digest, lock=True)
    if isinstance(found, Refusal):
        return refused(tx, stranger(address), "address.confirmed", found, subject_id="")
    link, added = found
    tx.spend_link(link)
    confirmed = replace(added, confirmed_at=tx.now)
    tx.save_address(confirmed)
    actor = reader(added.user_id, address)
    accounts = [one.account_id for one in tx.members(user_id=added.user_id)]
    account_id = accounts[0] if accounts else ""
    _changed(tx, actor, "address.confirmed", confirmed, account_id=account_id)
    return confirmed


def remove(tx: Transaction, *, actor: Actor, address_id: str) -> Address | Refusal:
    """Take one away; it is told of that, and of everything else for another week."""
    refusal = check_change(tx, actor)
    found = None if refusal else _own(tx, actor, address_id)
    if found is None:
        return refused(tx, actor, "address.removed", refusal or NotFound(), subject_id=address_id)
    removed = replace(found, removed_at=tx.now)
    tx.save_address(removed)
    if removed.confirmed_at is None:
        done(tx, actor, "address.removed", account_id=actor.account_id, subject_id=removed.id)
    else:
        _changed(tx, actor, "address.removed", removed, account_id=actor.account_id)
    return removed


def sign_in_with(
    tx: Transaction, *, actor: Actor, address_id: str, matched_password: str, forge: Forge
) -> User | Refusal:
    """Sign in with one of the further addresses from now on; the one before stays a further one, and is told.

    `matched_password` is the stored form that the shown password was found to match, or empty.
    """
    attempt = throttle.of_session(forge, actor)
    refusal = check_person(actor) or throttle.check(tx, attempt)
    if refusal is None and not (matched_password and tx.password_of(actor.user_id) == matched_password):
        throttle.failed(tx, attempt)
        refusal = PasswordRefused()
    refusal = refusal or check_change(tx, actor)
    found = None if refusal else _own(tx, actor, address_id)
    user = tx.user(actor.user_id)
    if found is not None and found.confirmed_at is None:
        refusal = AddressUnconfirmed()
    elif found is not None and tx.user_by_email(found.email) is not None:
        refusal = NameTaken(field="email")
    if refusal is not None or found is None or user is None:
        return refused(tx, actor, "user.address_changed", refusal or NotFound(), subject_id=actor.user_id)
    throttle.succeeded(tx, attempt)
    changed = replace(user, email=found.email, changed_at=tx.now)
    tx.save_user(changed)
    tx.save_address(replace(found, email=user.email))
    tx.end_links(user_id=user.id, kind=LinkKind.PASSWORD)  # whoever reads the mailbox that is left has one, maybe
    done_to_person(tx, actor, "user.address_changed", account_id=actor.account_id, user_id=user.id)
    after_account_change(tx, actor=actor, user_id=user.id, cause=Cause.ADDRESS_CHANGED)
    return changed


def _changed(tx: Transaction, actor: Actor, action: str, address: Address, *, account_id: str) -> None:
    done_to_person(tx, actor, action, account_id=account_id, user_id=address.user_id, subject_id=address.id)
    after_account_change(tx, actor=actor, user_id=address.user_id, cause=Cause.ADDRESS_CHANGED)


def _check_new(tx: Transaction, actor: Actor, email: str) -> Refusal | None:
    if email in tx.addresses_of(actor.user_id) or email in {one.email for one in tx.addresses(actor.user_id)}:
        return NameTaken(field="email")
    if len(tx.addresses(actor.user_id)) >= MOST_ADDRESSES:
        return TooManyAddresses(limit=MOST_ADDRESSES)
    return None


def _find(tx: Transaction, digest: bytes, *, lock: bool = False) -> tuple[Link, Address] | Refusal:
    link = tx.link(digest, lock=lock)
    refusal = check_link(link, LinkKind.ADDRESS, session="", now=tx.now)
    found = tx.address(link.subject_id, lock=lock) if link else None
    if refusal is not None or link is None or found is None or found.removed_at is not None:
        return refusal or NotFound()
    return link, found


def _own(tx: Transaction, actor: Actor, address_id: str) -> Address | None:
    found = tx.address(address_id, lock=True)
    return found if found and found.user_id == actor.user_id and found.removed_at is None else None
