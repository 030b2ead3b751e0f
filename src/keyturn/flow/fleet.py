"""The fleet, for people who look after it: who holds a lease, and how far each has come."""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from keyturn.core.actor import Actor
from keyturn.core.lease import FOR_GOOD, Attached, Lease, Raised, Terms, is_everybody, length_fault, margin_fault
from keyturn.core.permission import RIGHT_ADMIN, RIGHT_AUDIT_READ
from keyturn.core.refusal import InvalidField, NotFound, PermissionMissing, Refusal
from keyturn.flow.evidence import done, refused
from keyturn.flow.membership import Membership
from keyturn.ports.transaction import Transaction

_RAISED: Final = "fleet.epoch_raised"
_TERMS_SET: Final = "fleet.terms_set"


class Footing(Enum):
    """On what somebody answers from memory."""

    LEASED = "leased"
    LAPSED = "lapsed"
    """The lease is over; the record stays until somebody has waited it out."""
    UNLEASED = "unleased"
    """It goes on without one, for as long as it was told to (F12)."""
    LEFT = "left"
    """It has ended, and left nobody with a lease."""
    AHEAD = "ahead"
    """It has applied more than the database holds: a restored backup, or a lost failover (F9)."""
    EARLIER = "earlier"
    """Everybody of the epochs before, or of a time that may be lost: the next stop waits for them once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A node or a verifier, as far as the node that was asked knows.

    Of another node's it was told at that node's last renewal; durations are what they can be at the most.
    """

    instance: str
    name: str
    footing: Footing
    ends_in: int
    """Microseconds until its lease is over; 0 where it is."""
    applied_rev: int
    acked_rev: int
    lag: int
    """How many revisions it has not acknowledged yet."""
    verifiers: tuple["Standing", ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Everybody with a lease, beside the authority."""

    epoch: int
    rev: int
    terms: Terms
    nodes: tuple[Standing, ...]

    @property
    def has_unleased(self) -> bool:
        """Whether somebody may answer from memory without a lease, so that nothing is confirmed (F12)."""
        return any(one.footing is Footing.UNLEASED for node in self.nodes for one in node.verifiers)


def look(tx: Transaction, *, actor: Actor, own: Lease, member: Membership) -> Fleet | Refusal:
    """Who is attached, to whoever may read the operator's audit log.

    `own` is how this node stands; it was read before the transaction began, so none of it is news to the authority.
    """
    refusal = _unreadable(tx, actor)
    if refusal is not None:
        return refusal
    leases = {one.instance: one for one in tx.leases()} | {own.instance: own}
    standings = (_node(tx, one, member) for one in leases.values())
    return Fleet(
        epoch=tx.epoch,
        rev=tx.rev,
        terms=tx.terms(),
        nodes=tuple(sorted(standings, key=lambda one: (one.name, one.instance))),
    )


def check_rev(tx: Transaction, *, actor: Actor, rev: int) -> int | Refusal:
    """The revision, where there is one and the actor may look at who decides by it."""
    refusal = _unreadable(tx, actor)
    if refusal is not None:
        return refusal
    return rev if 0 < rev <= tx.rev else NotFound()


def raise_epoch(tx: Transaction, *, actor: Actor, epoch: int, reason: str) -> Raised | Refusal:
    """End `epoch`: every node and verifier drops what it holds and joins the next one anew (F9).

    For a database that was restored, or promoted without the last commits: what holders have applied beyond it is of
    a past that there is no more.  To name the epoch is to say that one knows of it, and raises it once.
    """
    raised = _raised(tx, actor, epoch)
    if not isinstance(raised, Raised):
        return refused(tx, actor, _RAISED, raised, subject_id=str(epoch), account_id=tx.deployment_account_id)
    detail = {"epoch": str(raised.epoch), "before": str(epoch), "rev": str(tx.rev), "reason": reason}
    done(tx, actor, _RAISED, account_id=tx.deployment_account_id, subject_id=str(raised.epoch), detail=detail)
    return raised


def set_terms(tx: Transaction, *, actor: Actor, terms: Terms) -> Terms | Refusal:
    """Give leases by other terms: each node from its next renewal on, and each verifier from its own.

    Longer leases bridge longer outages, and a stop waits longer for a holder that is gone; shorter ones the reverse.
    """
    refusal = _untimely(tx, actor, terms)
    if refusal is not None:
        return refused(tx, actor, _TERMS_SET, refusal, account_id=tx.deployment_account_id, subject_id="terms")
    before = tx.terms()
    tx.set_terms(terms)
    detail = {"lease_ms": _changed(before.length, terms.length), "margin_ms": _changed(before.margin, terms.margin)}
    done(tx, actor, _TERMS_SET, account_id=tx.deployment_account_id, subject_id="terms", detail=detail)
    return terms


def _changed(before: int, after: int) -> str:
    return f"{before // 1000} -> {after // 1000}"


def _untimely(tx: Transaction, actor: Actor, terms: Terms) -> Refusal | None:
    if not (actor.in_deployment_account and actor.may(RIGHT_ADMIN, tx.deployment_account_id)):
        return PermissionMissing(needed=RIGHT_ADMIN)
    if fault := length_fault(terms):
        return InvalidField(field="lease_ms", reason=fault)
    if fault := margin_fault(terms):
        return InvalidField(field="margin_ms", reason=fault)
    return None


def _raised(tx: Transaction, actor: Actor, epoch: int) -> Raised | Refusal:
    if not (actor.in_deployment_account and actor.may(RIGHT_ADMIN, tx.deployment_account_id)):
        return PermissionMissing(needed=RIGHT_ADMIN)
    return tx.raise_epoch(epoch) or InvalidField(
        field="epoch", reason="not the epoch that it is; look at the fleet again"
    )


def _unreadable(tx: Transaction, actor: Actor) -> Refusal | None:
    may = actor.in_deployment_account and actor.may(RIGHT_AUDIT_READ, tx.deployment_account_id)
    return None if may else PermissionMissing(needed=RIGHT_AUDIT_READ)


def _node(tx: Transaction, lease: Lease, member: Membership) -> Standing:
    is_own = lease.instance == member.instance
    if is_own:
        since, ends_in = 0, member.holder.deadline - member.boot()
    else:
        since = member.silent_for(lease)
        ends_in = lease.lasts - 2 * member.terms.margin - since
    if is_everybody(lease):
        return _earlier(tx, lease, ends_in)
    follows = lease.epoch == tx.epoch
    has_left = lease.acked_rev == FOR_GOOD
    acked = tx.rev if has_left else lease.acked_rev if follows else 0
    is_ahead = (follows and lease.applied_rev > tx.rev) or (is_own and member.estranged)
    return Standing(
        instance=lease.instance,
        name=lease.name,
        footing=Footing.LEFT if has_left else Footing.AHEAD if is_ahead else _lasting(ends_in),
        ends_in=0 if has_left else max(0, ends_in),
        applied_rev=lease.applied_rev,
        acked_rev=acked,
        lag=max(0, tx.rev - acked),
        verifiers=tuple(_verifier(tx, one, since) for one in lease.verifiers),
    )


def _earlier(tx: Transaction, lease: Lease, ends_in: int) -> Standing:
    return Standing(
        instance=lease.instance,
        name=lease.name,
        footing=Footing.EARLIER,
        ends_in=max(0, ends_in),
        applied_rev=0,
        acked_rev=0,
        lag=tx.rev,
    )


def _verifier(tx: Transaction, one: Attached, since: int) -> Standing:
    ends_in = one.ends_in - since
    has_left = one.acked_rev == FOR_GOOD
    footing = Footing.UNLEASED if one.stale else Footing.AHEAD if one.applied_rev > tx.rev else _lasting(ends_in)
    return Standing(
        instance=one.instance,
        name=one.name,
        footing=Footing.LEFT if has_left else footing,
        ends_in=0 if has_left else max(0, ends_in),
        applied_rev=min(one.applied_rev, tx.rev) if has_left else one.applied_rev,
        acked_rev=tx.rev if has_left else one.acked_rev,
        lag=max(0, tx.rev - one.acked_rev),
    )


def _lasting(ends_in: int) -> Footing:
    return Footing.LEASED if ends_in > 0 else Footing.LAPSED
