"""R25: what a leaked key has created comes to a stop with it: keys, and invitations nobody has accepted."""

from collections.abc import Sequence
from dataclasses import replace
from heapq import heappop, heappush

from keyturn.core.actor import Actor
from keyturn.core.instant import Instant
from keyturn.core.key import Key, Suspension
from keyturn.core.reset import Reason, Step
from keyturn.core.stage import Event
from keyturn.flow.evidence import done, done_to_key
from keyturn.ports.transaction import Transaction


def suspend_created(tx: Transaction, actor: Actor, proven: Step) -> None:
    """R25: what the leaked key created since a chosen time is suspended in the step that stops the key's secret."""
    asking = proven.reset.asking
    stopped = proven.event is Event.PROOF_COMPLETED and asking.reason is Reason.LEAKED
    if not stopped or asking.suspend_created_since is None:
        return
    for created in _descendants(tx, proven.key.id, since=asking.suspend_created_since):
        if created.suspension is None and not created.has_ended(tx.now):
            suspension = Suspension(at=tx.now, by=actor.id, reason="created_by_leaked", reset_id=proven.reset.id)
            held = replace(created, suspension=suspension)
            tx.save_key(held)
            done_to_key(tx, actor, "key.suspended", held, detail={"reason": suspension.reason})
    for invited in tx.invitations_by(proven.key.id, since=asking.suspend_created_since):
        tx.save_invitation(replace(invited, ended_at=tx.now))
        detail = {"reason": "created_by_leaked"}
        done(tx, actor, "invitation.withdrawn", account_id=invited.account_id, subject_id=invited.id, detail=detail)


def _descendants(tx: Transaction, key_id: str, *, since: Instant) -> Sequence[Key]:
    """What the key created since then, and what that created in turn, locked."""
    found: list[Key] = []
    waiting = [(one.number, one.id) for one in tx.keys_created_by(key_id, since=since)]
    while waiting:
        # The lowest number first, as everywhere: what a key creates has a higher one than the key itself.
        created = tx.key(heappop(waiting)[1], lock=True)
        assert created is not None  # noqa: S101  # keys are never removed
        found.append(created)
        for one in tx.keys_created_by(created.id, since=since):  # once it is locked, it creates no more
            heappush(waiting, (one.number, one.id))
    return found
