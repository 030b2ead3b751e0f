"""One suite for every store: what a transaction asks and answers, on SQLite and PostgreSQL alike.

The distribution's PostgreSQL takes part where it is installed.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from keyturn.core.account import Account, Member, Role
from keyturn.core.actor import Channel
from keyturn.core.audit import AuditRecord
from keyturn.core.delivery import LEASE, Backlog, Delivery, Means, Parcel, State, leased
from keyturn.core.feed import KeyState, Predicate, SecretState
from keyturn.core.handover import Terms
from keyturn.core.instant import FOREVER, Instant
from keyturn.core.key import (
    MOST_REMEMBERED,
    Key,
    Secret,
    StopReason,
    Suspension,
    state_for_verifiers,
    stop,
    stop_by,
)
from keyturn.core.letter import Letter
from keyturn.core.limit import Limit
from keyturn.core.notice import Notice
from keyturn.core.policy import Policy
from keyturn.core.proof import Proof
from keyturn.core.reset import Asking, Narrowing, Reason, Reset
from keyturn.core.secret import Pepper, at_rest
from keyturn.core.stage import Stage
from keyturn.outside import presets
from keyturn.ports.page import Page
from keyturn.ports.remembered import Remembered
from keyturn.ports.store import StoreBusy
from keyturn.ports.use import Use
from keyturn.store.store import SqlStore
from keyturn.store.transaction import SqlTransaction
from keyturn.store.uses import MOST_USES
from tests.store.conftest import OLD_PEPPER
from tests.world import PEPPER, T0, Clock, entries_of

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


# Keys


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


# Resets


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


# Accounts and people


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


# Evidence and telling


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


# Use


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


# Time


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
