"""`/v1/notices`: what was told, to whom, and what became of it."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from keyturn.api import page, shown
from keyturn.api.call import AnyCall
from keyturn.api.keys import OfAccount
from keyturn.api.schemas import Id, PageShown, Shown
from keyturn.flow import notice as notices

router = APIRouter(prefix="/v1/notices", tags=["notices"])


class NoticeShown(Shown):
    """One notice to one address or webhook."""

    id: str
    at: str
    kind: str
    account_id: str | None
    owner_id: str | None
    key_id: str | None
    means: str
    to: str
    """An address, masked, or the id of a webhook."""
    state: str
    said: str | None
    """What the other side said last."""
    attempts: int
    next_attempt_at: str | None
    settled_at: str | None


@router.get("", response_model=PageShown[NoticeShown], summary="Read what was told")
def listing(
    call: AnyCall,
    account_id: OfAccount = None,
    key_id: Annotated[Id | None, Query(description="Only about this key.")] = None,
    limit: page.Size = page.USUAL,
    cursor: page.Cursor = None,
) -> dict[str, Any]:
    """Newest first, for 90 days; one entry for each address, which is masked, and each webhook."""
    asked = page.asked(limit, cursor)
    found, _ = call.read(
        lambda tx: notices.listing(tx, actor=call.actor, account_id=account_id, key_id=key_id, page=asked)
    )
    return shown.listing(found, limit, shown.notice)
