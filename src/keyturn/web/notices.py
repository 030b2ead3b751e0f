"""Where and how one is told of what happens, and what was told lately (R50)."""

from typing import Any, Final
from zoneinfo import ZoneInfo

from starlette.responses import Response

from keyturn.core.address import parse_email
from keyturn.core.delivery import masked
from keyturn.core.permission import RIGHT_AUDIT_READ
from keyturn.core.refusal import NameTaken, PasswordRefused, Refusal
from keyturn.edge.proving import matched_password
from keyturn.flow import address as addresses
from keyturn.flow import notice as told
from keyturn.flow import session_proof
from keyturn.flow import user as users
from keyturn.flow.user import UserEdit
from keyturn.outside.words import LANGUAGES
from keyturn.ports.page import Page
from keyturn.ports.transaction import Transaction
from keyturn.web import account
from keyturn.web.asked import SignedIn
from keyturn.web.route import Place, posted_by_members, shown_to_members

PATH: Final = "/account/notices"
_LATELY: Final = Page(size=20)


def page(asked: SignedIn) -> Response:
    """Addresses, language and zone; what was told, to who may audit the account."""
    return _show(asked)


def _show(asked: SignedIn, *, errors: dict[str, str] | None = None, problem: str = "", status: int = 200) -> Response:
    actor = asked.actor

    def query(tx: Transaction) -> dict[str, Any]:
        lately: Any = ()
        if actor.may(RIGHT_AUDIT_READ, actor.account_id):
            lately = told.listing(tx, actor=actor, account_id=actor.account_id, key_id=None, page=_LATELY)
        return {
            "addresses": addresses.listing(tx, actor=actor),
            "wanted": session_proof.wanted(tx, actor=actor),
            "lately": () if isinstance(lately, Refusal) else [parcel for _, parcel in lately],
        }

    found, _ = asked.call.read(query)
    return account.show(
        asked,
        "notices",
        languages=LANGUAGES,
        zone=asked.browser.zone.key,
        masked=masked,
        typed={name: asked.form(name) for name in ("email", "time_zone")},
        may_audit=actor.may(RIGHT_AUDIT_READ, actor.account_id),
        errors=errors or {},
        problem=problem,
        status=status,
        **found,
    )


def add(asked: SignedIn) -> Response:
    """Be told at another address too, once its link is followed."""
    try:
        email = parse_email(asked.form("email"))
    except ValueError:
        return _show(asked, errors={"email": asked.browser.words("wrong.email")}, status=422)
    forge = asked.visit.node.forge
    refusal = asked.try_change(lambda tx: addresses.add(tx, actor=asked.actor, email=email, forge=forge))
    if isinstance(refusal, NameTaken):
        return _show(asked, errors={"email": asked.browser.words("notices.known")}, status=refusal.status)
    return _refused(asked, refusal) if refusal else asked.go(PATH + "?done=address_added")


def remove(asked: SignedIn) -> Response:
    """Be told there no more, after another week."""
    address_id = asked.form("address")
    refusal = asked.try_change(lambda tx: addresses.remove(tx, actor=asked.actor, address_id=address_id))
    return _refused(asked, refusal) if refusal else asked.go(PATH + "?done=address_removed")


def sign_in_with(asked: SignedIn) -> Response:
    """Sign in with one of the further addresses from now on."""
    call, address_id = asked.call, asked.form("address")
    matched, forge = matched_password(call, asked.form.raw("password")), asked.visit.node.forge
    refusal = asked.try_change(
        lambda tx: addresses.sign_in_with(
            tx, actor=asked.actor, address_id=address_id, matched_password=matched, forge=forge
        )
    )
    if isinstance(refusal, PasswordRefused):
        return _show(asked, errors={address_id: asked.say(refusal)}, status=refusal.status)
    return _refused(asked, refusal) if refusal else asked.go(PATH + "?done=address_changed")


def _refused(asked: SignedIn, refusal: Refusal) -> Response:
    return _show(asked, problem=asked.say(refusal), status=refusal.status)


def read_in(asked: SignedIn) -> Response:
    """In which language one reads, and in which zone mails tell the time."""
    language, zone = asked.form("language"), asked.form("time_zone")
    errors = dict[str, str]()
    if language not in LANGUAGES:
        errors["language"] = asked.browser.words("wrong.choice")
    if zone and not _is_zone(zone):
        errors["time_zone"] = asked.browser.words("wrong.time_zone")
    if errors:
        return _show(asked, errors=errors, status=422)
    edit, actor = UserEdit(language=language, time_zone=zone), asked.actor
    refusal = asked.try_change(lambda tx: users.edit(tx, actor=actor, user_id=actor.user_id, edit=edit))
    if refusal is not None:
        return _refused(asked, refusal)
    response = asked.go(PATH + "?done=saved")
    asked.browser.remember_language(response, language)
    return response


def _is_zone(name: str) -> bool:
    try:
        return len(name) <= 60 and ZoneInfo(name).key == name  # longer than any zone's name
    except (KeyError, ValueError, OSError):
        return False


PLACES: Final[tuple[Place, ...]] = (
    shown_to_members(PATH, page),
    posted_by_members(PATH + "/addresses", add),
    posted_by_members(PATH + "/addresses/remove", remove),
    posted_by_members(PATH + "/addresses/sign-in", sign_in_with, slow=True),
    posted_by_members(PATH + "/reading", read_in),
)
