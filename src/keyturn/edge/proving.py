"""What both faces do before a flow is asked whether a proof is right: what takes too long for a transaction."""

from keyturn.edge.visit import Call


def matched_password(call: Call, password: str | None) -> str:
    """The stored password of the caller that this one matches, or empty.  Call it slowly: Argon2 takes its time."""
    stored, _ = call.read(lambda tx: tx.password_of(call.actor.user_id))
    return stored if call.node.passwords.check(stored, password or "") else ""
