"""What every "no" is."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A "no" the caller could expect.  Its fields become members of the problem document (RFC 9457)."""

    kind: ClassVar[str]
    """The stable code: last part of the problem type.  Never changes once released."""
    status: ClassVar[int]
    title: ClassVar[str]
    """One sentence for a person, the same for every occurrence."""
