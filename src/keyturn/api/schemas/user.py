"""People and their addresses, as they are made and shown."""

from keyturn.api.schemas.field import (
    AnyPassword,
    Email,
    Id,
    Language,
    Name,
    Password,
    RoleName,
    ShownText,
    Username,
    Zone,
)
from keyturn.api.schemas.form import Form, Shown
from keyturn.api.schemas.member import MembershipShown
from keyturn.core.account import Role


class CreateUser(Form):
    """A person, as a member of an account."""

    email: Email
    name: Name | None = None
    username: Username | None = None
    password: Password | None = None
    role: RoleName = Role.MEMBER.value
    account_id: Id | None = None


class EditUser(Form):
    """What is to be other than it is; null drops user name, language or zone."""

    name: Name | None = None
    username: Username | None = None
    language: Language | None = None
    time_zone: Zone | None = None


class AddAddress(Form):
    """A further address."""

    email: Email


class ConfirmAddress(Form):
    """By the token of a mailed link."""

    token: ShownText


class ShowPassword(Form):
    """The present password."""

    password: AnyPassword


class UserShown(Shown):
    """A person."""

    id: str
    email: str
    name: str
    username: str | None
    language: str | None
    time_zone: str | None
    created_at: str
    memberships: list[MembershipShown]


class AddressShown(Shown):
    """A further address."""

    id: str
    email: str
    made_at: str
    confirmed_at: str | None


class AddressesShown(Shown):
    """Every further address."""

    items: list[AddressShown]
