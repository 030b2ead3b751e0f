"""What the dates and the verifiers bring about in a handover, written down afterwards (R2, R20, R33)."""

from collections.abc import Iterable, Sequence
from itertools import islice

from keyturn.core import reset as protocol
from keyturn.core.actor import SYSTEM
from keyturn.core.instant import Instant
from keyturn.core.key import Key
from keyturn.core.refusal import NotFound, Refusal
from keyturn.core.reset import Reset, Step
from keyturn.core.stage import Event, Stage
from keyturn.flow.evidence import done_to_key
from keyturn.flow.step import ResetAnswer, answered, lapse, written
from keyturn.ports.transaction import Transaction


def due(tx: Transaction, *, limit: int) -> Sequence[str]:
    """Resets of which the dates have settled something that is not written down yet."""
    return [one.id for one in tx.resets_due(limit=limit)]


def close(tx: Transaction, *, reset_id: str) -> None:
    """Write down that it has lapsed or started, where its dates say so (R2: nobody waits for it)."""
    reset, key = _locked(tx, reset_id)
    if reset.stage is not Stage.MINTED:
        lapse(tx, reset, key)
        return
    settled = protocol.move(reset, Event.STARTED, now=tx.now)
    assert isinstance(settled, Reset)  # noqa: S101  # it was due before, and no date has moved
    tx.save_reset(settled)
    done_to_key(tx, SYSTEM, "reset.settled", key, subject_id=reset.id, detail={"by": "date"})


def _locked(tx: Transaction, reset_id: str) -> tuple[Reset, Key]:
    """As they are now that nobody else can change them."""
    seen = tx.reset(reset_id)
    assert seen is not None  # noqa: S101  # resets are never removed
    key = tx.key(seen.key_id, lock=True)
    reset = tx.reset(reset_id, lock=True)
    assert key is not None  # noqa: S101  # a foreign key holds it
    assert reset is not None  # noqa: S101  # as above
    return reset, key


def first_uses(tx: Transaction, secrets: Iterable[tuple[int, int]]) -> Sequence[tuple[int, int]]:
    """Those among these secrets, by their keys' numbers and their versions, whose first use is not written down."""
    return [secret for secret in secrets if _unused(tx, *secret) is not None]


def _unused(tx: Transaction, key_number: int, version: int) -> Reset | None:
    key = tx.key_by_number(key_number)
    reset = tx.reset_of_version(key.id, version) if key else None
    return reset if reset is not None and reset.first_used_at is None else None  # else an old secret's use, or known


def report_use(tx: Transaction, *, key_number: int, version: int, used_at: Instant) -> ResetAnswer | Refusal:
    """R20: a verifier saw the first use of a new secret."""
    seen = _unused(tx, key_number, version)
    if seen is None:
        return NotFound()
    latest, key = _locked(tx, seen.id)
    if latest.first_used_at is not None:
        return NotFound()
    used = protocol.first_use(latest, key, used_at=used_at, now=tx.now)
    if isinstance(used, Refusal):
        return used
    action = "reset.settled" if latest.stage is Stage.MINTED else "reset.first_used"
    written(tx, SYSTEM, Step(event=None, reset=latest, key=key), used, action=action)
    return answered(tx, used.reset, key=used.key)


def quiet(tx: Transaction, *, limit: int) -> Sequence[str]:
    """R33: resets whose grace is over because the old secret has fallen quiet; at most so many."""
    found = (one.id for one in tx.resets_in_handover() if _may_be_quiet(tx, one) and _is_quiet(tx, one))
    return list(islice(found, limit))


def end_quiet(tx: Transaction, *, reset_id: str) -> None:
    """R33: end its grace, where the old secret is quiet still."""
    reset, key = _locked(tx, reset_id)
    ended = _quieted(tx, reset, key)
    if ended is not None:
        before = Step(event=None, reset=reset, key=key)
        written(tx, SYSTEM, before, ended, action="reset.finished", detail={"by": "quiet"})


def _may_be_quiet(tx: Transaction, reset: Reset) -> bool:
    """Where not, it is not quiet however little the old secret was used: its key need not be read."""
    return protocol.is_quiet(reset, old_last_used_at=None, now=tx.now)


def _is_quiet(tx: Transaction, reset: Reset) -> bool:
    key = tx.key(reset.key_id)
    return key is not None and _quieted(tx, reset, key) is not None


def _quieted(tx: Transaction, reset: Reset, key: Key) -> Step | None:
    old = [one for one in key.secrets if one.version < (reset.new_version or 0)]
    last_used = max((one.last_used_at for one in old if one.last_used_at is not None), default=None)
    ended = protocol.quiet(reset, key, old_last_used_at=last_used, now=tx.now)
    return ended if isinstance(ended, Step) and ended.key != key else None
