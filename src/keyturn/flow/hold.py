"""Whether dangerous changes of a key wait, for its owner's account has changed lately (R30)."""

from keyturn.core.actor import Actor, Channel
from keyturn.core.consequence import Hold
from keyturn.core.instant import Instant
from keyturn.core.refusal import AccountHeld
from keyturn.core.reset import Reset
from keyturn.ports.transaction import Transaction


def held(tx: Transaction, *people: str) -> Hold | None:
    """The hold of any of these that lasts longest."""
    holds = [one for one in map(tx.hold, sorted({*people})) if one is not None]
    return max(holds, key=lambda one: one.until, default=None)


def starts_at(tx: Transaction, actor: Actor, owner_id: str) -> Instant:
    """When the first secret of a new key starts: now, or once no hold of its owner or maker is on."""
    found = held(tx, owner_id, *_person(actor))
    return found.until if found else tx.now


def held_until(tx: Transaction, reset: Reset) -> Instant | None:
    """Before when no secret of that reset starts: its owner's hold, or that of the person who asked."""
    asker = {reset.asked_by} if reset.channel is Channel.PERSON else set[str]()
    found = held(tx, reset.owner_id, *asker)
    return found.until if found else None


def check_held(tx: Transaction, actor: Actor, *owners: str) -> AccountHeld | None:
    """The refusal of what would widen during a hold.  Suspending, revoking and narrowing ask for nothing."""
    found = held(tx, *owners, *_person(actor))
    return found.refusal if found else None


def _person(actor: Actor) -> set[str]:
    return {actor.user_id} if actor.channel is Channel.PERSON else set()
