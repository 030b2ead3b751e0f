"""What both faces do before a flow is asked whether a proof is right: what takes too long for a transaction."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keyturn.core.authenticator import Shown
from keyturn.core.captcha import Solved
from keyturn.core.proof import CAPTCHA, EMAIL_LINK, PASSWORD
from keyturn.core.refusal import CaptchaAway
from keyturn.edge.refused import Refused
from keyturn.edge.visit import Call, Committed, Visit
from keyturn.flow import proof as proofs
from keyturn.flow.proof import Showing
from keyturn.flow.step import ResetAnswer
from keyturn.outside.forge import token_digest
from keyturn.ports.captcha import CaptchaUnavailable


def matched_password(call: Call, password: str | None) -> str:
    """The stored password of the caller that this one matches, or empty.  Call it slowly: Argon2 takes its time."""
    stored, _ = call.read(lambda tx: tx.password_of(call.actor.user_id))
    return stored if call.node.passwords.check(stored, password or "") else ""


def solved_captcha(visit: Visit, answer: str | None) -> Solved | None:
    """What that answer solved, not yet spent; None for a wrong one.  Call it slowly: a service may be asked.

    Raises Refused where the service is away.
    """
    try:
        return visit.node.captcha.check(answer or "", address=visit.address, now=visit.node.clock.now())
    except CaptchaUnavailable as error:
        raise Refused(CaptchaAway()) from error


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Sent:
    """A proof as it was sent; its `repr` shows nothing of it."""

    kind: str
    password: str | None = None
    captcha: str | None = None
    token: str | None = None
    """Of a mailed link."""
    code: str | None = None
    credential: Mapping[str, Any] | None = None
    """A passkey's answer, in the JSON form of WebAuthn."""


def prove_reset(call: Call, reset_id: str, sent: Sent) -> tuple[ResetAnswer, Committed]:
    """Show a proof of a reset; `email_link` without a token mails one.  Call it slowly.  Raises Refused."""
    node, actor, once = call.node, call.actor, call.once
    if sent.kind == EMAIL_LINK and not sent.token:
        return call.change(lambda tx: proofs.mail_link(tx, actor=actor, reset_id=reset_id, forge=node.forge, once=once))
    showing = _showing(call, sent)
    return call.change(
        lambda tx: proofs.prove(
            tx,
            actor=actor,
            reset_id=reset_id,
            showing=showing,
            forge=node.forge,
            authenticators=node.authenticators,
            once=once,
        )
    )


def _showing(call: Call, sent: Sent) -> Showing:
    if sent.kind == PASSWORD:
        return Showing(kind=PASSWORD, matched_password=matched_password(call, sent.password))
    if sent.kind == CAPTCHA:
        return Showing(kind=CAPTCHA, solved=solved_captcha(call, sent.captcha))
    if sent.kind == EMAIL_LINK:
        return Showing(kind=EMAIL_LINK, link=token_digest(sent.token or ""))
    shown = Shown(kind=sent.kind, code=sent.code or "", credential=sent.credential or {})
    return Showing(kind=sent.kind, shown=shown)
