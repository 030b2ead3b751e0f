"""`/v1/audit`: who did, or was refused, what."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from keyturn.api import page, shown
from keyturn.api.call import AnyCall
from keyturn.api.keys import OfAccount
from keyturn.api.schemas import AuditShown, Id, PageShown
from keyturn.flow.evidence import trail

router = APIRouter(prefix="/v1/audit", tags=["audit"])


@router.get("", response_model=PageShown[AuditShown], summary="Read the audit log")
def listing(
    call: AnyCall,
    account_id: OfAccount = None,
    subject_id: Annotated[Id | None, Query(description="Only about this key, reset, account or user.")] = None,
    limit: page.Size = page.USUAL,
    cursor: page.Cursor = None,
) -> dict[str, Any]:
    """Newest first."""
    asked = page.asked(limit, cursor)
    found, _ = call.read(
        lambda tx: trail(tx, actor=call.actor, account_id=account_id, subject_id=subject_id, page=asked)
    )
    return shown.listing([(number, (number, one)) for number, one in found], limit, lambda one: shown.audit(*one))
