"""Members of an account and invitations to it."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from keyturn.api import shown
from keyturn.api.call import AnyCall, AnyVisit, id_in_path
from keyturn.api.placed import Placed
from keyturn.api.schemas import (
    AcceptInvitation,
    AddMember,
    EditMember,
    Id,
    InvitationShown,
    InvitationsShown,
    Invite,
    JoinAccount,
    MembershipShown,
    MembersShown,
    NewSession,
    RemovedMember,
)
from keyturn.core.account import Role
from keyturn.edge.password import fitted, rules
from keyturn.flow import invitation as invitations
from keyturn.flow import member as members
from keyturn.flow.invitation import Newcomer
from keyturn.outside.forge import token_digest

router = APIRouter(tags=["members"], route_class=Placed)
_OF_ACCOUNT = "/v1/accounts/{account_id}/members"
_TO_ACCOUNT = "/v1/accounts/{account_id}/invitations"


@router.get(_OF_ACCOUNT, response_model=MembersShown, summary="List members")
def listing(call: AnyCall, account_id: str) -> dict[str, Any]:
    """All of them, by address."""
    found, _ = call.read(lambda tx: members.listing(tx, actor=call.actor, account_id=id_in_path(account_id)))
    return {"items": [shown.member(member, user) for member, user in found]}


@router.post(_OF_ACCOUNT, status_code=201, response_model=MembershipShown, summary="Add a user as a member")
def add(call: AnyCall, account_id: str, body: AddMember) -> dict[str, Any]:
    """Somebody who is a user already.  For the operator; others invite."""
    member, _ = call.change(
        lambda tx: members.add_known(
            tx,
            actor=call.actor,
            account_id=id_in_path(account_id),
            user_id=body.user_id,
            role=Role(body.role),
            forge=call.node.forge,
        )
    )
    return shown.membership(member)


@router.patch(f"{_OF_ACCOUNT}/{{user_id}}", response_model=MembershipShown, summary="Give a member another role")
def edit(call: AnyCall, account_id: str, user_id: str, body: EditMember) -> dict[str, Any]:
    """Their sessions for that account end."""
    member, _ = call.change(
        lambda tx: members.edit(
            tx,
            actor=call.actor,
            account_id=id_in_path(account_id),
            user_id=id_in_path(user_id),
            role=Role(body.role),
        )
    )
    return shown.membership(member)


@router.delete(f"{_OF_ACCOUNT}/{{user_id}}", response_model=RemovedMember, summary="Remove a member")
def remove(
    call: AnyCall,
    account_id: str,
    user_id: str,
    keys_to: Annotated[Id | None, Query(description="The member who takes their keys over; else those stop.")] = None,
) -> dict[str, Any]:
    """Their keys stay with the account: handed over, or suspended.  Anybody may leave."""
    removed, _ = call.change(
        lambda tx: members.remove(
            tx,
            actor=call.actor,
            account_id=id_in_path(account_id),
            user_id=id_in_path(user_id),
            keys_to=keys_to,
        )
    )
    return shown.removed_member(removed)


@router.post(_TO_ACCOUNT, status_code=201, response_model=InvitationShown, summary="Invite somebody by mail")
def invite(call: AnyCall, account_id: str, body: Invite) -> dict[str, Any]:
    """The link is in the mail and nowhere else.  An open invitation of the same address ends."""
    made, _ = call.change(
        lambda tx: invitations.invite(
            tx,
            actor=call.actor,
            account_id=id_in_path(account_id),
            email=body.email,
            role=Role(body.role),
            language=body.language or "",
            forge=call.node.forge,
        )
    )
    return shown.invitation(made)


@router.get(_TO_ACCOUNT, response_model=InvitationsShown, summary="List open invitations")
def invited(call: AnyCall, account_id: str) -> dict[str, Any]:
    """Those that can still be accepted, newest first."""
    found, _ = call.read(lambda tx: invitations.listing(tx, actor=call.actor, account_id=id_in_path(account_id)))
    return {"items": [shown.invitation(one) for one in found]}


@router.delete(f"{_TO_ACCOUNT}/{{invitation_id}}", response_model=InvitationShown, summary="Withdraw an invitation")
def withdraw(call: AnyCall, account_id: str, invitation_id: str) -> dict[str, Any]:
    """Its link leads nowhere from then on."""
    ended, _ = call.change(
        lambda tx: invitations.withdraw(
            tx, actor=call.actor, account_id=id_in_path(account_id), invitation_id=id_in_path(invitation_id)
        )
    )
    return shown.invitation(ended)


@router.post("/v1/invitations/accept", status_code=201, response_model=NewSession, summary="Accept an invitation")
async def accept(visit: AnyVisit, body: AcceptInvitation) -> dict[str, Any]:
    """Become a user, by the token of the mailed link, and be signed in.  Who is a user already joins instead."""
    visit.check_https()
    return await visit.slowly(_accept)(visit, body)


def _accept(visit: AnyVisit, body: AcceptInvitation) -> dict[str, Any]:
    node, digest = visit.node, token_digest(body.token)
    opened, _ = visit.read(lambda tx: invitations.opened(tx, digest))  # a link that leads nowhere costs no Argon2
    names = (opened.invitation.email, opened.account.name, body.name, body.username or "")
    newcomer = Newcomer(
        name=body.name,
        username=body.username or "",
        password=fitted(visit, body.password, rules(visit, "", names)),
        language=body.language or "",
    )
    answer, _ = visit.change(
        lambda tx: invitations.accept_anew(
            tx,
            digest=digest,
            newcomer=newcomer,
            visitor=visit.visitor(remember=body.remember_device),
            spans=node.settings.sessions,
            forge=node.forge,
        )
    )
    return shown.new_session(answer)


@router.post("/v1/invitations/join", status_code=201, response_model=MembershipShown, summary="Join an account")
def join(call: AnyCall, body: JoinAccount) -> dict[str, Any]:
    """Accept an invitation as the user who is signed in."""
    member, _ = call.change(
        lambda tx: invitations.join(tx, actor=call.actor, digest=token_digest(body.token), forge=call.node.forge)
    )
    return shown.membership(member)
