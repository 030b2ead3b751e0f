"""Resets that the system orders, and whoever claims them (R12, R41): one step each."""

from collections.abc import Mapping, Sequence

from keyturn.core import claim as claims
from keyturn.core import reset as protocol
from keyturn.core.actor import Actor
from keyturn.core.instant import FOREVER, to_text
from keyturn.core.key import Key
from keyturn.core.permission import RIGHT_KEYS_READ
from keyturn.core.refusal import Refusal
from keyturn.core.reset import Asking, Reset, Step
from keyturn.flow.evidence import done_to_key, refused
from keyturn.flow.key import find
from keyturn.flow.policy import effective_for_key
from keyturn.flow.reach import reach
from keyturn.flow.replay import Once, remember, replayed
from keyturn.flow.reset import can_show, go_on, holder_gone
from keyturn.flow.step import ResetAnswer, answered, answered_again, found_for_step, lapse, speaking_for_itself
from keyturn.ports.forge import Forge
from keyturn.ports.page import Page
from keyturn.ports.transaction import Transaction


def ask_for_claim(
    tx: Transaction, *, actor: Actor, key_id: str, asking: Asking, forge: Forge, once: Once | None
) -> ResetAnswer | Refusal:
    """Order a reset for the key's owner to claim: no secret comes of it now, whoever asks."""
    key = find(tx, actor, key_id, lock=True)
    earlier = replayed(tx, once)
    if isinstance(key, Refusal):
        return refused(tx, actor, "reset.ordered", key, subject_id=key_id)
    if isinstance(earlier, Refusal):
        return refused(tx, actor, "reset.ordered", earlier, subject_id=key_id, account_id=key.account_id)
    if earlier is not None and (reset := tx.reset(earlier)) is not None:
        return answered_again(tx, reset, key=key)
    actor = actor.towards(key.account_id)
    in_force = effective_for_key(tx, key)
    account = tx.account(key.account_id)
    refusal = protocol.check_order(key, asking, actor, in_force, now=tx.now) or protocol.check_origin(
        actor, in_force, account.reset_allowlist if account else ()
    )
    ordered = refusal or order(tx, actor=actor, key=key, asking=asking, forge=forge)
    if isinstance(ordered, Refusal):
        return refused(tx, actor, "reset.ordered", ordered, subject_id=key_id, account_id=key.account_id)
    remember(tx, once, ordered.reset.id)
    return answered(tx, ordered.reset, key=ordered.key)


def order(tx: Transaction, *, actor: Actor, key: Key, asking: Asking, forge: Forge) -> Step | Refusal:
    """Order a reset of a key that is locked, by whoever answers for it; a refusal is for the caller to record."""
    ordered = claims.order(
        key,
        asking,
        by=actor,
        effective=effective_for_key(tx, key),
        latest=lapse(tx, tx.latest_reset(key.id), key),
        reset_id=forge.id("rst"),
        now=tx.now,
    )
    if isinstance(ordered, Refusal):
        return ordered
    if ordered.key != key:
        tx.save_key(ordered.key)
    order_written(tx, actor, ordered)
    return ordered


def order_written(tx: Transaction, actor: Actor, ordered: Step, *, why: Mapping[str, str] | None = None) -> None:
    """Write an order down and tell of it; the key itself is for the caller to save."""
    reset = ordered.reset
    if ordered.event is None:
        tx.insert_reset(reset)
    else:
        tx.save_reset(reset)
    told = {"key": reset.key_id, "reason": reset.asking.reason.value, "until": to_text(reset.lapses_at)}
    ends = ordered.key.secrets[-1].stops_at
    told |= {} if ends == FOREVER else {"old_stops_at": to_text(ends)}
    done_to_key(tx, actor, "reset.ordered", ordered.key, subject_id=reset.id, detail=told | dict(why or {}))


def claim(tx: Transaction, *, actor: Actor, reset_id: str, forge: Forge, once: Once | None) -> ResetAnswer | Refusal:
    """Take on a reset that was ordered; a credential that proves enough gets it minted in the same step (R40)."""
    found = found_for_step(tx, actor, reset_id, action="reset.claimed")
    if isinstance(found, Refusal):
        return found
    reset, key = found
    earlier = replayed(tx, once)
    if earlier == reset.id:
        return answered_again(tx, reset, key=key, secret_shown=reset.new_version is not None)
    actor = speaking_for_itself(actor, key)
    claimed = earlier if isinstance(earlier, Refusal) else _claimed(tx, actor, reset)
    if isinstance(claimed, Refusal):
        return refused(tx, actor, "reset.claimed", claimed, subject_id=reset.id, account_id=key.account_id)
    if claimed == reset:
        return answered_again(tx, reset, key=key)
    tx.save_reset(claimed)
    done_to_key(tx, actor, "reset.claimed", key, subject_id=reset.id, detail={"key": key.id})
    remember(tx, once, reset.id)
    step = Step(event=None, reset=claimed, key=key)
    return go_on(tx, actor, step, waiting=tx.waiting_reset(key.id), forge=forge)


def waiting(
    tx: Transaction, *, actor: Actor, account_id: str | None, mine: bool, page: Page
) -> Sequence[tuple[int, Reset]] | Refusal:
    """Resets that wait for their owner, newest first; `mine` leaves out those of other owners."""
    account_ids = reach(actor, RIGHT_KEYS_READ, account_id)
    if isinstance(account_ids, Refusal):
        return account_ids
    owner_id = actor.user_id if mine or actor.own_keys_only else None
    return tx.resets_waiting(account_ids=account_ids, owner_id=owner_id, page=page)


def _claimed(tx: Transaction, actor: Actor, reset: Reset) -> Reset | Refusal:
    account = tx.account(reset.account_id)
    return claims.claim(
        reset,
        actor=actor,
        enrolled=can_show(tx, actor, reset.asking, reset.policy),
        reset_allowlist=account.reset_allowlist if account else (),
        holder_gone=holder_gone(tx, reset),
        now=tx.now,
    )
