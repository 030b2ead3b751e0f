"""Portals: the page that a link shows, opening it, and what stands around the pages of keys there (K1 to K3, R51).

A link in a window of its own is opened by the button of a page of ours.
Inside a page of the operator's the custom element posts it, and the browser says whose page that is.
"""

from typing import Final

from starlette.responses import Response
from starlette.routing import Route

from keyturn.core.refusal import CrossSite, Refusal
from keyturn.edge.refused import Refused
from keyturn.flow import portal as portals
from keyturn.flow import session as sessions
from keyturn.flow.portal import Opened
from keyturn.outside.forge import token_digest
from keyturn.web import link_proof
from keyturn.web.asked import Asked, SignedIn
from keyturn.web.browser import SESSION
from keyturn.web.route import House, Place, posted, posted_by_members, posted_from_elsewhere, shown


def page(asked: Asked) -> Response:
    """What the link opens, and a button; whoever only looks changes nothing."""
    token = asked.path["token"]
    try:
        found, _ = asked.visit.read(lambda tx: portals.look(tx, digest=token_digest(token)))
    except Refused as refused:
        return _no_way_in(asked, refused.refusal)
    return asked.show("portal_open.html", unopened=found, operator=found.operator, token=token)


def open_here(asked: Asked) -> Response:
    """The button of that page."""
    return _open(asked, framed_by="")


def open_in_frame(asked: Asked) -> Response:
    """The element's form, from the one origin that the link was made for."""
    if not asked.origin:
        raise Refused(CrossSite())
    return _open(asked, framed_by=asked.origin)


def _open(asked: Asked, *, framed_by: str) -> Response:
    asked.visit.check_https()
    node, earlier = asked.visit.node, asked.browser.cookie(SESSION)
    digest = token_digest(asked.form("token"))
    try:
        opened, _ = asked.visit.change(
            lambda tx: portals.open_(
                tx,
                digest=digest,
                framed_by=framed_by,
                visitor=asked.visit.visitor(remember=False),
                idle=node.settings.sessions.idle,
                forge=node.forge,
                earlier=token_digest(earlier) if earlier else None,
            )
        )
    except Refused as refused:
        return _no_way_in(asked, refused.refusal)
    return _enter(asked, opened)


def _enter(asked: Asked, opened: Opened) -> Response:
    """On to the keys; in a frame in the language of the page around it."""
    response = asked.go("/keys")
    asked.browser.keep(response, SESSION, opened.token)
    asked.browser.remember_language(response, asked.form("language").partition("-")[0].lower())
    if asked.browser.door.framed:
        asked.browser.remember_zone(response, asked.form("zone"))
    return response


def _no_way_in(asked: Asked, refusal: Refusal) -> Response:
    return asked.show("portal_over.html", portal=None, text=asked.say(refusal), status=refusal.status)


def end(asked: SignedIn) -> Response:
    """The reader is done."""
    asked.call.change(lambda tx: sessions.end(tx, actor=asked.actor, session_id=asked.actor.session))
    response = asked.show("portal_over.html", who=None, text=asked.browser.words("portal.ended"), status=200)
    asked.browser.drop(response, SESSION)
    return response


def language(asked: Asked) -> Response:
    """Choose the language of these pages."""
    response = asked.go("/keys")
    asked.browser.remember_language(response, asked.form("language"))
    return response


def mailed_link(asked: Asked) -> Response:
    """A mailed link that was asked for here."""
    return link_proof.show(asked, token_digest(asked.path["token"]))


def press_mailed_link(asked: Asked) -> Response:
    """Its button."""
    return link_proof.press(asked, token_digest(asked.path["token"]))


def _element(house: House) -> Route:
    return Route(house.door.prefix + "/element.js", house.static.element, methods=["GET"])


_SHARED: Final[tuple[Place, ...]] = (posted_by_members("/end", end), posted("/language", language))
IN_WINDOW: Final[tuple[Place, ...]] = (
    *_SHARED,
    shown("/links/{token}", mailed_link),
    posted("/links/{token}", press_mailed_link),
    _element,
    posted("/open", open_here),
    shown("/{token}", page),
)
IN_FRAME: Final[tuple[Place, ...]] = (*_SHARED, posted_from_elsewhere("/open", open_in_frame))
