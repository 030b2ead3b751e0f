"""Keys and their secrets.

Whatever is saved of a key is appended to the feed here, so no flow can forget it (F1, pitfall 2).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    TextClause,
    and_,
    bindparam,
    case,
    func,
    insert,
    or_,
    select,
    text,
    update,
)

from keyturn.core.feed import KeyState, Predicate
from keyturn.core.instant import Instant
from keyturn.core.key import MOST_REMEMBERED, Key, Secret, state_for_verifiers
from keyturn.core.secret import SecretKind
from keyturn.ports.page import Page
from keyturn.store import rows
from keyturn.store.begun import Begun, Seen, locked, within
from keyturn.store.outcome import wait_for_standbys
from keyturn.store.tables import Moment, authority, keys, secrets, users

# The statements of the way every reset takes, built once: building one anew takes longer than running it.
_KEY = select(keys).where(keys.c.id == bindparam("id"))
_KEY_LOCKED = locked(_KEY)
_OVER = or_(secrets.c.stopped_at.is_not(None), secrets.c.stops_at <= bindparam("now", type_=Moment))
# Whatever may still be accepted comes first, however many came and went since; then the newest.
_RELEVANT = (case((_OVER, 1), else_=0), secrets.c.version.desc())
_SECRETS = (
    select(secrets).where(secrets.c.key_number == bindparam("number")).order_by(*_RELEVANT).limit(MOST_REMEMBERED)
)
_RAISED = case(
    (authority.c.high_water < bindparam("now", type_=Moment), bindparam("now", type_=Moment)),
    else_=authority.c.high_water,
)
_NEXT_REV = (
    update(authority)
    .values(
        rev=authority.c.rev + 1,
        high_water=_RAISED,
        before_rev_at=authority.c.rev_at,
        rev_at=bindparam("now", type_=Moment),
    )
    .returning(authority.c.rev, authority.c.before_rev_at)
)
_SECRET_ENDS = ("stops_at", "stopped_at", "stop_reason", "replaced_by", "watched")
_END_SECRET = (
    update(secrets)
    .where(secrets.c.key_number == bindparam("of_key"), secrets.c.version == bindparam("of_version"))
    .values({name: bindparam(name) for name in _SECRET_ENDS})
)
_ALONE = text("SELECT pg_advisory_xact_lock(hashtextextended(:id, 0))")
_TOGETHER = text(
    "SELECT pg_advisory_xact_lock_shared(hashtextextended(account_id, 0)),"
    " pg_advisory_xact_lock_shared(hashtextextended(owner_id, 0)),"
    " pg_advisory_xact_lock_shared(hashtextextended(id, 0)) FROM keys WHERE id = :id"
)
_ACCOUNTS_TOGETHER = text(
    "SELECT pg_advisory_xact_lock_shared(hashtextextended(account_id, 0))"
    " FROM (SELECT DISTINCT account_id FROM keys WHERE owner_id = :id ORDER BY account_id) AS accounts"
)
_INSERT_SECRET = insert(secrets).inline()  # nobody asks for their numbers


class Keys(Begun):
    """`ports.transaction.Transaction`'s questions about keys."""

    def __init__(self, connection: Connection, seen: Seen) -> None:
        super().__init__(connection, seen)
        self._loaded: dict[str, Key] = {}
        self._held: set[str] = set()
        self._unrevised: dict[str, None] = {}
        self._revs: dict[str, int] = {}
        self._before: dict[int, Instant | None] = {}
        self._bulk: list[tuple[int, Predicate]] = []
        self._last_bulk: list[Predicate] = []
        # Written together before the commit, or before something asks for them: fewer round trips a step.
        self._new_secrets: list[tuple[str, int]] = []
        self._ended_secrets: list[dict[str, Any]] = []

    def rev_of(self, key_id: str) -> int:
        """The revision at which this transaction tells verifiers of the key; 0 where it does not.

        Asked for last: from here on all other changes wait for this one, so it must wait for none of them.
        """
        self._allot_revs()
        return self._revs.get(key_id, 0)

    def known_by(self, key_id: str) -> int:
        """The revision by which verifiers know of a key as it stands here, where it was locked first.

        Read now, not when this transaction began: whoever held the lock before may have committed since then.  That
        need not be on a standby yet (F13), so this commit waits until it is.
        """
        own = self.rev_of(key_id)
        if own:
            return own
        wait_for_standbys(self._connection)
        newest: int = self._connection.execute(select(authority.c.rev)).scalar_one()
        return newest

    def key(self, key_id: str, *, lock: bool = False) -> Key | None:
        """One key with its newest secrets."""
        if lock:
            self._queue(_ALONE, key_id)
        found = self._connection.execute(_KEY_LOCKED if lock else _KEY, {"id": key_id}).mappings().all()
        loaded = self._with_secrets(found, lock=lock)
        return loaded[0] if loaded else None

    def key_by_number(self, number: int, *, lock: bool = False) -> Key | None:
        """The same by its internal number."""
        found = self._load_keys(select(keys).where(keys.c.number == number), lock=lock)
        return found[0] if found else None

    def keys(self, *, account_ids: Sequence[str] | None, owner_id: str | None, page: Page) -> Sequence[Key]:
        """Keys of these accounts (None: of all), newest first."""
        query = within(select(keys), keys, account_ids, page)
        if owner_id is not None:
            query = query.where(keys.c.owner_id == owner_id)
        return self._load_keys(query)

    def live_keys(
        self, owner_ids: Sequence[str], *, account_id: str | None = None, lock: bool = False
    ) -> Sequence[Key]:
        """Every key of these owners that has not ended; in one account or in all."""
        if lock:
            for queue in (_ACCOUNTS_TOGETHER, _ALONE):
                for owner_id in sorted(owner_ids):
                    self._queue(queue, owner_id)
        live = and_(keys.c.owner_id.in_(owner_ids), keys.c.revoked_at.is_(None), keys.c.expires_at > self._now)
        query = select(keys).where(live).order_by(keys.c.number)
        return self._load_keys(query if account_id is None else query.where(keys.c.account_id == account_id), lock=lock)

    def keys_created_by(self, key_id: str, *, since: Instant) -> Sequence[Key]:
        """R25: what this key created."""
        return self._load_keys(
            select(keys).where(keys.c.created_by == key_id, keys.c.created_at >= since).order_by(keys.c.number)
        )

    def _queue(self, statement: TextClause, subject_id: str) -> None:
        """Wait in turn, on PostgreSQL: to act with a key (together), or to change it, or all of an account or owner.

        Whoever would share a row's lock passes those there who wait to change it, so a thief who calls without pause
        would keep a stop from ever coming; a lock of this kind is given in the order in which it was asked for.
        """
        if self._connection.dialect.name == "postgresql":
            self._connection.execute(statement, {"id": subject_id})

    def stands(self, key_id: str, version: int) -> bool:
        """Whether that version of that key is accepted now; held against a stop until this transaction ends."""
        self._queue(_TOGETHER, key_id)
        columns = (keys.c.number, keys.c.revoked_at, keys.c.suspended_at, keys.c.expires_at)
        query = select(*columns).where(keys.c.id == key_id).with_for_update(read=True, of=keys)
        key = self._connection.execute(query).first()
        if key is None or key.revoked_at is not None or key.suspended_at is not None or self._now >= key.expires_at:
            return False
        this = and_(secrets.c.key_number == key.number, secrets.c.version == version)
        secret = self._connection.execute(select(secrets.c.stopped_at, secrets.c.stops_at).where(this)).first()
        return secret is not None and secret.stopped_at is None and self._now < secret.stops_at

    def lock_owner(self, owner_id: str) -> None:
        """One creation for this owner at a time (pitfall 15)."""
        self._connection.execute(locked(select(users.c.id).where(users.c.id == owner_id))).all()

    def count_live_keys(self, owner_id: str) -> int:
        """Keys neither revoked nor expired."""
        live = and_(keys.c.owner_id == owner_id, keys.c.revoked_at.is_(None), keys.c.expires_at > self._now)
        return self._connection.execute(select(func.count()).select_from(keys).where(live)).scalar_one()

    def insert_key(self, key: Key) -> Key:
        """Add a key; the answer has its number."""
        number = self._connection.execute(insert(keys).values(rows.key_row(key)).returning(keys.c.number)).scalar_one()
        key = replace(key, number=number)
        self._new_secrets += [(key.id, one.version) for one in key.secrets]
        self._unrevised[key.id] = None
        self._loaded[key.id] = key
        self._held.add(key.id)
        return key

    def save_key(self, key: Key) -> None:
        """Write what differs from the key as it was loaded, and append to the feed what verifiers must know of it."""
        before = self._held_key(key.id)
        if state_for_verifiers(key) != state_for_verifiers(before) and key.id not in self._revs:
            self._unrevised[key.id] = None
        old_row, new_row = rows.key_row(before), rows.key_row(key)
        changed = {name: value for name, value in new_row.items() if old_row[name] != value}
        if changed:
            self._connection.execute(update(keys).where(keys.c.number == key.number).values(changed))
        known = {one.version: one for one in before.secrets}
        for secret in key.secrets:
            if secret.version not in known:
                self._new_secrets.append((key.id, secret.version))
            elif secret != known[secret.version]:
                self._ended_secrets.append(_ends_row(key, secret))
        self._loaded[key.id] = key

    def _held_key(self, key_id: str) -> Key:
        """The key as it was loaded, and is still: else what somebody has stopped meanwhile would live again (F0)."""
        assert key_id in self._held, "a key is locked before it is changed"  # noqa: S101  # a flow that does not is wrong
        return self._loaded[key_id]

    def has_public_key(self, raw: bytes) -> bool:
        """Whether any secret of any key is this public key, or was (R42)."""
        return self._any_secret(secrets.c.public_key == raw)

    def has_seen(self, marks: Sequence[bytes]) -> bool:
        """Whether an own secret with one of these marks is in use, or was (R42)."""
        return self._any_secret(secrets.c.seen.in_(marks))

    def own_label(self, label: str) -> int | None:
        """The number of the key whose own secrets have this label, live or ended (R42)."""
        return self._connection.execute(select(keys.c.number).where(keys.c.own_label == label)).scalar()

    def _any_secret(self, this: ColumnElement[bool]) -> bool:
        self._flush_secrets()
        return self._connection.execute(select(secrets.c.version).where(this).limit(1)).first() is not None

    def save_ends(self, changed: Sequence[Key], among: Predicate) -> None:
        """Write the ends of many keys' secrets in one step; verifiers learn of it by one entry (F11).

        Its revision is allotted last, for all changes wait for that lock.
        """
        self._last_bulk.append(among)
        for key in changed:
            before = self._held_key(key.id)
            self._ended_secrets += [
                _ends_row(key, secret) for secret in key.secrets if secret != before.secret(secret.version)
            ]
            self._loaded[key.id] = key

    def suspend_account(self, account_id: str, *, by: str, reason: str) -> tuple[int, int]:
        """Suspend every live key of an account in one statement and one feed entry (F11); how many, at which rev."""
        self._queue(_ALONE, account_id)
        live = and_(
            keys.c.account_id == account_id,
            keys.c.revoked_at.is_(None),
            keys.c.suspended_at.is_(None),
            keys.c.expires_at > self._now,
        )
        held = {"suspended_at": self._now, "suspended_by": by, "suspended_reason": reason, "suspended_reset": ""}
        count = self._connection.execute(update(keys).where(live).values(held)).rowcount
        rev = self._allot_rev()  # only now that nobody's key is waited for
        self._bulk.append((rev, Predicate(account_id=account_id)))
        return count, rev

    def _load_keys(self, query: Select[Any], *, lock: bool = False) -> list[Key]:
        query = locked(query) if lock else query
        return self._with_secrets(self._connection.execute(query).mappings().all(), lock=lock)

    def _with_secrets(self, found: Sequence[RowMapping], *, lock: bool) -> list[Key]:
        """The keys of these rows.  Their secrets are read after the rows were locked, so they are not older."""
        numbers = [row["number"] for row in found]
        if self._unwritten.intersection(numbers):
            self._flush_secrets()  # a key saved and read again in one transaction is as it was saved
        known: dict[int, list[Secret]] = {number: [] for number in numbers}
        for row in self._secrets_of(numbers):
            known[row["key_number"]].append(rows.read_secret(row))
        loaded = [rows.read_key(row, sorted(known[row["number"]], key=_version)) for row in found]
        self._loaded.update((key.id, key) for key in loaded)
        if lock:
            self._held.update(key.id for key in loaded)
        return loaded

    def _secrets_of(self, numbers: Sequence[int]) -> Sequence[RowMapping]:
        if not numbers:
            return []
        if len(numbers) == 1:
            return self._connection.execute(_SECRETS, {"number": numbers[0], "now": self._now}).mappings().all()
        rank = func.row_number().over(partition_by=secrets.c.key_number, order_by=_RELEVANT)
        ranked = select(secrets, rank.label("rank")).where(secrets.c.key_number.in_(numbers)).subquery()
        query = select(ranked).where(ranked.c.rank <= MOST_REMEMBERED)
        return self._connection.execute(query, {"now": self._now}).mappings().all()

    def find_secret(self, digests: Sequence[bytes]) -> tuple[KeyState, int] | None:
        """The key and version that one of these digests belongs to."""
        row = self._connection.execute(select(secrets).where(secrets.c.digest.in_(digests))).mappings().first()
        key = None if row is None else self.key_by_number(row["key_number"])
        if row is None or key is None:
            return None
        secret = rows.read_secret(row)
        if key.secret(secret.version) is None:
            # Stopped so long ago that it is not loaded with its key; the answer is still its own.
            key = replace(key, secrets=(secret, *key.secrets))
        return state_for_verifiers(key), secret.version

    def find_signer(self, key_id: str) -> KeyState | None:
        """The key, where its requests are signed."""
        key = self.key(key_id)
        return state_for_verifiers(key) if key is not None and key.kind is SecretKind.PUBLIC_KEY else None

    def _allot_revs(self) -> None:
        for key_id in self._unrevised:
            self._revs[key_id] = self._allot_rev()
        self._unrevised.clear()

    def _allot_rev(self) -> int:
        """F1: the next revision, under the lock of one row, so that commit order is revision order.

        Allotted as late as can be, when all other locks are held: who has it waits for nobody who wants it.
        """
        row = self._connection.execute(_NEXT_REV, {"now": self._now}).one()
        self._before[row.rev] = row.before_rev_at
        rev: int = row.rev
        return rev

    @property
    def _unwritten(self) -> set[int]:
        """The keys whose secrets are not written as they were saved."""
        new = {self._loaded[key_id].number for key_id, _ in self._new_secrets}
        return new.union(row["of_key"] for row in self._ended_secrets)

    def _flush_secrets(self) -> None:
        self._flush_ends()
        if self._new_secrets:
            self._allot_revs()
            self._connection.execute(_INSERT_SECRET, [self._minted_row(*one) for one in self._new_secrets])
            self._new_secrets = []

    def _flush_ends(self) -> None:
        if self._ended_secrets:
            self._connection.execute(_END_SECRET, sorted(self._ended_secrets, key=_which))  # in one order everywhere
            self._ended_secrets = []

    def _minted_row(self, key_id: str, version: int) -> dict[str, Any]:
        """As it is by now, which may not be as it was minted."""
        key = self._loaded[key_id]
        (secret,) = (one for one in key.secrets if one.version == version)
        return rows.secret_row(replace(secret, rev=self._revs[key_id])) | {"key_number": key.number}


def _which(row: Mapping[str, Any]) -> tuple[int, int]:
    return row["of_key"], row["of_version"]


def _ends_row(key: Key, secret: Secret) -> dict[str, Any]:
    ends = {name: value for name, value in rows.secret_row(secret).items() if name in _SECRET_ENDS}
    return ends | {"of_key": key.number, "of_version": secret.version}


def _version(secret: Secret) -> int:
    return secret.version
