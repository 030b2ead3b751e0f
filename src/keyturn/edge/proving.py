"""What both faces do before a flow is asked whether a proof is right: what takes too long for a transaction."""

from keyturn.core.captcha import Solved
from keyturn.core.refusal import CaptchaAway
from keyturn.edge.refused import Refused
from keyturn.edge.visit import Call, Visit
from keyturn.ports import CaptchaUnavailable


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
