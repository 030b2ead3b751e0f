"""Keys as the feed tells of them, plain unless a test says otherwise."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from keyturn.core.feed import FeedEntry, KeyState, Predicate, SecretState
from keyturn.core.instant import FOREVER, Instant, to_micros
from keyturn.core.secret import Pepper, fingerprint, make
from keyturn.verify.memory import Fill
from keyturn.verify.verifier import Verifier

T0: Final = Instant(datetime(2030, 1, 1, tzinfo=UTC))
NOW: Final = to_micros(T0)
SECOND: Final = 1_000_000


def secret_text(number: int = 1) -> str:
    """A well-formed secret."""
    made = make(brand="kt", environment="live", entropy=number.to_bytes(32, "big"), pepper=Pepper("p", b"p"))
    return made.text.reveal


def digest(number: int = 1) -> bytes:
    """Its fingerprint."""
    return fingerprint(secret_text(number))


def version(number: int = 1, **changes: Any) -> SecretState:
    """One version of a key's secret."""
    plain = SecretState(
        version=number,
        starts_at=T0,
        dangerous_starts_at=T0,
        stops_at=FOREVER,
        stopped=False,
        replaced_by="",
        watched=False,
    )
    return replace(plain, **changes)


def key(number: int = 1, **changes: Any) -> KeyState:
    """A key."""
    plain = KeyState(
        number=number,
        key_id=f"key_{number}",
        account_id="acc_1",
        owner_id="usr_1",
        environment="live",
        permissions=("orders:write",),
        allowlist=(),
        limit=None,
        expires_at=FOREVER,
        suspended=False,
        revoked=False,
        secrets=(version(),),
    )
    return replace(plain, **changes)


def entry(rev: int, change: KeyState | Predicate, *, at: Instant = T0) -> FeedEntry:
    """One step of the feed."""
    return FeedEntry(rev=rev, at=at, change=change)


def holding(*states: KeyState, **limits: Any) -> Verifier:
    """A verifier that holds the first version of these keys; the secret of key n is `secret_text(n)`."""
    verifier = Verifier(**limits)
    for state in states:
        assert verifier.fill(digest(state.number), Fill(rev=0, state=state, version=1), now=NOW)
    return verifier
