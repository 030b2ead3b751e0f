"""Signing in and out, and the language a page is in."""

import re
from typing import Final

from starlette.responses import Response

from keyturn.core.refusal import CaptchaRequired, Refusal, Unauthenticated
from keyturn.edge.proving import solved_captcha
from keyturn.edge.refused import Refused
from keyturn.flow import session as sessions
from keyturn.flow import sign_in as signing_in
from keyturn.outside.forge import token_digest
from keyturn.ports.transaction import Transaction
from keyturn.web import captcha
from keyturn.web.arrival import HOME, SECOND_STEP, enter
from keyturn.web.asked import Asked, SignedIn
from keyturn.web.browser import DEVICE, SESSION
from keyturn.web.route import Place, posted, posted_by_members, shown

_OURS: Final = re.compile(r"/(?:[\w-]+/)*[\w-]*", re.ASCII)
"""The address of a page, and of nothing elsewhere."""


def page(asked: Asked) -> Response:
    """The way in; whoever is signed in already, or half, goes on."""
    token = asked.browser.cookie(SESSION)
    if token and (path := asked.visit.node.store.read(lambda tx: _further(tx, token_digest(token)))):
        return asked.go(path)
    return door(asked)


def _further(tx: Transaction, digest: bytes) -> str:
    if sessions.whose(tx, digest, address=None) is not None:
        return HOME
    return SECOND_STEP if signing_in.waiting(tx, digest) is not None else ""


def sign_in(asked: Asked) -> Response:
    """With user name or e-mail and password."""
    asked.visit.check_https()
    node, name, earlier = asked.visit.node, asked.form("user"), asked.browser.cookie(SESSION)
    visitor = asked.visit.visitor(asked.browser.cookie(DEVICE))
    try:
        solution = captcha.answer(asked)
        solved = solved_captcha(asked.visit, solution) if solution else None
        stored, _ = asked.visit.read(
            lambda tx: signing_in.ask(tx, user=name, visitor=visitor, captcha=solved, forge=node.forge)
        )
        matched = stored if node.passwords.check(stored, asked.form.raw("password")) else ""
        answer, _ = asked.visit.change(
            lambda tx: signing_in.sign_in(
                tx,
                user=name,
                matched_password=matched,
                account_id=None,
                visitor=visitor,
                spans=node.settings.sessions,
                forge=node.forge,
                captcha=solved,
                earlier=token_digest(earlier) if earlier else None,
            )
        )
    except Refused as refused:
        return _again(asked, refused.refusal)
    return enter(asked, answer)


def _again(asked: Asked, refusal: Refusal) -> Response:
    words, text = asked.browser.words, asked.say(refusal)
    if isinstance(refusal, Unauthenticated):
        text = words("sign_in.wrong")
    elif isinstance(refusal, CaptchaRequired):
        text = words("captcha.asked")
    # Who was asked for a CAPTCHA once is asked again with the next try: each answer counts for one.
    wants_captcha = isinstance(refusal, CaptchaRequired) or bool(captcha.answer(asked))
    return door(asked, problem=text, wants_captcha=wants_captcha, status=refusal.status)


def door(asked: Asked, *, problem: str = "", wants_captcha: bool = False, status: int = 200) -> Response:
    """The page with the form, and what went wrong before."""
    shown = captcha.part(asked) if wants_captcha else {"captcha": None}
    headers = captcha.headers(asked) if wants_captcha else None
    typed, providers = asked.form("user"), [one.provider for one in asked.visit.node.oidc.values()]
    return asked.show(
        "sign_in.html",
        providers=providers,
        problem=problem,
        typed=typed,
        captcha_error="",
        status=status,
        headers=headers,
        **shown,
    )


def sign_out(asked: SignedIn) -> Response:
    """End the session of this browser."""
    asked.call.change(lambda tx: sessions.end(tx, actor=asked.actor, session_id=asked.actor.session))
    response = asked.go("/?done=signed_out")
    asked.browser.drop(response, SESSION)
    return response


def language(asked: Asked) -> Response:
    """Choose the language of pages, and go on where one was."""
    response = asked.go(asked.form("back") if _OURS.fullmatch(asked.form("back")) else "/")
    asked.browser.remember_language(response, asked.form("language"))
    return response


PLACES: Final[tuple[Place, ...]] = (
    shown("/", page),
    posted("/sign-in", sign_in, slow=True),
    posted_by_members("/sign-out", sign_out),
    posted("/language", language),
)
