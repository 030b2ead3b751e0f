"""The browsers in which somebody has signed in before, each known by a token of its own (R50)."""

from dataclasses import replace

from keyturn.core.session import Device, SessionStage, Visitor
from keyturn.flow.session import SignedIn
from keyturn.ports.forge import Forge
from keyturn.ports.transaction import Transaction


def known(tx: Transaction, answer: SignedIn, visitor: Visitor, forge: Forge) -> SignedIn:
    """The same with a token for this browser, once the session is open, unless it shows a good one."""
    session = answer.session
    if session.stage is not SessionStage.OPEN:
        return answer
    device = of(tx, visitor, session.user_id)
    if device is not None:
        tx.save_device(replace(device, seen_at=tx.now))
        return answer
    return replace(answer, device_token=new(tx, session.user_id, forge)) if visitor.remember else answer


def new(tx: Transaction, user_id: str, forge: Forge) -> str:
    """The token of one more browser of that user."""
    token, digest = forge.device_token()
    made = Device(id=forge.id("dev"), user_id=user_id, made_at=tx.now, seen_at=tx.now)
    tx.insert_device(made, digest=digest)
    return token


def of(tx: Transaction, visitor: Visitor, user_id: str) -> Device | None:
    """The browser that shows itself, where it is one of that user's."""
    device = tx.device(visitor.device) if visitor.device else None
    return device if device is not None and device.user_id == user_id else None
