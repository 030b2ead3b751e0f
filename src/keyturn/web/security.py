"""How one signs in: second factors, recovery codes and the password.

Changing any of it takes a proof of the last ten minutes, which the page asks for first (R11).
"""

from collections.abc import Sequence
from typing import Any, Final

import segno
from markupsafe import Markup
from starlette.responses import JSONResponse, Response

from keyturn.core.refusal import NotFound, PasswordUnfit, Refusal
from keyturn.core.secret import SecretText
from keyturn.edge.password import fitted
from keyturn.edge.password import rules as rules_of
from keyturn.edge.proving import matched_password
from keyturn.edge.refused import Refused
from keyturn.flow import enrolment, foresight, session_proof
from keyturn.flow import password as passwords
from keyturn.flow.authenticator import enrolled
from keyturn.flow.enrolment import Enrolled
from keyturn.ports.transaction import Transaction
from keyturn.web import account, showing
from keyturn.web.arrival import keep
from keyturn.web.asked import SignedIn
from keyturn.web.browser import DEVICE
from keyturn.web.name import wrong_name
from keyturn.web.oidc import listed as identities
from keyturn.web.page import HEADERS
from keyturn.web.password import why_unfit
from keyturn.web.route import Place, posted_by_members, shown_to_members

PATH: Final = "/account/security"


def page(asked: SignedIn) -> Response:
    """What is enrolled, and what may be done about it now."""
    return _show(asked)


def _show(asked: SignedIn, *, problem: str = "", wrong: str = "", status: int = 200) -> Response:
    """`wrong` names the form that the problem belongs to; without one it stands above everything."""

    def query(tx: Transaction) -> dict[str, Any] | Refusal:
        listed = enrolment.listing(tx, actor=asked.actor)
        if isinstance(listed, Refusal):
            return listed
        return {
            "listed": listed,
            "enrolled": enrolled(tx, asked.actor.user_id),
            "wanted": session_proof.wanted(tx, actor=asked.actor),
            "foresight": foresight.password_changed(tx, user_id=asked.actor.user_id),
            "rules": passwords.rules(tx, user_id=asked.actor.user_id, brand=asked.visit.node.settings.brand),
            **identities(asked, tx),
        }

    found, _ = asked.call.read(query)
    return account.show(
        asked,
        "security",
        problem="" if wrong else problem,
        errors={wrong: problem} if wrong else {},
        no_passkeys=asked.visit.node.authenticators.no_passkeys,
        status=status,
        **found,
    )


# An authenticator app


def begin_totp(asked: SignedIn) -> Response:
    """Its secret, as a picture and as text: on this page and nowhere else, ever."""
    asked.call.needs_https("authenticator.begun", asked.actor.user_id)
    node, name = asked.visit.node, asked.form("name")
    if wrong := wrong_name(name, asked.browser.words):
        return _show(asked, problem=wrong, wrong="totp_name", status=422)
    try:
        begun, _ = asked.call.change(
            lambda tx: enrolment.enrol_totp(
                tx, actor=asked.actor, name=name, forge=node.forge, authenticators=node.authenticators
            )
        )
    except Refused as refused:
        return _refused(asked, refused.refusal)
    return _totp(asked, begun.authenticator.id, secret=begun.secret, uri=begun.uri, status=201)


def _totp(
    asked: SignedIn,
    authenticator_id: str,
    *,
    secret: SecretText | None = None,
    uri: SecretText | None = None,
    problem: str = "",
    status: int,
) -> Response:
    return asked.show(
        "totp.html",
        tab="account",
        authenticator_id=authenticator_id,
        secret=_in_groups(secret.reveal) if secret else "",
        picture=_picture(uri.reveal) if uri else "",
        problem=problem,
        status=status,
    )


def confirm_totp(asked: SignedIn) -> Response:
    """A first code: from now on it is a second factor."""
    asked.call.needs_https("authenticator.enrolled", asked.actor.user_id)
    authenticators, authenticator_id, code = (
        asked.visit.node.authenticators,
        asked.form("authenticator"),
        asked.form("code"),
    )
    try:
        made, _ = asked.call.change(
            lambda tx: enrolment.confirm_totp(
                tx, actor=asked.actor, authenticator_id=authenticator_id, code=code, authenticators=authenticators
            )
        )
    except Refused as refused:
        if isinstance(refused.refusal, NotFound):
            raise
        problem = asked.browser.words("totp.wrong")
        return _totp(asked, authenticator_id, problem=problem, status=refused.refusal.status)
    return _enrolled(asked, made)


# A passkey


def begin_passkey(asked: SignedIn) -> Response:
    """What the script is to ask of a new passkey."""
    authenticators = asked.visit.node.authenticators
    options, _ = asked.call.change(
        lambda tx: enrolment.begin_passkey(tx, actor=asked.actor, authenticators=authenticators)
    )
    return JSONResponse(dict(options), headers=HEADERS)


def enrol_passkey(asked: SignedIn) -> Response:
    """Take the new one."""
    asked.call.needs_https("authenticator.enrolled", asked.actor.user_id)
    node, name, credential = asked.visit.node, asked.form("name"), showing.credential(asked.form)
    if wrong := wrong_name(name, asked.browser.words):
        return _show(asked, problem=wrong, wrong="passkey_name", status=422)
    try:
        made, _ = asked.call.change(
            lambda tx: enrolment.enrol_passkey(
                tx,
                actor=asked.actor,
                name=name,
                credential=credential,
                forge=node.forge,
                authenticators=node.authenticators,
            )
        )
    except Refused as refused:
        return _refused(asked, refused.refusal)
    return _enrolled(asked, made)


# What is enrolled


def rename(asked: SignedIn) -> Response:
    """Call it something else."""
    authenticator_id, name = asked.form("authenticator"), asked.form("name")
    if wrong := wrong_name(name, asked.browser.words):
        return _show(asked, problem=wrong, wrong=authenticator_id, status=422)
    asked.call.change(lambda tx: enrolment.rename(tx, actor=asked.actor, authenticator_id=authenticator_id, name=name))
    return asked.go(PATH + "?done=renamed")


def remove(asked: SignedIn) -> Response:
    """Take it away."""
    authenticator_id = asked.form("authenticator")
    refusal = asked.try_change(lambda tx: enrolment.remove(tx, actor=asked.actor, authenticator_id=authenticator_id))
    return _refused(asked, refusal) if refusal else asked.go(PATH + "?done=authenticator_removed")


def new_codes(asked: SignedIn) -> Response:
    """Another set of recovery codes, shown this once."""
    asked.call.needs_https("recovery_codes.made", asked.actor.user_id)
    authenticators = asked.visit.node.authenticators
    try:
        codes, _ = asked.call.change(
            lambda tx: enrolment.new_recovery_codes(tx, actor=asked.actor, authenticators=authenticators)
        )
    except Refused as refused:
        return _refused(asked, refused.refusal)
    return _codes(asked, codes)


# The password


def change_password(asked: SignedIn) -> Response:
    """With the old one: every other session ends, keys meet their policies, this session has another token."""
    call, form = asked.call, asked.form
    call.needs_https("user.password_changed", asked.actor.user_id)
    matched = matched_password(call, form.raw("old_password"))
    new = fitted(call, form.raw("new_password"), rules_of(call, asked.actor.user_id))
    try:
        answer, _ = call.change(
            lambda tx: passwords.change_own(
                tx,
                actor=asked.actor,
                matched_password=matched,
                new=new,
                visitor=call.visitor(asked.browser.cookie(DEVICE)),
                forge=call.node.forge,
            )
        )
    except Refused as refused:
        return _refused_password(asked, refused.refusal)
    return keep(asked, answer, PATH + "?done=password_changed")


def _refused_password(asked: SignedIn, refusal: Refusal) -> Response:
    wrong, problem = "old_password", asked.say(refusal)
    if isinstance(refusal, PasswordUnfit):
        wrong, problem = "new_password", why_unfit(refusal, asked.browser.words)
    return _show(asked, problem=problem, wrong=wrong, status=refusal.status)


def _enrolled(asked: SignedIn, made: Enrolled) -> Response:
    if made.recovery_codes:
        return _codes(asked, made.recovery_codes)
    return asked.go(PATH + "?done=authenticator_enrolled")


def _codes(asked: SignedIn, codes: Sequence[SecretText]) -> Response:
    return asked.show("recovery_codes.html", tab="account", codes=[one.reveal for one in codes], status=201)


def _refused(asked: SignedIn, refusal: Refusal) -> Response:
    return _show(asked, problem=asked.say(refusal), status=refusal.status)


def _in_groups(secret: str) -> str:
    return " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))


def _picture(uri: str) -> Markup:
    """A QR code; its light parts are the page's, which draws them white in either scheme."""
    return Markup(segno.make(uri, error="m").svg_inline(omitsize=True, border=0, svgclass=None, lineclass=None))  # noqa: S704  # segno writes nothing of the text, only squares


PLACES: Final[tuple[Place, ...]] = (
    shown_to_members(PATH, page),
    posted_by_members(PATH + "/totp", begin_totp),
    posted_by_members(PATH + "/totp/confirm", confirm_totp),
    posted_by_members(PATH + "/passkeys/challenge", begin_passkey),
    posted_by_members(PATH + "/passkeys", enrol_passkey),
    posted_by_members(PATH + "/rename", rename),
    posted_by_members(PATH + "/remove", remove),
    posted_by_members(PATH + "/recovery-codes", new_codes),
    posted_by_members(PATH + "/password", change_password, slow=True),
)
