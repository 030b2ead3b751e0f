"""What is held, and how it follows the feed (F1, F6, F11)."""

import gc
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from keyturn.core.feed import KeyState, Predicate
from keyturn.verify.cache import Cache
from keyturn.verify.decision import MISS
from keyturn.verify.entry import header
from keyturn.verify.memory import Fill
from keyturn.verify.verifier import Verifier
from tests.verify.states import NOW, digest, entry, holding, key, secret_text, version


def _codes(verifier: Verifier, *numbers: int) -> list[str]:
    return [verifier.verify(secret_text(number), now=NOW).code for number in numbers]


def test_the_cache_holds_no_secret() -> None:
    """R3: only what was made of its SHA-256."""
    verifier = holding(key())
    held = b"".join([*verifier._entries, *verifier._entries.values()])
    assert secret_text().encode() not in held
    assert digest() in held


def test_nothing_held_of_a_key_is_seen_by_the_garbage_collector() -> None:
    cache = holding(key(), key(2))._cache
    for table in (cache.entries, cache._of_key):
        assert not any(map(gc.is_tracked, table.values()))
        assert not gc.is_tracked(table)


def test_one_entry_is_held_to_the_most() -> None:
    """Bounded: the longest held goes first, in batches."""
    verifier = holding(*map(key, range(1, 301)), most_keys=300)
    assert len(verifier) == 300
    assert verifier.fill(digest(301), Fill(rev=0, state=key(301), version=1), now=NOW)
    assert len(verifier) == 45
    assert _codes(verifier, 1, 256, 257, 301) == ["miss", "miss", "valid", "valid"]
    assert len(verifier._cache._of_key) == 45


def test_profiles_are_shared_and_bounded() -> None:
    verifier = holding(*(key(number, permissions=(f"r{number}:read",)) for number in range(1, 11)), most_profiles=4)
    assert len(verifier._cache.profiles) == 4
    assert _codes(verifier, 6, 7, 10) == ["miss", "valid", "valid"]
    same = holding(*map(key, range(1, 11)))
    assert len(same._cache.profiles) == 1


def test_a_profile_goes_with_its_last_entry_and_its_number_never_comes_again() -> None:
    cache = Cache(most_keys=10, most_profiles=10)
    cache.put(digest(1), key(1), version())
    number = next(iter(cache.profiles))
    cache.drop(digest(1))
    assert not cache.profiles
    assert not cache._profile_numbers
    cache.drop(digest(1))  # again: nothing to do
    cache.put(digest(1), key(1), version())
    assert number not in cache.profiles


def test_making_room_for_a_change_may_drop_the_very_key() -> None:
    """A key's new profile may take the place of its old one; then it is read again."""
    verifier = holding(key(), most_profiles=1)
    assert verifier.apply([entry(1, key(permissions=("x:read",)))])
    assert _codes(verifier, 1) == ["miss"]
    assert not verifier._cache.profiles
    assert not verifier._cache._of_key


def test_a_reader_whose_entry_lost_its_profile_reads_again() -> None:
    verifier = holding(key())
    held = verifier.held(digest())
    assert held is not None
    assert verifier.apply([entry(1, Predicate())])
    assert verifier.decide(held, (), None, "", NOW) is MISS


def test_two_versions_of_a_key_follow_together() -> None:
    both = key(secrets=(version(), version(2), version(3)))
    verifier = Verifier()
    for number in (1, 2, 3):
        assert verifier.fill(digest(number), Fill(rev=0, state=both, version=number), now=NOW)
    assert _codes(verifier, 1, 2, 3) == ["valid"] * 3
    assert verifier.apply([entry(1, replace(both, suspended=True))])
    assert _codes(verifier, 1, 2, 3) == ["suspended"] * 3
    # A version that is not in the state any more is dropped and read again.
    assert verifier.apply([entry(2, key(secrets=(version(1, stopped=True), version(3))))])
    assert _codes(verifier, 1, 2, 3) == ["revoked", "miss", "valid"]
    assert verifier.apply([entry(3, key(secrets=(version(3),)))])
    assert _codes(verifier, 1, 2, 3) == ["miss", "miss", "valid"]
    assert verifier._cache._of_key == {1: digest(3)}


def test_pitfall_26_edits_are_feed_entries_like_any_other() -> None:
    verifier = holding(key())
    asked = {"permissions": ("orders:write",), "ip": "192.0.2.1", "now": NOW}
    assert verifier.verify(secret_text(), **asked).valid  # type: ignore[arg-type]  # each has its own type
    edits = [
        (key(permissions=("orders:read",)), "permission_missing"),
        (key(allowlist=("198.51.100.0/24",)), "ip_not_allowed"),
        (key(expires_at=version().starts_at), "expired"),
        (key(revoked=True), "revoked"),
        (key(), "valid"),
    ]
    for rev, (state, code) in enumerate(edits, start=1):
        assert verifier.apply([entry(rev, state)])
        assert verifier.verify(secret_text(), **asked).code == code  # type: ignore[arg-type]  # as above


def test_f11_a_bulk_change_drops_what_it_may_have_touched() -> None:
    states = [
        key(1),
        key(2, owner_id="usr_2"),
        key(3, account_id="acc_2"),
        key(4, account_id="acc_2", owner_id="usr_2"),
        key(5, account_id="acc_3", owner_id="acc_2"),
    ]
    for predicate, gone in (
        (Predicate(account_id="acc_3"), {5}),
        (Predicate(owner_id="usr_2"), {2, 4}),
        (Predicate(account_id="acc_2", owner_id="usr_2"), {4}),
        (Predicate(account_id="acc_9"), set()),
        (Predicate(), {1, 2, 3, 4, 5}),
    ):
        verifier = holding(*states)
        assert verifier.apply([entry(1, predicate)])
        codes = _codes(verifier, 1, 2, 3, 4, 5)
        assert {at for at, code in enumerate(codes, start=1) if code == "miss"} == gone, predicate


def test_f11_a_bulk_change_of_most_keys_drops_everything() -> None:
    verifier = holding(key(1), key(2), key(3, account_id="acc_2"))
    assert verifier.apply([entry(1, Predicate(account_id="acc_1"))])
    assert len(verifier) == 0
    assert not verifier._cache.profiles


steps = st.lists(
    st.tuples(
        st.sampled_from(["fill", "change", "many", "drop"]), st.integers(1, 6), st.integers(1, 3), st.integers(0, 4)
    ),
    max_size=40,
)


@given(steps)
def test_the_tables_of_the_cache_agree(steps: list[tuple[str, int, int, int]]) -> None:
    """Whatever comes in whatever order, each entry has its profile, its key and its place."""
    cache = Cache(most_keys=8, most_profiles=3)
    for what, number, held, shared in steps:
        secrets = tuple(version(one) for one in (1, 2, 3) if one != shared)
        state: KeyState = key(number, permissions=(f"r{shared}:read",), secrets=secrets)
        if what == "fill":
            cache.put(digest(number * 10 + held), state, version(held))
        elif what == "change":
            cache.rewrite(state)
        elif what == "many":
            cache.drop_matching(Predicate(owner_id="usr_1" if number == 1 else "usr_2"))
        else:
            cache.drop(digest(number * 10 + held))
        assert len(cache.entries) <= 8
        assert len(cache.profiles) <= 3
        uses = dict.fromkeys(cache.profiles, 0)
        of_key: dict[int, set[bytes]] = {}
        for fingerprint, packed in cache.entries.items():
            uses[header(packed)[5]] += 1
            of_key.setdefault(header(packed)[4], set()).add(fingerprint)
        assert uses == {at: profile.uses for at, profile in cache.profiles.items()}
        assert set(cache._profile_numbers.values()) == set(cache.profiles)
        listed = {
            at: {all_of[one : one + 32] for one in range(0, len(all_of), 32)} for at, all_of in cache._of_key.items()
        }
        assert listed == of_key
