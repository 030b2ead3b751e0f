"""What a reset would do, told before anything is asked (R21): who calls, which dates, what is left alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from keyturn.core import reset as protocol
from keyturn.core.actor import Actor
from keyturn.core.handover import Gap, Handover
from keyturn.core.instant import Instant
from keyturn.core.key import Key
from keyturn.core.refusal import Refusal
from keyturn.core.reset import Asking, Reset
from keyturn.flow.key import find
from keyturn.flow.reset import opened, with_vouched
from keyturn.flow.step import planned, speaking_for_itself
from keyturn.ports.transaction import Transaction
from keyturn.ports.use import Caller

LOOKS_BACK: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A reset that nobody has asked for yet."""

    reset: Reset
    """As it would be opened: its terms, and what would be missing."""
    key: Key
    plan: Handover
    """The dates it would get if it were minted now."""
    gap: Gap | None
    """In which no secret would be accepted; it ends where it begins where it lasts as long as proving does."""
    callers: Sequence[Caller]
    """Who used the key within the last day."""


def preview(tx: Transaction, *, actor: Actor, key_id: str, asking: Asking) -> Preview | Refusal:
    """What `flow.reset.ask` would open now, or why it would not.  Changes nothing."""
    key = find(tx, actor, key_id)
    if isinstance(key, Refusal):
        return key
    step = opened(
        tx,
        actor=speaking_for_itself(actor, key),
        key=key,
        asking=asking,
        latest=tx.latest_reset(key.id),
        reset_id="",
        arrived_rev=key.secrets[-1].rev,
    )
    if isinstance(step, Refusal):
        return step
    step = with_vouched(tx, actor, step)
    plan = planned(tx, step.reset, key)
    return Preview(
        reset=step.reset,
        key=key,
        plan=plan,
        gap=protocol.gap_ahead(step.reset, plan, now=tx.now),
        callers=tx.callers(key.number, since=Instant(tx.now - LOOKS_BACK)),
    )
