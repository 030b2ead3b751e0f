"""`/v1/portal/sessions`: an operator lets a user of their own at the pages of that user's keys (K1 to K3)."""

from typing import Any

from fastapi import APIRouter

from keyturn.api import shown
from keyturn.api.call import AnyCall
from keyturn.api.schemas import CreatePortalSession, PortalShown
from keyturn.core.instant import Instant
from keyturn.core.refusal import PortalUnavailable
from keyturn.edge.refused import Refused
from keyturn.flow import portal as portals
from keyturn.flow.portal import PortalWish

router = APIRouter(prefix="/v1/portal/sessions", tags=["portal"])


@router.post("", status_code=201, response_model=PortalShown, summary="Make a link to the pages of one person's keys")
def mint(call: AnyCall, body: CreatePortalSession) -> dict[str, Any]:
    """For an operator's key with `keyturn.accounts:write` over the account.

    The link opens once, within five minutes, in a browser of its own or in a page of `embed_origin`.
    Every record of what is done there names the key that vouched.
    """
    call.needs_https(portals.MINTED, body.account_id)
    base_url = call.node.whereabouts.base_url
    if not base_url:
        raise Refused(PortalUnavailable())
    wish = PortalWish(
        account_id=body.account_id,
        user_id=body.user_id,
        proofs=[(one.kind, Instant(one.at)) for one in body.proofs],
        embed_origin=body.embed_origin or "",
        return_url=body.return_url or "",
    )
    origins = call.node.settings.portal_origins
    minted, _ = call.change(
        lambda tx: portals.mint(tx, actor=call.actor, wish=wish, origins=origins, forge=call.node.forge)
    )
    return shown.portal(minted, base_url=base_url)
