"""The second step of signing in: a code, a passkey or a recovery code, where one is enrolled (K2)."""

from typing import Final

from starlette.responses import JSONResponse, Response

from keyturn.core.authenticator import Purpose
from keyturn.core.refusal import Refusal, Unauthenticated
from keyturn.edge.refused import Refused
from keyturn.flow import authenticator
from keyturn.flow import session as sessions
from keyturn.flow import sign_in as signing_in
from keyturn.flow.sign_in import Waiting
from keyturn.outside.forge import token_digest
from keyturn.web import showing
from keyturn.web.arrival import enter
from keyturn.web.asked import Asked
from keyturn.web.browser import DEVICE, SESSION
from keyturn.web.page import HEADERS
from keyturn.web.route import Place, posted, shown
from keyturn.web.sign_in import door


def page(asked: Asked) -> Response:
    """What is still to be shown; whoever is not on the way in begins at the door."""
    waiting = _waiting(asked)
    return asked.go("/") if waiting is None else _show(asked, waiting)


def _waiting(asked: Asked) -> Waiting | None:
    digest = token_digest(asked.browser.cookie(SESSION))
    return asked.visit.node.store.read(lambda tx: signing_in.waiting(tx, digest))


def _show(asked: Asked, waiting: Waiting, *, wrong: str = "", problem: str = "", status: int = 200) -> Response:
    return asked.show(
        "second_step.html",
        name=waiting.user.name or waiting.user.email,
        enrolled=waiting.enrolled,
        wrong=wrong,
        problem=problem,
        status=status,
    )


def prove(asked: Asked) -> Response:
    """Show it; the session opens under another token."""
    asked.visit.check_https()
    node, second = asked.visit.node, showing.shown(asked.form)
    digest = token_digest(asked.browser.cookie(SESSION))
    try:
        answer, _ = asked.visit.change(
            lambda tx: signing_in.second_step(
                tx,
                digest=digest,
                second=second,
                visitor=asked.visit.visitor(asked.browser.cookie(DEVICE)),
                spans=node.settings.sessions,
                forge=node.forge,
                authenticators=node.authenticators,
            )
        )
    except Refused as refused:
        return _again(asked, refused.refusal)
    return enter(asked, answer)


def _again(asked: Asked, refusal: Refusal) -> Response:
    waiting = _waiting(asked)
    if waiting is not None:
        return _show(asked, waiting, wrong=asked.form("kind"), problem=asked.say(refusal), status=refusal.status)
    gone = isinstance(refusal, Unauthenticated)
    text = asked.browser.words("second.too_late" if gone else "second.too_often")
    return door(asked, problem=text, status=refusal.status)


def ask_passkey(asked: Asked) -> Response:
    """What the script is to ask a passkey."""
    waiting = _waiting(asked)
    if waiting is None:
        raise Refused(Unauthenticated())
    authenticators = asked.visit.node.authenticators
    options, _ = asked.visit.change(
        lambda tx: authenticator.ask_passkey(
            tx,
            user_id=waiting.user.id,
            session=waiting.session.id,
            authenticators=authenticators,
            purpose=Purpose.SIGN_IN,
        )
    )
    return JSONResponse(dict(options), headers=HEADERS)


def start_again(asked: Asked) -> Response:
    """End what was begun, and go back to the door."""
    digest = token_digest(asked.browser.cookie(SESSION))
    asked.visit.node.store.change(lambda tx: sessions.sign_out(tx, digest=digest, address=asked.visit.address))
    response = asked.go("/")
    asked.browser.drop(response, SESSION)
    return response


PLACES: Final[tuple[Place, ...]] = (
    shown("/sign-in/second", page),
    posted("/sign-in/second", prove),
    posted("/sign-in/passkey", ask_passkey),
    posted("/sign-in/again", start_again),
)
