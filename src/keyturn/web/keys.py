"""The tab **API Keys** (K1), a key's own page, and stopping it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from keyturn.core.actor import Actor
from keyturn.core.age import Age, Coming
from keyturn.core.instant import Instant
from keyturn.core.key import Key, status
from keyturn.core.permission import RIGHT_KEYS_RESET, RIGHT_KEYS_WRITE
from keyturn.core.refusal import KeyChanged, Refusal
from keyturn.core.reset import Reset
from keyturn.core.stage import OPEN
from keyturn.edge.places import Aim
from keyturn.flow import age as ages
from keyturn.flow import claim as claims
from keyturn.flow import history as histories
from keyturn.flow import key as keys
from keyturn.flow.age import AgedKey
from keyturn.ports.page import Page
from keyturn.ports.transaction import Transaction
from keyturn.web.asked import SignedIn
from keyturn.web.key_form import KeyForm, filled, read_edit, stamp
from keyturn.web.route import Place, posted_by_members, shown_to_members

_SIZE: Final = 50
_EVENTS: Final = 60
_MOST_DIGITS: Final = 19


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One key in the list."""

    key: Key
    status: str
    age: Age
    share: int
    """How much of its allowed age the key has used up, in percent."""
    next: Coming | None


def line(aged: AgedKey, now: Instant) -> Line:
    """What the list shows of a key."""
    age, share = aged.age, 0
    if age.due_at is not None:
        share = min(100, round(100 * ((now - age.since) / (age.due_at - age.since)))) if age.due_at > age.since else 100
    return Line(
        key=aged.key,
        status=status(aged.key, now),
        age=age,
        share=share,
        next=next(iter(aged.coming), None),
    )


def listing(asked: SignedIn) -> Response:
    """Every key that the reader may know of, newest first."""
    before = asked.query.get("before", "")
    page = Page(
        size=_SIZE + 1, before=int(before) if before.isascii() and before.isdigit() and len(before) < 19 else None
    )
    (found, waiting), now = asked.call.read(lambda tx: _listing(tx, asked.actor, page))
    return asked.show(
        "keys.html",
        tab="keys",
        lines=[line(one, now) for one in found[:_SIZE]],
        waiting=waiting,
        older=found[_SIZE - 1].key.number if len(found) > _SIZE else None,
        may_create=asked.actor.may(RIGHT_KEYS_WRITE, asked.actor.account_id),
        may_reset=asked.actor.may(RIGHT_KEYS_RESET, asked.actor.account_id),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A reset that waits for the reader, and the name of its key."""

    reset: Reset
    name: str


def _listing(tx: Transaction, actor: Actor, page: Page) -> tuple[Sequence[AgedKey], Sequence[Claim]] | Refusal:
    found = ages.listing(tx, actor=actor, account_id=actor.account_id, owner_id=None, page=page)
    if isinstance(found, Refusal):
        return found
    waiting = claims.waiting(tx, actor=actor, account_id=actor.account_id, mine=True, page=Page(size=_SIZE))
    if isinstance(waiting, Refusal):
        return found, ()
    keyed = ((reset, tx.key(reset.key_id)) for _, reset in waiting)
    return found, [Claim(reset=reset, name=key.name) for reset, key in keyed if key is not None]


def show(asked: SignedIn) -> Response:
    """One key: what it may do, its secrets, what is coming, its history, and what can be done with it."""
    return _show(asked)


def _show(asked: SignedIn, *, wrong_name: str = "", status_code: int = 200) -> Response:
    key_id = asked.path["key_id"]
    (aged, history), now = asked.call.read(
        lambda tx: histories.of_key(tx, actor=asked.actor, key_id=key_id, page=Page(size=_EVENTS))
    )
    key = aged.key
    return asked.show(
        "key.html",
        tab="keys",
        line=line(aged, now),
        key=key,
        coming=aged.coming,
        history=history.records,
        open_reset=_open(history.resets, now),
        handover=_handing_over(history.resets, key, now),
        owner=history.owner,
        may_write=asked.actor.may(RIGHT_KEYS_WRITE, key.account_id),
        may_reset=asked.actor.may(RIGHT_KEYS_RESET, key.account_id),
        typed=asked.form.raw("name"),
        wrong_name=wrong_name,
        status=status_code,
    )


def _open(resets: Sequence[Reset], now: Instant) -> Reset | None:
    return next((one for one in resets if one.stage in OPEN and now < one.lapses_at), None)


def _handing_over(resets: Sequence[Reset], key: Key, now: Instant) -> Reset | None:
    """The reset whose old secret still goes on, or whose new one waits."""
    newest = next((one for one in resets if one.new_version is not None), None)
    if newest is None or newest.new_version != key.version:
        return None
    going_on = newest.old_stops_at is not None and now < newest.old_stops_at
    waiting = newest.new_starts_at is not None and now < newest.new_starts_at
    return newest if going_on or waiting else None


def suspend(asked: SignedIn) -> Response:
    """Stop it for now: one button, no proof, from anywhere (R22)."""
    key_id = asked.path["key_id"]
    asked.stop(lambda tx: keys.suspend(tx, actor=asked.actor, key_id=key_id, reason="owner"))
    return asked.go(f"/keys/{key_id}?done=suspended")


def revoke(asked: SignedIn) -> Response:
    """Stop it for good, once its name was typed."""
    key_id = asked.path["key_id"]
    key, _ = asked.call.read(lambda tx: keys.show(tx, actor=asked.actor, key_id=key_id))
    if asked.form("name") != key.name.strip():
        return _show(asked, wrong_name=asked.browser.words("key.revoke_name_wrong"), status_code=422)
    asked.stop(lambda tx: keys.revoke(tx, actor=asked.actor, key_id=key_id))
    return asked.go(f"/keys/{key_id}?done=revoked")


def edit(asked: SignedIn) -> Response:
    """The form to change a key."""
    key_id = asked.path["key_id"]
    key, _ = asked.call.read(lambda tx: keys.show(tx, actor=asked.actor, key_id=key_id))
    return _edit(asked, key, filled(key))


def _edit(asked: SignedIn, key: Key, form: KeyForm, *, problem: str = "", status: int = 200) -> Response:
    return asked.show("key_edit.html", tab="keys", key=key, form=form, stamp=stamp(key), problem=problem, status=status)


def save(asked: SignedIn) -> Response:
    """Change a key; verifiers follow at once."""
    key_id = asked.path["key_id"]
    key, now = asked.call.read(lambda tx: keys.show(tx, actor=asked.actor, key_id=key_id))
    if asked.form("stamp") != stamp(key):
        changed = KeyChanged(version=key.version)
        return _edit(asked, key, filled(key), problem=asked.say(changed), status=changed.status)
    change = read_edit(asked.form, key, asked.browser, now=now)
    if isinstance(change, KeyForm):
        return _edit(asked, key, change, status=422)
    refusal = asked.try_change(lambda tx: keys.edit(tx, actor=asked.actor, key_id=key_id, edit=change))
    if refusal is not None:
        typed, problem = KeyForm.refused(asked.form, refusal, asked.say(refusal))
        return _edit(asked, key, typed, problem=problem, status=refusal.status)
    return asked.go(f"/keys/{key_id}?done=edited")


PLACES: Final[tuple[Place, ...]] = (
    shown_to_members("/keys", listing),
    shown_to_members("/keys/{key_id}", show),
    posted_by_members("/keys/{key_id}/suspend", suspend, aim=Aim.STOP),
    posted_by_members("/keys/{key_id}/revoke", revoke, aim=Aim.STOP),
    shown_to_members("/keys/{key_id}/edit", edit),
    posted_by_members("/keys/{key_id}/edit", save, aim=Aim.NARROW),
)
