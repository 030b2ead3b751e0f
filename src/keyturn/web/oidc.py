"""Signing in with an OpenID Connect provider: off to it, and back from it, in one browser."""

from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

from keyturn.core.account import User
from keyturn.core.oidc import Identity
from keyturn.core.refusal import NotFound, ProviderAway, ProviderRefused, Refusal
from keyturn.edge.refused import Refused
from keyturn.flow import oidc
from keyturn.flow.oidc import Begun, Taken
from keyturn.flow.session import SignedIn as Entered
from keyturn.outside.forge import token_digest
from keyturn.ports.oidc import Oidc, ProviderUnavailable
from keyturn.ports.transaction import Transaction
from keyturn.web import sign_in
from keyturn.web.arrival import enter
from keyturn.web.asked import Asked, SignedIn
from keyturn.web.browser import DEVICE, SESSION, VISIT
from keyturn.web.route import Place, posted, posted_by_members, shown

PATH: Final = "/sign-in/oidc/{provider}"
CONNECT: Final = "/account/security/identities"
_LONGEST: Final = 4096


def begin(asked: Asked) -> Response:
    """Off to the provider, to sign in or to accept an invitation."""
    client = _client(asked)
    token = asked.form("invitation")
    invitation = token_digest(token) if token else None
    begun, _ = asked.visit.change(
        lambda tx: oidc.begin(
            tx,
            provider=client.provider,
            browser=asked.browser.cookie(VISIT),
            forge=asked.visit.node.forge,
            invitation=invitation,
        )
    )
    return _go(asked, client, begun)


def connect(asked: SignedIn) -> Response:
    """Off to the provider, to sign in with it from now on."""
    client = _client(asked)
    begun, _ = asked.call.change(
        lambda tx: oidc.begin(
            tx,
            provider=client.provider,
            browser=asked.browser.cookie(VISIT),
            forge=asked.visit.node.forge,
            actor=asked.actor,
        )
    )
    return _go(asked, client, begun)


def disconnect(asked: SignedIn) -> Response:
    """Let nobody sign in with it any more."""
    asked.call.change(
        lambda tx: oidc.disconnect(
            tx, actor=asked.actor, issuer=asked.form.raw("issuer"), subject=asked.form.raw("subject")
        )
    )
    return asked.go("/account/security?done=disconnected")


def _go(asked: Asked, client: Oidc, begun: Begun) -> Response:
    """A page that goes on by itself: a form of ours may lead nowhere else, and says so to the browser."""
    try:
        address = client.address(
            state=begun.state,
            nonce=begun.nonce,
            challenge=begun.challenge,
            redirect_uri=_redirect_uri(asked, client),
        )
    except ProviderUnavailable as error:
        raise Refused(ProviderAway()) from error
    return asked.show("oidc_go.html", tab="", address=address, label=client.provider.label)


def back(asked: Asked) -> Response:
    """Back from the provider, with a code for us, or with its no."""
    client = _client(asked)
    visit, browser = asked.visit, asked.browser
    try:
        taken, committed = visit.change(
            lambda tx: oidc.take(
                tx,
                provider=client.provider,
                state=asked.query.get("state", "")[:_LONGEST],
                browser=browser.cookie(VISIT),
                address=visit.address,
                forge=visit.node.forge,
            )
        )
        code = asked.query.get("code", "")[:_LONGEST]
        identity = (
            client.redeem(
                code,
                verifier=taken.verifier,
                nonce=taken.nonce,
                redirect_uri=_redirect_uri(asked, client),
                now=committed.at,
            )
            if code
            else None
        )
        answer = _finished(asked, client, taken, identity)
    except ProviderUnavailable:
        return _again(asked, ProviderAway())
    except Refused as refused:
        return _again(asked, refused.refusal)
    return asked.go("/account/security?done=connected") if isinstance(answer, User) else enter(asked, answer)


def _finished(asked: Asked, client: Oidc, taken: Taken, identity: Identity | None) -> Entered | User:
    node, known, earlier = asked.visit.node, asked.known(), asked.browser.cookie(SESSION)

    def flow(tx: Transaction) -> Entered | User | Refusal:
        return oidc.finish(
            tx,
            taken=taken,
            provider=client.provider,
            identity=identity,
            visitor=asked.visit.visitor(asked.browser.cookie(DEVICE)),
            spans=node.settings.sessions,
            forge=node.forge,
            actor=known.actor if known else None,
            earlier=token_digest(earlier) if earlier else None,
        )

    answer: Entered | User
    if known is not None and taken.one.user_id:
        answer, _ = known.call.change(flow)  # who connects an account speaks in a session, which must still stand
    else:
        answer, _ = asked.visit.change(flow)
    return answer


def _again(asked: Asked, refusal: Refusal) -> Response:
    return sign_in.door(asked, problem=asked.say(refusal), status=refusal.status)


def _client(asked: Asked) -> Oidc:
    asked.visit.check_https()
    client = asked.visit.node.oidc.get(asked.path["provider"])
    if client is None:
        raise Refused(NotFound())
    return client


def _redirect_uri(asked: Asked, client: Oidc) -> str:
    """From the configured address only: what a request says of its host may be anything (pitfall 21)."""
    base_url = asked.visit.node.whereabouts.base_url
    if not base_url:
        raise Refused(ProviderRefused())
    return f"{base_url}/sign-in/oidc/{client.provider.name}/callback"


def listed(asked: SignedIn, tx: Transaction) -> Mapping[str, Any]:
    """What the page about signing in shows of providers."""
    found = oidc.listing(tx, actor=asked.actor)
    clients = tuple(asked.visit.node.oidc.values())
    labels = {one.provider.issuer: one.provider.label for one in reversed(clients)}
    identities = () if isinstance(found, Refusal) else [(one, labels.get(one.issuer, one.issuer)) for one in found]
    return {"identities": identities, "providers": [one.provider for one in clients]}


PLACES: Final[tuple[Place, ...]] = (
    posted(PATH, begin, slow=True),
    shown(PATH + "/callback", back),
    posted_by_members(CONNECT + "/remove", disconnect),
    posted_by_members(CONNECT + "/{provider}", connect, slow=True),
)
