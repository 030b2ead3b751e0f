"""A mail to one person that is no notice: an invitation, a link that proves, a forgotten password.

It is a row of the transaction that asks for it and is sent afterwards; mail trouble never blocks anything (R51).
No letter holds a secret or a link's token: the sender works the link out from its id.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One mail to one address."""

    kind: str
    """Which text: `invitation`, `proof`, `password`, `address`; also in the message catalogue."""
    to: str
    language: str = ""
    link_id: str = ""
    detail: Mapping[str, str] = field(default_factory=dict)
    """What the text names: never a secret."""
