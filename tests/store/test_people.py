"""One suite for every store: people, their sessions and devices, on SQLite and PostgreSQL alike."""

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from keyturn.core.account import Role
from keyturn.core.instant import Instant
from keyturn.core.session import Device, Session, SessionKind, SessionStage
from keyturn.ports.store import StoreBusy
from keyturn.store.store import SqlStore
from keyturn.store.transaction import SqlTransaction
from tests.world import T0, Clock

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def at(span: timedelta) -> Instant:
    return Instant(T0 + span)


def write(store: SqlStore, method: str, value: Any, **rest: Any) -> None:
    store.change(lambda tx: getattr(tx, method)(value, **rest))


def session(n: int, user: str = "usr_a", **changes: Any) -> Session:
    plain = Session(
        id=f"ses_{n}",
        user_id=user,
        account_id="acc_a",
        role=Role.ADMIN,
        started_at=T0,
        seen_at=T0,
        idle_ends_at=at(HOUR),
        ends_at=at(DAY),
        how=("password", "totp"),
        address="192.0.2.1",
        user_agent="browser 1",
        vouched={"proof": "password"},
    )
    return replace(plain, **changes)


def of(n: int) -> bytes:
    return f"token {n}".encode().ljust(32)


def _both_ways(tx: SqlTransaction, *, n: int) -> tuple[Session | None, Session | None]:
    return tx.session(of(n), lock=True), tx.session_by_id(f"ses_{n}")


def known(store: SqlStore) -> list[str]:
    found = store.read(lambda tx: [tx.session(of(n)) for n in (1, 2, 3)])
    return [one.id for one in found if one]


def test_sessions_are_known_by_a_digest_and_end(store: SqlStore) -> None:
    waiting = session(3, "usr_b", stage=SessionStage.AWAITING_SECOND_FACTOR, kind=SessionKind.PORTAL, address=None)
    for n, one in enumerate((session(1), session(2, account_id="acc_b"), waiting), 1):
        write(store, "insert_session", one, digest=of(n))
        found = store.change(partial(_both_ways, n=n))
        assert found == (one, one)
    assert known(store) == ["ses_1", "ses_2", "ses_3"]
    assert store.change(lambda tx: tx.end_sessions(session_id="ses_1")) == 1
    assert store.change(lambda tx: tx.end_sessions(session_id="ses_1")) == 0
    assert known(store) == ["ses_2", "ses_3"]
    assert store.change(lambda tx: tx.end_sessions(user_id="usr_a", account_id="acc_a")) == 0
    assert store.change(lambda tx: tx.end_sessions(user_id="usr_a", but="ses_2")) == 0
    assert store.change(lambda tx: tx.end_sessions(user_id="usr_a", account_id="acc_b", but="ses_9")) == 1
    assert known(store) == ["ses_3"]
    assert store.change(lambda tx: tx.forget_sessions(before=T0)) == 0
    assert store.change(lambda tx: tx.forget_sessions(before=at(2 * HOUR))) == 1


def test_a_session_goes_on_under_another_token_and_is_listed_while_it_is_on(store: SqlStore, clock: Clock) -> None:
    for n, seen in ((1, T0), (2, at(MINUTE))):
        write(store, "insert_session", session(n, seen_at=seen), digest=of(n))
    write(store, "insert_session", session(3, "usr_b"), digest=of(3))
    moved = session(1, version=2, seen_at=at(2 * MINUTE))
    write(store, "save_session", moved, digest=of(9))
    assert known(store) == ["ses_2", "ses_3"]
    assert store.read(lambda tx: tx.session(of(9))) == moved
    write(store, "save_session", replace(moved, refused_steps=1))
    assert store.read(lambda tx: tx.session(of(9))) == replace(moved, refused_steps=1)

    def listed() -> list[str]:
        return [one.id for one in store.read(lambda tx: tx.sessions_of("usr_a"))]

    assert listed() == ["ses_1", "ses_2"]
    clock.advance(HOUR)
    assert listed() == []


def test_f0_a_session_stands_while_open_and_under_its_newest_token_only(store: SqlStore, clock: Clock) -> None:
    write(store, "insert_session", session(1, version=2), digest=of(1))
    write(store, "insert_session", session(2, stage=SessionStage.AWAITING_SECOND_FACTOR), digest=of(2))
    write(store, "insert_session", session(3, idle_ends_at=at(2 * DAY)), digest=of(3))

    def stands() -> list[tuple[int, int]]:
        asked = [(n, version) for n in (1, 2, 3, 4) for version in (1, 2)]
        return store.change(lambda tx: [(n, v) for n, v in asked if tx.session_stands(f"ses_{n}", v)])

    assert stands() == [(1, 2), (3, 1)]
    clock.advance(HOUR)
    assert stands() == [(3, 1)]
    clock.advance(DAY)
    assert stands() == []


def test_a_device_is_known_by_a_digest_until_it_is_forgotten(store: SqlStore) -> None:
    made = [Device(id=f"dev_{n}", user_id=user, made_at=T0, seen_at=T0) for n, user in ((1, "usr_a"), (2, "usr_b"))]
    for n, one in enumerate(made, 1):
        write(store, "insert_device", one, digest=of(n))
    assert store.read(lambda tx: (tx.device(of(1)), tx.device(of(2)), tx.device(of(3)))) == (*made, None)
    write(store, "save_device", replace(made[0], seen_at=at(HOUR)))
    assert store.change(lambda tx: tx.forget_devices(before=at(MINUTE))) == 1
    assert store.read(lambda tx: tx.device(of(1))) == replace(made[0], seen_at=at(HOUR))
    assert store.change(lambda tx: tx.forget_devices(user_id="usr_b")) == 0
    assert store.change(lambda tx: tx.forget_devices(user_id="usr_a")) == 1


def test_a_user_has_a_user_name_of_their_own_or_none(store: SqlStore) -> None:
    user = store.read(lambda tx: tx.user("usr_a"))
    assert user is not None
    named = replace(user, username="trader", language="de", time_zone="Europe/Berlin", changed_at=at(HOUR))
    write(store, "save_user", named)
    assert store.read(lambda tx: (tx.user_by_username("trader"), tx.user("usr_a"))) == (named, named)
    assert store.read(lambda tx: tx.user_by_username("")) is None
    assert store.read(lambda tx: tx.password_of("usr_a")) == "stored a"
    other = store.read(lambda tx: tx.user("usr_b"))
    assert other is not None
    with pytest.raises(StoreBusy):
        write(store, "save_user", replace(other, username="trader"))
