"""A new password by a mailed link, with the second factor where one is enrolled; and asking for that mail."""

from typing import Final

from starlette.responses import JSONResponse, Response

from keyturn.core.authenticator import Purpose, Shown
from keyturn.core.proof import PASSKEY, RECOVERY_CODE, TOTP
from keyturn.core.refusal import PasswordUnfit, Refusal, SecondFactorRequired
from keyturn.edge.password import fitted
from keyturn.edge.refused import Refused
from keyturn.flow import authenticator
from keyturn.flow import password as passwords
from keyturn.flow.password import Forgotten
from keyturn.web import showing
from keyturn.web.arrival import DEVICE_SECONDS
from keyturn.web.asked import Asked
from keyturn.web.browser import DEVICE
from keyturn.web.page import HEADERS
from keyturn.web.password import why_unfit
from keyturn.web.route import Place, posted, shown


def show(asked: Asked, digest: bytes) -> Response:
    """The form."""
    return _show(asked, _opened(asked, digest))


def _opened(asked: Asked, digest: bytes) -> Forgotten:
    brand = asked.visit.node.settings.brand
    found, _ = asked.visit.read(lambda tx: passwords.forgotten(tx, digest, brand=brand))
    return found


def _show(asked: Asked, found: Forgotten, *, wrong: str = "", problem: str = "", status: int = 200) -> Response:
    return asked.show(
        "link_password.html",
        name=found.user.name or found.user.email,
        email=found.user.email,
        least=found.rules.least,
        enrolled=found.enrolled,
        action=f"/links/{asked.path['token']}",
        wrong=wrong,
        problem=problem,
        status=status,
    )


def press(asked: Asked, digest: bytes) -> Response:
    """Set it; every session ends, and its owner signs in."""
    asked.visit.check_https()
    node, found = asked.visit.node, _opened(asked, digest)
    new, second = fitted(asked.visit, asked.form.raw("new_password"), found.rules), _second(asked)
    try:
        anew, _ = asked.visit.change(
            lambda tx: passwords.set_anew(
                tx,
                digest=digest,
                new=new,
                second=second,
                visitor=asked.visit.visitor(asked.browser.cookie(DEVICE)),
                forge=node.forge,
                authenticators=node.authenticators,
            )
        )
    except Refused as refused:
        return _again(asked, found, refused.refusal, second)
    response = asked.go("/?done=password_set")
    asked.browser.keep(response, DEVICE, anew.device_token, seconds=DEVICE_SECONDS)
    return response


def _second(asked: Asked) -> Shown | None:
    """Which of the ways the form offers was taken."""
    form = asked.form
    if form("kind") == PASSKEY:
        return showing.shown(form)
    kind = next((one for one in (TOTP, RECOVERY_CODE) if form(one)), "")
    return Shown(kind=kind, code=form(kind)) if kind else None


def _again(asked: Asked, found: Forgotten, refusal: Refusal, second: Shown | None) -> Response:
    if isinstance(refusal, PasswordUnfit):
        wrong, problem = "new_password", why_unfit(refusal, asked.browser.words)
    elif isinstance(refusal, SecondFactorRequired):
        wrong, problem = "second", asked.browser.words("new_password.second_missing")
    else:
        wrong, problem = second.kind if second else "", asked.say(refusal)
    if refusal.status in (404, 410):
        raise Refused(refusal)
    return _show(asked, found, wrong=wrong, problem=problem, status=refusal.status)


def ask_passkey(asked: Asked, digest: bytes) -> Response:
    """What the script is to ask a passkey, for this link alone."""
    found, authenticators = _opened(asked, digest), asked.visit.node.authenticators
    options, _ = asked.visit.change(
        lambda tx: authenticator.ask_passkey(
            tx, user_id=found.user.id, session=found.link.id, authenticators=authenticators, purpose=Purpose.SIGN_IN
        )
    )
    return JSONResponse(dict(options), headers=HEADERS)


def forgotten(asked: Asked) -> Response:
    """For whom the mail is to be."""
    return asked.show("forgot.html", sent=False, problem="")


def ask(asked: Asked) -> Response:
    """Mail it: the same answer and the same work whoever is meant, and where nobody is (pitfall 11)."""
    user, forge = asked.form("user"), asked.visit.node.forge
    try:
        asked.visit.change(
            lambda tx: passwords.ask_forgotten(tx, user=user, visitor=asked.visit.visitor(), forge=forge)
        )
    except Refused as refused:
        return asked.show("forgot.html", sent=False, problem=asked.say(refused.refusal), status=refused.refusal.status)
    return asked.show("forgot.html", sent=True, problem="")


PLACES: Final[tuple[Place, ...]] = (shown("/forgot", forgotten), posted("/forgot", ask))
