"""One suite for every store: what a transaction asks and answers, on SQLite and PostgreSQL alike.

The distribution's PostgreSQL takes part where it is installed.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from keyturn.core.account import Account, Member, Role
from keyturn.core.audit import AuditRecord
from keyturn.core.feed import KeyState, Predicate, SecretState
from keyturn.core.instant import FOREVER
from keyturn.outside import presets
from keyturn.ports.page import Page
from keyturn.ports.remembered import Remembered
from keyturn.store.store import SqlStore
from keyturn.store.transaction import SqlTransaction
from tests.store.samples import ALL, DAY, HOUR, at, insert, key, record, secret, write
from tests.world import T0, Clock, entries_of


def test_what_is_not_there_is_none(store: SqlStore) -> None:
    def query(tx: SqlTransaction) -> list[object]:
        return [
            tx.key("no"),
            tx.key_by_number(99),
            tx.reset("no"),
            tx.latest_reset("no"),
            tx.waiting_reset("no"),
            tx.reset_of_version("no", 1),
            tx.account("no"),
            tx.user("no"),
            tx.user_by_email("no"),
            tx.session(b"no"),
            tx.policy("no"),
            tx.recall("no", "no"),
            tx.find_secret([b"no"]),
        ]

    assert set(store.read(query)) == {None}
    assert store.read(lambda tx: tx.password_of("no")) == ""


def test_f1_every_kind_of_change_comes_back_from_the_feed_whole(store: SqlStore) -> None:
    (made,) = insert(
        store, key(limit=None, secrets=(secret("key_1", stopped_at=T0, replaced_by="rst_1", watched=True),))
    )
    store.change(lambda tx: tx.suspend_account("acc_a", by="usr_a", reason="why"))
    first, second = entries_of(store)
    assert first.change == KeyState(
        number=made.number,
        key_id="key_1",
        account_id="acc_a",
        owner_id="usr_a",
        environment="live",
        permissions=("orders:write", "*:read"),
        allowlist=("192.0.2.0/24", "2001:db8::/32"),
        limit=None,
        expires_at=FOREVER,
        suspended=False,
        revoked=False,
        secrets=(
            SecretState(
                version=1,
                starts_at=T0,
                dangerous_starts_at=T0,
                stops_at=FOREVER,
                stopped=True,
                replaced_by="rst_1",
                watched=True,
            ),
        ),
    )
    assert second.change == Predicate(account_id="acc_a")
    assert (first.rev, second.rev, first.at) == (1, 2, T0)
    assert [one.rev for one in store.feed_after(0, limit=1)] == [1]
    assert [one.rev for one in store.feed_after(1, limit=9)] == [2]


def test_f1_a_change_that_breaks_off_feeds_nothing(store: SqlStore) -> None:
    def flow(tx: SqlTransaction) -> None:
        tx.insert_key(key())
        tx.record(record())
        raise LookupError

    with pytest.raises(LookupError):
        store.change(flow)
    assert store.rev() == 0
    assert store.read(lambda tx: (tx.key("key_1"), tx.audit(account_ids=None, subject_id=None, page=ALL))) == (None, [])
    insert(store, key())
    assert [entry.rev for entry in entries_of(store)] == [1]


def test_the_cache_is_told_after_the_commit_and_before_the_change_returns(store: SqlStore) -> None:
    told: list[Any] = []

    def follow(entries: Any) -> None:
        told.append((entries, store.rev()))

    store.follow = follow
    insert(store, key())
    assert [([entry.rev for entry in entries], rev) for entries, rev in told] == [([1], 1)]
    store.change(lambda tx: tx.record(record()))
    assert len(told) == 1


def test_accounts_users_and_members(store: SqlStore) -> None:
    account = Account(
        id="acc_c",
        name="C",
        created_at=T0,
        policy="own",
        floor="okx",
        reset_allowlist=("::1/128",),
        max_keys_per_user=3,
    )
    store.change(lambda tx: tx.insert_account(account))
    assert store.read(lambda tx: tx.account("acc_c")) == account
    changed = replace(account, name="D", max_keys_per_user=None, reset_allowlist=())
    store.change(lambda tx: tx.save_account(changed))
    assert store.change(lambda tx: (tx.account("acc_c", lock=True), tx.account("acc_c"))) == (changed, changed)
    listed = store.read(lambda tx: [one.id for _, one in tx.accounts(account_ids=None, page=Page(size=2))])
    assert listed == ["acc_c", "acc_b"]
    assert store.read(lambda tx: [one.id for _, one in tx.accounts(account_ids=("acc_a",), page=ALL)]) == ["acc_a"]
    user = store.read(lambda tx: tx.user("usr_a"))
    assert user is not None
    assert store.read(lambda tx: tx.user_by_email("a@example.com")) == user
    assert store.read(lambda tx: tx.password_of("usr_a")) == "stored a"
    store.change(lambda tx: tx.set_password("usr_a", "another"))
    assert store.read(lambda tx: (tx.password_of("usr_a"), tx.password_of("usr_b"))) == ("another", "stored b")
    store.change(lambda tx: tx.insert_member(Member(account_id="acc_b", user_id="usr_a", role=Role.AUDITOR)))
    assert {one.account_id for one in store.read(lambda tx: tx.members(user_id="usr_a"))} == {"acc_a", "acc_b"}
    assert {one.user_id for one in store.read(lambda tx: tx.members(account_id="acc_b"))} == {"usr_a", "usr_b"}
    assert store.read(lambda tx: tx.members(account_id="acc_b", user_id="usr_a"))[0].role is Role.AUDITOR

    def users(page: Page, accounts: tuple[str, ...] | None = None) -> list[str]:
        return [one.id for _, one in store.read(lambda tx: tx.users(account_ids=accounts, page=page))]

    assert users(ALL) == ["usr_b", "usr_a"]
    assert users(ALL, ("acc_a",)) == ["usr_a"]
    first = store.read(lambda tx: tx.users(account_ids=None, page=Page(size=1)))[0][0]
    assert users(Page(size=9, before=first)) == ["usr_a"]
    assert store.read(lambda tx: tx.deployment_account_id) == "acc_a"


def test_r30_policies_have_versions_and_the_newest_is_in_force(store: SqlStore) -> None:
    first = replace(presets.load()["okx"], name="own", base="okx", version=1, quiet_after=HOUR)
    second = replace(first, version=2, quiet_after=DAY)
    write(store, "insert_policy", *(first, second), by="usr_a")
    assert store.read(lambda tx: tx.policy("own")) == second
    assert store.read(lambda tx: tx.policy("okx")) == presets.load()["okx"]
    assert store.read(lambda tx: (tx.is_preset("okx"), tx.is_preset("own"))) == (True, False)
    assert store.read(lambda tx: tx.policies()) == [*presets.load().values(), second]


def test_l4_audit_records_come_back_in_the_order_of_the_changes(store: SqlStore) -> None:
    made = [
        record(),
        record(account_id="acc_b", subject_id="key_2", address="::1", outcome="not_found"),
        record(at=at(HOUR)),
    ]
    write(store, "record", *made)

    def found(**words: Any) -> list[AuditRecord]:
        plain = {"account_ids": None, "subject_id": None, "page": ALL} | words
        return [one for _, one in store.read(lambda tx: tx.audit(**plain))]

    assert found() == made[::-1]
    assert found(account_ids=("acc_b",)) == [made[1]]
    assert found(subject_id="key_1") == [made[2], made[0]]


def test_r15_pitfall_16_replays_are_remembered_for_each_caller_apart(store: SqlStore, clock: Clock) -> None:
    first = Remembered(request=b"r" * 32, subject_id="key_1")
    store.change(lambda tx: tx.remember("key_9", "once", first))
    assert store.read(lambda tx: (tx.recall("key_9", "once"), tx.recall("key_8", "once"))) == (first, None)
    clock.advance(DAY)
    assert store.change(lambda tx: tx.forget_replays(before=at(DAY))) == 1
    assert store.read(lambda tx: tx.recall("key_9", "once")) is None


def test_f11_the_feed_is_kept_without_gaps_for_so_long_and_so_many(store: SqlStore, clock: Clock) -> None:
    for number in range(1, 7):  # the third was decided before the second, and committed after it
        clock.at = T0 + (HOUR, 3 * HOUR, 2 * HOUR, 4 * HOUR, 5 * HOUR, 6 * HOUR)[number - 1]
        insert(store, key(f"key_{number}"))

    def kept(before: timedelta, keep: int, most: int = 9) -> list[int]:
        store.change(lambda tx: tx.forget_feed(before=at(before), keep=keep, most=most))
        return [one.rev for one in store.feed_after(0, limit=9)]

    assert kept(HOUR, 1) == [1, 2, 3, 4, 5, 6]
    assert kept(3 * HOUR, 1) == [2, 3, 4, 5, 6]
    assert kept(6 * HOUR, 4, 0) == [2, 3, 4, 5, 6]
    assert kept(6 * HOUR, 4) == [3, 4, 5, 6]
    assert kept(DAY, 1, 2) == [5, 6]
    assert kept(DAY, 1) == [6], "who is up to date can still be told from who is of another past (F9)"
    assert kept(DAY, 0) == [6]


def test_f8_authority_time_never_falls_below_its_high_water_mark(store: SqlStore, clock: Clock) -> None:
    clock.advance(DAY)
    insert(store, key())
    clock.advance(-2 * DAY)
    assert store.read(lambda tx: tx.now) == at(DAY)
    assert store.change(lambda tx: tx.now) == at(DAY)
    insert(store, key("key_2"))
    assert [entry.at for entry in entries_of(store)] == [at(DAY), at(DAY)]
    clock.advance(4 * DAY)
    assert store.read(lambda tx: tx.now) == at(3 * DAY)


def test_f8_a_change_without_a_feed_entry_raises_the_mark_too(store: SqlStore, clock: Clock) -> None:
    clock.advance(DAY)
    store.change(lambda tx: tx.record(record()))
    clock.advance(-2 * DAY)
    assert store.read(lambda tx: tx.now) == at(DAY)
    assert store.rev() == 0


def test_f8_time_is_read_once_in_a_transaction(store: SqlStore, clock: Clock) -> None:
    def flow(tx: SqlTransaction) -> bool:
        before = tx.now
        clock.advance(HOUR)
        return before == tx.now

    assert store.change(flow)
