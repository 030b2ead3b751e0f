"""Where one is signed in: every session of one's own, and how to end them."""

from typing import Final

from starlette.responses import Response

from keyturn.flow import session as sessions
from keyturn.web import account, agent
from keyturn.web.asked import SignedIn
from keyturn.web.browser import SESSION
from keyturn.web.route import Place, posted_by_members, shown_to_members

_PATH: Final = "/account/sessions"


def listing(asked: SignedIn) -> Response:
    """Those that are on, the one used last first."""
    found, _ = asked.call.read(lambda tx: sessions.listing(tx, actor=asked.actor))
    lines = [(one, _program(asked, one.user_agent)) for one in found]
    return account.show(asked, "sessions", lines=lines, current=asked.actor.session)


def _program(asked: SignedIn, user_agent: str) -> str:
    browser, system = agent.named(user_agent)
    if system:
        return asked.browser.words("sessions.browser_on", browser=browser, system=system)
    return browser or asked.browser.words("sessions.unknown")


def end(asked: SignedIn) -> Response:
    """End one; with the one in this browser its reader is signed out."""
    session_id = asked.form("session")
    asked.call.change(lambda tx: sessions.end(tx, actor=asked.actor, session_id=session_id))
    if session_id != asked.actor.session:
        return asked.go(_PATH + "?done=session_ended")
    response = asked.go("/?done=signed_out")
    asked.browser.drop(response, SESSION)
    return response


def end_others(asked: SignedIn) -> Response:
    """End every one but the one in this browser."""
    asked.call.change(lambda tx: sessions.end_others(tx, actor=asked.actor))
    return asked.go(_PATH + "?done=sessions_ended")


PLACES: Final[tuple[Place, ...]] = (
    shown_to_members(_PATH, listing),
    posted_by_members(_PATH + "/end", end),
    posted_by_members(_PATH + "/end-others", end_others),
)
