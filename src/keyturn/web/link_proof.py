"""A mailed link that is one proof of a reset: only in the browser that asked for it (R11, R51, pitfall 21)."""

from typing import Any

from starlette.responses import Response

from keyturn.core.link import LinkKind, check_link
from keyturn.core.proof import EMAIL_LINK
from keyturn.core.refusal import Refusal, Unauthenticated, WrongBrowser
from keyturn.edge.proving import Sent, prove_reset
from keyturn.edge.refused import Refused
from keyturn.flow import reset as resets
from keyturn.ports.transaction import Transaction
from keyturn.web.asked import Asked, SignedIn
from keyturn.web.door import DASHBOARD, PORTAL
from keyturn.web.page import see_other


def show(asked: Asked, digest: bytes) -> Response:
    """What it proves, and the button; in any other browser, where to open it."""
    known = asked.known()
    if asked.browser.door is DASHBOARD and _is_of_portal(asked, digest):
        return see_other(f"{PORTAL.prefix}/links/{asked.path['token']}", asked.browser)
    if known is None:
        return _elsewhere(asked)
    try:
        found, _ = known.call.read(lambda tx: _reset(tx, known, digest))
    except Refused as refused:
        if isinstance(refused.refusal, WrongBrowser):
            return _elsewhere(known)
        raise
    return known.show("link_proof.html", tab="keys", action=f"/links/{asked.path['token']}", problem="", **found)


def _is_of_portal(asked: Asked, digest: bytes) -> bool:
    """Whether it was asked for behind another door, under whose cookie it counts."""
    link, _ = asked.visit.read(lambda tx: tx.link(digest))
    portal, _ = asked.visit.read(lambda tx: tx.portal_of(link.session) if link and link.session else None)
    return portal is not None


def _reset(tx: Transaction, known: SignedIn, digest: bytes) -> dict[str, Any] | Refusal:
    link = tx.link(digest)
    refusal = check_link(link, LinkKind.PROOF, session=known.actor.session, now=tx.now)
    if refusal is not None or link is None:
        return refusal or Unauthenticated()
    answer = resets.show(tx, actor=known.actor, reset_id=link.subject_id)
    return answer if isinstance(answer, Refusal) else {"reset": answer.reset, "key": answer.key}


def press(asked: Asked, digest: bytes) -> Response:
    """Prove; then on with the reset."""
    known, token = asked.known(), asked.path["token"]
    if known is None:
        return _elsewhere(asked)
    link, _ = known.call.read(lambda tx: tx.link(digest))
    reset_id = link.subject_id if link else ""
    try:
        prove_reset(known.call, reset_id, Sent(kind=EMAIL_LINK, token=token))
    except Refused as refused:
        if isinstance(refused.refusal, WrongBrowser):
            return _elsewhere(known)
        raise
    return known.go(f"/resets/{reset_id}?done=link_proven")


def _elsewhere(asked: Asked) -> Response:
    return asked.show("link_elsewhere.html", tab="", status=WrongBrowser.status)
