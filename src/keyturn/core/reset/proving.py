"""Proving who asks (R11, R24)."""

from dataclasses import replace

from keyturn.core import permission
from keyturn.core.actor import Actor
from keyturn.core.handover import stop_all
from keyturn.core.instant import Instant
from keyturn.core.key import Key, StopReason
from keyturn.core.proof import ADMINISTRATOR, SECOND_ADMINISTRATOR, SECOND_FACTORS, Proof, wants
from keyturn.core.refusal import (
    AdministratorTooNew,
    ClaimWaits,
    PermissionMissing,
    ProofNotWanted,
    ProofRefused,
    Refusal,
)
from keyturn.core.reset.value import Reset, Step, move
from keyturn.core.stage import Event


def prove(reset: Reset, key: Key, proof: Proof, *, now: Instant) -> Step | Refusal:
    """R11: add one accepted proof; when it completes a set, the reset is proven.

    With a leaked or suspicious key that stops the old secret for good (R20).
    """
    if reset.waits:
        return ClaimWaits(reset_id=reset.id)
    if not wants(reset.wanted, proof.kind):
        return ProofNotWanted(missing=reset.missing(now))
    proven = move(reset, Event.PROOF_COMPLETED, now=now)
    if isinstance(proven, Refusal):
        return proven
    if proof.session != reset.session:
        return refuse_proof(reset)
    proofs = (*(one for one in reset.proofs if one.kind != proof.kind), proof)
    with_proof = replace(reset, proofs=proofs)
    if with_proof.missing(now):
        return Step(event=None, reset=with_proof, key=key)
    if reset.terms.revoke_first:
        key = stop_all(key, reason=StopReason.LEAKED, before=key.version + 1, reset_id=reset.id, now=now)
    return Step(event=Event.PROOF_COMPLETED, reset=replace(proven, proofs=proofs), key=key)


def vouch(asked: Step, said: tuple[Proof, ...], *, now: Instant) -> Step:
    """Add what an operator vouches for to a reset that was just asked, as far as it helps, is fresh and allowed.

    It never waives a cool-down: that takes a second factor shown here (R24).
    """
    step = asked
    if asked.reset.policy.vouching == "forbidden":
        return step
    for proof in said:
        waives = asked.reset.asking.waive_cool_down and proof.kind in SECOND_FACTORS
        if waives or not proof.is_fresh(now, asked.reset.policy.proof_lasts):
            continue
        proven = prove(step.reset, step.key, proof, now=now)
        step = proven if isinstance(proven, Step) else step
    return step


def administrator_proof(reset: Reset, actor: Actor, *, known_since: Instant, now: Instant) -> Proof | Refusal:
    """R24: an administrator's word for waiving the cool-down; the second one is another person's.

    `known_since` is when both the person and the credential were there.  Whoever came after the reset was asked for
    may have been made for it, by the one person who is to be one of two.
    """
    if not actor.may(permission.RIGHT_ADMIN, reset.account_id):
        return PermissionMissing(needed=permission.RIGHT_ADMIN)
    if known_since >= reset.asked_at:
        return AdministratorTooNew(asked_at=reset.asked_at)
    first = next((one for one in reset.proofs if one.kind == ADMINISTRATOR), None)
    second = first is not None and first.is_fresh(now, reset.policy.proof_lasts) and first.by != actor.user_id
    kind = SECOND_ADMINISTRATOR if second else ADMINISTRATOR
    return Proof(kind=kind, by=actor.user_id, at=now, session=reset.session)


def refuse_proof(reset: Reset) -> ProofRefused:
    """The answer to a wrong proof, with the number of tries that remain once this one is counted."""
    return ProofRefused(attempts_left=max(0, reset.policy.attempts - reset.refused_proofs - 1))


def count_refused_proof(reset: Reset, *, now: Instant) -> Reset:
    """One more wrong proof; the last one the policy allows ends the reset."""
    counted = replace(reset, refused_proofs=reset.refused_proofs + 1)
    if counted.refused_proofs < reset.policy.attempts:
        return counted
    ended = move(counted, Event.TOO_MANY_ATTEMPTS, now=now)
    assert isinstance(ended, Reset)  # noqa: S101  # only an open reset is proved
    return ended
