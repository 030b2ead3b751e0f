"""A browser's session begins, or goes on under another token: its cookies, and where its reader goes next."""

from typing import Final

from starlette.responses import Response

from keyturn.core.session import SessionStage
from keyturn.flow.housekeeping import DEVICES_LAST
from keyturn.flow.session import SignedIn
from keyturn.web.asked import Asked
from keyturn.web.browser import DEVICE, SESSION

HOME: Final = "/keys"
SECOND_STEP: Final = "/sign-in/second"
CHOOSE: Final = "/accounts"
DEVICE_SECONDS: Final = int(DEVICES_LAST.total_seconds())


def enter(asked: Asked, answer: SignedIn) -> Response:
    """After a step of signing in: on to the next one, to the choice of account, or home."""
    session = answer.session
    if session.stage is SessionStage.AWAITING_SECOND_FACTOR:
        return keep(asked, answer, SECOND_STEP)
    (members, user), _ = asked.visit.read(lambda tx: (tx.members(user_id=session.user_id), tx.user(session.user_id)))
    response = keep(asked, answer, CHOOSE if len(members) > 1 else HOME)
    if user is not None:
        asked.browser.remember_language(response, user.language)
    return response


def keep(asked: Asked, answer: SignedIn, path: str) -> Response:
    """Go on to that page with the new token in place of the one before."""
    response = asked.go(path)
    asked.browser.keep(response, SESSION, answer.token)
    if answer.device_token:
        asked.browser.keep(response, DEVICE, answer.device_token, seconds=DEVICE_SECONDS)
    return response
