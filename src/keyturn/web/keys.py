"""The tab **API Keys** (K1)."""

from typing import Final

from starlette.responses import Response

from keyturn.flow import key as keys
from keyturn.ports import Page
from keyturn.web.asked import SignedIn
from keyturn.web.route import Place, shown_to_members

_SIZE: Final = 50


def listing(asked: SignedIn) -> Response:
    """Every key that the reader may know of."""
    found, _ = asked.call.read(
        lambda tx: keys.listing(tx, actor=asked.actor, account_id=None, owner_id=None, page=Page(size=_SIZE + 1))
    )
    return asked.show("keys.html", tab="keys", keys=found)


PLACES: Final[tuple[Place, ...]] = (shown_to_members("/keys", listing),)
