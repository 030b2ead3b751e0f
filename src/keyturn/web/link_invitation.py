"""An invitation by mail: somebody new says who they are and is signed in; who is signed in already joins."""

from typing import Any

from starlette.responses import Response

from keyturn.core.account import parse_username
from keyturn.core.refusal import NameTaken, PasswordUnfit, Refusal
from keyturn.edge.password import fitted, rules
from keyturn.edge.refused import Refused
from keyturn.flow import invitation as invitations
from keyturn.flow import session as sessions
from keyturn.flow.invitation import Newcomer, Opened
from keyturn.flow.session import SignedIn as Rotated
from keyturn.ports.transaction import Transaction
from keyturn.web.arrival import HOME, enter, keep
from keyturn.web.asked import Asked, SignedIn
from keyturn.web.browser import DEVICE
from keyturn.web.name import wrong_name
from keyturn.web.password import why_unfit


def show(asked: Asked, digest: bytes) -> Response:
    """To what, by whom, as what; and the form, or the button."""
    return _show(asked, _opened(asked, digest))


def _opened(asked: Asked, digest: bytes) -> Opened:
    found, _ = asked.visit.read(lambda tx: invitations.opened(tx, digest))
    return found


def _show(
    asked: Asked, found: Opened, *, errors: dict[str, str] | None = None, problem: str = "", status: int = 200
) -> Response:
    known = asked.known()
    least = rules(asked.visit, "").least
    values: dict[str, Any] = {
        "found": found,
        "known": known.around["user"] if known else None,
        "least": least,
        "typed": {name: asked.form(name) for name in ("name", "username")},
        "errors": errors or {},
        "problem": problem,
        "action": f"/links/{asked.path['token']}",
        "token": asked.path["token"],
        "providers": [one.provider for one in asked.visit.node.oidc.values()],
    }
    return (known or asked).show("link_invitation.html", tab="", status=status, **values)


def press(asked: Asked, digest: bytes) -> Response:
    """Accept it."""
    known = asked.known()
    return _anew(asked, digest) if known is None else _join(known, digest)


def _join(known: SignedIn, digest: bytes) -> Response:
    actor, forge = known.actor, known.visit.node.forge

    def flow(tx: Transaction) -> Rotated | Refusal:
        member = invitations.join(tx, actor=actor, digest=digest, forge=forge)
        if isinstance(member, Refusal):
            return member
        return sessions.choose_account(tx, actor=actor, account_id=member.account_id, forge=forge)

    try:
        rotated, _ = known.call.change(flow)
    except Refused as refused:
        if refused.refusal.status in (404, 410):
            raise
        problem = known.say(refused.refusal)
        return _show(known, _opened(known, digest), problem=problem, status=refused.refusal.status)
    return keep(known, rotated, HOME + "?done=joined")


def _anew(asked: Asked, digest: bytes) -> Response:
    asked.visit.check_https()
    found, node = _opened(asked, digest), asked.visit.node
    name, username, errors = asked.form("name"), asked.form("username"), dict[str, str]()
    if wrong := wrong_name(name, asked.browser.words):
        errors["name"] = wrong
    try:
        username = parse_username(username) if username else ""
    except ValueError:
        errors["username"] = asked.browser.words("wrong.username")
    if errors:
        return _show(asked, found, errors=errors, status=422)
    known_words = (found.invitation.email, found.account.name, name, username)
    newcomer = Newcomer(
        name=name,
        username=username,
        password=fitted(asked.visit, asked.form.raw("new_password"), rules(asked.visit, "", known_words)),
        language=asked.browser.words.language,
    )
    try:
        answer, _ = asked.visit.change(
            lambda tx: invitations.accept_anew(
                tx,
                digest=digest,
                newcomer=newcomer,
                visitor=asked.visit.visitor(asked.browser.cookie(DEVICE)),
                spans=node.settings.sessions,
                forge=node.forge,
            )
        )
    except Refused as refused:
        return _again(asked, found, refused.refusal)
    return enter(asked, answer)


def _again(asked: Asked, found: Opened, refusal: Refusal) -> Response:
    if refusal.status in (404, 410):
        raise Refused(refusal)
    if isinstance(refusal, PasswordUnfit):
        errors = {"new_password": why_unfit(refusal, asked.browser.words)}
        return _show(asked, found, errors=errors, status=refusal.status)
    if isinstance(refusal, NameTaken) and refusal.field == "username":
        return _show(asked, found, errors={"username": asked.say(refusal)}, status=refusal.status)
    return _show(asked, found, problem=asked.say(refusal), status=refusal.status)
