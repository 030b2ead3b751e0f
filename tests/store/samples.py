"""What the tests of the store write and read."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from keyturn.core.actor import Channel
from keyturn.core.audit import AuditRecord
from keyturn.core.handover import Terms
from keyturn.core.instant import FOREVER, Instant
from keyturn.core.key import Key, Secret
from keyturn.core.limit import Limit
from keyturn.core.reset import Asking, Narrowing, Reason, Reset
from keyturn.core.secret import Pepper, at_rest
from keyturn.core.stage import Stage
from keyturn.outside import presets
from keyturn.ports.page import Page
from keyturn.store.store import SqlStore
from keyturn.store.transaction import SqlTransaction
from tests.world import PEPPER, T0

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
ALL = Page(size=1000)


def at(span: timedelta) -> Instant:
    return Instant(T0 + span)


def digest(key_id: str, version: int, pepper: Pepper = PEPPER) -> bytes:
    return at_rest(f"{key_id}/{version}".encode().ljust(32), pepper)


def presented(key_id: str, version: int) -> bytes:
    return f"{key_id}/{version}".encode().ljust(32)


def secret(key_id: str, version: int = 1, **changes: Any) -> Secret:
    plain = Secret(
        version=version,
        digest=digest(key_id, version),
        pepper="p0001",
        hint="kt_live_…abcd",
        created_at=T0,
        starts_at=T0,
        dangerous_starts_at=T0,
    )
    return replace(plain, **changes)


def key(key_id: str = "key_1", **changes: Any) -> Key:
    plain = Key(
        number=0,
        id=key_id,
        account_id="acc_a",
        owner_id="usr_a",
        name="trading — 取引",
        environment="live",
        brand="kt_x",
        permissions=("orders:write", "*:read"),
        allowlist=("192.0.2.0/24", "2001:db8::/32"),
        limit=Limit(requests=100, window=timedelta(minutes=1)),
        policy="",
        expires_at=FOREVER,
        created_at=T0,
        created_by="key_root",
        secrets=(secret(key_id),),
    )
    return replace(plain, **changes)


def reset(reset_id: str = "rst_1", key_id: str = "key_1", **changes: Any) -> Reset:
    plain = Reset(
        id=reset_id,
        key_id=key_id,
        account_id="acc_a",
        owner_id="usr_a",
        asking=Asking(
            reason=Reason.LOST,
            grace=HOUR,
            expected_version=3,
            narrow=Narrowing(permissions=("orders:read",), allowlist=("192.0.2.1/32",), expires_at=at(DAY)),
            waive_cool_down=True,
            suspend_created_since=at(-DAY),
        ),
        channel=Channel.PERSON,
        asked_by="usr_a",
        session="ses_1",
        address="192.0.2.1",
        policy=presets.load()["binance"],
        sources=(("cool_down", "binance"),),
        wanted=(frozenset({"password", "totp"}), frozenset({"password", "passkey"})),
        terms=Terms(revoke_first=False, cool_down=DAY, dangerous_only=True, grace=HOUR, longest=timedelta.max),
        stage=Stage.ASKED,
        asked_at=T0,
        lapses_at=at(HOUR),
    )
    return replace(plain, **changes)


def insert(store: SqlStore, *keys: Key) -> list[Key]:
    return store.change(lambda tx: [tx.insert_key(one) for one in keys])


def write(store: SqlStore, method: str, *values: object, **words: object) -> None:
    """One change that calls this method with each value."""

    def flow(tx: SqlTransaction) -> None:
        for one in values:
            getattr(tx, method)(one, **words)

    store.change(flow)


def load(store: SqlStore, key_id: str = "key_1") -> Key:
    found = store.read(lambda tx: tx.key(key_id))
    assert found is not None
    return found


def save(store: SqlStore, key_id: str = "key_1", /, **changes: Any) -> Key:
    def flow(tx: SqlTransaction) -> Key:
        loaded = tx.key(key_id, lock=True)
        assert loaded is not None
        tx.save_key(replace(loaded, **changes))
        return loaded

    store.change(flow)
    return load(store, key_id)


def record(**changes: Any) -> AuditRecord:
    plain = AuditRecord(
        at=T0,
        actor_id="key_9",
        user_id="usr_a",
        channel="machine",
        address=None,
        session="",
        action="key.created",
        outcome="done",
        account_id="acc_a",
        subject_id="key_1",
        detail={"reason": "取"},
    )
    return replace(plain, **changes)
