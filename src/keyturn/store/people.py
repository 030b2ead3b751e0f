"""Accounts, users, members and their sessions."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, bindparam, delete, insert, select, update

from keyturn.core.account import Account, Member, User
from keyturn.ports.page import Page
from keyturn.store import rows
from keyturn.store.begun import Begun, Seen, columns, locked, within
from keyturn.store.tables import accounts, authority, members, users

_ACCOUNT = select(accounts).where(accounts.c.id == bindparam("id"))


class People(Begun):
    """`ports.transaction.Transaction`'s questions about accounts and people."""

    def __init__(self, connection: Connection, seen: Seen) -> None:
        super().__init__(connection, seen)
        self._accounts: dict[str, Account] = {}

    def may_found(self) -> bool:
        """Whether nobody has founded the deployment; until the end of this transaction nobody else does."""
        founded = locked(select(authority.c.deployment_account_id))
        return not self._connection.execute(founded).scalar_one()

    def found_deployment(self, account_id: str) -> None:
        """Name the deployment's own account; once, at bootstrap."""
        self._connection.execute(update(authority).values(deployment_account_id=account_id))
        self._deployment_account_id = account_id

    def account(self, account_id: str, *, lock: bool = False) -> Account | None:
        """One account."""
        if account_id in self._accounts and not lock:
            return self._accounts[account_id]
        query = locked(_ACCOUNT) if lock else _ACCOUNT
        found = self._connection.execute(query, {"id": account_id}).mappings().first()
        if found is None:
            return None
        self._accounts[account_id] = rows.read_account(found)
        return self._accounts[account_id]

    def accounts(self, *, account_ids: Sequence[str] | None, page: Page) -> Sequence[tuple[int, Account]]:
        """Accounts (None: all), newest first."""
        query = within(select(accounts), accounts, account_ids, page, column="id")
        return [(row["number"], rows.read_account(row)) for row in self._connection.execute(query).mappings()]

    def insert_account(self, account: Account) -> None:
        """Add an account."""
        self._connection.execute(insert(accounts).values(columns(account)))

    def save_account(self, account: Account) -> None:
        """Write an account back whole."""
        self._connection.execute(update(accounts).where(accounts.c.id == account.id).values(columns(account)))
        self._accounts[account.id] = account

    def user(self, user_id: str) -> User | None:
        """One user."""
        found = self._connection.execute(select(users).where(users.c.id == user_id)).mappings().first()
        return None if found is None else rows.read_user(found)

    def user_by_email(self, email: str) -> User | None:
        """One user by the canonical form of an address."""
        found = self._connection.execute(select(users).where(users.c.email == email)).mappings().first()
        return None if found is None else rows.read_user(found)

    def user_by_username(self, username: str) -> User | None:
        """One user by the canonical form of a user name."""
        found = self._connection.execute(select(users).where(users.c.username == username)).mappings().first()
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
        self._connection.execute(insert(users).values(rows.user_row(user) | {"password": password}))

    def save_user(self, user: User) -> None:
        """Write a user back whole, without the password."""
        self._connection.execute(update(users).where(users.c.id == user.id).values(rows.user_row(user)))

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
        self._connection.execute(insert(members).values(columns(member) | {"role": member.role.value}))

    def save_member(self, member: Member) -> None:
        """Write another role down."""
        self._connection.execute(update(members).where(*_this(member)).values(role=member.role.value))

    def remove_member(self, member: Member) -> None:
        """Take a membership away."""
        self._connection.execute(delete(members).where(*_this(member)))


def _this(member: Member) -> tuple[ColumnElement[bool], ...]:
    return (members.c.account_id == member.account_id, members.c.user_id == member.user_id)
