"""Passwords: changed by their owner, set anew by a mailed link, set by who administers the account.

Every change goes through `put`: sessions end, known browsers are forgotten, keys meet what their policies say (K15).
What a password must meet is asked with `rules`, reckoned outside any transaction, and handed in as `Fitted`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from keyturn.core import password as passwords
from keyturn.core.account import User
from keyturn.core.actor import Actor, stranger
from keyturn.core.authenticator import Shown
from keyturn.core.instant import later
from keyturn.core.letter import Letter
from keyturn.core.link import LASTS, Link, LinkKind, check_link
from keyturn.core.password import Fitted, Rules
from keyturn.core.refusal import (
    AuthenticatorRefused,
    NotFound,
    PasswordRefused,
    Refusal,
    SecondFactorRequired,
)
from keyturn.core.session import Visitor
from keyturn.flow import authenticator, device, session, sign_in, throttle
from keyturn.flow.consequence import after_password_change
from keyturn.flow.evidence import done, done_to_person, refused
from keyturn.flow.member import check_administers
from keyturn.flow.session import SignedIn
from keyturn.ports.authenticators import Authenticators
from keyturn.ports.forge import Forge
from keyturn.ports.transaction import Transaction

_OWN_NAME: Final = "keyturn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What a mailed link for a new password opens: whose it is, and what it takes."""

    link: Link
    user: User
    enrolled: frozenset[str]
    rules: Rules


@dataclass(frozen=True, slots=True, kw_only=True)
class Anew:
    """A password was set by a mailed link; the browser in which that was done is known from now on."""

    user: User
    device_token: str


def rules(tx: Transaction, *, user_id: str, brand: str, names: Iterable[str] = ()) -> Rules:
    """What a password of that user must meet; of somebody who is none yet, by the `names` they are to have."""
    user = tx.user(user_id)
    accounts = [tx.account(one.account_id) for one in tx.members(user_id=user_id)]
    known = [brand, _OWN_NAME, *names, *(one.name for one in accounts if one)]
    if user is not None:
        known += [user.username, user.name, *tx.addresses_of(user.id)]
    second = bool(user) and bool(authenticator.enrolled(tx, user_id))
    least = passwords.LEAST_WITH_SECOND_FACTOR if second else passwords.LEAST
    return Rules(least=least, words=passwords.words_of(*known))


def put(
    tx: Transaction,
    *,
    actor: Actor,
    user: User,
    stored: str,
    action: str,
    account_id: str,
    forge: Forge,
    but: str | None = None,
) -> None:
    """Put another password in place: the one way in which that is done.  `but`: the session that goes on."""
    is_first = not tx.password_of(user.id)
    tx.set_password(user.id, stored)
    now_held = tx.user(user.id) or user  # as it is now that nobody else can change it
    tx.save_user(replace(now_held, changed_at=tx.now))
    tx.end_sessions(user_id=user.id, but=but)
    tx.forget_devices(user_id=user.id)
    tx.end_links(user_id=user.id, kind=LinkKind.PASSWORD)
    done_to_person(tx, actor, action, account_id=account_id, user_id=user.id)
    if not is_first:
        after_password_change(tx, actor=actor, user_id=user.id, forge=forge)


def change_own(
    tx: Transaction, *, actor: Actor, matched_password: str, new: Fitted, visitor: Visitor, forge: Forge
) -> SignedIn | Refusal:
    """Change one's own: the old one proves, every other session ends, this one goes on under another token.

    `matched_password` is the stored form that the old one was found to match, or empty.
    """
    user = tx.user(actor.user_id)
    if not actor.signed_in or user is None:
        return refused(tx, actor, "user.password_changed", NotFound(), subject_id=actor.user_id)
    attempt = throttle.of_session(forge, actor)
    refusal = throttle.check(tx, attempt)
    if refusal is None and not (matched_password and tx.password_of(user.id) == matched_password):
        throttle.failed(tx, attempt)
        refusal = PasswordRefused()
    if refusal is None and isinstance(new, Refusal):
        refusal = new
    if refusal is not None or isinstance(new, Refusal):
        return refused(tx, actor, "user.password_changed", refusal or NotFound(), subject_id=user.id)
    throttle.succeeded(tx, attempt)
    own = {"account_id": actor.account_id, "but": actor.session}
    put(tx, actor=actor, user=user, stored=new, action="user.password_changed", forge=forge, **own)
    rotated = session.rotate(tx, actor=actor, forge=forge)
    if isinstance(rotated, Refusal):
        return rotated
    return device.known(tx, rotated, replace(visitor, device=None), forge)


def ask_forgotten(tx: Transaction, *, user: str, visitor: Visitor, forge: Forge) -> Refusal | None:
    """Mail a link for a new password to whoever is meant; the same answer and the same work where nobody is.

    Too many from one network are turned away, unrecorded as at sign-in; too many for one user are not sent.
    """
    asking = throttle.of_asking(forge, visitor=visitor)
    if refusal := throttle.check(tx, asking):
        return refusal
    throttle.failed(tx, asking)
    found = sign_in.named(tx, user)
    of_user = tx.members(user_id=found.id if found else "")
    letters = throttle.of_letter(forge, kind=LinkKind.PASSWORD, to=found.email if found else user)
    is_one_too_many = throttle.check(tx, letters) is not None
    if not is_one_too_many:
        throttle.failed(tx, letters)
    ends = tx.now if found is None or is_one_too_many else later(tx.now, LASTS[LinkKind.PASSWORD])
    link = Link(
        id=forge.id("lnk"),
        kind=LinkKind.PASSWORD,
        made_at=tx.now,
        ends_at=ends,
        user_id=found.id if found else "",
        email=found.email if found else "",
    )
    _text, digest = forge.link_token(link.id)
    tx.insert_link(link, digest=digest)
    # A letter whose link has ended is never sent: what is written is the same for somebody and for nobody.
    tx.send(Letter(kind="password", to=link.email, language=found.language if found else "", link_id=link.id))
    account_id = of_user[0].account_id if of_user else ""
    who = stranger(visitor.address)
    done(tx, who, "user.password_forgotten", account_id=account_id, subject_id=link.user_id)
    return None


def forgotten(tx: Transaction, digest: bytes, *, brand: str) -> Forgotten | Refusal:
    """What the link of that token opens; it is not used by being looked at."""
    link = tx.link(digest)
    refusal = check_link(link, LinkKind.PASSWORD, session="", now=tx.now)
    user = tx.user(link.user_id) if link else None
    if refusal is not None or link is None or user is None:
        return refusal or NotFound()
    enrolled = authenticator.enrolled(tx, user.id)
    return Forgotten(link=link, user=user, enrolled=enrolled, rules=rules(tx, user_id=user.id, brand=brand))


def set_anew(
    tx: Transaction,
    *,
    digest: bytes,
    new: Fitted,
    second: Shown | None,
    visitor: Visitor,
    forge: Forge,
    authenticators: Authenticators,
) -> Anew | Refusal:
    """Set a new password by the link of that token, with a second factor where one is enrolled.

    A passkey is shown for the link: its challenge is made with the link's id in place of a session.
    """
    who = stranger(visitor.address)
    seen = tx.link(digest)
    user = tx.user(seen.user_id) if seen else None
    if seen is None or user is None:
        return refused(tx, who, "user.password_changed", NotFound(), subject_id="")
    attempt = throttle.of_stranger(tx, forge, user=user, typed="", visitor=visitor, captcha=None)
    attempt = throttle.of_second_step(forge, attempt, user_id=user.id)
    held = throttle.check(tx, attempt)
    link = tx.link(digest, lock=True)  # after the counters, as everywhere
    refusal = check_link(link, LinkKind.PASSWORD, session="", now=tx.now) or held
    refusal = refusal or _check_second(tx, user, second, link_id=seen.id, authenticators=authenticators)
    if isinstance(refusal, AuthenticatorRefused):
        throttle.failed(tx, attempt)
    if refusal is None and isinstance(new, Refusal):
        refusal = new
    accounts = tx.members(user_id=user.id)
    account_id = accounts[0].account_id if accounts else ""
    if refusal is not None or isinstance(new, Refusal) or link is None:
        problem = refusal or NotFound()
        return refused(tx, who, "user.password_changed", problem, subject_id=user.id, account_id=account_id)
    throttle.succeeded(tx, attempt)
    tx.spend_link(link)
    owner = replace(who, id=user.id, user_id=user.id)
    put(tx, actor=owner, user=user, stored=new, action="user.password_changed", account_id=account_id, forge=forge)
    return Anew(user=user, device_token=device.new(tx, user.id, forge))


def set_for(tx: Transaction, *, actor: Actor, user_id: str, new: Fitted, forge: Forge) -> User | Refusal:
    """Put another password in place for somebody else; every session of theirs ends.

    Only for those who administer every account the user belongs to: a person's own change comes with its proofs.
    """
    user = tx.user(user_id)
    refusal = check_administers(tx, actor, user_id)
    accounts = [one.account_id for one in tx.members(user_id=user_id)]
    account_id = accounts[0] if accounts and not isinstance(refusal, NotFound) else actor.account_id
    if refusal is None and isinstance(new, Refusal):
        refusal = new
    if refusal is not None or isinstance(new, Refusal) or user is None:
        problem = refusal or NotFound()
        return refused(tx, actor, "user.password_set", problem, subject_id=user_id, account_id=account_id)
    put(tx, actor=actor, user=user, stored=new, action="user.password_set", account_id=account_id, forge=forge)
    return user


def _check_second(
    tx: Transaction, user: User, second: Shown | None, *, link_id: str, authenticators: Authenticators
) -> Refusal | None:
    enrolled = authenticator.enrolled(tx, user.id)
    if not enrolled:
        return None
    if second is None:
        return SecondFactorRequired(enrolled=tuple(sorted(enrolled)))
    kind = authenticator.check(tx, user_id=user.id, shown=second, session=link_id, authenticators=authenticators)
    return kind if isinstance(kind, Refusal) else None
