"""Sessions and known devices, each known by the digest of its token."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, delete, insert, or_, select, update

from keyturn.core.instant import Instant
from keyturn.core.session import Device, Session, SessionStage
from keyturn.store import rows
from keyturn.store.begun import Begun, columns, locked
from keyturn.store.tables import devices, sessions


class Sessions(Begun):
    """`ports.transaction.Transaction`'s questions about sessions."""

    def insert_session(self, session: Session, *, digest: bytes) -> None:
        """Add a session, known by the digest of its token."""
        self._connection.execute(insert(sessions).values(rows.session_row(session) | {"digest": digest}))

    def session(self, digest: bytes, *, lock: bool = False) -> Session | None:
        """The session of that token, also one past its end."""
        return self._session(sessions.c.digest == digest, lock=lock)

    def session_by_id(self, session_id: str, *, lock: bool = False) -> Session | None:
        """The same by its id."""
        return self._session(sessions.c.id == session_id, lock=lock)

    def _session(self, this: ColumnElement[bool], *, lock: bool) -> Session | None:
        query = select(sessions).where(this)
        found = self._connection.execute(locked(query) if lock else query).mappings().first()
        return None if found is None else rows.read_session(found)

    def session_stands(self, session_id: str, version: int) -> bool:
        """Whether it is open now, under that token; held against its end until this transaction ends."""
        query = select(sessions).where(sessions.c.id == session_id).with_for_update(read=True)
        found = self._connection.execute(query).first()
        if found is None or found.stage != SessionStage.OPEN.value or found.version != version:
            return False
        return bool(self._now < found.ends_at and self._now < found.idle_ends_at)

    def sessions_of(self, user_id: str) -> Sequence[Session]:
        """Every session of a user that is still on, the one used last first."""
        on = and_(sessions.c.user_id == user_id, sessions.c.ends_at > self._now, sessions.c.idle_ends_at > self._now)
        query = select(sessions).where(on).order_by(sessions.c.seen_at.desc(), sessions.c.id)
        return [rows.read_session(row) for row in self._connection.execute(query).mappings()]

    def save_session(self, session: Session, *, digest: bytes | None = None) -> None:
        """Write a session back whole, under another token where one is given."""
        row = rows.session_row(session) | ({} if digest is None else {"digest": digest})
        self._connection.execute(update(sessions).where(sessions.c.id == session.id).values(row))

    def end_sessions(
        self,
        *,
        session_id: str | None = None,
        user_id: str | None = None,
        account_id: str | None = None,
        but: str | None = None,
    ) -> int:
        """End one session, or those of a user (in one account, or all `but` one); answers how many there were."""
        this = sessions.c.id == session_id if session_id is not None else sessions.c.user_id == user_id
        if account_id is not None:
            this = and_(this, sessions.c.account_id == account_id)
        if but is not None:
            this = and_(this, sessions.c.id != but)
        return self._connection.execute(delete(sessions).where(this)).rowcount

    def forget_sessions(self, *, before: Instant) -> int:
        """Drop the sessions that ended before that instant."""
        over = or_(sessions.c.ends_at < before, sessions.c.idle_ends_at < before)
        return self._connection.execute(delete(sessions).where(over)).rowcount

    def insert_device(self, device: Device, *, digest: bytes) -> None:
        """Add a device, known by the digest of its token."""
        self._connection.execute(insert(devices).values(columns(device) | {"digest": digest}))

    def device(self, digest: bytes) -> Device | None:
        """The device of that token."""
        found = self._connection.execute(select(devices).where(devices.c.digest == digest)).mappings().first()
        return None if found is None else Device(**{name: found[name] for name in Device.__slots__})

    def save_device(self, device: Device) -> None:
        """Write a device back whole."""
        self._connection.execute(update(devices).where(devices.c.id == device.id).values(columns(device)))

    def forget_devices(self, *, user_id: str | None = None, before: Instant | None = None) -> int:
        """Drop the devices of a user, or those not seen since that instant."""
        this = devices.c.user_id == user_id if user_id is not None else devices.c.seen_at < before
        return self._connection.execute(delete(devices).where(this)).rowcount
