"""Refused for a portal."""

from dataclasses import dataclass
from typing import ClassVar

from keyturn.core.refusal.refusal import Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class VouchingForbidden(Refusal):
    """Open the portal without proofs: the person is asked for all of them."""

    kind: ClassVar[str] = "vouching_forbidden"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "The policy wants every proof from the person; nobody can vouch for one."
    policy: str
    field: str = "vouching"


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalUnavailable(Refusal):
    """A link starts with the address this server is reached at, and a request does not say which (pitfall 21)."""

    kind: ClassVar[str] = "portal_unavailable"
    status: ClassVar[int] = 501
    title: ClassVar[str] = "This server does not know by which address people reach it; set `base_url`."
