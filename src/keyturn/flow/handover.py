"""What the dates and the verifiers bring about in a handover, written down afterwards (R2, R20, R33)."""

from keyturn.core import reset as protocol
from keyturn.core.actor import SYSTEM
from keyturn.core.instant import Instant
from keyturn.core.refusal import NotFound, Refusal
from keyturn.core.reset import Reset, Step
from keyturn.core.stage import Event, Stage
from keyturn.flow.evidence import done_to_key
from keyturn.flow.step import ResetAnswer, answered, lapse, written
from keyturn.ports import Transaction


def close_due(tx: Transaction, *, limit: int) -> int:
    """Write down what the dates have settled already: lapsed and started resets (R2: nobody waits for it)."""
    due = tx.resets_due(limit=limit)
    for seen in due:
        key = tx.key(seen.key_id, lock=True)
        reset = tx.reset(seen.id, lock=True)  # as it is now that nobody else can change it
        assert key is not None  # noqa: S101  # a foreign key holds it
        assert reset is not None  # noqa: S101  # resets are never removed
        if reset.stage is Stage.MINTED:
            settled = protocol.move(reset, Event.STARTED, now=tx.now)
            assert isinstance(settled, Reset)  # noqa: S101  # the query asked for those that are due
            tx.save_reset(settled)
            done_to_key(tx, SYSTEM, "reset.settled", key, subject_id=reset.id, detail={"by": "date"})
        else:
            lapse(tx, reset, key)
    return len(due)


def report_use(tx: Transaction, *, key_number: int, version: int, used_at: Instant) -> ResetAnswer | Refusal:
    """R20: a verifier saw the first use of a new secret."""
    key = tx.key_by_number(key_number, lock=True)
    latest = tx.reset_of_version(key.id, version) if key else None
    if key is None or latest is None or latest.first_used_at is not None:
        return NotFound()  # an old secret's use, or known already
    used = protocol.first_use(latest, key, used_at=used_at, now=tx.now)
    if isinstance(used, Refusal):
        return used
    action = "reset.settled" if latest.stage is Stage.MINTED else "reset.first_used"
    written(tx, SYSTEM, Step(event=None, reset=latest, key=key), used, action=action)
    return answered(tx, used.reset, key=used.key)


def any_quiet(tx: Transaction) -> bool:
    """Whether `end_quiet` may have something to do."""
    return any(protocol.is_quiet(one, old_last_used_at=None, now=tx.now) for one in tx.resets_in_handover())


def end_quiet(tx: Transaction, *, limit: int) -> int:
    """R33: end the graces in which the old secret has fallen quiet, at most `limit`; the answer is how many."""
    ended = 0
    for seen in tx.resets_in_handover():
        if ended == limit:
            break
        if not protocol.is_quiet(seen, old_last_used_at=None, now=tx.now):
            continue  # cannot be quiet yet, however little the old secret was used
        key = tx.key(seen.key_id, lock=True)
        reset = tx.reset(seen.id, lock=True)
        assert key is not None  # noqa: S101  # a foreign key holds it
        assert reset is not None  # noqa: S101  # resets are never removed
        old = [one for one in key.secrets if one.version < (reset.new_version or 0)]
        last_used = max((one.last_used_at for one in old if one.last_used_at is not None), default=None)
        quiet = protocol.quiet(reset, key, old_last_used_at=last_used, now=tx.now)
        if isinstance(quiet, Step) and quiet.key != key:
            before = Step(event=None, reset=reset, key=key)
            written(tx, SYSTEM, before, quiet, action="reset.finished", detail={"by": "quiet"})
            ended += 1
    return ended
