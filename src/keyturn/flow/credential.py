"""Whether whoever asks may still do so, asked in the transaction that would change something."""

from keyturn.core.actor import Actor
from keyturn.ports import Transaction


def stands(tx: Transaction, actor: Actor) -> bool:
    """Whether the key or session that the request came with is good now.

    It was good when the request arrived; a reset, suspension or sign-out that has returned since must hold (F0).
    """
    if actor.session:
        return tx.session_stands(actor.session, actor.secret_version)
    return tx.stands(actor.id, actor.secret_version)
