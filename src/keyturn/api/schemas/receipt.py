"""What an answer says about who has confirmed it."""

from pydantic import Field

from keyturn.api.schemas.form import Shown


class VerifiersShown(Shown):
    """Who has confirmed, who was waited out, who is not under a lease."""

    acknowledged: int
    waited_out: list[str]
    unleased: list[str]


class ReceiptShown(Shown):
    """Since when the old state is refused everywhere (R53)."""

    reset: str | None
    key: str | None
    rev: int
    epoch: int
    stopped_at: str | None
    confirmed: bool
    reason: str | None
    waited_ms: int
    verifiers: VerifiersShown
    note: str = Field(description="All of it as a signed note; its key is at /v1/fleet.")
