"""What is to be told, as every store keeps it (R51)."""

from dataclasses import replace
from typing import Any

import pytest

from keyturn.core.delivery import LEASE, Backlog, Delivery, Means, Parcel, State, leased
from keyturn.core.letter import Letter
from keyturn.core.notice import Notice
from keyturn.ports.page import Page
from keyturn.ports.store import StoreBusy
from keyturn.store.store import SqlStore
from tests.store.samples import ALL, DAY, HOUR, at, write
from tests.world import T0, Clock


def notice(n: int = 0) -> Notice:
    detail = {"n": str(n)}
    return Notice(
        kind=f"n{n}", account_id="a", owner_id="o", key_id="k", detail=detail, actor_id="usr_b", address="::1"
    )


def delivery(n: int, **changes: Any) -> Delivery:
    plain = Delivery(
        id=f"dlv_{n}", means=Means.MAIL, to="a@example.com", account_id="a", notice_number=n, made_at=T0, due_at=T0
    )
    return replace(plain, **changes)


def due(store: SqlStore, means: Means = Means.MAIL) -> str:
    """The next delivery, which is left as it is."""
    found = store.read(lambda tx: tx.next_delivery(means))
    seen = store.read(lambda tx: tx.to_be_told())[1]
    assert (means in seen) == (found is not None)
    return found.id if found else ""


def put(store: SqlStore, changed: Delivery) -> None:
    store.change(lambda tx: tx.save_delivery(changed))


def test_r51_what_is_new_is_addressed_once_in_order(store: SqlStore) -> None:
    made = [notice(n) for n in range(3)]
    letter = Letter(kind="proof", to="a@example.com", language="de", link_id="lnk_1", detail={"key": "取"})
    assert store.read(lambda tx: tx.to_be_told()) == (False, frozenset())
    write(store, "tell", *made)
    write(store, "send", letter)
    assert store.read(lambda tx: tx.to_be_told()) == (True, frozenset())
    assert [one for _, one in store.change(lambda tx: tx.new_notices(limit=2))] == made[:2]
    numbers = [number for number, _ in store.change(lambda tx: tx.new_notices(limit=9))]
    assert store.change(lambda tx: tx.new_letters(limit=9)) == [(1, letter)]
    store.change(lambda tx: tx.addressed(notice_numbers=numbers[:2], letter_numbers=[1]))
    assert store.change(lambda tx: tx.new_notices(limit=9)) == [(numbers[2], made[2])]
    assert store.change(lambda tx: tx.new_letters(limit=9)) == []


def test_r51_a_delivery_comes_back_whole_with_what_it_tells(store: SqlStore) -> None:
    write(store, "tell", notice(1))
    write(store, "send", Letter(kind="proof", to="b@example.com", link_id="lnk_1"))
    first = delivery(1, user_id="usr_a", link_id="lnk_9", first_tried_at=T0, leased_until=at(HOUR), leased_by="w")
    second = delivery(2, to="b@example.com", notice_number=None, letter_number=1, in_order=False, account_id="")
    store.change(lambda tx: tx.insert_deliveries([first, second]))
    assert store.read(lambda tx: tx.delivery("dlv_1")) == first
    assert store.read(lambda tx: tx.parcel(first)) == Parcel(delivery=first, at=T0, notice=notice(1))
    letter = store.read(lambda tx: tx.parcel(second)).letter
    assert letter == Letter(kind="proof", to="b@example.com", link_id="lnk_1")
    ended = replace(first, state=State.REFUSED, settled_at=at(HOUR), said="550", attempts=3)
    put(store, ended)
    assert store.change(lambda tx: tx.delivery("dlv_1", lock=True)) == ended
    assert store.read(lambda tx: tx.delivery("dlv_9")) is None


def test_r51_one_notice_never_goes_to_one_place_twice(store: SqlStore) -> None:
    write(store, "tell", notice(1))
    store.change(lambda tx: tx.insert_deliveries([delivery(1)]))
    with pytest.raises(StoreBusy):
        store.change(lambda tx: tx.insert_deliveries([delivery(2, notice_number=1)]))


def test_r51_deliveries_to_one_place_go_in_order_and_one_at_a_time(store: SqlStore, clock: Clock) -> None:
    write(store, "tell", *(notice(n) for n in range(1, 5)))
    write(store, "send", Letter(kind="proof", to="a@example.com"))
    waiting = [delivery(1), delivery(2), delivery(3, to="b@example.com"), delivery(4, means=Means.WEBHOOK)]
    store.change(lambda tx: tx.insert_deliveries(waiting))
    assert (due(store), due(store, Means.WEBHOOK)) == ("dlv_1", "dlv_4")
    put(store, leased(waiting[0], by="w", now=T0))
    assert due(store) == "dlv_3", "dlv_2 waits for dlv_1, which is under way"
    put(store, replace(waiting[0], due_at=at(HOUR)))
    assert due(store) == "dlv_3", "dlv_2 waits for dlv_1, which is tried again later"
    clock.advance(HOUR)
    assert due(store) == "dlv_1"
    put(store, replace(waiting[0], in_order=False, due_at=at(DAY)))
    assert due(store) == "dlv_2", "dlv_1 has lost its place"
    put(store, replace(waiting[0], state=State.TOLD))
    assert due(store) == "dlv_2"
    letter = delivery(5, notice_number=None, letter_number=1, in_order=False)
    store.change(lambda tx: tx.insert_deliveries([letter]))
    assert due(store) == "dlv_5", "somebody waits for a letter"


def test_r51_a_lease_keeps_others_away_until_it_has_run_out(store: SqlStore, clock: Clock) -> None:
    write(store, "tell", notice(1))
    one = delivery(1)
    store.change(lambda tx: tx.insert_deliveries([one]))
    put(store, leased(one, by="w", now=T0))
    assert due(store) == ""
    clock.advance(LEASE)
    assert due(store) == "dlv_1"


def test_what_waits_is_counted_and_what_was_told_long_ago_is_dropped(store: SqlStore, clock: Clock) -> None:
    write(store, "tell", notice(1), notice(2))
    write(store, "send", Letter(kind="proof", to="a@example.com"))
    assert store.read(lambda tx: tx.backlog()) == [Backlog(means=Means.MAIL, waiting=3, oldest_at=T0)]
    store.change(lambda tx: tx.addressed(notice_numbers=[1, 2], letter_numbers=[1]))
    told = delivery(1, state=State.TOLD, settled_at=at(HOUR))
    clock.advance(HOUR)
    hook = delivery(2, means=Means.WEBHOOK, made_at=at(HOUR))
    store.change(lambda tx: tx.insert_deliveries([told, hook, delivery(3, notice_number=None, letter_number=1)]))
    assert {(one.means, one.waiting, one.oldest_at) for one in store.read(lambda tx: tx.backlog())} == {
        (Means.MAIL, 1, T0),
        (Means.WEBHOOK, 1, at(HOUR)),
    }
    assert store.change(lambda tx: tx.forget_told(before=at(HOUR))) == 0
    assert store.change(lambda tx: tx.forget_told(before=at(DAY))) == 1
    found = store.read(lambda tx: tx.told(account_ids=None, key_id=None, page=ALL))
    assert [(number, parcel.delivery.id) for number, parcel in found] == [(2, "dlv_2")]


def test_pitfall_18_what_was_told_is_listed_within_accounts(store: SqlStore) -> None:
    write(store, "tell", notice(1), replace(notice(2), key_id="key_2"))
    made = [delivery(1), delivery(2, account_id="acc_b")]
    store.change(lambda tx: tx.insert_deliveries(made))

    def found(**words: Any) -> list[str]:
        plain = {"account_ids": None, "key_id": None, "page": ALL} | words
        return [parcel.delivery.id for _, parcel in store.read(lambda tx: tx.told(**plain))]

    assert found() == ["dlv_2", "dlv_1"]
    assert found(account_ids=("a",)) == ["dlv_1"]
    assert found(key_id="key_2") == ["dlv_2"]
    assert found(page=Page(size=1)) == ["dlv_2"]
    assert found(page=Page(size=1, before=2)) == ["dlv_1"]
