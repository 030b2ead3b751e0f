"""Mailed links: GET and HEAD show a page and change nothing, its button posts (R51).

Each kind has a file of its own; what is unknown, used or over is told apart from nothing but its status.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from keyturn.core.link import LinkKind, check_link
from keyturn.core.refusal import LinkSpent, NotFound, Refusal
from keyturn.edge.refused import Refused
from keyturn.outside.forge import token_digest
from keyturn.web import link_address, link_invitation, link_not_me, link_password, link_proof
from keyturn.web.asked import Asked
from keyturn.web.route import Place, posted, posted_to_stop, shown

PATH: Final = "/links/{token}"


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of link is shown, and what its button does."""

    show: Callable[[Asked, bytes], Response]
    press: Callable[[Asked, bytes], Response]


_KINDS: Final[Mapping[LinkKind, Kind]] = {
    LinkKind.ADDRESS: Kind(link_address.show, link_address.press),
    LinkKind.INVITATION: Kind(link_invitation.show, link_invitation.press),
    LinkKind.NOT_ME: Kind(link_not_me.show, link_not_me.press),
    LinkKind.PASSWORD: Kind(link_password.show, link_password.press),
    LinkKind.PROOF: Kind(link_proof.show, link_proof.press),
}


def page(asked: Asked) -> Response:
    """What the link is for."""
    return _of(asked, lambda kind, digest: kind.show(asked, digest))


def press(asked: Asked) -> Response:
    """Do it."""
    return _of(asked, lambda kind, digest: kind.press(asked, digest))


def unknown(asked: Asked) -> Response | None:
    """The answer to a link that is good for nothing."""
    found = _found(asked, token_digest(asked.path["token"]))
    return None if isinstance(found, Kind) else _nowhere(asked, found)


def stop(asked: Asked) -> Response:
    """Stop what a notice tells of: nobody who signs in or sets a password stands before it (K8)."""
    return _done(asked, lambda: link_not_me.press(asked, token_digest(asked.path["token"])))


def ask_passkey(asked: Asked) -> Response:
    """What the script is to ask a passkey, where a link's page wants a second factor."""
    return link_password.ask_passkey(asked, token_digest(asked.path["token"]))


def _of(asked: Asked, do: Callable[[Kind, bytes], Response]) -> Response:
    digest = token_digest(asked.path["token"])
    found = _found(asked, digest)
    return _done(asked, lambda: do(found, digest)) if isinstance(found, Kind) else _nowhere(asked, found)


def _found(asked: Asked, digest: bytes) -> Kind | Refusal:
    link, now = asked.visit.glance(lambda tx: tx.link(digest))
    kind = _KINDS.get(link.kind) if link else None
    if link is None or kind is None:
        return NotFound()
    return check_link(link, link.kind, session=link.session, now=now) or kind


def _done(asked: Asked, do: Callable[[], Response]) -> Response:
    try:
        return do()
    except Refused as refused:
        if isinstance(refused.refusal, LinkSpent | NotFound):
            return _nowhere(asked, refused.refusal)
        raise


def _nowhere(asked: Asked, refusal: Refusal) -> Response:
    return asked.show("link_nowhere.html", status=refusal.status)


PLACES: Final[tuple[Place, ...]] = (
    shown(PATH, page),
    posted(PATH, press, slow=True),
    shown(PATH + link_not_me.STOP, page),
    posted_to_stop(PATH + link_not_me.STOP, stop, known=unknown),
    posted(PATH + "/passkey", ask_passkey),
)
