"""A mailed link that confirms a further address: in any browser, for whoever reads its mails (R50)."""

from starlette.responses import Response

from keyturn.flow import address as addresses
from keyturn.web.asked import Asked


def show(asked: Asked, digest: bytes) -> Response:
    """Which address, and the button."""
    found, _ = asked.visit.read(lambda tx: addresses.opened(tx, digest))
    return asked.show("link_address.html", email=found.email, confirmed=False, action=f"/links/{asked.path['token']}")


def press(asked: Asked, digest: bytes) -> Response:
    """Confirm it."""
    found, _ = asked.visit.change(lambda tx: addresses.confirm(tx, digest, address=asked.visit.address))
    return asked.show("link_address.html", email=found.email, confirmed=True, action="")
