"""Members of the account: who there are, what they may do, and inviting, changing and removing them."""

from typing import Any, Final

from starlette.responses import Response

from keyturn.core.account import STAFF_ROLES, Role
from keyturn.core.address import parse_email
from keyturn.core.permission import RIGHT_ACCOUNTS_WRITE
from keyturn.core.refusal import NotFound, Refusal
from keyturn.edge.places import Aim
from keyturn.flow import foresight, session_proof
from keyturn.flow import invitation as invitations
from keyturn.flow import key as keys
from keyturn.flow import member as members
from keyturn.ports.page import Page
from keyturn.ports.transaction import Transaction
from keyturn.web import account
from keyturn.web.asked import SignedIn
from keyturn.web.route import Place, posted_by_members, shown_to_members

PATH: Final = "/account/members"
_EVERY: Final = Page(size=10_000)


def listing(asked: SignedIn) -> Response:
    """Everybody, who is invited, and the form to invite; with what a new member brings about."""
    return _show(asked)


def _show(asked: SignedIn, *, wrong: str = "", problem: str = "", status: int = 200) -> Response:
    """`wrong`: what is wrong with the address that was typed."""
    actor, account_id = asked.actor, asked.actor.account_id

    def query(tx: Transaction) -> dict[str, Any] | Refusal:
        everybody = members.listing(tx, actor=actor, account_id=account_id)
        invited = invitations.listing(tx, actor=actor, account_id=account_id)
        if isinstance(everybody, Refusal):
            return everybody
        foreseen = foresight.member_added(tx, account_id=account_id, actor_id=actor.user_id)
        return {
            "members": everybody,
            "invited": () if isinstance(invited, Refusal) else invited,
            "foresight": foreseen,
            "wanted": session_proof.wanted(tx, actor=actor),
        }

    found, _ = asked.call.read(query)
    return account.show(
        asked,
        "members",
        may_write=actor.may(RIGHT_ACCOUNTS_WRITE, account_id),
        roles=_roles(asked),
        typed=asked.form("email"),
        typed_role=asked.form("role") or Role.MEMBER.value,
        wrong=wrong,
        errors={},
        problem=problem,
        status=status,
        **found,
    )


def _roles(asked: SignedIn) -> list[Role]:
    return [one for one in Role if asked.actor.in_deployment_account or one not in STAFF_ROLES]


def _role(asked: SignedIn) -> Role | None:
    return next((one for one in Role if one.value == asked.form("role")), None)


def invite(asked: SignedIn) -> Response:
    """Mail an invitation."""
    words, role = asked.browser.words, _role(asked)
    try:
        email = parse_email(asked.form("email"))
    except ValueError:
        return _show(asked, wrong=words("wrong.email"), status=422)
    if role is None:
        return _show(asked, problem=words("wrong.choice"), status=422)
    actor, forge = asked.actor, asked.visit.node.forge
    refusal = asked.try_change(
        lambda tx: invitations.invite(
            tx,
            actor=actor,
            account_id=actor.account_id,
            email=email,
            role=role,
            language=words.language,
            forge=forge,
        )
    )
    if refusal is not None:
        return _show(asked, problem=asked.say(refusal), status=refusal.status)
    return asked.go(PATH + "?done=invited")


def withdraw(asked: SignedIn) -> Response:
    """Take an invitation back."""
    actor, invitation_id = asked.actor, asked.form("invitation")
    refusal = asked.try_change(
        lambda tx: invitations.withdraw(tx, actor=actor, account_id=actor.account_id, invitation_id=invitation_id)
    )
    if refusal is not None:
        return _show(asked, problem=asked.say(refusal), status=refusal.status)
    return asked.go(PATH + "?done=invitation_withdrawn")


def show(asked: SignedIn) -> Response:
    """One member, with what may be done about them."""
    return _one(asked)


def _one(asked: SignedIn, *, problem: str = "", status: int = 200) -> Response:
    actor, user_id = asked.actor, asked.path["user_id"]

    def query(tx: Transaction) -> dict[str, Any] | Refusal:
        found = members.listing(tx, actor=actor, account_id=actor.account_id)
        if isinstance(found, Refusal):
            return found
        pair = next((one for one in found if one[0].user_id == user_id), None)
        if pair is None:
            return NotFound()
        held = keys.listing(tx, actor=actor, account_id=actor.account_id, owner_id=user_id, page=_EVERY)
        live = () if isinstance(held, Refusal) else [one for one in held if not one.has_ended(tx.now)]
        others = [user for member, user in found if member.user_id != user_id]
        wanted = session_proof.wanted(tx, actor=actor)
        return {"member": pair[0], "person": pair[1], "keys": live, "others": others, "wanted": wanted}

    found, _ = asked.call.read(query)
    return asked.show(
        "member.html",
        tab="account",
        may_write=actor.may(RIGHT_ACCOUNTS_WRITE, actor.account_id),
        roles=_roles(asked),
        subtab="members",
        errors={},
        problem=problem,
        status=status,
        **found,
    )


def edit(asked: SignedIn) -> Response:
    """Give them another role; their sessions for the account end."""
    actor, user_id, role = asked.actor, asked.path["user_id"], _role(asked)
    if role is None:
        return _one(asked, problem=asked.browser.words("wrong.choice"), status=422)
    refusal = asked.try_change(
        lambda tx: members.edit(tx, actor=actor, account_id=actor.account_id, user_id=user_id, role=role)
    )
    if refusal is not None:
        return _one(asked, problem=asked.say(refusal), status=refusal.status)
    return asked.go("/" if user_id == actor.user_id else PATH + "?done=role_changed")


def remove(asked: SignedIn) -> Response:
    """Take them out; their keys are handed over or suspended."""
    actor, user_id, heir = asked.actor, asked.path["user_id"], asked.form("keys_to") or None
    refusal = asked.try_change(
        lambda tx: members.remove(tx, actor=actor, account_id=actor.account_id, user_id=user_id, keys_to=heir)
    )
    if refusal is not None:
        return _one(asked, problem=asked.say(refusal), status=refusal.status)
    return asked.go("/" if user_id == actor.user_id else PATH + "?done=member_removed")


PLACES: Final[tuple[Place, ...]] = (
    shown_to_members(PATH, listing),
    posted_by_members(PATH + "/invite", invite),
    posted_by_members(PATH + "/withdraw", withdraw),
    shown_to_members(PATH + "/{user_id}", show),
    posted_by_members(PATH + "/{user_id}/role", edit),
    posted_by_members(PATH + "/{user_id}/remove", remove, aim=Aim.STOP),
)
