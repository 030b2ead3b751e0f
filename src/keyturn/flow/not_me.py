"""*This was not me*: whoever got a notice stops what it tells of, without signing in; and can do nothing else (R50).

A notice about a key stops that key.  Any other tells of something done to a person, whose mailbox, browser or password
may be in a stranger's hands: then every session of theirs ends, every browser is forgotten, and their keys stop.
All of it can be undone by the person, with full proof; none of it by whoever holds the link.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from keyturn.core.account import Role
from keyturn.core.actor import Actor, reader
from keyturn.core.key import Key, Suspension
from keyturn.core.link import Link, LinkKind, check_link
from keyturn.core.refusal import InvalidField, NotFound, Refusal
from keyturn.flow.evidence import done, done_to_key, refused, tell
from keyturn.ports.page import Page
from keyturn.ports.transaction import Transaction

REASON: Final = "not_me"
_PAGE: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class NotMe:
    """What the link would stop, or what it has stopped."""

    keys: tuple[Key, ...]
    whole_person: bool
    """Whether it is all that is the reader's, sessions included."""
    stopped: bool = False
    """Whether nothing is left to stop."""


def show(tx: Transaction, digest: bytes) -> NotMe | Refusal:
    """What the link would stop.  It changes nothing: scanners open links (R51)."""
    found = _found(tx, digest, lock=False)
    return found if isinstance(found, Refusal) else _of(tx, found)


def suspend(tx: Transaction, digest: bytes, *, sure: bool, address: str | None) -> NotMe | Refusal:
    """Stop it.  Doing it again changes nothing more.

    `sure` is the box beside the button: a scanner that presses buttons does not tick boxes.
    """
    link = _found(tx, digest, lock=True)
    if isinstance(link, NotFound):
        return link  # whose link it was is known to nobody, so it is nobody's attempt
    if isinstance(link, Refusal):
        ended = tx.link(digest)
        assert ended is not None  # noqa: S101  # what is not found was answered above
        who = reader(ended.user_id, address, account_id=ended.account_id)
        return refused(tx, who, "link.not_me", link, subject_id=ended.subject_id)
    actor = reader(link.user_id, address, account_id=link.account_id)
    if not sure:
        unsure = InvalidField(field="sure", reason="tick the box as well: programs that open mails press buttons too")
        return refused(tx, actor, "link.not_me", unsure, subject_id=link.subject_id)
    if _is_whole_person(link):
        _end_sessions(tx, actor, link)  # first: who acts in one of them may wait for one of the keys
    for key in _keys(tx, link, lock=True):
        if _can_stop(key):
            held = replace(key, suspension=Suspension(at=tx.now, by=actor.id, reason=REASON))
            tx.save_key(held)
            done_to_key(tx, actor, "key.suspended", held, detail={"reason": REASON})
    return _of(tx, link)


def _end_sessions(tx: Transaction, actor: Actor, link: Link) -> None:
    ended = tx.end_sessions(user_id=link.user_id)
    forgotten = tx.forget_devices(user_id=link.user_id)
    if ended or forgotten:
        detail = {"sessions": str(ended)}
        done(tx, actor, "user.not_me", account_id=link.account_id, subject_id=link.user_id, detail=detail)
        tell(tx, actor, "user.not_me", account_id=link.account_id, owner_id=link.user_id, detail=detail)


def _found(tx: Transaction, digest: bytes, *, lock: bool) -> Link | Refusal:
    link = tx.link(digest, lock=lock)
    refusal = check_link(link, LinkKind.NOT_ME, session="", now=tx.now)
    if refusal is not None:
        return refusal
    assert link is not None  # noqa: S101  # `check_link` refuses what is not there
    return link


def _is_whole_person(link: Link) -> bool:
    return link.subject_id == link.user_id


def _of(tx: Transaction, link: Link) -> NotMe:
    whole_person, keys = _is_whole_person(link), _keys(tx, link)
    return NotMe(keys=keys, whole_person=whole_person, stopped=not whole_person and not any(map(_can_stop, keys)))


def _keys(tx: Transaction, link: Link, *, lock: bool = False) -> tuple[Key, ...]:
    """What the link stops, newest first; locked the oldest first, as everywhere."""
    if not _is_whole_person(link):
        key = tx.key(link.subject_id, lock=lock)
        # Whoever has left the account since then has no say over its keys any more.
        return (key,) if key is not None and _is_told_of(tx, key, link.user_id) else ()
    found: list[Key] = []
    while page := tx.keys(account_ids=None, owner_id=link.user_id, page=Page(size=_PAGE, before=_last(found))):
        found += page
    if not lock:
        return tuple(found)
    held = [tx.key(one.id, lock=True) for one in reversed(found)]
    return tuple(one for one in reversed(held) if one is not None)


def _last(found: Sequence[Key]) -> int | None:
    return found[-1].number if found else None


def _is_told_of(tx: Transaction, key: Key, user_id: str) -> bool:
    roles = [one.role for one in tx.members(account_id=key.account_id, user_id=user_id)]
    return bool(roles) and (key.owner_id == user_id or Role.OWNER in roles)


def _can_stop(key: Key) -> bool:
    return key.revoked_at is None and key.suspension is None
