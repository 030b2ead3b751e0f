"""Accounts, as they are made and shown."""

from pydantic import Field

from keyturn.api.schemas.field import Name, Networks, PolicyName
from keyturn.api.schemas.form import Form, Shown
from keyturn.api.schemas.receipt import ReceiptShown


class CreateAccount(Form):
    """A customer of the operator."""

    name: Name
    policy: PolicyName | None = None
    floor: PolicyName | None = None
    reset_allowlist: Networks = ()
    max_keys_per_user: int | None = Field(default=None, ge=1, le=1_000_000)


class EditAccount(Form):
    """What is to be other than it is; null drops policy, floor or limit."""

    name: Name | None = None
    policy: PolicyName | None = None
    floor: PolicyName | None = None
    reset_allowlist: Networks | None = None
    max_keys_per_user: int | None = Field(default=None, ge=1, le=1_000_000)


class AccountShown(Shown):
    """An account."""

    id: str
    name: str
    created_at: str
    policy: str | None
    floor: str | None
    reset_allowlist: list[str]
    max_keys_per_user: int | None


class SuspendedAccount(Shown):
    """How many keys of an account were suspended."""

    account_id: str
    keys: int
    receipt: ReceiptShown
