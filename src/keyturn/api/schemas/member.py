"""Members and invitations, as they are made and shown."""

from keyturn.api.schemas.field import Email, Id, Language, Name, Password, RoleName, ShownText, Username
from keyturn.api.schemas.form import Form, Shown
from keyturn.core.account import Role


class AddMember(Form):
    """Somebody who is a user already."""

    user_id: Id
    role: RoleName = Role.MEMBER.value


class EditMember(Form):
    """Another role."""

    role: RoleName


class Invite(Form):
    """Whom to invite, as what."""

    email: Email
    role: RoleName = Role.MEMBER.value
    language: Language | None = None


class AcceptInvitation(Form):
    """Who somebody wants to be who was invited."""

    token: ShownText
    name: Name
    username: Username | None = None
    password: Password
    language: Language | None = None
    remember_device: bool = False


class JoinAccount(Form):
    """By the token of a mailed link."""

    token: ShownText


class MembershipShown(Shown):
    """A user's part in an account."""

    account_id: str
    role: str


class MemberShown(MembershipShown):
    """A member, with who they are."""

    user_id: str
    email: str
    name: str


class MembersShown(Shown):
    """Every member of an account."""

    items: list[MemberShown]


class RemovedMember(Shown):
    """Who is no member any more, and what became of their keys."""

    account_id: str
    user_id: str
    handed_over: list[str]
    suspended: list[str]


class InvitationShown(Shown):
    """An invitation, without its link."""

    id: str
    account_id: str
    email: str
    role: str
    invited_by: str
    made_at: str
    ends_at: str
    ended_at: str | None


class InvitationsShown(Shown):
    """Every invitation that can still be accepted."""

    items: list[InvitationShown]
