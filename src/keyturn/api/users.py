"""`/v1/users`: people."""

from typing import Any

from fastapi import APIRouter

from keyturn.api import page, shown
from keyturn.api.call import AnyCall, id_in_path
from keyturn.api.keys import OfAccount
from keyturn.api.schemas import CreateUser, PageShown, SetPassword, UserShown
from keyturn.core.account import Role
from keyturn.flow import user as users
from keyturn.flow.user import UserWish

router = APIRouter()


@router.post("/v1/users", status_code=201, response_model=UserShown, summary="Add a user", tags=["users"])
async def create(call: AnyCall, body: CreateUser) -> dict[str, Any]:
    """As a member of the caller's account, or of another one with the right over it."""
    return await call.slowly(_create)(call, body)


def _create(call: AnyCall, body: CreateUser) -> dict[str, Any]:
    wish = UserWish(
        email=body.email,
        name=body.name or body.email.partition("@")[0],
        role=Role(body.role),
        account_id=body.account_id,
        password=call.node.passwords.hash(body.password) if body.password else "",
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


@router.put("/v1/users/{user_id}/password", response_model=UserShown, summary="Set a password", tags=["users"])
async def set_password(call: AnyCall, user_id: str, body: SetPassword) -> dict[str, Any]:
    """Every session of the user ends."""
    return await call.slowly(_set_password)(call, user_id, body)


def _set_password(call: AnyCall, user_id: str, body: SetPassword) -> dict[str, Any]:
    stored = call.node.passwords.hash(body.password)
    (user, members), _ = call.change(
        lambda tx: users.set_password(tx, actor=call.actor, user_id=id_in_path(user_id), password=stored)
    )
    return shown.user(user, members)
