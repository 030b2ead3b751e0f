"""Signing in and out, and the language a page is in."""

from typing import Final

from starlette.responses import Response

from keyturn.core.refusal import HttpsRequired, Refusal, Unauthenticated
from keyturn.edge.proving import solved_captcha
from keyturn.edge.refused import Refused
from keyturn.flow import session as sessions
from keyturn.flow.housekeeping import DEVICES_LAST
from keyturn.outside.forge import token_digest
from keyturn.web.asked import Asked, SignedIn
from keyturn.web.browser import DEVICE, SESSION
from keyturn.web.route import Place, posted, posted_by_members, shown

HOME: Final = "/keys"
DEVICE_SECONDS: Final = int(DEVICES_LAST.total_seconds())


def page(asked: Asked) -> Response:
    """The way in; whoever is signed in already goes on."""
    token = asked.browser.cookie(SESSION)
    digest = token_digest(token)
    if token and asked.visit.read(lambda tx: sessions.whose(tx, digest, address=asked.visit.address))[0] is not None:
        return asked.go(HOME)
    return asked.show("sign_in.html", problem="", typed="")


def sign_in(asked: Asked) -> Response:
    """With user name or e-mail and password."""
    if not asked.visit.secure:
        raise Refused(HttpsRequired())
    node, name, earlier = asked.visit.node, asked.form("user"), asked.browser.cookie(SESSION)
    visitor = asked.visit.visitor(asked.browser.cookie(DEVICE))
    try:
        captcha = solved_captcha(asked.visit, asked.form.raw("captcha")) if asked.form.raw("captcha") else None
        stored, _ = asked.visit.read(
            lambda tx: sessions.ask(tx, user=name, visitor=visitor, captcha=captcha, forge=node.forge)
        )
        matched = stored if node.passwords.check(stored, asked.form.raw("password")) else ""
        answer, _ = asked.visit.change(
            lambda tx: sessions.sign_in(
                tx,
                user=name,
                matched_password=matched,
                account_id=None,
                visitor=visitor,
                spans=node.settings.sessions,
                forge=node.forge,
                captcha=captcha,
                earlier=token_digest(earlier) if earlier else None,
            )
        )
    except Refused as refused:
        return _again(asked, refused.refusal)
    response = asked.go(HOME)
    asked.browser.keep(response, SESSION, answer.token)
    if answer.device_token:
        asked.browser.keep(response, DEVICE, answer.device_token, seconds=DEVICE_SECONDS)
    return response


def _again(asked: Asked, refusal: Refusal) -> Response:
    words = asked.browser.words
    text = words("sign_in.wrong") if isinstance(refusal, Unauthenticated) else asked.say(refusal)
    return asked.show("sign_in.html", problem=text, typed=asked.form("user"), status=refusal.status)


def sign_out(asked: SignedIn) -> Response:
    """End the session of this browser."""
    asked.call.change(lambda tx: sessions.end(tx, actor=asked.actor, session_id=asked.actor.session))
    response = asked.go("/?done=signed_out")
    asked.browser.drop(response, SESSION)
    return response


def language(asked: Asked) -> Response:
    """Choose the language of pages."""
    response = asked.go("/")
    asked.browser.remember_language(response, asked.form("language"))
    return response


PLACES: Final[tuple[Place, ...]] = (
    shown("/", page),
    posted("/sign-in", sign_in, slow=True),
    posted_by_members("/sign-out", sign_out),
    posted("/language", language),
)
