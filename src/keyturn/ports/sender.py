"""What is sent, and who sends it."""

from dataclasses import dataclass
from typing import Protocol

from keyturn.core.account import Account, User
from keyturn.core.delivery import Attempt, Parcel
from keyturn.core.instant import Instant
from keyturn.core.key import Key
from keyturn.core.secret import SecretText
from keyturn.core.webhook import Webhook


@dataclass(frozen=True, slots=True, kw_only=True)
class Consignment:
    """A delivery on its way out, with what its sender has to say."""

    parcel: Parcel
    key: Key | None = None
    account: Account | None = None
    user: User | None = None
    actor: str = ""
    """The name of whoever did it, where that is somebody else."""
    link_token: str = ""
    link_ends_at: Instant | None = None
    webhook: Webhook | None = None
    signed_with: tuple[SecretText, ...] = ()
    """The webhook's signing secrets that are good now, the newest first."""


class Sender(Protocol):
    """Makes one kind of delivery.  Its outage: whatever there is to tell waits in the outbox (R51)."""

    def send(self, consignment: Consignment) -> Attempt:
        """Try once, within `core.delivery.LEASE`; never raises for what the other side does."""
        ...
