"""The first start: one account, one owner, one administrator key."""

from dataclasses import dataclass, replace
from typing import Final

from keyturn.core.account import Account, Member, Role, User
from keyturn.core.actor import SYSTEM, Actor
from keyturn.core.instant import FOREVER
from keyturn.core.key import Key, secret_of
from keyturn.core.permission import RIGHT_ADMIN
from keyturn.core.policy import DEFAULT_NAME
from keyturn.core.secret import SecretText
from keyturn.flow.evidence import done
from keyturn.ports.forge import Forge
from keyturn.ports.transaction import Transaction

OWNER_EMAIL: Final = "admin@localhost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Founded:
    """What the first start made; the secret of the administrator key is here and nowhere else."""

    account: Account
    owner: User
    key: Key
    secret: SecretText


def found(tx: Transaction, *, brand: str, forge: Forge) -> Founded | None:
    """Make the deployment's own account, its owner and the administrator key; None where they are made."""
    if tx.deployment_account_id or not tx.may_found():
        return None
    account = Account(id=forge.id("acc"), name="Operator", created_at=tx.now, policy=DEFAULT_NAME)
    owner = User(id=forge.id("usr"), email=OWNER_EMAIL, name="Administrator", created_at=tx.now)
    tx.insert_account(account)
    tx.insert_user(owner, password="")
    tx.insert_member(Member(account_id=account.id, user_id=owner.id, role=Role.OWNER))
    tx.found_deployment(account.id)
    done(tx, SYSTEM, "deployment.founded", account_id=account.id, subject_id=account.id)
    key, secret = _administrator_key(tx, account_id=account.id, owner_id=owner.id, brand=brand, forge=forge)
    return Founded(account=account, owner=owner, key=key, secret=secret)


def new_administrator_key(tx: Transaction, *, brand: str, forge: Forge) -> tuple[Key, SecretText]:
    """One more administrator key, for an operator who has the data folder and lost the key."""
    account_id = tx.deployment_account_id
    owners = [one.user_id for one in tx.members(account_id=account_id) if one.role is Role.OWNER]
    return _administrator_key(tx, account_id=account_id, owner_id=owners[0], brand=brand, forge=forge)


def _administrator_key(
    tx: Transaction, *, account_id: str, owner_id: str, brand: str, forge: Forge
) -> tuple[Key, SecretText]:
    made = forge.secret(brand=brand, environment="live")
    key = tx.insert_key(
        Key(
            number=0,
            id=forge.id("key"),
            account_id=account_id,
            owner_id=owner_id,
            name="administrator",
            environment="live",
            brand=brand,
            permissions=(RIGHT_ADMIN,),
            allowlist=(),
            limit=None,
            policy="",
            expires_at=FOREVER,
            created_at=tx.now,
            created_by=SYSTEM.id,
            secrets=(secret_of(made, version=1, now=tx.now),),
        )
    )
    actor: Actor = replace(SYSTEM, account_id=account_id)
    done(tx, actor, "key.created", account_id=account_id, subject_id=key.id, detail={"bootstrap": "yes"})
    return key, made.text
