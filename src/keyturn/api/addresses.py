"""`/v1/addresses`: further addresses of whoever is signed in, and which one they sign in with."""

from typing import Any

from fastapi import APIRouter

from keyturn.api import shown
from keyturn.api.call import AnyCall, AnyVisit, id_in_path
from keyturn.api.schemas import AddAddress, AddressesShown, AddressShown, ConfirmAddress, ShowPassword, UserShown
from keyturn.edge.proving import matched_password
from keyturn.flow import address as addresses
from keyturn.flow import user as users
from keyturn.outside.forge import token_digest

router = APIRouter(prefix="/v1/addresses", tags=["addresses"])


@router.get("", response_model=AddressesShown, summary="List one's further addresses")
def listing(call: AnyCall) -> dict[str, Any]:
    """What is told to one address of a person is told to all that are confirmed."""
    found, _ = call.read(lambda tx: addresses.listing(tx, actor=call.actor))
    return {"items": [shown.address(one) for one in found]}


@router.post("", status_code=201, response_model=AddressShown, summary="Add an address")
def add(call: AnyCall, body: AddAddress) -> dict[str, Any]:
    """A mailed link confirms it.  Takes that the person has lately shown again who they are."""
    made, _ = call.change(lambda tx: addresses.add(tx, actor=call.actor, email=body.email, forge=call.node.forge))
    return shown.address(made)


@router.post("/confirm", response_model=AddressShown, summary="Confirm an address")
def confirm(visit: AnyVisit, body: ConfirmAddress) -> dict[str, Any]:
    """By the token of the mailed link."""
    confirmed, _ = visit.change(lambda tx: addresses.confirm(tx, token_digest(body.token), address=visit.address))
    return shown.address(confirmed)


@router.post("/{address_id}/sign-in", response_model=UserShown, summary="Sign in with an address")
async def sign_in_with(call: AnyCall, address_id: str, body: ShowPassword) -> dict[str, Any]:
    """From now on; the one before stays a further one and is told."""
    return await call.slowly(_sign_in_with)(call, address_id, body)


def _sign_in_with(call: AnyCall, address_id: str, body: ShowPassword) -> dict[str, Any]:
    matched = matched_password(call, body.password)
    user, _ = call.change(
        lambda tx: addresses.sign_in_with(
            tx,
            actor=call.actor,
            address_id=id_in_path(address_id),
            matched_password=matched,
            forge=call.node.forge,
        )
    )
    members, _ = call.read(lambda tx: users.visible_members(tx, call.actor, user.id))
    return shown.user(user, members)


@router.delete("/{address_id}", response_model=AddressShown, summary="Remove an address")
def remove(call: AnyCall, address_id: str) -> dict[str, Any]:
    """It is told of what happens for another week."""
    removed, _ = call.change(lambda tx: addresses.remove(tx, actor=call.actor, address_id=id_in_path(address_id)))
    return shown.address(removed)
