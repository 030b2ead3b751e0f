"""`/v1/passwords` and one's own password: changed with the old one, or set anew by a mailed link."""

from typing import Any

from fastapi import APIRouter

from keyturn.api import shown
from keyturn.api.call import AnyCall, AnyVisit
from keyturn.api.schemas import ChangePassword, ForgotPassword, NewSession, PasswordAnew, SetPasswordAnew
from keyturn.core.authenticator import Shown
from keyturn.core.proof import PASSKEY, RECOVERY_CODE, TOTP
from keyturn.edge.password import fitted, rules
from keyturn.edge.proving import matched_password
from keyturn.flow import password as passwords
from keyturn.outside.forge import token_digest

router = APIRouter(tags=["passwords"])


@router.post("/v1/sessions/current/password", response_model=NewSession, summary="Change one's own password")
async def change(call: AnyCall, body: ChangePassword) -> dict[str, Any]:
    """Every other session ends; this one goes on under the token in this answer."""
    call.needs_https("user.password_changed", call.actor.user_id)
    return await call.slowly(_change)(call, body)


def _change(call: AnyCall, body: ChangePassword) -> dict[str, Any]:
    matched = matched_password(call, body.password)
    new = fitted(call, body.new_password, rules(call, call.actor.user_id))
    answer, _ = call.change(
        lambda tx: passwords.change_own(
            tx,
            actor=call.actor,
            matched_password=matched,
            new=new,
            visitor=call.visitor(remember=body.remember_device),
            forge=call.node.forge,
        )
    )
    return shown.new_session(answer)


@router.post("/v1/passwords/forgotten", status_code=202, summary="Ask for a mail to set a new password")
def forgotten(visit: AnyVisit, body: ForgotPassword) -> None:
    """The same answer whoever is meant, and where nobody is."""
    visit.change(
        lambda tx: passwords.ask_forgotten(tx, user=body.user, visitor=visit.visitor(), forge=visit.node.forge)
    )


@router.post("/v1/passwords/reset", response_model=PasswordAnew, summary="Set a new password by a mailed link")
async def set_anew(visit: AnyVisit, body: SetPasswordAnew) -> dict[str, Any]:
    """With the second factor where one is enrolled.  Every session ends; sign in with the new password."""
    visit.check_https()
    return await visit.slowly(_set_anew)(visit, body)


def _set_anew(visit: AnyVisit, body: SetPasswordAnew) -> dict[str, Any]:
    node, digest = visit.node, token_digest(body.token)
    # A link that leads nowhere costs no Argon2.
    opened, _ = visit.read(lambda tx: passwords.forgotten(tx, digest, brand=node.settings.brand))
    new = fitted(visit, body.password, opened.rules)
    answer, _ = visit.change(
        lambda tx: passwords.set_anew(
            tx,
            digest=digest,
            new=new,
            second=_second(body),
            visitor=visit.visitor(),
            forge=node.forge,
            authenticators=node.authenticators,
        )
    )
    return {"user_id": answer.user.id, "device_token": answer.device_token}


def _second(body: SetPasswordAnew) -> Shown | None:
    if body.totp is not None:
        return Shown(kind=TOTP, code=body.totp)
    if body.recovery_code is not None:
        return Shown(kind=RECOVERY_CODE, code=body.recovery_code)
    return None if body.passkey is None else Shown(kind=PASSKEY, credential=body.passkey)
