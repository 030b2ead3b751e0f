"""Who is there, once more: what some changes take first, for the next ten minutes (R11).

A page that offers such changes passes `wanted(tx, asked)` to its template, which includes `again.html`.
"""

from collections.abc import Mapping
from typing import Final

from starlette.responses import JSONResponse, Response

from keyturn.core.authenticator import Shown
from keyturn.core.proof import PASSWORD
from keyturn.core.refusal import AuthenticatorRefused, Refusal
from keyturn.edge.proving import matched_password
from keyturn.edge.refused import Refused
from keyturn.flow import session_proof
from keyturn.web import showing
from keyturn.web.arrival import keep
from keyturn.web.asked import SignedIn
from keyturn.web.page import HEADERS
from keyturn.web.route import Place, posted_by_members

_BACK: Final[Mapping[str, str]] = {
    "security": "/account/security",
    "notices": "/account/notices",
    "allowlists": "/account/allowlists",
    "members": "/account/members",
}
"""The pages that ask for it, by their sub-tabs."""


def prove(asked: SignedIn) -> Response:
    """Show it; changes are open then, under another token."""
    call, shown, node = asked.call, showing.shown(asked.form), asked.visit.node
    matched = ""
    if shown.kind == PASSWORD:
        matched, shown = matched_password(call, asked.form.raw("password")), Shown(kind=PASSWORD)
    try:
        answer, _ = call.change(
            lambda tx: session_proof.show(
                tx,
                actor=asked.actor,
                shown=shown,
                matched_password=matched,
                forge=node.forge,
                authenticators=node.authenticators,
            )
        )
    except Refused as refused:
        return _again(asked, shown.kind, refused.refusal)
    return keep(asked, answer.session, _BACK.get(asked.form("back"), _BACK["security"]))


def _again(asked: SignedIn, kind: str, refusal: Refusal) -> Response:
    wanted, _ = asked.call.read(lambda tx: session_proof.wanted(tx, actor=asked.actor))
    wrong = isinstance(refusal, AuthenticatorRefused)
    problem = asked.browser.words("security.wrong") if wrong else asked.say(refusal)
    return asked.show(
        "again_page.html",
        tab="account",
        subtab=asked.form("back") if asked.form("back") in _BACK else "security",
        wanted=wanted,
        errors={kind: problem},
        problem="" if kind in wanted else problem,
        status=refusal.status,
    )


def ask_passkey(asked: SignedIn) -> Response:
    """What the script is to ask a passkey for that."""
    authenticators = asked.visit.node.authenticators
    options, _ = asked.call.change(
        lambda tx: session_proof.ask_passkey(tx, actor=asked.actor, authenticators=authenticators)
    )
    return JSONResponse(dict(options), headers=HEADERS)


PLACES: Final[tuple[Place, ...]] = (
    posted_by_members("/account/proof", prove, slow=True),
    posted_by_members("/account/proof/passkey", ask_passkey),
)
