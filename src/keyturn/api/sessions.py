"""`/v1/sessions`: signing in and out, and one's own sessions.  The dashboard's are the same."""

from typing import Any

from fastapi import APIRouter

from keyturn.api import shown
from keyturn.api.call import AnyCall, AnyVisit, id_in_path
from keyturn.api.schemas import ChooseAccount, NewSession, SessionsShown, SignIn
from keyturn.core.authenticator import Shown
from keyturn.core.proof import RECOVERY_CODE, TOTP
from keyturn.edge.proving import solved_captcha
from keyturn.flow import session as sessions
from keyturn.flow import sign_in as signing_in

router = APIRouter(prefix="/v1/sessions", tags=["sessions"])


@router.post("", status_code=201, response_model=NewSession, summary="Sign in")
async def sign_in(visit: AnyVisit, body: SignIn) -> dict[str, Any]:
    """With user name or e-mail and password, and the second factor where one is enrolled.

    The token is in this answer and nowhere else, ever.
    """
    visit.check_https()
    return await visit.slowly(_sign_in)(visit, body)


def _sign_in(visit: AnyVisit, body: SignIn) -> dict[str, Any]:
    node = visit.node
    visitor = visit.visitor(body.device, remember=body.remember_device)
    captcha = solved_captcha(visit, body.captcha) if body.captcha else None
    stored, _ = visit.read(
        lambda tx: signing_in.ask(tx, user=body.user, visitor=visitor, captcha=captcha, forge=node.forge)
    )
    matched = stored if node.passwords.check(stored, body.password) else ""
    answer, _ = visit.change(
        lambda tx: signing_in.sign_in_at_once(
            tx,
            user=body.user,
            matched_password=matched,
            account_id=body.account_id,
            second=_second(body),
            visitor=visitor,
            spans=node.settings.sessions,
            forge=node.forge,
            authenticators=node.authenticators,
            captcha=captcha,
        )
    )
    return shown.new_session(answer)


def _second(body: SignIn) -> Shown | None:
    if body.totp is not None:
        return Shown(kind=TOTP, code=body.totp)
    return None if body.recovery_code is None else Shown(kind=RECOVERY_CODE, code=body.recovery_code)


@router.get("", response_model=SessionsShown, summary="List one's own sessions")
def listing(call: AnyCall) -> dict[str, Any]:
    """Those that are on, the one used last first."""
    found, _ = call.read(lambda tx: sessions.listing(tx, actor=call.actor))
    return {"items": [shown.session(one, current=one.id == call.actor.session) for one in found]}


@router.post("/current/account", response_model=NewSession, summary="Speak for another account")
def choose_account(call: AnyCall, body: ChooseAccount) -> dict[str, Any]:
    """One that the user is a member of.  The session goes on under the token in this answer."""
    answer, _ = call.change(
        lambda tx: sessions.choose_account(tx, actor=call.actor, account_id=body.account_id, forge=call.node.forge)
    )
    return shown.new_session(answer)


@router.delete("/current", status_code=204, summary="Sign out")
def sign_out(call: AnyCall) -> None:
    """End the session whose token this request shows."""
    call.change(lambda tx: sessions.end(tx, actor=call.actor, session_id=call.actor.session))


@router.delete("/others", status_code=204, summary="End all other sessions")
def end_others(call: AnyCall) -> None:
    """Every session of the user but the one that this request speaks through."""
    call.change(lambda tx: sessions.end_others(tx, actor=call.actor))


@router.delete("/{session_id}", status_code=204, summary="End a session")
def end(call: AnyCall, session_id: str) -> None:
    """One of one's own."""
    call.change(lambda tx: sessions.end(tx, actor=call.actor, session_id=id_in_path(session_id)))
