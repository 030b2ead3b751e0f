"""Second factors, recovery codes, passkeys' challenges, spent CAPTCHAs, and what was shown again in a session."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import RowMapping, and_, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from keyturn.core.authenticator import Authenticator, Challenge, Purpose, SessionProof
from keyturn.core.captcha import Solved
from keyturn.store.begun import Begun, columns, locked
from keyturn.store.tables import authenticators, challenges, recovery_codes, session_proofs, spent_captchas


class Authenticators(Begun):
    """`ports.transaction.Transaction`'s questions about second factors."""

    def authenticators(self, user_id: str, *, lock: bool = False) -> Sequence[Authenticator]:
        """Those of a user, oldest first, also what is not confirmed."""
        query = select(authenticators).where(authenticators.c.user_id == user_id)
        query = query.order_by(authenticators.c.made_at, authenticators.c.id)
        found = self._connection.execute(locked(query) if lock else query).mappings()
        return [_read(row) for row in found]

    def has_passkey(self, credential_id: bytes) -> bool:
        """Whether anybody has that passkey."""
        query = select(authenticators.c.id).where(authenticators.c.credential_id == credential_id)
        return self._connection.execute(query).first() is not None

    def insert_authenticator(self, authenticator: Authenticator) -> None:
        """Add one."""
        self._connection.execute(insert(authenticators).values(columns(authenticator)))

    def save_authenticator(self, authenticator: Authenticator) -> None:
        """Write one back whole."""
        this = authenticators.c.id == authenticator.id
        self._connection.execute(update(authenticators).where(this).values(columns(authenticator)))

    def remove_authenticator(self, authenticator_id: str) -> None:
        """Take one away."""
        self._connection.execute(delete(authenticators).where(authenticators.c.id == authenticator_id))

    def count_recovery_codes(self, user_id: str) -> int:
        """How many are left."""
        query = select(func.count()).select_from(recovery_codes).where(recovery_codes.c.user_id == user_id)
        return self._connection.execute(query).scalar_one()

    def put_recovery_codes(self, user_id: str, digests: Sequence[bytes]) -> None:
        """Put another set in place of whatever is left."""
        self._connection.execute(delete(recovery_codes).where(recovery_codes.c.user_id == user_id))
        if digests:
            self._connection.execute(insert(recovery_codes), [{"digest": one, "user_id": user_id} for one in digests])

    def spend_recovery_code(self, user_id: str, digest: bytes) -> bool:
        """Take that code away; of many who try at once, one hears that it was there."""
        this = and_(recovery_codes.c.digest == digest, recovery_codes.c.user_id == user_id)
        return self._connection.execute(delete(recovery_codes).where(this)).rowcount == 1

    def put_challenge(self, challenge: Challenge, *, digest: bytes) -> None:
        """Put one in place of the earlier one for the same."""
        row = columns(challenge) | {"purpose": challenge.purpose.value}
        same = (challenges.c[name] == row[name] for name in ("purpose", "user_id", "session", "subject_id"))
        self._connection.execute(delete(challenges).where(and_(*same)))
        self._connection.execute(insert(challenges).values(row | {"digest": digest}))

    def take_challenge(self, digest: bytes) -> Challenge | None:
        """Take one away; of many who try at once, one gets it."""
        taken = delete(challenges).where(challenges.c.digest == digest).returning(challenges)
        found = self._connection.execute(taken).mappings().first()
        if found is None:
            return None
        values = {name: found[name] for name in Challenge.__slots__ if name != "purpose"}
        return Challenge(purpose=Purpose(found["purpose"]), **values)

    def spend_captcha(self, solved: Solved) -> bool:
        """Write down that it was used; of many who try at once, one hears that it was not before."""
        dialect = postgresql if self._connection.dialect.name == "postgresql" else sqlite
        spent = dialect.insert(spent_captchas).values(columns(solved)).on_conflict_do_nothing()
        return self._connection.execute(spent.returning(spent_captchas.c.digest)).first() is not None

    def forget_challenges(self) -> int:
        """Drop challenges and spent CAPTCHAs whose time is over."""
        gone = (
            self._connection.execute(delete(table).where(table.c.ends_at <= self._now)).rowcount
            for table in (challenges, spent_captchas)
        )
        return sum(gone)

    def note_session_proof(self, session_id: str, proof: SessionProof) -> None:
        """Keep the newest of its kind."""
        this = and_(session_proofs.c.session_id == session_id, session_proofs.c.kind == proof.kind)
        self._connection.execute(delete(session_proofs).where(this))
        self._connection.execute(insert(session_proofs).values(columns(proof) | {"session_id": session_id}))

    def session_proofs(self, session_id: str) -> Sequence[SessionProof]:
        """What was shown again in that session."""
        query = select(session_proofs.c.kind, session_proofs.c.at).where(session_proofs.c.session_id == session_id)
        return [SessionProof(kind=row.kind, at=row.at) for row in self._connection.execute(query)]


def _read(row: RowMapping) -> Authenticator:
    values: dict[str, Any] = {name: row[name] for name in Authenticator.__slots__}
    values["public_key"] = bytes(row["public_key"])
    values["credential_id"] = None if row["credential_id"] is None else bytes(row["credential_id"])
    return Authenticator(**values)
