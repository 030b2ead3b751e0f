"""What both faces do with a new password before a flow is asked: it takes too long for a transaction."""

from collections.abc import Iterable

from keyturn.core.password import Fitted, Rules
from keyturn.edge.visit import Visit
from keyturn.flow import password as passwords


def rules(visit: Visit, user_id: str, names: Iterable[str] = ()) -> Rules:
    """What a password of that user must meet; of somebody who is none yet, by the names they are to have."""
    brand = visit.node.settings.brand
    found, _ = visit.read(lambda tx: passwords.rules(tx, user_id=user_id, brand=brand, names=names))
    return found


def fitted(visit: Visit, text: str, rules: Rules) -> Fitted:
    """Its stored form, or why it is not taken.  Call it slowly: Argon2 takes its time."""
    return visit.node.passwords.unfit(text, rules) or visit.node.passwords.hash(text)
