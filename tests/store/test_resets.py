"""Resets, as every store keeps them (R5, R12)."""

from dataclasses import replace
from typing import Any

import pytest

from keyturn.core.actor import Channel
from keyturn.core.instant import FOREVER
from keyturn.core.policy import Policy
from keyturn.core.proof import Proof
from keyturn.core.reset import Asking, Reason, Reset
from keyturn.core.stage import Stage
from keyturn.ports.page import Page
from keyturn.ports.store import StoreBusy
from keyturn.store.store import SqlStore
from keyturn.store.transaction import SqlTransaction
from tests.store.samples import ALL, DAY, HOUR, at, insert, key, reset, write
from tests.world import T0, Clock


def test_r5_a_reset_comes_back_as_it_was_inserted(store: SqlStore) -> None:
    insert(store, key())
    plain = reset()
    full = reset(
        "rst_2",
        stage=Stage.SETTLED,
        channel=Channel.MACHINE,
        address=None,
        asking=Asking(reason=Reason.ROUTINE),
        proofs=(Proof(kind="credential", by="key_9", at=at(HOUR), session="s"),),
        refused_proofs=2,
        new_version=7,
        minted_at=at(HOUR),
        new_starts_at=at(DAY),
        old_stops_at=FOREVER,
        first_used_at=at(2 * DAY),
        ended_at=at(3 * DAY),
        end_reason="cancelled",
        policy=Policy(name="own", base="tradingonramp", version=4, quiet_after=HOUR, wait_for_first_use=True),
    )
    write(store, "insert_reset", *(plain, full))
    assert store.read(lambda tx: [tx.reset("rst_1"), tx.reset("rst_2")]) == [plain, full]
    assert store.read(lambda tx: tx.latest_reset("key_1")) == full
    changed = replace(plain, stage=Stage.PROVEN, refused_proofs=1)
    store.change(lambda tx: tx.save_reset(changed))
    assert store.change(lambda tx: tx.reset("rst_1", lock=True)) == changed


def test_r5_r14_two_open_resets_of_a_key_cannot_be_written(store: SqlStore) -> None:

    insert(store, key())
    store.change(lambda tx: tx.insert_reset(reset()))
    with pytest.raises(StoreBusy):  # taken for a conflict, tried again, and given up
        store.change(lambda tx: tx.insert_reset(reset("rst_2", stage=Stage.PROVEN)))
    assert store.read(lambda tx: tx.reset("rst_2")) is None


def test_r12_a_reset_that_ends_makes_room_in_the_same_change(store: SqlStore) -> None:
    insert(store, key())
    store.change(lambda tx: tx.insert_reset(reset()))

    def flow(tx: SqlTransaction) -> None:
        tx.save_reset(reset(stage=Stage.ENDED))
        tx.insert_reset(reset("rst_2"))
        tx.save_reset(reset("rst_2", stage=Stage.PROVEN))

    store.change(flow)
    stages = store.read(
        lambda tx: [one.stage for _, one in tx.resets(account_ids=None, owner_id=None, key_id=None, page=ALL)]
    )
    assert stages == [Stage.PROVEN, Stage.ENDED]


def test_what_was_saved_is_read_back_within_the_change(store: SqlStore) -> None:
    insert(store, key())

    def flow(tx: SqlTransaction) -> list[Reset | None]:
        tx.insert_reset(reset())
        first = [tx.reset("rst_1"), tx.latest_reset("key_1"), tx.waiting_reset("key_1")]
        tx.save_reset(reset(stage=Stage.MINTED, new_version=2))
        return [*first, tx.waiting_reset("key_1"), tx.reset_of_version("key_1", 2), tx.reset_of_version("key_1", 1)]

    minted = reset(stage=Stage.MINTED, new_version=2)
    assert store.change(flow) == [reset(), reset(), None, minted, minted, None]


def test_resets_are_listed_newest_first_within_accounts_owners_and_keys(store: SqlStore) -> None:
    insert(store, key(), key("key_2", account_id="acc_b", owner_id="usr_b"))
    ended = reset("rst_0", stage=Stage.ENDED)
    other = reset("rst_2", "key_2", account_id="acc_b", owner_id="usr_b")
    write(store, "insert_reset", *(ended, reset(), other))

    def listed(**words: Any) -> list[str]:
        plain = {"account_ids": None, "owner_id": None, "key_id": None, "page": ALL} | words
        return [one.id for _, one in store.read(lambda tx: tx.resets(**plain))]

    assert listed() == ["rst_2", "rst_1", "rst_0"]
    assert listed(account_ids=("acc_b",)) == ["rst_2"]
    assert listed(owner_id="usr_a", page=Page(size=1)) == ["rst_1"]
    assert listed(key_id="key_1") == ["rst_1", "rst_0"]


def test_r12_r20_r33_what_the_dates_have_brought_about(store: SqlStore, clock: Clock) -> None:
    insert(store, *(key(f"key_{n}") for n in range(6)))
    quiet = Policy(name="own", quiet_after=HOUR)
    minted = {"stage": Stage.MINTED, "new_version": 2, "minted_at": T0, "old_stops_at": at(2 * HOUR)}
    made = [
        reset("rst_0", "key_0"),
        reset("rst_1", "key_1", lapses_at=at(2 * HOUR)),
        reset("rst_2", "key_2", **minted, new_starts_at=at(HOUR), policy=quiet),
        reset("rst_3", "key_3", **minted, new_starts_at=at(2 * HOUR)),
        reset("rst_4", "key_4", **minted | {"stage": Stage.SETTLED}, new_starts_at=T0, policy=quiet),
        reset("rst_5", "key_5", stage=Stage.ENDED),
    ]
    write(store, "insert_reset", *made)

    def now() -> list[list[str]]:
        return store.change(
            lambda tx: [
                [one.id for one in found]
                for found in (tx.resets_due(limit=9), tx.resets_open(), tx.resets_in_handover())
            ]
        )

    assert now() == [[], ["rst_0", "rst_1"], ["rst_4", "rst_2"]]
    clock.advance(HOUR)
    assert now() == [["rst_0", "rst_2"], ["rst_1"], ["rst_4", "rst_2"]]
    clock.advance(HOUR)
    assert now() == [["rst_0", "rst_1", "rst_2", "rst_3"], [], []]
    assert len(store.read(lambda tx: tx.resets_due(limit=2))) == 2
