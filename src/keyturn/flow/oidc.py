"""Signing in with an OpenID Connect provider: begun in a browser, finished in it, once.

State, nonce and PKCE verifier are worked out from the try's id, so nothing that could finish a sign-in is stored.
The state is bound to the browser; a try is taken away by its first use.
"""

from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest

from keyturn.core.account import Member, User
from keyturn.core.actor import Actor, reader, stranger
from keyturn.core.instant import later
from keyturn.core.oidc import TRY_LASTS, Identity, OidcProvider, OidcTry
from keyturn.core.refusal import (
    IdentityTaken,
    IdentityUnknown,
    NotFound,
    ProviderRefused,
    Refusal,
)
from keyturn.core.session import Spans, Visitor
from keyturn.flow import invitation as invitations
from keyturn.flow import session, sign_in
from keyturn.flow.evidence import done_to_person, refused
from keyturn.flow.invitation import Newcomer
from keyturn.flow.session import SignedIn
from keyturn.flow.session_proof import check_change, check_person
from keyturn.ports.forge import Forge
from keyturn.ports.transaction import Transaction

HOW = "oidc"


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """What the browser takes along to the provider."""

    state: str
    nonce: str
    challenge: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A try that came back to its browser, and what its code is redeemed with."""

    one: OidcTry
    nonce: str
    verifier: str


def begin(
    tx: Transaction,
    *,
    provider: OidcProvider,
    browser: str,
    forge: Forge,
    actor: Actor | None = None,
    invitation: bytes | None = None,
) -> Begun | Refusal:
    """Begin in that browser: to sign in, to accept an invitation, or, signed in, to connect the provider's account."""
    if actor is not None and (refusal := check_change(tx, actor)):
        return refused(tx, actor, "identity.linked", refusal, subject_id=actor.user_id)
    one = OidcTry(
        id=forge.id("oid"),
        provider=provider.name,
        ends_at=later(tx.now, TRY_LASTS),
        user_id=actor.user_id if actor else "",
        session=actor.session if actor else "",
        link_digest=invitation or b"",
    )
    tx.insert_oidc_try(one)
    verifier = _text(forge.derived("oidc verifier", one.id))
    return Begun(
        state=f"{one.id}.{_seal(forge, one.id, browser)}",
        nonce=_text(forge.derived("oidc nonce", one.id)),
        challenge=_text(sha256(verifier.encode()).digest()),
    )


def take(
    tx: Transaction, *, provider: OidcProvider, state: str, browser: str, address: str | None, forge: Forge
) -> Taken | Refusal:
    """The try that this state belongs to, taken away by this; only in the browser in which it was begun."""
    try_id, _, seal = state.partition(".")
    right = browser != "" and compare_digest(seal.encode(), _seal(forge, try_id, browser).encode())
    one = tx.take_oidc_try(try_id) if right else None
    if one is None or one.provider != provider.name or tx.now >= one.ends_at:
        return refused(tx, stranger(address), "session.started", ProviderRefused(), subject_id="")
    return Taken(
        one=one,
        nonce=_text(forge.derived("oidc nonce", one.id)),
        verifier=_text(forge.derived("oidc verifier", one.id)),
    )


def finish(
    tx: Transaction,
    *,
    taken: Taken,
    provider: OidcProvider,
    identity: Identity | None,
    visitor: Visitor,
    spans: Spans,
    forge: Forge,
    actor: Actor | None = None,
    earlier: bytes | None = None,
) -> SignedIn | User | Refusal:
    """Sign in as whoever the provider says it is, or connect that identity: then the answer is the user.

    A second factor that is enrolled here is asked for all the same: the provider's word is one proof.
    """
    one, who = taken.one, stranger(visitor.address)
    if identity is None:
        return refused(tx, who, "session.started", ProviderRefused(), subject_id=one.user_id)
    known = tx.user_of_identity(identity.issuer, identity.subject)
    if one.user_id:
        return _connect(tx, actor, one, identity, known)
    if known is None and one.link_digest:
        return _accept(tx, one, identity, visitor=visitor, spans=spans, forge=forge)
    if known is None and provider.trust_email and identity.email and identity.email_verified:
        known = _by_address(tx, identity, visitor)
    members = tx.members(user_id=known.id) if known else ()
    if known is None or not members:
        return refused(tx, who, "session.started", IdentityUnknown(), subject_id=known.id if known else "")
    return sign_in.begin(tx, members[0], how=HOW, visitor=visitor, spans=spans, forge=forge, earlier=earlier)


def listing(tx: Transaction, *, actor: Actor) -> Sequence[Identity] | Refusal:
    """The identities that the actor signs in with."""
    return check_person(actor) or tx.identities(actor.user_id)


def disconnect(tx: Transaction, *, actor: Actor, issuer: str, subject: str) -> Identity | Refusal:
    """Let nobody sign in with that identity any more."""
    refusal = check_change(tx, actor)
    mine = () if refusal else tx.identities(actor.user_id)
    found = next((one for one in mine if (one.issuer, one.subject) == (issuer, subject)), None)
    if found is None:
        return refused(tx, actor, "identity.unlinked", refusal or NotFound(), subject_id=actor.user_id)
    tx.remove_identity(found)
    detail = {"issuer": issuer}
    done_to_person(tx, actor, "identity.unlinked", account_id=actor.account_id, user_id=actor.user_id, detail=detail)
    return found


def _connect(
    tx: Transaction, actor: Actor | None, one: OidcTry, identity: Identity, known: User | None
) -> User | Refusal:
    """Only in the session that began it: whoever signed in meanwhile in this browser gets nothing of it."""
    user = tx.user(one.user_id)
    refusal: Refusal | None = None
    if actor is None or user is None or (actor.user_id, actor.session) != (one.user_id, one.session):
        refusal = ProviderRefused()
    elif known is not None:
        refusal = IdentityTaken()
    if refusal is not None or actor is None or user is None:
        who = actor or stranger(None)
        return refused(tx, who, "identity.linked", refusal or ProviderRefused(), subject_id=one.user_id)
    _link(tx, actor, user, identity, account_id=actor.account_id)
    return user


def _accept(
    tx: Transaction, one: OidcTry, identity: Identity, *, visitor: Visitor, spans: Spans, forge: Forge
) -> SignedIn | Refusal:
    newcomer = Newcomer(name=identity.name or identity.email, username="", password="")
    answer = invitations.accept_anew(
        tx, digest=one.link_digest, newcomer=newcomer, visitor=visitor, spans=spans, forge=forge, how=HOW
    )
    if not isinstance(answer, Refusal):
        user = tx.user(answer.session.user_id)
        assert user is not None  # noqa: S101  # just made
        actor = session.person(tx, answer.session, address=visitor.address)
        _link(tx, actor, user, identity, account_id=answer.session.account_id)
    return answer


def _by_address(tx: Transaction, identity: Identity, visitor: Visitor) -> User | None:
    user = tx.user_by_email(identity.email)
    members: Sequence[Member] = tx.members(user_id=user.id) if user else ()
    if user is not None and members:
        owner = reader(user.id, visitor.address)
        _link(tx, owner, user, identity, account_id=members[0].account_id)
    return user


def _link(tx: Transaction, actor: Actor, user: User, identity: Identity, *, account_id: str) -> None:
    tx.insert_identity(identity, user_id=user.id)
    detail = {"issuer": identity.issuer}
    done_to_person(tx, actor, "identity.linked", account_id=account_id, user_id=user.id, detail=detail)


def _seal(forge: Forge, try_id: str, browser: str) -> str:
    return _text(forge.derived("oidc state", f"{try_id}\n{browser}"))


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")
