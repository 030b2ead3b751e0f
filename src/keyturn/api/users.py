"""`/v1/users`: people."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter

from keyturn.api import page, shown
from keyturn.api.call import AnyCall, id_in_path
from keyturn.api.keys import OfAccount
from keyturn.api.schemas import CreateUser, EditUser, PageShown, SetPassword, UserShown
from keyturn.core.account import Member, Role, User
from keyturn.core.password import Fitted
from keyturn.core.refusal import Refusal
from keyturn.edge.password import fitted, rules
from keyturn.flow import password as passwords
from keyturn.flow import user as users
from keyturn.flow.user import UserEdit, UserWish
from keyturn.ports.transaction import Transaction

router = APIRouter()


@router.post("/v1/users", status_code=201, response_model=UserShown, summary="Add a user", tags=["users"])
async def create(call: AnyCall, body: CreateUser) -> dict[str, Any]:
    """As a member of the caller's account, or of another one with the right over it."""
    return await call.slowly(_create)(call, body)


def _create(call: AnyCall, body: CreateUser) -> dict[str, Any]:
    name = body.name or body.email.partition("@")[0]
    stored: Fitted = ""
    if body.password:
        stored = fitted(call, body.password, rules(call, "", (name, body.email, body.username or "")))
    wish = UserWish(
        email=body.email,
        name=name,
        username=body.username or "",
        role=Role(body.role),
        account_id=body.account_id,
        password=stored,
    )
    (user, member), _ = call.change(lambda tx: users.create(tx, actor=call.actor, wish=wish, forge=call.node.forge))
    return shown.user(user, [member])


@router.get("/v1/users", response_model=PageShown[UserShown], summary="List users", tags=["users"])
def listing(
    call: AnyCall, account_id: OfAccount = None, limit: page.Size = page.USUAL, cursor: page.Cursor = None
) -> dict[str, Any]:
    """Newest first."""
    asked = page.asked(limit, cursor)
    found, _ = call.read(lambda tx: users.listing(tx, actor=call.actor, account_id=account_id, page=asked))
    return shown.listing(found, limit, lambda one: shown.user(*one))


@router.get("/v1/users/{user_id}", response_model=UserShown, summary="Read a user", tags=["users"])
def show(call: AnyCall, user_id: str) -> dict[str, Any]:
    """With the memberships the caller may know of."""
    (user, members), _ = call.read(lambda tx: users.show(tx, actor=call.actor, user_id=id_in_path(user_id)))
    return shown.user(user, members)


@router.patch("/v1/users/{user_id}", response_model=UserShown, summary="Edit a user", tags=["users"])
def edit(call: AnyCall, user_id: str, body: EditUser) -> dict[str, Any]:
    """Oneself, or with a credential of the operator's."""
    given = body.model_fields_set
    change = UserEdit(
        name=body.name,
        username=(body.username or "") if "username" in given else None,
        language=(body.language or "") if "language" in given else None,
        time_zone=(body.time_zone or "") if "time_zone" in given else None,
    )
    (user, members), _ = call.change(
        lambda tx: users.edit(tx, actor=call.actor, user_id=id_in_path(user_id), edit=change)
    )
    return shown.user(user, members)


@router.put("/v1/users/{user_id}/password", response_model=UserShown, summary="Set a password", tags=["users"])
async def set_password(call: AnyCall, user_id: str, body: SetPassword) -> dict[str, Any]:
    """With a credential of the operator's; every session of the user ends."""
    return await call.slowly(_set_password)(call, user_id, body)


def _set_password(call: AnyCall, user_id: str, body: SetPassword) -> dict[str, Any]:
    new = fitted(call, body.password, rules(call, id_in_path(user_id)))

    def flow(tx: Transaction) -> tuple[User, Sequence[Member]] | Refusal:
        user = passwords.set_for(tx, actor=call.actor, user_id=id_in_path(user_id), new=new, forge=call.node.forge)
        return user if isinstance(user, Refusal) else (user, users.visible_members(tx, call.actor, user_id))

    (user, members), _ = call.change(flow)
    return shown.user(user, members)
