"""Keys, their secrets and their use, as every store keeps them (F0, F1, F4)."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from keyturn.core.feed import KeyState
from keyturn.core.instant import FOREVER
from keyturn.core.key import MOST_REMEMBERED, StopReason, Suspension, state_for_verifiers, stop, stop_by
from keyturn.ports.page import Page
from keyturn.ports.use import Use
from keyturn.store.store import SqlStore
from keyturn.store.transaction import SqlTransaction
from keyturn.store.uses import MOST_USES
from tests.store.conftest import OLD_PEPPER
from tests.store.samples import ALL, DAY, HOUR, at, digest, insert, key, load, presented, save, secret
from tests.world import T0, Clock, entries_of


def test_r1_a_key_comes_back_as_it_was_inserted(store: SqlStore) -> None:
    held = Suspension(at=at(HOUR), by="usr_a", reason="leaked", reset_id="rst_1")
    ended = secret(
        "key_1", 2, stops_at=at(HOUR), stopped_at=at(HOUR), stop_reason=StopReason.LEAKED, replaced_by="rst_1"
    )
    plain = key(suspension=held, revoked_at=at(DAY), secrets=(secret("key_1"), ended), expires_at=at(DAY))
    (made,) = insert(store, plain)
    assert made.number > 0
    found = load(store)
    assert {one.rev for one in found.secrets} == {1}
    assert replace(found, secrets=tuple(replace(one, rev=0) for one in found.secrets)) == made
    assert store.read(lambda tx: tx.key_by_number(made.number)) == found
    assert replace(made, number=0, secrets=()) == replace(plain, secrets=())
    assert [replace(one, rev=0) for one in made.secrets] == list(plain.secrets)


FIELDS: dict[str, Any] = {
    "name": "another",
    "permissions": ("orders:read",),
    "allowlist": (),
    "limit": None,
    "policy": "binance",
    "expires_at": at(DAY),
    "suspension": Suspension(at=T0, by="usr_a", reason="why"),
    "revoked_at": T0,
}


NOT_FOR_VERIFIERS = {"name", "policy"}


@pytest.mark.parametrize("field", FIELDS)
def test_f1_pitfalls_2_and_26_whatever_a_verifier_must_know_is_fed(store: SqlStore, field: str) -> None:
    insert(store, key())
    after = save(store, **{field: FIELDS[field]})
    assert getattr(after, field) == FIELDS[field]
    fed = [entry.change for entry in entries_of(store)]
    assert fed[-1] == state_for_verifiers(after) if field not in NOT_FOR_VERIFIERS else len(fed) == 1
    assert len(fed) == (1 if field in NOT_FOR_VERIFIERS else 2)


def test_f1_a_new_version_and_the_end_of_the_old_are_one_entry(store: SqlStore) -> None:
    insert(store, key())
    loaded = load(store)
    old = stop_by(loaded.secrets[0], at(HOUR), reset_id="rst_1", now=T0)
    after = save(store, secrets=(replace(old, watched=True), secret("key_1", 2)))
    assert [(one.version, one.rev, one.stops_at, one.watched) for one in after.secrets] == [
        (1, 1, at(HOUR), True),
        (2, 2, FOREVER, False),
    ]
    assert [entry.rev for entry in entries_of(store)] == [1, 2]
    assert entries_of(store)[-1].change == state_for_verifiers(after)


def test_f1_a_key_saved_twice_in_one_change_is_fed_once_as_it_ends_up(store: SqlStore) -> None:
    insert(store, key())

    def flow(tx: SqlTransaction) -> int:
        for name in ("one:read", "two:read"):
            loaded = tx.key("key_1", lock=True)
            assert loaded is not None
            ended = stop_by(loaded.secrets[0], at(HOUR if name < "p" else DAY), reset_id="r", now=tx.now)
            tx.save_key(replace(loaded, permissions=(name,), secrets=(ended,)))
        return tx.rev_of("key_1")

    assert store.change(flow) == 2
    assert [entry.rev for entry in entries_of(store)] == [1, 2]
    assert entries_of(store)[-1].change == state_for_verifiers(load(store))
    assert load(store).secrets[0].stops_at == at(HOUR)


def test_a_key_saved_unchanged_is_not_fed(store: SqlStore) -> None:
    insert(store, key())
    save(store)
    assert store.rev() == 1


def test_pages_run_newest_first_and_do_not_overlap(store: SqlStore) -> None:
    made = insert(store, *(key(f"key_{n}", account_id="acc_ab"[:4] + "ab"[n % 2]) for n in range(6)))

    def page(size: int, before: int | None = None, accounts: tuple[str, ...] | None = None) -> list[str]:
        words = {"account_ids": accounts, "owner_id": None, "page": Page(size=size, before=before)}
        return [one.id for one in store.read(lambda tx: tx.keys(**words))]  # type: ignore[arg-type]  # one by one above

    assert page(4) == ["key_5", "key_4", "key_3", "key_2"]
    assert page(4, made[2].number) == ["key_1", "key_0"]
    assert page(9, accounts=("acc_a",)) == ["key_4", "key_2", "key_0"]
    assert page(9, accounts=()) == []
    assert store.read(lambda tx: tx.keys(account_ids=None, owner_id="usr_b", page=ALL)) == []


def test_l5_live_keys_are_those_neither_revoked_nor_expired(store: SqlStore, clock: Clock) -> None:
    insert(store, key(), key("key_2", revoked_at=T0), key("key_3", expires_at=at(HOUR)), key("key_4", owner_id="usr_b"))

    def live(tx: SqlTransaction) -> int:
        tx.lock_owner("usr_a")
        return tx.count_live_keys("usr_a")

    assert store.change(live) == 2
    clock.advance(HOUR)
    assert store.change(live) == 1


def test_r25_what_a_key_created_since(store: SqlStore) -> None:
    insert(store, *(key(f"key_{n}", created_by="key_x" if n else "usr_a", created_at=at(n * HOUR)) for n in range(4)))
    found = store.change(lambda tx: [one.id for one in tx.keys_created_by("key_x", since=at(2 * HOUR))])
    assert found == ["key_2", "key_3"]


def test_f11_a_whole_account_is_suspended_in_one_entry(store: SqlStore) -> None:
    held = Suspension(at=at(-HOUR), by="x", reason="before")
    insert(
        store,
        key(),
        key("key_2", suspension=held),
        key("key_3", revoked_at=T0),
        key("key_4", expires_at=T0),
        key("key_5", account_id="acc_b"),
    )
    assert store.change(lambda tx: tx.suspend_account("acc_a", by="usr_b", reason="why")) == (1, 6)
    suspensions = {
        one.id: one.suspension for one in store.read(lambda tx: tx.keys(account_ids=None, owner_id=None, page=ALL))
    }
    assert suspensions == {
        "key_1": Suspension(at=T0, by="usr_b", reason="why"),
        "key_2": held,
        "key_3": None,
        "key_4": None,
        "key_5": None,
    }
    assert store.rev() == 6


def test_f4_a_lookup_finds_a_secret_under_any_pepper_with_its_revision(store: SqlStore) -> None:
    old = secret("key_1", digest=digest("key_1", 1, OLD_PEPPER), pepper="p0000", stopped_at=T0, stops_at=T0)
    insert(store, key(secrets=(old, secret("key_1", 2))))
    for version in (1, 2):
        fill = store.lookup(presented("key_1", version))
        assert (fill.rev, fill.version, fill.state) == (1, version, state_for_verifiers(load(store)))
    stranger = store.lookup(presented("key_9", 1))
    assert (stranger.rev, stranger.version, stranger.state) == (1, 0, None)


def test_r21_what_may_still_be_accepted_is_loaded_however_often_a_key_was_reset(store: SqlStore) -> None:
    insert(store, key())
    for version in range(2, 3 * MOST_REMEMBERED):
        loaded = load(store)
        newest = [
            stop(one, reason=StopReason.NEVER_STARTED, reset_id="r", now=T0) if one.version > 1 else one
            for one in loaded.secrets
        ]
        save(store, secrets=(*newest, secret("key_1", version, starts_at=at(DAY))))
    loaded = load(store)
    assert loaded.secrets[0].version == 1
    assert loaded.version == 3 * MOST_REMEMBERED - 1
    assert len(loaded.secrets) <= MOST_REMEMBERED
    assert store.read(lambda tx: tx.keys(account_ids=None, owner_id=None, page=ALL)) == [loaded]
    oldest = store.lookup(presented("key_1", 2))  # R52: long gone, and still told apart from a stranger
    assert oldest.secret is not None
    assert oldest.secret.stopped


def test_f0_a_key_is_not_changed_that_is_not_held(store: SqlStore) -> None:
    """Somebody may have stopped its secret since it was read: to write what was read would bring that to life."""
    insert(store, key())

    def change(tx: SqlTransaction) -> None:
        found = tx.key("key_1")
        assert found is not None
        tx.save_key(replace(found, owner_id="usr_b"))

    with pytest.raises(AssertionError, match="locked"):
        store.change(change)


def test_f1_what_is_made_and_stopped_in_one_step_is_stored_as_stopped(store: SqlStore) -> None:
    def change(tx: SqlTransaction) -> None:
        made = tx.insert_key(key())
        (one,) = made.secrets
        tx.save_key(made.with_secret(replace(one, stopped_at=T0, stop_reason=StopReason.LEAKED)))

    store.change(change)
    (stored,) = load(store).secrets
    (entry,) = store.feed_after(0, limit=9)
    assert isinstance(entry.change, KeyState)
    assert (stored.stopped_at, entry.change.secrets[0].stopped) == (T0, True)


def test_r33_uses_add_up_and_the_rest_are_counted_together(store: SqlStore) -> None:
    (made,) = insert(store, key())

    def use(n: int, seen: timedelta, count: int = 1) -> Use:
        return Use(
            key_number=made.number,
            version=1,
            address=f"192.0.2.{n}",
            permission="orders:read",
            user_agent="ua",
            last_seen=at(seen),
            count=count,
        )

    store.change(lambda tx: tx.add_uses([use(1, HOUR, 2), use(1, timedelta(0), 3), use(2, DAY)]))
    assert store.read(lambda tx: tx.uses(made.number, 1)) == [use(2, DAY), use(1, HOUR, 5)]
    store.change(lambda tx: tx.add_uses([use(n, HOUR) for n in range(MOST_USES + 20)]))
    found = store.read(lambda tx: tx.uses(made.number, 1))
    assert len(found) == MOST_USES + 1
    assert sum(one.count for one in found) == 6 + MOST_USES + 20
    assert store.rev() == 1, "pitfall 3: a use changes nothing that may be accepted"


def test_r33_the_last_use_of_a_secret_never_goes_back(store: SqlStore) -> None:
    (made,) = insert(store, key(secrets=(secret("key_1"), secret("key_1", 2))))
    one, two = (made.number, 1), (made.number, 2)
    store.change(lambda tx: tx.touch_secrets({one: at(DAY), two: at(HOUR)}))
    store.change(lambda tx: tx.touch_secrets({two: at(DAY), one: at(HOUR), (99, 1): at(DAY)}))
    assert [found.last_used_at for found in load(store).secrets] == [at(DAY), at(DAY)]


def test_the_last_use_of_a_key_never_goes_back(store: SqlStore) -> None:
    made = insert(store, key(), key("key_2"))
    store.change(lambda tx: tx.touch({made[0].number: at(DAY), made[1].number: at(HOUR)}))
    missed = store.change(lambda tx: tx.touch({made[0].number: at(HOUR), made[1].number: at(DAY), 99: at(DAY)}))
    assert missed == frozenset(), "of what is no key nothing is kept for later"
    assert (load(store).last_used_at, load(store, "key_2").last_used_at) == (at(DAY), at(DAY))
    assert store.rev() == 2
