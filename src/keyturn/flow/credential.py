"""Whether whoever asks may still do so, asked in the transaction that would change something."""

from keyturn.core.actor import Actor
from keyturn.core.portal import still_vouched
from keyturn.ports.transaction import Transaction


def stands(tx: Transaction, actor: Actor) -> bool:
    """Whether the key or session that the request came with is good now.

    It was good when the request arrived; a reset, suspension or sign-out that has returned since must hold (F0).
    """
    if actor.session:
        return tx.session_stands(actor.session, actor.secret_version) and rests_on_good_word(tx, actor)
    return tx.stands(actor.id, actor.secret_version)


def rests_on_good_word(tx: Transaction, actor: Actor) -> bool:
    """Whether the credential that let a person in still counts, where one did (R25)."""
    portal = tx.portal_of(actor.session) if actor.through else None
    return not actor.through or (portal is not None and still_vouched(portal, tx.key(portal.by), now=tx.now))
