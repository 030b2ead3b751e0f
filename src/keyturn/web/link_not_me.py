"""*This was not me*: works signed out, from any browser, and can only stop things (R50)."""

from typing import Final

from starlette.responses import Response

from keyturn.core.refusal import InvalidField
from keyturn.edge.refused import Refused
from keyturn.flow import not_me
from keyturn.flow.not_me import NotMe
from keyturn.web.asked import Asked

STOP: Final = "/stop"


def show(asked: Asked, digest: bytes) -> Response:
    """What it would stop."""
    found, _ = asked.visit.read(lambda tx: not_me.show(tx, digest))
    return _show(asked, found)


def press(asked: Asked, digest: bytes) -> Response:
    """Stop it."""
    sure, address = asked.form("sure") == "yes", asked.visit.address
    try:
        stopped, _ = asked.visit.change(lambda tx: not_me.suspend(tx, digest, sure=sure, address=address))
    except Refused as refused:
        if not isinstance(refused.refusal, InvalidField):
            raise
        found, _ = asked.visit.read(lambda tx: not_me.show(tx, digest))
        return _show(asked, found, problem=asked.browser.words("not_me.tick"), status=refused.refusal.status)
    return _show(asked, stopped, pressed=True)


def _show(asked: Asked, found: NotMe, *, pressed: bool = False, problem: str = "", status: int = 200) -> Response:
    action = f"/links/{asked.path['token']}{STOP}"
    return asked.show("link_not_me.html", found=found, action=action, pressed=pressed, problem=problem, status=status)
