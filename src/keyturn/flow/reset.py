"""Resets, step by step (R10 to R25, R40): each function is one step of the protocol in one transaction."""

from collections.abc import Sequence

from keyturn.core import claim as claims
from keyturn.core import reset as protocol
from keyturn.core.actor import Actor, Channel
from keyturn.core.key import Key
from keyturn.core.permission import RIGHT_KEYS_READ, RIGHT_KEYS_RESET
from keyturn.core.policy import Policy, allows_own_secret
from keyturn.core.proof import CREDENTIAL, KEY_ITSELF, SECOND_FACTORS, Proof, vouched
from keyturn.core.refusal import (
    IdempotencyKeyReused,
    InvalidField,
    NotFound,
    NotTheAsker,
    Refusal,
)
from keyturn.core.reset import Asking, Reset, Step
from keyturn.core.secret import Kept, SecretKind
from keyturn.core.session import is_on
from keyturn.core.stage import Event, Stage
from keyturn.flow.authenticator import enrolled
from keyturn.flow.bring import Bring, check_kind, check_policy, field_of, is_same, must_bring, next_secret, text_of
from keyturn.flow.created import suspend_created
from keyturn.flow.evidence import done_to_key, refused
from keyturn.flow.hold import held_until
from keyturn.flow.key import find
from keyturn.flow.policy import effective_for_key
from keyturn.flow.reach import reach
from keyturn.flow.replay import Once, remember, replayed
from keyturn.flow.step import (
    ResetAnswer,
    answered,
    answered_again,
    found_for_step,
    lapse,
    speaking_for_itself,
    written,
)
from keyturn.ports.forge import Forge
from keyturn.ports.page import Page
from keyturn.ports.transaction import Transaction


def ask(
    tx: Transaction,
    *,
    actor: Actor,
    key_id: str,
    asking: Asking,
    forge: Forge,
    once: Once | None,
    arrived_rev: int,
    bring: Bring | None = None,
) -> ResetAnswer | Refusal:
    """Open a reset; an actor whose credential proves enough gets it minted in the same step (R40).

    A key whose secrets are brought (R42) is minted in the same step only where the next one is brought with it.
    """
    key = find(tx, actor, key_id, lock=True)
    earlier = replayed(tx, once)
    if isinstance(key, Refusal):
        return refused(tx, actor, "reset.asked", key, subject_id=key_id)
    if isinstance(earlier, Refusal):
        return refused(tx, actor, "reset.asked", earlier, subject_id=key_id, account_id=key.account_id)
    if earlier is not None and (reset := tx.reset(earlier)) is not None:
        return _replayed(tx, actor, reset, key, bring, action="reset.asked")
    actor = speaking_for_itself(actor, key)
    latest = lapse(tx, tx.latest_reset(key.id), key)
    asked = opened(
        tx, actor=actor, key=key, asking=asking, latest=latest, reset_id=forge.id("rst"), arrived_rev=arrived_rev
    )
    if isinstance(asked, Refusal):
        return refused(tx, actor, "reset.asked", asked, subject_id=key_id, account_id=key.account_id)
    if bring is not None and (refusal := _check_asked_bring(tx, actor, asked, bring, forge=forge)):
        return refused(tx, actor, "reset.asked", refusal, subject_id=key_id, account_id=key.account_id)
    if asked.event is Event.CLAIMED:
        tx.save_reset(asked.reset)  # it was ordered, and the asking takes it on
    else:
        tx.insert_reset(asked.reset)
    if asked.key != key:
        tx.save_key(asked.key)
    detail = {"reason": asking.reason.value, "key": key.id, "policy": asked.reset.policy.name}
    done_to_key(tx, actor, "reset.asked", key, subject_id=asked.reset.id, detail=detail)
    remember(tx, once, asked.reset.id)
    if latest is None or latest.stage is Stage.SETTLED:
        waiting = None
    else:  # behind a reset that came to nothing, or was ordered, an earlier one may still wait for its secret to start
        waiting = latest if latest.stage is Stage.MINTED else tx.waiting_reset(key.id)
    return go_on(tx, actor, asked, waiting=waiting, forge=forge, bring=bring)


def _check_asked_bring(tx: Transaction, actor: Actor, asked: Step, bring: Bring, *, forge: Forge) -> Refusal | None:
    """R42: what cannot be minted is refused before anything is opened or stopped."""
    if actor.channel is Channel.PERSON:
        return InvalidField(field=field_of(bring), reason="bring it when the proofs are complete: to the mint")
    key = asked.key
    in_force = protocol.effective_of(asked.reset)
    if refusal := check_kind(key, bring) or check_policy(bring, in_force):
        return refusal
    made = next_secret(tx, bring, prefix=key.brand, environment=key.environment, forge=forge)
    return made if isinstance(made, Refusal) else None


def opened(
    tx: Transaction, *, actor: Actor, key: Key, asking: Asking, latest: Reset | None, reset_id: str, arrived_rev: int
) -> Step | Refusal:
    """The reset as it would be opened, or why not; nothing is written."""
    account = tx.account(key.account_id)
    effective = effective_for_key(tx, key)
    return protocol.ask(
        key,
        asking,
        actor=actor,
        effective=effective,
        enrolled=can_show(tx, actor, asking, effective.policy),
        reset_allowlist=account.reset_allowlist if account else (),
        latest=latest,
        reset_id=reset_id,
        arrived_rev=arrived_rev,
        now=tx.now,
        holder_gone=latest is not None and holder_gone(tx, latest),
    )


def can_show(tx: Transaction, actor: Actor, asking: Asking, policy: Policy) -> frozenset[str]:
    """The kinds of second factor that a person has enrolled here, or has shown to an operator who vouches for them."""
    if actor.channel is not Channel.PERSON:
        return frozenset()
    kinds = enrolled(tx, actor.user_id)
    if policy.vouching == "forbidden" or asking.waive_cool_down:
        return kinds  # to waive takes one shown here (R24)
    fresh = (one for one in _vouched(tx, actor) if one.is_fresh(tx.now, policy.proof_lasts))
    return kinds | (SECOND_FACTORS & {one.kind for one in fresh})


def with_vouched(tx: Transaction, actor: Actor, asked: Step) -> Step:
    """The same with what an operator vouches for, where the person came through a portal."""
    return protocol.vouch(asked, _vouched(tx, actor), now=tx.now)


def _vouched(tx: Transaction, actor: Actor) -> tuple[Proof, ...]:
    session = tx.session_by_id(actor.session) if actor.through else None
    return vouched(session.vouched, by=actor.through, session=session.id, now=tx.now) if session else ()


def holder_gone(tx: Transaction, reset: Reset) -> bool:
    """Whether the session of whoever claimed it has ended; only a claim is asked about."""
    if reset.ordered is None or reset.waits or reset.channel is not Channel.PERSON:
        return False
    session = tx.session_by_id(reset.session)
    return session is None or not is_on(session, tx.now)


def go_on(
    tx: Transaction, actor: Actor, asked: Step, *, waiting: Reset | None, forge: Forge, bring: Bring | None = None
) -> ResetAnswer | Refusal:
    """A reset that was just asked for or claimed: minted at once where the credential is a complete proof (R40)."""
    if actor.channel is Channel.PERSON:
        step = with_vouched(tx, actor, asked)
        if step.reset != asked.reset:
            written(tx, actor, asked, step, detail={"vouched": " ".join(one.kind for one in step.reset.proofs)})
            suspend_created(tx, actor, step)
        return answered(tx, step.reset, key=step.key)
    kind = KEY_ITSELF if actor.channel is Channel.KEY else CREDENTIAL
    proof = Proof(kind=kind, by=actor.id, at=tx.now, session=actor.session)
    proven = protocol.prove(asked.reset, asked.key, proof, now=tx.now)
    assert isinstance(proven, Step)  # noqa: S101  # asked in this very transaction
    if proven.event is None:
        tx.save_reset(proven.reset)
        return answered(tx, proven.reset, key=proven.key)
    written(tx, actor, asked, proven)
    suspend_created(tx, actor, proven)
    if bring is None and proven.key.kind is not SecretKind.MADE:
        return answered(tx, proven.reset, key=proven.key)  # what stops has stopped; the next one is still to be brought
    return _mint(tx, actor, proven, waiting=waiting, forge=forge, bring=bring)


def mint(
    tx: Transaction, *, actor: Actor, reset_id: str, forge: Forge, once: Once | None, bring: Bring | None = None
) -> ResetAnswer | Refusal:
    """R13: make the new secret, or take what is brought in its place (R42); all of it or nothing."""
    found = found_for_step(tx, actor, reset_id, action="reset.minted")
    if isinstance(found, Refusal):
        return found
    reset, key = found
    earlier = replayed(tx, once)
    if isinstance(earlier, Refusal):
        return refused(tx, actor, "reset.minted", earlier, subject_id=reset_id, account_id=key.account_id)
    if earlier == reset.id:
        return _replayed(tx, actor, reset, key, bring, action="reset.minted")
    here = _from_here(tx, actor, reset)
    if isinstance(here, Refusal):
        return refused(tx, actor, "reset.minted", here, subject_id=reset_id, account_id=key.account_id)
    before = Step(event=None, reset=here, key=key)
    return _mint(tx, actor, before, waiting=tx.waiting_reset(key.id), forge=forge, bring=bring, once=once)


def _from_here(tx: Transaction, actor: Actor, reset: Reset) -> Reset | Refusal:
    """K9: the reset as it stands for its asker at this address, which is asked about again when it is minted."""
    if not protocol.is_asker(reset, actor) or not protocol.is_open(reset, tx.now):
        return reset
    account = tx.account(reset.account_id)
    here = protocol.from_here(
        reset,
        actor,
        enrolled=can_show(tx, actor, reset.asking, reset.policy),
        reset_allowlist=account.reset_allowlist if account else (),
    )
    if isinstance(here, Reset) and here != reset:
        tx.save_reset(here)  # what is wanted from here on stays wanted
    return here


def cancel(tx: Transaction, *, actor: Actor, reset_id: str) -> ResetAnswer | Refusal:
    """Call an open reset off; what R22 suspended stays suspended (R12).

    What the system ordered a person cannot call off: whoever claimed it gives it back.
    """
    found = found_for_step(tx, actor, reset_id, action="reset.cancelled")
    if isinstance(found, Refusal):
        return found
    reset, key = found
    if reset.ordered is not None and actor.channel is Channel.PERSON:
        return _let_go(tx, actor, reset, key)
    ended = protocol.end(reset, Event.CANCELLED, now=tx.now)
    if isinstance(ended, Refusal):
        return refused(tx, actor, "reset.cancelled", ended, subject_id=reset.id, account_id=key.account_id)
    tx.save_reset(ended)
    done_to_key(tx, actor, "reset.cancelled", key, subject_id=reset.id)
    return answered(tx, ended, key=key)


def _let_go(tx: Transaction, actor: Actor, reset: Reset, key: Key) -> ResetAnswer | Refusal:
    refusal: Refusal | None = None if protocol.is_asker(reset, actor) else NotTheAsker()
    released = refusal or claims.let_go(reset, now=tx.now)
    if isinstance(released, Refusal):
        return refused(tx, actor, "reset.let_go", released, subject_id=reset.id, account_id=key.account_id)
    tx.save_reset(released)
    done_to_key(tx, actor, "reset.let_go", key, subject_id=reset.id)
    return answered(tx, released, key=key)


def finish(tx: Transaction, *, actor: Actor, reset_id: str) -> ResetAnswer | Refusal:
    """Stop the old secret at once: "stop now" (R20)."""
    found = found_for_step(tx, actor, reset_id, action="reset.finished")
    if isinstance(found, Refusal):
        return found
    reset, key = found
    finished = protocol.finish(reset, key, now=tx.now)
    if isinstance(finished, Refusal):
        return refused(tx, actor, "reset.finished", finished, subject_id=reset.id, account_id=key.account_id)
    before = Step(event=None, reset=reset, key=key)
    if finished.key != key:
        written(tx, actor, before, finished, action="reset.finished")
        return answered(tx, finished.reset, key=finished.key)
    return answered_again(tx, finished.reset, key=key)


def show(tx: Transaction, *, actor: Actor, reset_id: str) -> ResetAnswer | Refusal:
    """A reset, to whoever may know of its key.  A live page asks often: nothing is locked, nothing read twice."""
    reset = tx.reset(reset_id)
    key = find(tx, actor, reset.key_id) if reset else NotFound()
    if reset is None or isinstance(key, Refusal):
        return NotFound()
    return answered(tx, reset, key=key)


def listing(
    tx: Transaction, *, actor: Actor, account_id: str | None, key_id: str | None, page: Page
) -> Sequence[tuple[int, Reset]] | Refusal:
    """Resets of an account or a key, newest first."""
    account_ids = reach(actor, RIGHT_KEYS_READ, account_id)
    if isinstance(account_ids, Refusal):
        return account_ids
    owner_id = actor.user_id if actor.own_keys_only else None
    return tx.resets(account_ids=account_ids, owner_id=owner_id, key_id=key_id, page=page)


def _mint(
    tx: Transaction,
    actor: Actor,
    before: Step,
    *,
    waiting: Reset | None,
    forge: Forge,
    bring: Bring | None,
    once: Once | None = None,
) -> ResetAnswer | Refusal:
    reset, key = before.reset, before.key
    made = _next_secret(tx, actor, before, bring, forge=forge)
    if isinstance(made, Refusal):
        return refused(tx, actor, "reset.minted", made, subject_id=reset.id, account_id=key.account_id)
    minted = protocol.mint(reset, key, made, actor=actor, now=tx.now, held_until=held_until(tx, reset))
    assert isinstance(minted, Step)  # noqa: S101  # `_next_secret` has asked the very same
    written(tx, actor, before, minted, detail={"version": str(minted.reset.new_version)})
    _replace_unstarted(tx, actor, waiting, minted)
    remember(tx, once, reset.id)
    return answered(tx, minted.reset, key=minted.key, secret=text_of(made), has_minted=True)


def _next_secret(tx: Transaction, actor: Actor, before: Step, bring: Bring | None, *, forge: Forge) -> Kept | Refusal:
    """What is minted.  Whoever may not mint learns nothing of what was brought (R42)."""
    key = before.key
    barred = protocol.may_mint(before.reset, key, actor=actor, now=tx.now)
    if isinstance(barred, Refusal):
        return barred
    if bring is None and key.kind is not SecretKind.MADE:
        return must_bring(key)
    wrong = None if bring is None else check_kind(key, bring)
    return wrong or next_secret(tx, bring, prefix=key.brand, environment=key.environment, forge=forge)


def _replayed(
    tx: Transaction, actor: Actor, reset: Reset, key: Key, bring: Bring | None, *, action: str
) -> ResetAnswer | Refusal:
    """R15: the same reset, and never the secret again."""
    if reset.new_version is not None and not is_same(bring, key):
        refusal = IdempotencyKeyReused()
        return refused(tx, actor, action, refusal, subject_id=reset.id, account_id=key.account_id)
    return answered_again(tx, reset, key=key, secret_shown=reset.new_version is not None)


def may_bring_secret(tx: Transaction, *, actor: Actor, key_id: str = "", reset_id: str = "") -> Key | None:
    """The key, where it is worth reckoning with an own secret for a reset of it: that takes its time, outside."""
    reset = tx.reset(reset_id) if reset_id else None
    key = find(tx, actor, reset.key_id if reset else key_id)
    if isinstance(key, Refusal) or key.kind is not SecretKind.OWN:
        return None
    may = actor.id == key.id or actor.may(RIGHT_KEYS_RESET, key.account_id)
    return key if may and allows_own_secret(effective_for_key(tx, key).policy) else None


def _replace_unstarted(tx: Transaction, actor: Actor, earlier: Reset | None, minted: Step) -> None:
    """R15: "reset again" ends the earlier reset, whose secret was never accepted."""
    if earlier is None or earlier.new_version is None:
        return
    replaced = minted.key.secret(earlier.new_version)
    if replaced is None or replaced.replaced_by != minted.reset.id:
        return
    ended = protocol.end(earlier, Event.RESET_AGAIN, now=tx.now)
    if isinstance(ended, Reset):
        tx.save_reset(ended)
        detail = {"reason": ended.end_reason, "by": minted.reset.id}
        done_to_key(tx, actor, "reset.ended", minted.key, subject_id=ended.id, detail=detail)
