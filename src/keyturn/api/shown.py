"""Values of the core in their wire form."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from keyturn.api import page
from keyturn.core import duration, public_key
from keyturn.core import limit as limits
from keyturn.core.account import Account, Member, User
from keyturn.core.actor import Channel
from keyturn.core.address import Address
from keyturn.core.audit import AuditRecord
from keyturn.core.authenticator import Authenticator
from keyturn.core.delivery import Parcel, State, masked
from keyturn.core.handover import Gap
from keyturn.core.instant import FOREVER, Instant, to_text
from keyturn.core.invitation import Invitation
from keyturn.core.key import Key, Secret, status
from keyturn.core.reset import UNTOUCHED, Reset, stage_at
from keyturn.core.session import Session
from keyturn.core.webhook import Webhook
from keyturn.edge import receipt as receipts
from keyturn.edge.node import Node
from keyturn.flow.age import AgedKey
from keyturn.flow.enrolment import Enrolled
from keyturn.flow.key import KeyAnswer
from keyturn.flow.member import Removed
from keyturn.flow.portal import Minted
from keyturn.flow.preview import Preview
from keyturn.flow.reset import ResetAnswer
from keyturn.flow.session import SignedIn
from keyturn.ports import Caller, Use

T = TypeVar("T")
Wire = dict[str, Any]


def when(instant: Instant | None) -> str | None:
    """RFC 3339, or null for never."""
    return None if instant is None or instant >= FOREVER else to_text(instant)


def key(one: Key, now: Instant) -> Wire:
    """A key; never a digest."""
    held = one.suspension
    newest = one.secrets[-1]
    return {
        "id": one.id,
        "account_id": one.account_id,
        "owner_id": one.owner_id,
        "name": one.name,
        "environment": one.environment,
        "label": one.label or None,
        "kind": one.kind.value,
        "status": status(one, now),
        "version": one.version,
        "hint": newest.hint,
        "permissions": list(one.permissions),
        "allowlist": list(one.allowlist),
        "limit": limits.to_text(one.limit) if one.limit else None,
        "policy": one.policy or None,
        "expires_at": when(one.expires_at),
        "created_at": when(one.created_at),
        "created_by": one.created_by,
        "last_used_at": when(one.last_used_at),
        "suspended": held
        and {"at": when(held.at), "by": held.by, "reason": held.reason, "reset_id": held.reset_id or None},
        "revoked_at": when(one.revoked_at),
        "secrets": [_secret(secret) for secret in one.secrets],
    }


def aged_key(one: AgedKey, now: Instant) -> Wire:
    """A key with its age and what is coming for it."""
    age = one.age
    shown_age = {
        "since": when(age.since),
        "state": age.state.value,
        "due_at": when(age.due_at),
        "then": age.then or None,
        "policy": age.policy,
    }
    coming = [
        {"at": when(each.at), "what": each.what, "policy": each.policy or None, "field": each.field or None}
        for each in one.coming
    ]
    return key(one.key, now) | {"age": shown_age, "coming": coming}


def _secret(one: Secret) -> Wire:
    return {
        "version": one.version,
        "hint": one.hint,
        "created_at": when(one.created_at),
        "starts_at": when(one.starts_at),
        "dangerous_starts_at": when(one.dangerous_starts_at),
        "stops_at": when(one.stops_at),
        "stopped_at": when(one.stopped_at),
        "stop_reason": one.stop_reason.value if one.stop_reason else None,
        "replaced_by": one.replaced_by or None,
        "last_used_at": when(one.last_used_at),
        "public_key": public_key.to_text(one.public_key) if one.public_key else None,
    }


def created_key(answer: KeyAnswer, now: Instant) -> Wire:
    """A new key with its secret, this once."""
    secret = answer.secret.reveal if answer.secret else None
    return key(answer.key, now) | {"secret": secret, "secret_shown": answer.secret_shown}


def changed_key(answer: KeyAnswer, now: Instant, node: Node) -> Wire:
    """A key after a stop or a resume, with the receipt where something changed."""
    held = answer.key.suspension
    stopped = answer.key.revoked_at or (held.at if held else None)
    told = receipt(node, key_id=answer.key.id, rev=answer.rev, stopped_at=stopped) if answer.rev else None
    return key(answer.key, now) | {"receipt": told}


def receipt(
    node: Node, *, rev: int, stopped_at: Instant | None, key_id: str | None = None, reset_id: str | None = None
) -> Wire:
    """R53."""
    one = receipts.receipt(node, rev=rev)
    return {
        "reset": reset_id,
        "key": key_id,
        "rev": one.rev,
        "epoch": one.epoch,
        "stopped_at": when(stopped_at),
        "confirmed": one.confirmed,
        "reason": one.reason or None,
        "waited_ms": one.waited_ms,
        "verifiers": {
            "acknowledged": one.acknowledged,
            "waited_out": list(one.waited_out),
            "unleased": list(one.unleased),
        },
    }


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
    two_step = opened.policy.manual == "two_step" and opened.channel is Channel.PERSON
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
        "order": "revoke_first" if opened.terms.revoke_first else "two_step" if two_step else "create_first",
        "missing": list(opened.missing(now)),
        "policy": opened.policy.name,
        **{name: {"value": value, "policy": opened.source(field)} for name, (value, field) in fields.items()},
        "waits_for_first_use": opened.terms.longest > opened.terms.grace and not two_step,
        "new_starts_at": when(plan.new_starts),
        "dangerous_starts_at": when(plan.dangerous_starts),
        "old_stops_at": when(plan.old_stops),
        "gap": gap and {"since": when(gap.since), "until": when(gap.until) if gap.until > gap.since else None},
        "called_by": [_use(each) for each in one.callers],
        "untouched": list(UNTOUCHED),
    }


def moved_reset(answer: ResetAnswer, now: Instant, node: Node) -> Wire:
    """The answer of the call that moved it: the stage it moved to, the secret this once, the receipt."""
    one = answer.reset
    rev = answer.rev or _minted_rev(answer)
    told = receipt(node, key_id=one.key_id, reset_id=one.id, rev=rev, stopped_at=_stopped(answer, now)) if rev else None
    return reset(answer, now) | {
        "stage": one.stage.value,
        "secret": answer.secret.reveal if answer.secret else None,
        "secret_shown": answer.secret_shown,
        "receipt": told,
    }


def _stopped(answer: ResetAnswer, now: Instant) -> Instant | None:
    """Since when every earlier secret is refused; None while one goes on."""
    key, new = answer.key, answer.reset.new_version
    old = [one for one in key.secrets if new is None or one.version < new]
    if old and all(one.is_over(now) for one in old):
        return max(one.stops_at for one in old)
    return key.suspension.at if key.suspension else None


def _minted_rev(answer: ResetAnswer) -> int:
    minted = answer.key.secret(answer.reset.new_version or 0)
    return minted.rev if minted else 0


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


def user(one: User, members: Sequence[Member]) -> Wire:
    """A person and where they belong."""
    return {
        "id": one.id,
        "email": one.email,
        "name": one.name,
        "username": one.username or None,
        "language": one.language or None,
        "time_zone": one.time_zone or None,
        "created_at": when(one.created_at),
        "memberships": [membership(each) for each in members],
    }


def authenticator(one: Authenticator) -> Wire:
    """A second factor."""
    return {
        "id": one.id,
        "kind": one.kind,
        "name": one.name,
        "made_at": when(one.made_at),
        "last_used_at": when(one.last_used_at),
    }


def enrolled(made: Enrolled) -> Wire:
    """A new second factor, with recovery codes this once."""
    return authenticator(made.authenticator) | {"recovery_codes": [one.reveal for one in made.recovery_codes]}


def membership(one: Member) -> Wire:
    """A user's part in an account."""
    return {"account_id": one.account_id, "role": one.role.value}


def member(one: Member, user: User) -> Wire:
    """The same with who they are."""
    return membership(one) | {"user_id": user.id, "email": user.email, "name": user.name}


def removed_member(one: Removed) -> Wire:
    """Who is no member any more, and what became of their keys."""
    return {
        "account_id": one.member.account_id,
        "user_id": one.member.user_id,
        "handed_over": [each.id for each in one.handed_over],
        "suspended": [each.id for each in one.suspended],
    }


def address(one: Address) -> Wire:
    """A further address of a person."""
    return {
        "id": one.id,
        "email": one.email,
        "made_at": when(one.made_at),
        "confirmed_at": when(one.confirmed_at),
    }


def invitation(one: Invitation) -> Wire:
    """An invitation, without its link."""
    return {
        "id": one.id,
        "account_id": one.account_id,
        "email": one.email,
        "role": one.role.value,
        "invited_by": one.invited_by,
        "made_at": when(one.made_at),
        "ends_at": when(one.ends_at),
        "ended_at": when(one.ended_at),
    }


def session(one: Session, *, current: bool) -> Wire:
    """A session, without its token."""
    return {
        "id": one.id,
        "user_id": one.user_id,
        "account_id": one.account_id,
        "role": one.role.value,
        "kind": one.kind.value,
        "how": list(one.how),
        "current": current,
        "started_at": when(one.started_at),
        "seen_at": when(one.seen_at),
        "idle_ends_at": when(one.idle_ends_at),
        "ends_at": when(one.ends_at),
        "address": one.address,
        "user_agent": one.user_agent,
    }


def new_session(answer: SignedIn) -> Wire:
    """A session with its token, this once."""
    tokens = {"token": answer.token, "device_token": answer.device_token or None}
    return session(answer.session, current=True) | tokens


def portal(minted: Minted, *, base_url: str) -> Wire:
    """A portal with its address, this once."""
    one = minted.portal
    return {
        "id": one.id,
        "account_id": one.account_id,
        "user_id": one.user_id,
        "url": f"{base_url}/portal/{minted.token}",
        "made_at": when(one.made_at),
        "ends_at": when(one.ends_at),
        "proofs": [{"kind": proof.kind, "at": when(proof.at)} for proof in minted.counting],
        "embed_origin": one.embed_origin or None,
        "return_url": one.return_url or None,
    }


def account(one: Account) -> Wire:
    """An account."""
    return {
        "id": one.id,
        "name": one.name,
        "created_at": when(one.created_at),
        "policy": one.policy or None,
        "floor": one.floor or None,
        "reset_allowlist": list(one.reset_allowlist),
        "max_keys_per_user": one.max_keys_per_user,
    }


def webhook(one: Webhook) -> Wire:
    """A webhook, without its secret."""
    return {
        "id": one.id,
        "account_id": one.account_id,
        "url": one.url,
        "events": list(one.events),
        "every_account": one.every_account,
        "version": one.version,
        "made_at": when(one.made_at),
        "rotated_at": when(one.rotated_at),
        "failing_since": when(one.failing_since),
        "suspended_at": when(one.suspended_at),
    }


def notice(parcel: Parcel) -> Wire:
    """What was told to one address or webhook, and what became of it."""
    one, told = parcel.delivery, parcel.notice
    assert told is not None  # noqa: S101  # letters are in no list
    return {
        "id": one.id,
        "at": when(parcel.at),
        "kind": told.kind,
        "account_id": told.account_id or None,
        "owner_id": told.owner_id or None,
        "key_id": told.key_id or None,
        "means": one.means.value,
        "to": masked(one.to),
        "state": one.state.value,
        "said": one.said or None,
        "attempts": one.attempts,
        "next_attempt_at": when(one.due_at) if one.state is State.WAITING else None,
        "settled_at": when(one.settled_at),
    }


def audit(number: int, one: AuditRecord) -> Wire:
    """One audit record."""
    return {
        "number": number,
        "at": when(one.at),
        "actor_id": one.actor_id,
        "user_id": one.user_id,
        "channel": one.channel,
        "address": one.address,
        "session": one.session,
        "action": one.action,
        "outcome": one.outcome,
        "account_id": one.account_id,
        "subject_id": one.subject_id,
        "detail": dict(one.detail),
    }


def listing(found: Sequence[tuple[int, T]], size: int, show: Callable[[T], Wire]) -> Wire:
    """One page of a list.  One more than `size` was asked for: it tells whether there is a next page."""
    kept = found[:size]
    following = page.cursor(kept[-1][0]) if len(found) > size else None
    return {"items": [show(one) for _, one in kept], "next_cursor": following}
