"""One transaction: whole questions and whole answers, in SQLAlchemy Core, for SQLite and PostgreSQL alike.

Whatever is saved of a key is appended to the feed here, so no flow can forget it (F1, pitfall 2).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    Connection,
    RowMapping,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    or_,
    select,
    type_coerce,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from keyturn.core import feed as feeds
from keyturn.core.account import Account, Member, Session, User
from keyturn.core.audit import AuditRecord
from keyturn.core.feed import FeedEntry, KeyState, Predicate
from keyturn.core.instant import Instant
from keyturn.core.key import MOST_REMEMBERED, Key, Secret, state_for_verifiers
from keyturn.core.notice import Notice
from keyturn.core.policy import Policy
from keyturn.core.reset import Reset
from keyturn.core.stage import OPEN, Stage
from keyturn.ports import Page, Remembered, Use
from keyturn.store import rows
from keyturn.store.tables import (
    Moment,
    accounts,
    audit,
    authority,
    feed,
    idempotency,
    keys,
    members,
    outbox,
    policies,
    resets,
    secrets,
    sessions,
    users,
    uses,
)

MOST_USES = 100
"""How many ways of use are kept for one watched secret."""
_OPEN_STAGES = tuple(stage.value for stage in OPEN)

# The statements of the way every reset takes, built once: building one anew takes longer than running it.
_KEY = select(keys).where(keys.c.id == bindparam("id"))
_KEY_LOCKED = _KEY.with_for_update(of=keys)
_OVER = or_(secrets.c.stopped_at.is_not(None), secrets.c.stops_at <= bindparam("now", type_=Moment))
# Whatever may still be accepted comes first, however many came and went since; then the newest.
_RELEVANT = (case((_OVER, 1), else_=0), secrets.c.version.desc())
_SECRETS = (
    select(secrets).where(secrets.c.key_number == bindparam("number")).order_by(*_RELEVANT).limit(MOST_REMEMBERED)
)
_LATEST_RESET = select(resets).where(resets.c.key_id == bindparam("key_id")).order_by(resets.c.number.desc()).limit(1)
_ACCOUNT = select(accounts).where(accounts.c.id == bindparam("id"))
_RAISED = case(
    (authority.c.high_water < bindparam("now", type_=Moment), bindparam("now", type_=Moment)),
    else_=authority.c.high_water,
)
_NEXT_REV = update(authority).values(rev=authority.c.rev + 1, high_water=_RAISED).returning(authority.c.rev)
_RAISE_HIGH_WATER = (
    update(authority)
    .where(authority.c.high_water < bindparam("now", type_=Moment))
    .values(high_water=bindparam("now", type_=Moment))
)
_SECRET_ENDS = ("stops_at", "stopped_at", "stop_reason", "replaced_by", "watched")
_END_SECRET = (
    update(secrets)
    .where(secrets.c.key_number == bindparam("of_key"), secrets.c.version == bindparam("of_version"))
    .values({name: bindparam(name) for name in _SECRET_ENDS})
)
_INSERT_SECRET, _INSERT_RESET, _INSERT_AUDIT, _INSERT_OUTBOX, _INSERT_FEED = (
    insert(table).inline()
    for table in (secrets, resets, audit, outbox, feed)  # inline: nobody asks for their numbers
)


class SqlTransaction:
    """`ports.Transaction` on one connection inside one database transaction."""

    def __init__(
        self,
        connection: Connection,
        *,
        now: Instant,
        rev: int,
        epoch: int,
        deployment_account_id: str,
        presets: Mapping[str, Policy],
    ) -> None:
        self._connection = connection
        self._now = now
        self._rev = rev
        self._epoch = epoch
        self._deployment_account_id = deployment_account_id
        self._presets = presets
        self._loaded: dict[str, Key] = {}
        self._revs: dict[str, int] = {}
        self._bulk: list[tuple[int, Predicate]] = []
        # Written together before the commit, or before something asks for them: fewer round trips a step.
        self._new_resets: dict[str, Reset] = {}
        self._changed_resets: dict[str, Reset] = {}
        self._new_secrets: list[dict[str, Any]] = []
        self._ended_secrets: list[dict[str, Any]] = []
        self._records: list[AuditRecord] = []
        self._notices: list[Notice] = []
        self._accounts: dict[str, Account] = {}

    @property
    def now(self) -> Instant:
        """Authority time, read once."""
        return self._now

    @property
    def deployment_account_id(self) -> str:
        """The first account: the operator's own."""
        return self._deployment_account_id

    @property
    def epoch(self) -> int:
        """How often the authority was restored or forced anew (F9)."""
        return self._epoch

    def rev_of(self, key_id: str) -> int:
        """The revision at which this transaction tells verifiers of the key; 0 where it does not."""
        return self._revs.get(key_id, 0)

    # Keys

    def key(self, key_id: str, *, lock: bool = False) -> Key | None:
        """One key with its newest secrets."""
        found = self._connection.execute(_KEY_LOCKED if lock else _KEY, {"id": key_id}).mappings().all()
        loaded = self._with_secrets(found)
        return loaded[0] if loaded else None

    def key_by_number(self, number: int, *, lock: bool = False) -> Key | None:
        """The same by its internal number."""
        found = self._load_keys(select(keys).where(keys.c.number == number), lock=lock)
        return found[0] if found else None

    def keys(self, *, account_ids: Sequence[str] | None, owner_id: str | None, page: Page) -> Sequence[Key]:
        """Keys of these accounts (None: of all), newest first."""
        query = _within(select(keys), keys, account_ids, page)
        if owner_id is not None:
            query = query.where(keys.c.owner_id == owner_id)
        return self._load_keys(query)

    def keys_created_by(self, key_id: str, *, since: Instant) -> Sequence[Key]:
        """R25: what this key created, locked."""
        query = select(keys).where(keys.c.created_by == key_id, keys.c.created_at >= since).order_by(keys.c.number)
        return self._load_keys(query, lock=True)

    def stands(self, key_id: str, version: int) -> bool:
        """Whether that version of that key is accepted now; held against a stop until this transaction ends."""
        columns = (keys.c.number, keys.c.revoked_at, keys.c.suspended_at, keys.c.expires_at)
        query = select(*columns).where(keys.c.id == key_id).with_for_update(read=True, of=keys)
        key = self._connection.execute(query).first()
        if key is None or key.revoked_at is not None or key.suspended_at is not None or self._now >= key.expires_at:
            return False
        this = and_(secrets.c.key_number == key.number, secrets.c.version == version)
        secret = self._connection.execute(select(secrets.c.stopped_at, secrets.c.stops_at).where(this)).first()
        return secret is not None and secret.stopped_at is None and self._now < secret.stops_at

    def session_stands(self, session_id: str) -> bool:
        """Whether the session is open now; held against its end until this transaction ends."""
        query = select(sessions.c.ends_at).where(sessions.c.id == session_id).with_for_update(read=True)
        found = self._connection.execute(query).first()
        return found is not None and self._now < found.ends_at

    def lock_owner(self, owner_id: str) -> None:
        """One creation for this owner at a time (pitfall 15)."""
        self._connection.execute(select(users.c.id).where(users.c.id == owner_id).with_for_update()).all()

    def count_live_keys(self, owner_id: str) -> int:
        """Keys neither revoked nor expired."""
        live = and_(keys.c.owner_id == owner_id, keys.c.revoked_at.is_(None), keys.c.expires_at > self._now)
        return self._connection.execute(select(func.count()).select_from(keys).where(live)).scalar_one()

    def insert_key(self, key: Key) -> Key:
        """Add a key; the answer has its number."""
        number = self._connection.execute(insert(keys).values(rows.key_row(key)).returning(keys.c.number)).scalar_one()
        rev = self._allot_rev()
        key = replace(key, number=number, secrets=tuple(replace(one, rev=rev) for one in key.secrets))
        self._connection.execute(
            insert(secrets), [rows.secret_row(one) | {"key_number": number} for one in key.secrets]
        )
        self._revs[key.id] = rev
        self._loaded[key.id] = key
        return key

    def save_key(self, key: Key) -> None:
        """Write what differs from the key as it was loaded, and append to the feed what verifiers must know of it."""
        before = self._loaded[key.id]
        if state_for_verifiers(key) != state_for_verifiers(before) and key.id not in self._revs:
            self._revs[key.id] = self._allot_rev()
        old_row, new_row = rows.key_row(before), rows.key_row(key)
        changed = {name: value for name, value in new_row.items() if old_row[name] != value}
        if changed:
            self._connection.execute(update(keys).where(keys.c.number == key.number).values(changed))
        known = {one.version: one for one in before.secrets}
        for secret in key.secrets:
            if secret.version not in known:
                minted = replace(secret, rev=self._revs[key.id])
                key = key.with_secret(minted)
                self._new_secrets.append(rows.secret_row(minted) | {"key_number": key.number})
            elif secret != known[secret.version]:
                ends = {name: value for name, value in rows.secret_row(secret).items() if name in _SECRET_ENDS}
                self._ended_secrets.append(ends | {"of_key": key.number, "of_version": secret.version})
        self._loaded[key.id] = key

    def suspend_account(self, account_id: str, *, by: str, reason: str) -> tuple[int, int]:
        """Suspend every live key of an account in one statement and one feed entry (F11); how many, at which rev."""
        rev = self._allot_rev()
        live = and_(
            keys.c.account_id == account_id,
            keys.c.revoked_at.is_(None),
            keys.c.suspended_at.is_(None),
            keys.c.expires_at > self._now,
        )
        held = {"suspended_at": self._now, "suspended_by": by, "suspended_reason": reason, "suspended_reset": ""}
        count = self._connection.execute(update(keys).where(live).values(held)).rowcount
        self._bulk.append((rev, Predicate(account_id=account_id)))
        return count, rev

    def _load_keys(self, query: Select[Any], *, lock: bool = False) -> list[Key]:
        query = query.with_for_update(of=keys) if lock else query
        return self._with_secrets(self._connection.execute(query).mappings().all())

    def _with_secrets(self, found: Sequence[RowMapping]) -> list[Key]:
        """The keys of these rows.  Their secrets are read after the rows were locked, so they are not older."""
        self._flush_secrets()  # a key saved and read again in one transaction is as it was saved
        numbers = [row["number"] for row in found]
        known: dict[int, list[Secret]] = {number: [] for number in numbers}
        for row in self._secrets_of(numbers):
            known[row["key_number"]].append(rows.read_secret(row))
        loaded = [rows.read_key(row, sorted(known[row["number"]], key=_version)) for row in found]
        self._loaded.update((key.id, key) for key in loaded)
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

    # The feed

    def _allot_rev(self) -> int:
        """F1: the next revision, under the lock of one row, so that commit order is revision order."""
        rev: int = self._connection.execute(_NEXT_REV, {"now": self._now}).scalar_one()
        return rev

    def flush(self) -> list[FeedEntry]:
        """Write what is still unwritten, and the feed entries of every key saved; called once, before the commit."""
        entries = [
            FeedEntry(rev=rev, at=self._now, change=state_for_verifiers(self._loaded[key_id]))
            for key_id, rev in self._revs.items()
        ]
        entries += [FeedEntry(rev=rev, at=self._now, change=predicate) for rev, predicate in self._bulk]
        entries.sort(key=lambda entry: entry.rev)
        written = [{"rev": entry.rev, "at": entry.at, "change": feeds.to_json(entry.change)} for entry in entries]
        with self._in_one_trip():
            self._flush_secrets()
            self._flush_resets()
            for statement, batch in (
                (_INSERT_AUDIT, [_columns(one) for one in self._records]),
                (_INSERT_OUTBOX, [_columns(one) | {"at": self._now} for one in self._notices]),
                (_INSERT_FEED, written),
            ):
                if batch:
                    self._connection.execute(statement, batch)
            if self._records and not entries:
                # Last, for its lock is one that all changes wait for.  A revision has raised it already (F8).
                self._connection.execute(_RAISE_HIGH_WATER, {"now": self._now})
        return entries

    def _flush_secrets(self) -> None:
        for ends in self._ended_secrets:
            self._connection.execute(_END_SECRET, ends)
        if self._new_secrets:
            self._connection.execute(_INSERT_SECRET, self._new_secrets)
        self._ended_secrets, self._new_secrets = [], []

    @contextmanager
    def _in_one_trip(self) -> Iterator[None]:
        """Statements whose answers nobody waits for travel together where the driver can do that (libpq's pipeline)."""
        dialect = self._connection.dialect
        if dialect.driver != "psycopg":
            yield
            return
        driver: Any = self._connection.connection.driver_connection
        errors: Any = dialect.loaded_dbapi.Error
        try:
            with driver.pipeline():
                yield
        except errors as error:
            # The pipeline tells of an error at its end, past SQLAlchemy, which would have wrapped it like this.
            gone = dialect.is_disconnect(error, driver, None)
            raise DBAPIError.instance(
                None, None, error, errors, hide_parameters=True, connection_invalidated=gone, dialect=dialect
            ) from error

    @property
    def rev(self) -> int:
        """The newest revision when this transaction began to read."""
        return self._rev

    def feed_after(self, rev: int, *, limit: int) -> list[FeedEntry]:
        """Entries after `rev`, in order."""
        query = select(feed).where(feed.c.rev > rev).order_by(feed.c.rev).limit(limit)
        return [
            FeedEntry(rev=row.rev, at=row.at, change=feeds.from_json(row.change))
            for row in self._connection.execute(query)
        ]

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

    # Resets

    def reset(self, reset_id: str, *, lock: bool = False) -> Reset | None:
        """One reset."""
        query = select(resets).where(resets.c.id == reset_id)
        return self._first_reset(query.with_for_update() if lock else query)

    def latest_reset(self, key_id: str) -> Reset | None:
        """The key's newest reset."""
        self._flush_resets()
        found = self._connection.execute(_LATEST_RESET, {"key_id": key_id}).mappings().first()
        return None if found is None else rows.read_reset(found)

    def reset_of_version(self, key_id: str, version: int) -> Reset | None:
        """The reset that minted this version, where it has not ended."""
        stages = (Stage.MINTED.value, Stage.SETTLED.value)
        this = and_(resets.c.key_id == key_id, resets.c.stage.in_(stages))
        query = select(resets).where(this).order_by(resets.c.number.desc())
        found = (rows.read_reset(row) for row in self._find_resets(query))
        return next((one for one in found if one.new_version == version), None)

    def waiting_reset(self, key_id: str) -> Reset | None:
        """The key's newest reset that is minted and not yet written down as settled."""
        this = and_(resets.c.key_id == key_id, resets.c.stage == Stage.MINTED.value)
        return self._first_reset(select(resets).where(this).order_by(resets.c.number.desc()))

    def resets(
        self, *, account_ids: Sequence[str] | None, owner_id: str | None, key_id: str | None, page: Page
    ) -> Sequence[tuple[int, Reset]]:
        """Resets of these accounts (None: of all), newest first, each with its number for the next page."""
        query = _within(select(resets), resets, account_ids, page)
        if owner_id is not None:
            query = query.where(resets.c.owner_id == owner_id)
        if key_id is not None:
            query = query.where(resets.c.key_id == key_id)
        return [(row["number"], rows.read_reset(row)) for row in self._find_resets(query)]

    def resets_due(self, *, limit: int) -> Sequence[Reset]:
        """Open ones that have lapsed, and minted ones that have started: by date done, not yet written down."""
        lapsed = and_(resets.c.stage.in_(_OPEN_STAGES), resets.c.lapses_at <= self._now)
        started = and_(resets.c.stage == Stage.MINTED.value, resets.c.new_starts_at <= self._now)
        query = select(resets).where(or_(lapsed, started)).order_by(resets.c.number).limit(limit)
        return [rows.read_reset(row) for row in self._find_resets(query)]

    def resets_open(self) -> Sequence[Reset]:
        """Every open reset, locked (R32)."""
        query = select(resets).where(resets.c.stage.in_(_OPEN_STAGES), resets.c.lapses_at > self._now)
        return [rows.read_reset(row) for row in self._find_resets(query.with_for_update())]

    def resets_in_handover(self) -> Sequence[Reset]:
        """Minted or settled ones whose old secret still goes on, under a policy that ends it when it is quiet (R33)."""
        stages = (Stage.MINTED.value, Stage.SETTLED.value)
        # The one look into a body: graces may run for years, and those of policies without `quiet_after` never end so.
        quiet = type_coerce(resets.c.body, Text).not_like('%"quiet_after":null%')
        handover = and_(resets.c.stage.in_(stages), resets.c.old_stops_at > self._now, quiet)
        query = select(resets).where(handover).order_by(resets.c.number.desc())
        return [rows.read_reset(row) for row in self._find_resets(query)]

    def _first_reset(self, query: Select[Any]) -> Reset | None:
        found = self._find_resets(query.limit(1))
        return rows.read_reset(found[0]) if found else None

    def insert_reset(self, reset: Reset) -> None:
        """Add a reset."""
        self._new_resets[reset.id] = reset

    def save_reset(self, reset: Reset) -> None:
        """Write a reset back whole."""
        unwritten = self._new_resets if reset.id in self._new_resets else self._changed_resets
        unwritten[reset.id] = reset

    def _flush_resets(self) -> None:
        # What has ended is written first: it makes room for the one open reset that a key may have.
        for one in self._changed_resets.values():
            self._connection.execute(update(resets).where(resets.c.id == one.id).values(rows.reset_row(one)))
        if self._new_resets:
            self._connection.execute(_INSERT_RESET, [rows.reset_row(one) for one in self._new_resets.values()])
        self._new_resets, self._changed_resets = {}, {}

    def _find_resets(self, query: Select[Any]) -> list[RowMapping]:
        self._flush_resets()
        return list(self._connection.execute(query).mappings())

    # Accounts and people

    def found_deployment(self, account_id: str) -> None:
        """Name the deployment's own account; once, at bootstrap."""
        self._connection.execute(update(authority).values(deployment_account_id=account_id))
        self._deployment_account_id = account_id

    def account(self, account_id: str, *, lock: bool = False) -> Account | None:
        """One account."""
        if account_id in self._accounts and not lock:
            return self._accounts[account_id]
        query = _ACCOUNT.with_for_update() if lock else _ACCOUNT
        found = self._connection.execute(query, {"id": account_id}).mappings().first()
        if found is None:
            return None
        self._accounts[account_id] = rows.read_account(found)
        return self._accounts[account_id]

    def accounts(self, *, account_ids: Sequence[str] | None, page: Page) -> Sequence[tuple[int, Account]]:
        """Accounts (None: all), newest first."""
        query = _within(select(accounts), accounts, account_ids, page, column="id")
        return [(row["number"], rows.read_account(row)) for row in self._connection.execute(query).mappings()]

    def insert_account(self, account: Account) -> None:
        """Add an account."""
        self._connection.execute(insert(accounts).values(_columns(account)))

    def save_account(self, account: Account) -> None:
        """Write an account back whole."""
        self._connection.execute(update(accounts).where(accounts.c.id == account.id).values(_columns(account)))
        self._accounts[account.id] = account

    def user(self, user_id: str) -> User | None:
        """One user."""
        found = self._connection.execute(select(users).where(users.c.id == user_id)).mappings().first()
        return None if found is None else rows.read_user(found)

    def user_by_email(self, email: str) -> User | None:
        """One user by the canonical form of an address."""
        found = self._connection.execute(select(users).where(users.c.email == email)).mappings().first()
        return None if found is None else rows.read_user(found)

    def users(self, *, account_ids: Sequence[str] | None, page: Page) -> Sequence[tuple[int, User]]:
        """Members of these accounts (None: everybody), newest first."""
        query = select(users).order_by(users.c.number.desc()).limit(page.size)
        if page.before is not None:
            query = query.where(users.c.number < page.before)
        if account_ids is not None:
            within = select(members.c.user_id).where(members.c.account_id.in_(account_ids))
            query = query.where(users.c.id.in_(within))
        return [(row["number"], rows.read_user(row)) for row in self._connection.execute(query).mappings()]

    def insert_user(self, user: User, *, password: str) -> None:
        """Add a user with the stored form of a password, or empty for none."""
        self._connection.execute(insert(users).values(_columns(user) | {"password": password}))

    def set_password(self, user_id: str, password: str) -> None:
        """Put another stored password in place."""
        self._connection.execute(update(users).where(users.c.id == user_id).values(password=password))

    def password_of(self, user_id: str) -> str:
        """The stored form of the user's password, or empty."""
        found = self._connection.execute(select(users.c.password).where(users.c.id == user_id)).scalar()
        return found or ""

    def members(self, *, account_id: str | None = None, user_id: str | None = None) -> Sequence[Member]:
        """Memberships of an account, of a user, or both."""
        query = select(members)
        if account_id is not None:
            query = query.where(members.c.account_id == account_id)
        if user_id is not None:
            query = query.where(members.c.user_id == user_id)
        return [rows.read_member(row) for row in self._connection.execute(query).mappings()]

    def insert_member(self, member: Member) -> None:
        """Add a member."""
        self._connection.execute(insert(members).values(_columns(member) | {"role": member.role.value}))

    def insert_session(self, session: Session, *, digest: bytes) -> None:
        """Add a session, known by the digest of its token."""
        row = _columns(session) | {"role": session.role.value, "digest": digest}
        self._connection.execute(insert(sessions).values(row))

    def session(self, digest: bytes) -> Session | None:
        """The session of that token, also one past its end."""
        found = self._connection.execute(select(sessions).where(sessions.c.digest == digest)).mappings().first()
        return None if found is None else rows.read_session(found)

    def end_sessions(self, *, session_id: str | None = None, user_id: str | None = None) -> int:
        """End one session, or all of a user."""
        this = sessions.c.id == session_id if session_id is not None else sessions.c.user_id == user_id
        return self._connection.execute(delete(sessions).where(this)).rowcount

    # Policies

    def policy(self, name: str) -> Policy | None:
        """A preset, or the newest version of an operator's own."""
        if name in self._presets:
            return self._presets[name]
        query = select(policies).where(policies.c.name == name).order_by(policies.c.version.desc()).limit(1)
        found = self._connection.execute(query).mappings().first()
        return None if found is None else rows.read_policy(found)

    def is_preset(self, name: str) -> bool:
        """Whether the name is taken by a preset that ships."""
        return name in self._presets

    def policies(self) -> Sequence[Policy]:
        """Every policy there is, presets first."""
        newest = (
            select(policies.c.name, func.max(policies.c.version).label("version")).group_by(policies.c.name).subquery()
        )
        query = select(policies).join(
            newest, and_(policies.c.name == newest.c.name, policies.c.version == newest.c.version)
        )
        own = self._connection.execute(query.order_by(policies.c.name)).mappings()
        return [*self._presets.values(), *(rows.read_policy(row) for row in own)]

    def insert_policy(self, policy: Policy, *, by: str) -> None:
        """Add a policy, or its next version."""
        row = rows.policy_to_plain(policy) | {"created_at": self._now, "created_by": by}
        self._connection.execute(insert(policies).values(row))

    # Evidence and telling

    def record(self, record: AuditRecord) -> None:
        """Append an audit record."""
        self._records.append(record)

    def audit(
        self, *, account_ids: Sequence[str] | None, subject_id: str | None, page: Page
    ) -> Sequence[tuple[int, AuditRecord]]:
        """Audit records of these accounts (None: of all), newest first."""
        query = _within(select(audit), audit, account_ids, page)
        if subject_id is not None:
            query = query.where(audit.c.subject_id == subject_id)
        return [(row["number"], rows.read_audit(row)) for row in self._connection.execute(query).mappings()]

    def tell(self, notice: Notice) -> None:
        """Put a notice into the outbox."""
        self._notices.append(notice)

    def has_notices(self) -> bool:
        """Whether anything waits to be told."""
        return self._connection.execute(select(outbox.c.number).limit(1)).first() is not None

    def take_notices(self, *, limit: int) -> Sequence[Notice]:
        """The oldest notices, taken out: they are told once this transaction commits."""
        query = select(outbox).order_by(outbox.c.number).limit(limit).with_for_update(skip_locked=True)
        found = self._connection.execute(query).all()
        taken = [row.number for row in found]
        self._connection.execute(delete(outbox).where(outbox.c.number.in_(taken)))
        return [
            Notice(
                kind=row.kind, account_id=row.account_id, owner_id=row.owner_id, key_id=row.key_id, detail=row.detail
            )
            for row in found
        ]

    def recall(self, caller: str, idempotency_key: str) -> Remembered | None:
        """What this caller asked under that key before."""
        this = and_(idempotency.c.caller == caller, idempotency.c.idempotency_key == idempotency_key)
        found = self._connection.execute(select(idempotency).where(this)).first()
        return None if found is None else Remembered(request=bytes(found.request), subject_id=found.subject_id)

    def remember(self, caller: str, idempotency_key: str, remembered: Remembered) -> None:
        """Keep an answer for a replay."""
        row = {"caller": caller, "idempotency_key": idempotency_key, "at": self._now}
        row |= {"request": remembered.request, "subject_id": remembered.subject_id}
        self._connection.execute(insert(idempotency).values(row))

    def forget_replays(self, *, before: Instant) -> int:
        """Drop what was remembered before that instant."""
        return self._connection.execute(delete(idempotency).where(idempotency.c.at < before)).rowcount

    # Use

    def add_uses(self, batch: Sequence[Use]) -> None:
        """Add to the tally of watched secrets, at most `MOST_USES` ways each."""
        for use in batch:
            this = and_(uses.c.key_number == use.key_number, uses.c.version == use.version)
            kinds = self._connection.execute(select(func.count()).select_from(uses).where(this)).scalar_one()
            row = _columns(use)
            way = and_(*(uses.c[name] == row[name] for name in ("address", "permission", "user_agent")))
            if kinds >= MOST_USES and self._connection.execute(select(uses.c.count).where(this, way)).first() is None:
                row |= {"address": "", "permission": "", "user_agent": ""}  # the rest of them together
            self._connection.execute(self._upsert_use(row))
            c = secrets.c
            fresher = or_(c.last_used_at.is_(None), c.last_used_at < use.last_seen)
            secret = and_(c.key_number == use.key_number, c.version == use.version, fresher)
            self._connection.execute(update(secrets).where(secret).values(last_used_at=use.last_seen))

    def _upsert_use(self, row: Mapping[str, Any]) -> Any:  # noqa: ANN401  # two dialects' statements
        dialect = postgresql if self._connection.dialect.name == "postgresql" else sqlite
        statement = dialect.insert(uses).values(row)
        seen = case(
            (uses.c.last_seen < statement.excluded.last_seen, statement.excluded.last_seen), else_=uses.c.last_seen
        )
        return statement.on_conflict_do_update(
            index_elements=list(uses.primary_key.columns),
            set_={"count": uses.c.count + statement.excluded.count, "last_seen": seen},
        )

    def touch(self, last_uses: Mapping[int, Instant]) -> None:
        """Note the last use of keys, by number; never earlier than known."""
        c = keys.c
        for number, at in last_uses.items():
            fresher = or_(c.last_used_at.is_(None), c.last_used_at < at)
            self._connection.execute(update(keys).where(c.number == number, fresher).values(last_used_at=at))

    def uses(self, key_number: int, version: int) -> Sequence[Use]:
        """How this secret was used while it was watched, latest first."""
        this = and_(uses.c.key_number == key_number, uses.c.version == version)
        query = select(uses).where(this).order_by(uses.c.last_seen.desc())
        return [Use(**row) for row in self._connection.execute(query).mappings()]


def _version(secret: Secret) -> int:
    return secret.version


def _columns(value: object) -> dict[str, Any]:
    """The fields of a frozen value by name; `dataclasses.asdict` would copy them deeply, and slowly."""
    return {name: getattr(value, name) for name in type(value).__slots__}  # type: ignore[attr-defined]  # all have them


def _within(
    query: Select[Any], table: Table, account_ids: Sequence[str] | None, page: Page, *, column: str = "account_id"
) -> Select[Any]:
    """Restrict to accounts (pitfall 18) and to one page, newest first."""
    if account_ids is not None:
        query = query.where(table.c[column].in_(account_ids))
    if page.before is not None:
        query = query.where(table.c.number < page.before)
    return query.order_by(table.c.number.desc()).limit(page.size)
