"""Resets and previews, as the API shows them."""

from keyturn.api.shown.wire import Wire, when
from keyturn.core import duration
from keyturn.core.handover import Gap
from keyturn.core.instant import Instant
from keyturn.core.reset import UNTOUCHED, Reset, stage_at
from keyturn.edge.node import Node
from keyturn.edge.receipt import ReceiptDue, stopped_at
from keyturn.edge.visit import Committed
from keyturn.flow.preview import Preview
from keyturn.flow.step import ResetAnswer
from keyturn.ports.use import Caller, Use


def listed_reset(one: Reset, now: Instant) -> Wire:
    """A reset by itself: as in a list."""
    return {
        "id": one.id,
        "key_id": one.key_id,
        "account_id": one.account_id,
        "owner_id": one.owner_id,
        "reason": one.asking.reason.value,
        "channel": one.channel.value,
        "asked_by": one.asked_by or None,
        "ordered_by": one.ordered_by or None,
        "claimed_at": when(one.claimed_at),
        "stage": stage_at(one, now).value,
        "missing": list(one.missing(now)),
        "policy": one.policy.name,
        "asked_at": when(one.asked_at),
        "lapses_at": when(one.lapses_at),
        "old_version": one.new_version - 1 if one.new_version else None,
        "new_version": one.new_version,
        "minted_at": when(one.minted_at),
        "new_starts_at": when(one.new_starts_at),
        "old_stops_at": when(one.old_stops_at),
        "gap": _minted_gap(one),
        "first_used_at": when(one.first_used_at),
        "ended_at": when(one.ended_at),
        "end_reason": one.end_reason or None,
        "used_by": [],
        "proofs": [{"kind": proof.kind, "at": when(proof.at)} for proof in one.proofs],
    }


def reset(answer: ResetAnswer, now: Instant) -> Wire:
    """A reset with its plan, or with who still uses the old secret."""
    shown = listed_reset(answer.reset, now) | {"used_by": [_use(one) for one in answer.used_by]}
    if answer.reset.new_version is None:
        shown["old_version"] = answer.key.version
    plan = answer.plan
    if plan is not None:
        shown |= {
            "new_starts_at": when(plan.new_starts),
            "old_stops_at": when(plan.old_stops),
            "gap": _gap(plan.gap),
        }
    return shown


def preview(one: Preview, now: Instant) -> Wire:
    """A reset that nobody has asked for yet."""
    opened, plan = one.reset, one.plan
    gap = one.gap
    fields = {
        "cool_down": (duration.to_text(opened.terms.cool_down), "cool_down"),
        "cool_down_scope": (opened.policy.cool_down_scope, "cool_down_scope"),
        "grace": (
            duration.to_text(opened.terms.grace),
            "grace_default" if opened.asking.grace is None else "grace_max",
        ),
    }
    return {
        "key_id": one.key.id,
        "version": one.key.version,
        "reason": opened.asking.reason.value,
        "order": "revoke_first" if opened.terms.revoke_first else "two_step" if opened.in_two_steps else "create_first",
        "missing": list(opened.missing(now)),
        "policy": opened.policy.name,
        **{name: {"value": value, "policy": opened.source(field)} for name, (value, field) in fields.items()},
        "waits_for_first_use": opened.terms.longest > opened.terms.grace and not opened.in_two_steps,
        "new_starts_at": when(plan.new_starts),
        "dangerous_starts_at": when(plan.dangerous_starts),
        "old_stops_at": when(plan.old_stops),
        "gap": gap and {"since": when(gap.since), "until": when(gap.until) if gap.until > gap.since else None},
        "called_by": [_use(each) for each in one.callers],
        "untouched": list(UNTOUCHED),
    }


def moved_reset(answer: ResetAnswer, committed: Committed, node: Node) -> Wire:
    """The answer of the call that moved it: the stage it moved to, the secret this once, the receipt due."""
    one, due = answer.reset, None
    if answer.rev:
        due = ReceiptDue(
            key_id=one.key_id,
            reset_id=one.id,
            rev=answer.rev,
            epoch=committed.epoch,
            durability=node.durability,
            stopped_at=stopped_at(answer, committed.at),
        )
    return reset(answer, committed.at) | {
        "stage": one.stage.value,
        "secret": answer.secret.reveal if answer.secret else None,
        "secret_shown": answer.secret_shown,
        "receipt": due,
    }


def _minted_gap(one: Reset) -> Wire | None:
    """Between the end of the old secret and the start of the new one, where there is such a stretch (R21)."""
    if one.old_stops_at is None or one.new_starts_at is None or one.old_stops_at >= one.new_starts_at:
        return None
    return _gap(Gap(since=one.old_stops_at, until=one.new_starts_at))


def _gap(gap: Gap | None) -> Wire | None:
    return None if gap is None else {"since": when(gap.since), "until": when(gap.until)}


def _use(use: Use | Caller) -> Wire:
    return {
        "address": use.address,
        "permission": use.permission,
        "user_agent": use.user_agent,
        "last_seen": when(use.last_seen),
        "count": use.count,
    }
