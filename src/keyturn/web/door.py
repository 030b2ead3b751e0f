"""The ways in to pages: the same handlers serve each of them, under addresses and cookies of its own.

A session that came in by one door is nothing at another: a portal neither reaches nor overwrites who is signed in.
"""

from dataclasses import dataclass
from typing import Final

from keyturn.core.session import SessionKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Where pages lie, which cookies belong to them, and whose sessions they are for."""

    prefix: str
    """Before every address."""
    cookies: str
    """Before the name of every cookie."""
    kind: SessionKind = SessionKind.PERSON
    framed: bool = False
    """Whether its pages stand inside a page of the operator's."""

    @property
    def home(self) -> str:
        """The tab **API Keys**."""
        return f"{self.prefix}/keys"

    @property
    def of_portals(self) -> bool:
        """Whether it is for those whom an operator's credential let in."""
        return self.kind is SessionKind.PORTAL


DASHBOARD: Final = Door(prefix="", cookies="keyturn")
PORTAL: Final = Door(prefix="/portal", cookies="keyturn-portal", kind=SessionKind.PORTAL)
FRAME: Final = Door(prefix="/frame", cookies="keyturn-frame", kind=SessionKind.PORTAL, framed=True)
