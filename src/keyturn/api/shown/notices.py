"""What was told and whom webhooks tell, as the API shows it."""

from keyturn.api.shown.wire import Wire, when
from keyturn.core.delivery import Parcel, State, masked
from keyturn.core.webhook import Webhook


def webhook(one: Webhook) -> Wire:
    """A webhook, without its secret."""
    return {
        "id": one.id,
        "account_id": one.account_id,
        "url": one.url,
        "events": list(one.events),
        "every_account": one.every_account,
        "version": one.version,
        "made_at": when(one.made_at),
        "rotated_at": when(one.rotated_at),
        "failing_since": when(one.failing_since),
        "suspended_at": when(one.suspended_at),
    }


def notice(parcel: Parcel) -> Wire:
    """What was told to one address or webhook, and what became of it."""
    one, told = parcel.delivery, parcel.notice
    assert told is not None  # noqa: S101  # letters are in no list
    return {
        "id": one.id,
        "at": when(parcel.at),
        "kind": told.kind,
        "account_id": told.account_id or None,
        "owner_id": told.owner_id or None,
        "key_id": told.key_id or None,
        "means": one.means.value,
        "to": masked(one.to),
        "state": one.state.value,
        "said": one.said or None,
        "attempts": one.attempts,
        "next_attempt_at": when(one.due_at) if one.state is State.WAITING else None,
        "settled_at": when(one.settled_at),
    }
