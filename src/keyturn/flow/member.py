"""Who may do what to the members of an account: nobody makes or changes anybody mightier than themselves."""

from keyturn.core.account import RIGHTS, Role
from keyturn.core.actor import Actor, Channel
from keyturn.core.permission import RIGHT_ACCOUNTS_READ, RIGHT_ACCOUNTS_WRITE, RIGHT_ADMIN
from keyturn.core.refusal import NotFound, PermissionMissing, Refusal, WiderThanActor
from keyturn.ports import Transaction


def beyond_role(tx: Transaction, actor: Actor, account_id: str, role: Role) -> tuple[str, ...]:
    """What the role would let a person do that the actor may not."""
    if actor.in_deployment_account and RIGHT_ADMIN in actor.permissions:
        return ()
    if account_id == tx.deployment_account_id and account_id != actor.account_id:
        return (RIGHT_ADMIN,)
    return actor.beyond(RIGHTS[role])


def check_administers(tx: Transaction, actor: Actor, user_id: str) -> Refusal | None:
    """Why the actor may not act in that user's place; it takes the right over every account the user belongs to.

    A person may not: what they do to themselves comes with its proofs, and for others an operator's credential does it.
    """
    members = tx.members(user_id=user_id)
    if not any(actor.may(RIGHT_ACCOUNTS_READ, one.account_id) for one in members):
        return NotFound()
    if actor.channel is Channel.PERSON or not all(actor.may(RIGHT_ACCOUNTS_WRITE, one.account_id) for one in members):
        return PermissionMissing(needed=RIGHT_ACCOUNTS_WRITE)
    if beyond := tuple(right for one in members for right in beyond_role(tx, actor, one.account_id, one.role)):
        return WiderThanActor(beyond=beyond)
    return None
