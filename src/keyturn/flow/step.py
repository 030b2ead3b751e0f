"""What the steps of a reset share: who may take one, what is written of it, and how it is answered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from keyturn.core import reset as protocol
from keyturn.core.actor import SYSTEM, Actor, Channel
from keyturn.core.handover import Handover
from keyturn.core.instant import to_text
from keyturn.core.key import Key, StopReason
from keyturn.core.permission import RIGHT_KEYS_RESET
from keyturn.core.refusal import NotFound, PermissionMissing, Refusal, WiderThanActor
from keyturn.core.reset import Reset, Step
from keyturn.core.secret import SecretKind, SecretText
from keyturn.core.stage import Event, Stage
from keyturn.flow.evidence import done_to_key, refused
from keyturn.flow.hold import held_until
from keyturn.flow.key import find
from keyturn.ports.transaction import Transaction
from keyturn.ports.use import Use


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetAnswer:
    """A reset as it now stands, with the secret where this very call minted it."""

    reset: Reset
    key: Key
    plan: Handover | None
    """The dates it would get if it were minted now; None once it has them or has ended."""
    secret: SecretText | None = None
    secret_shown: bool = False
    has_minted: bool = False
    """Whether this very call minted, also where the secret was brought and none is shown."""
    rev: int = 0
    used_by: Sequence[Use] = ()
    """Who still uses the old secret (R33)."""


def speaking_for_itself(actor: Actor, key: Key) -> Actor:
    """A key that asks for its own reset speaks as the key, whatever rights it holds (R40)."""
    return replace(actor, channel=Channel.KEY) if actor.id == key.id else actor


def found_for_step(tx: Transaction, actor: Actor, reset_id: str, *, action: str) -> tuple[Reset, Key] | Refusal:
    """The reset and its key, locked, for a step; the right to reset is asked again at every step (pitfall 19)."""
    seen = tx.reset(reset_id)
    key = find(tx, actor, seen.key_id, lock=True) if seen else NotFound()
    reset = tx.reset(reset_id, lock=True)
    if isinstance(key, Refusal) or reset is None:
        return refused(tx, actor, action, NotFound(), subject_id=reset_id)
    if actor.id != key.id and not actor.may(RIGHT_KEYS_RESET, key.account_id):
        refusal: Refusal = PermissionMissing(needed=RIGHT_KEYS_RESET)
        return refused(tx, actor, action, refusal, subject_id=reset_id, account_id=key.account_id)
    speaks_for = actor.id == key.id or protocol.owns(actor, key)
    if not speaks_for and (beyond := actor.rights_beyond(key.permissions)):
        refusal = WiderThanActor(beyond=beyond)
        return refused(tx, actor, action, refusal, subject_id=reset_id, account_id=key.account_id)
    return reset, key


def lapse(tx: Transaction, reset: Reset | None, key: Key) -> Reset | None:
    """Write down that a reset has lapsed, where its date says so."""
    if reset is None or reset.stage not in (Stage.ASKED, Stage.PROVEN) or tx.now < reset.lapses_at:
        return reset
    lapsed = protocol.end(reset, Event.LAPSED, now=tx.now)
    assert isinstance(lapsed, Reset)  # noqa: S101  # the line above asked for one that is due
    tx.save_reset(lapsed)
    done_to_key(tx, SYSTEM, "reset.lapsed", key, subject_id=reset.id)
    return lapsed


def written(
    tx: Transaction,
    actor: Actor,
    before: Step,
    after: Step,
    *,
    action: str = "",
    detail: Mapping[str, str] | None = None,
) -> None:
    """Write one step: the reset, the key where it changed, the record and the notice."""
    tx.save_reset(after.reset)
    if after.key != before.key:
        tx.save_key(after.key)
    action = action or {Event.MINTED: "reset.minted"}.get(after.event or Event.PROOF_COMPLETED, "reset.proven")
    told = {"key": after.key.id, "reason": after.reset.asking.reason.value}
    for name, date in (("new_starts_at", after.reset.new_starts_at), ("old_stops_at", after.reset.old_stops_at)):
        if date is not None:
            told[name] = to_text(date)
    done_to_key(tx, actor, action, after.key, subject_id=after.reset.id, detail=told | dict(detail or {}))


def _old_version(reset: Reset, key: Key) -> int:
    """The version that is handed over: the newest before the new one that was ever accepted."""
    before = [one for one in key.secrets if one.version < (reset.new_version or 0)]
    accepted = [one.version for one in before if one.stop_reason is not StopReason.NEVER_STARTED]
    return max(accepted, default=0)


def planned(tx: Transaction, reset: Reset, key: Key) -> Handover:
    """The dates it would get if it were minted now."""
    return protocol.preview(reset, key, now=tx.now, held_until=held_until(tx, reset))


def answered(
    tx: Transaction,
    reset: Reset,
    *,
    key: Key | None = None,
    secret: SecretText | None = None,
    secret_shown: bool = False,
    has_minted: bool = False,
) -> ResetAnswer:
    """A reset as it now stands."""
    key = key or tx.key(reset.key_id)
    assert key is not None  # noqa: S101  # a foreign key holds it
    handing_over = reset.new_version is not None and reset.old_stops_at is not None and tx.now < reset.old_stops_at
    return ResetAnswer(
        reset=reset,
        key=key,
        plan=planned(tx, reset, key) if protocol.is_open(reset, tx.now) else None,
        secret=secret,
        secret_shown=secret_shown and key.kind is SecretKind.MADE,  # what is brought was shown to nobody
        has_minted=has_minted,
        used_by=tx.uses(key.number, _old_version(reset, key)) if handing_over and not has_minted else (),
        rev=tx.rev_of(key.id),
    )


def answered_again(tx: Transaction, reset: Reset, *, key: Key, secret_shown: bool = False) -> ResetAnswer:
    """What a repeat is answered, with the revision by which stands whatever has stopped (F10)."""
    answer = answered(tx, reset, key=key, secret_shown=secret_shown)
    stopped = key.suspension is not None or all(one.is_over(tx.now) for one in key.secrets)
    return replace(answer, rev=tx.known_by(key.id)) if stopped or reset.new_version is not None else answer
