"""Fills, the feed and strangers (F1, F4, F6, F8, pitfalls 3 and 14)."""

import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from keyturn.core.feed import KeyState, Predicate
from keyturn.core.instant import Instant
from keyturn.core.limit import Limit
from keyturn.verify import verifier as module
from keyturn.verify.decision import ASK, CODES, MALFORMED_VERDICT, MISS, UNKNOWN_VERDICT
from keyturn.verify.memory import HISTORY, MOST_UNKNOWN, UNKNOWN_FOR, Fill
from keyturn.verify.recent import Recent
from keyturn.verify.shares import Shares
from keyturn.verify.usage import LONGEST_AGENT, MOST_AGENTS, MOST_TALLIES, Callers, Origin, Tally
from keyturn.verify.verifier import Verifier
from tests.verify.states import NOW, SECOND, T0, digest, entry, holding, key, secret_text, version


def _fill(rev: int, state: KeyState | None = None, held: int = 1) -> Fill:
    return Fill(rev=rev, state=state, version=held if state else 0)


def _code(verifier: Verifier, number: int = 1, now: int = NOW) -> str:
    return verifier.verify(secret_text(number), now=now).code


# -- strangers


def test_a_stranger_is_a_miss_then_unknown_for_a_second() -> None:
    """Pitfall 14: unknown answers are cached for at most a second."""
    verifier = Verifier()
    assert verifier.verify(secret_text(), now=NOW) is MISS
    assert not verifier.knows(digest(), now=NOW)
    assert verifier.fill(digest(), _fill(0), now=NOW)
    assert verifier.knows(digest(), now=NOW)
    assert verifier.verify(secret_text(), now=NOW + UNKNOWN_FOR - 1) is UNKNOWN_VERDICT
    assert verifier.verify_fingerprint(digest(), now=NOW) is UNKNOWN_VERDICT
    assert verifier.verify(secret_text(), now=NOW + UNKNOWN_FOR) is MISS
    assert UNKNOWN_FOR <= SECOND
    assert UNKNOWN_VERDICT.view is None


def test_pitfall_14_a_key_just_created_is_never_unknown() -> None:
    verifier = Verifier()
    assert verifier.fill(digest(), _fill(0), now=NOW)
    assert verifier.apply([entry(1, key())])
    assert verifier.verify(secret_text(), now=NOW) is MISS
    # A reading from before the creation that comes in late is not kept either (F4).
    assert not verifier.fill(digest(), _fill(0), now=NOW)
    assert verifier.fill(digest(), _fill(1, key()), now=NOW)
    assert _code(verifier) == "valid"


def test_f8_what_had_started_when_it_was_read_has_started() -> None:
    """Within bounds on the time, a key made just now is accepted by whoever reads it, and not only once a grant came.

    Without the time of the reading it would be refused as not yet active, for as long as the bounds are wide.
    """
    for time, code in ((0, "not_yet_active"), (NOW - 1, "not_yet_active"), (NOW, "valid")):
        fill = Fill(rev=0, state=key(), version=1, time=time)
        kept, unkept, asked = (Verifier() for _ in range(3))
        for verifier in (kept, unkept, asked):
            verifier.width = SECOND
        assert kept.fill(digest(), fill, now=NOW)
        assert _code(kept) == code
        assert unkept.decide_fill(fill, now=NOW).code == code
        assert asked.verify_cold(digest(), {digest(): fill}.__getitem__, now=NOW - 1).code == code
        assert kept.floor == unkept.floor == time


def test_strangers_are_bounded_in_number() -> None:
    verifier = Verifier()
    for at in range(MOST_UNKNOWN + 1):
        assert verifier.fill(at.to_bytes(32, "big"), _fill(0), now=NOW)
    assert len(verifier._unknown) == 1


@pytest.mark.parametrize("text", ["", "nonsense", secret_text() + "x", secret_text()[:-1] + "!", "\ud800", "é" * 60])
def test_what_cannot_be_a_secret_is_malformed(text: str) -> None:
    verifier = Verifier()
    assert verifier.verify(text, now=NOW) is MALFORMED_VERDICT
    assert verifier.counts["malformed"] == 1


def test_a_version_that_the_key_does_not_have_is_a_stranger() -> None:
    verifier = Verifier()
    assert verifier.fill(digest(), _fill(0, key(), 2), now=NOW)
    assert _code(verifier) == "unknown"
    assert verifier.decide_fill(_fill(0, key(), 2), now=NOW) is UNKNOWN_VERDICT


def test_a_key_may_be_looked_at_before_it_is_decided_on() -> None:
    verifier = holding(key())
    assert verifier.held(digest()) == verifier._entries[digest()]
    assert verifier.held(digest(2)) is None
    assert verifier.knows(digest(), now=NOW)
    assert sum(verifier.counts.values()) == 0


# -- F4


def test_f4_a_fill_from_before_a_change_is_not_kept() -> None:
    """Pitfall 3: a late fill resurrects nothing."""
    verifier = holding(key())
    assert verifier.apply([entry(1, key(revoked=True))])
    assert not verifier.fill(digest(), _fill(0, key()), now=NOW)
    assert _code(verifier) == "revoked"
    assert verifier.fill(digest(), _fill(1, key(revoked=True)), now=NOW)
    assert _code(verifier) == "revoked"


F4_TOUCHES: dict[str, tuple[KeyState | Predicate, bool]] = {
    "F4 the key itself": (key(suspended=True), True),
    "F4 another key": (key(2), False),
    "F4 its account": (Predicate(account_id="acc_1"), True),
    "F4 another account": (Predicate(account_id="acc_2"), False),
    "F4 its owner": (Predicate(owner_id="usr_1"), True),
    "F4 another owner of its account": (Predicate(account_id="acc_1", owner_id="usr_2"), False),
    "F4 everything": (Predicate(), True),
}


@pytest.mark.parametrize("story", F4_TOUCHES)
def test_f4_what_touches_a_key(story: str) -> None:
    change, touches = F4_TOUCHES[story]
    verifier = Verifier()
    assert verifier.apply([entry(1, key(3)), entry(2, change), entry(3, key(4))])
    assert verifier.fill(digest(), _fill(1, key()), now=NOW) is not touches
    assert verifier.fill(digest(), _fill(2, key()), now=NOW)


def test_f4_what_lies_too_far_back_is_read_again() -> None:
    verifier = Verifier()
    count = HISTORY + 5
    assert verifier.apply([entry(rev, key(2)) for rev in range(1, count + 1)])
    assert not verifier.fill(digest(), _fill(4, key()), now=NOW)
    assert verifier.fill(digest(), _fill(5, key()), now=NOW)


def test_f4_a_fill_may_know_more_than_the_feed_has_told_yet() -> None:
    """Entries that say less than what was read are passed over; the key's other versions are brought along."""
    both = key(secrets=(version(), version(2)))
    verifier = Verifier()
    assert verifier.fill(digest(1), _fill(0, both, 1), now=NOW)
    stopped = key(secrets=(version(1, stopped=True, replaced_by="rst_1"), version(2)))
    assert verifier.fill(digest(2), _fill(2, stopped, 2), now=NOW)
    assert [_code(verifier, 1), _code(verifier, 2)] == ["replaced", "valid"]
    assert not verifier.fill(digest(1), _fill(1, both, 1), now=NOW)  # an older reading of the same key
    assert verifier.fill(digest(3), _fill(1, key(3)), now=NOW)  # of another it is as good as any
    assert verifier.apply([entry(1, both)])
    assert _code(verifier, 1) == "replaced"
    assert verifier.apply([entry(2, stopped)])
    assert not verifier._ahead
    assert verifier.apply([entry(3, both)])
    assert _code(verifier, 1) == "valid"


# -- cold


def test_a_cold_key_is_read_kept_and_decided_on() -> None:
    verifier = Verifier()
    asked: list[bytes] = []

    def lookup(fingerprint: bytes) -> Fill:
        asked.append(fingerprint)
        return _fill(0, key())

    for _ in range(2):
        if verifier.verify(secret_text(), now=NOW) is MISS:
            assert verifier.verify_cold(digest(), lookup, now=NOW).valid
    assert asked == [digest()]


def test_f4_a_key_that_changes_while_it_is_read_is_read_again() -> None:
    verifier = Verifier()
    readings = [_fill(0, key()), _fill(1, key(suspended=True))]

    def lookup(_: bytes) -> Fill:
        reading = readings.pop(0)
        verifier.apply([entry(1, key(suspended=True))])
        return reading

    assert verifier.verify_cold(digest(), lookup, now=NOW).code == "suspended"
    assert len(verifier) == 1


def test_a_key_that_never_stands_still_is_decided_on_unkept() -> None:
    verifier = Verifier()
    revs = iter(range(1, 100))

    def lookup(_: bytes) -> Fill:
        rev = next(revs)
        verifier.apply([entry(rev, key())])
        return _fill(rev - 1, key())

    assert verifier.verify_cold(digest(), lookup, now=NOW).valid
    assert len(verifier) == 0


def test_a_key_dropped_as_soon_as_it_is_kept_is_read_again() -> None:
    class Dropping(Verifier):
        def fill(self, fingerprint: bytes, fill: Fill, *, now: int) -> bool:
            kept = super().fill(fingerprint, fill, now=now)
            self._cache.clear()
            return kept

    assert Dropping().verify_cold(digest(), lambda _: _fill(0, key()), now=NOW).valid


def test_an_outage_keeps_nothing() -> None:
    verifier = Verifier()

    def lookup(_: bytes) -> Fill:
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011  # the very one
        verifier.verify_cold(digest(), lookup, now=NOW)
    assert verifier.verify(secret_text(), now=NOW) is MISS


# -- the feed


def test_f6_entries_are_applied_in_order_without_gaps() -> None:
    verifier = holding(key())
    assert not verifier.apply([entry(1, key(suspended=True)), entry(3, key(revoked=True))])
    assert (verifier.applied_rev, _code(verifier)) == (1, "suspended")
    assert verifier.apply([entry(1, key()), entry(2, key(revoked=True))])  # the first is known already
    assert (verifier.applied_rev, _code(verifier)) == (2, "revoked")
    assert verifier.apply([])


def test_f6_once_applied_every_thread_decides_by_it() -> None:
    verifier = holding(key())
    stopped = threading.Event()
    late: list[str] = []

    def ask() -> None:
        for _ in range(20_000):
            was_stopped = stopped.is_set()
            code = _code(verifier)
            if was_stopped:
                late.append(code)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for rev in range(1, 200):
        assert verifier.apply([entry(rev, key(permissions=(f"r{rev}:read",)))])
    assert verifier.apply([entry(200, key(revoked=True))])
    stopped.set()
    for thread in threads:
        thread.join()
    late.append(_code(verifier))
    assert set(late) == {"revoked"}


def test_f8_nothing_is_decided_before_the_latest_authority_time() -> None:
    """A clock that stands behind does not revive what the authority knows as stopped."""
    stops = Instant(T0 + timedelta(hours=1))
    verifier = holding(key(secrets=(version(stops_at=stops, replaced_by="rst_1"),)))
    assert _code(verifier) == "valid"
    assert verifier.apply([entry(1, key(2), at=stops)])
    assert _code(verifier) == "replaced"
    assert verifier.verify_fingerprint(digest(9), now=NOW) is MISS
    assert verifier.decide_fill(_fill(1, key(secrets=(version(stops_at=stops),))), now=NOW).code == "revoked"
    assert verifier.apply([entry(2, key(2), at=T0)])
    assert _code(verifier) == "replaced"


def test_f9_starting_anew_forgets_everything() -> None:
    verifier = holding(key())
    assert verifier.apply([entry(1, key())])
    assert verifier.fill(digest(2), _fill(1), now=NOW)
    verifier.start_at(rev=7, now=NOW + 1, epoch=3)
    assert (len(verifier), verifier.applied_rev, verifier.epoch, verifier.floor) == (0, 7, 3, NOW + 1)
    assert verifier.verify(secret_text(), now=NOW) is MISS
    assert verifier.verify(secret_text(2), now=NOW) is MISS
    assert not verifier.fill(digest(), _fill(6, key()), now=NOW)
    assert verifier.fill(digest(), _fill(7, key()), now=NOW)


def test_f8_time_that_was_heard_of_never_runs_back() -> None:
    """Neither what is surely past nor what may have been decided by."""
    stops = Instant(T0 + timedelta(seconds=5))
    verifier = holding(key(secrets=(version(stops_at=stops, replaced_by="rst_1"),)))
    verifier.hear(earliest=NOW + SECOND, latest=NOW + 5 * SECOND)
    assert (verifier.earliest, verifier.floor) == (NOW + SECOND, NOW + 5 * SECOND)
    assert _code(verifier) == "replaced", "as of the latest that somebody may have decided by"
    verifier.hear(earliest=NOW, latest=NOW)
    assert (verifier.earliest, verifier.floor) == (NOW + SECOND, NOW + 5 * SECOND)
    verifier.hear(earliest=NOW + 9 * SECOND, latest=NOW)
    assert (verifier.earliest, verifier.floor) == (NOW + 9 * SECOND, NOW + 9 * SECOND)


def test_f8_started_by_the_earliest_that_it_can_be_and_stopped_by_the_latest() -> None:
    """Warm, cold and unkept."""
    starts, stops = Instant(T0 + timedelta(seconds=10)), Instant(T0 + timedelta(seconds=20))
    state = key(secrets=(version(starts_at=starts, dangerous_starts_at=starts, stops_at=stops),))
    verifier = holding(state)
    verifier.width = 2 * SECOND
    story = {10: "not_yet_active", 11: "not_yet_active", 12: "valid", 19: "valid", 20: "revoked"}
    for after, code in story.items():
        now = NOW + after * SECOND
        assert _code(verifier, now=now) == code, after
        cold = Verifier()
        cold.width = 2 * SECOND
        assert cold.verify_cold(digest(), lambda _: _fill(0, state), now=now).code == code, after
    assert _code(verifier, now=NOW + 12 * SECOND - 1) == "not_yet_active", "to the microsecond"


def test_f8_without_a_lease_nothing_has_started_that_had_not_when_it_was_read() -> None:
    """The clocks may have parted by more than the bounds were wide when the lease was good."""
    starts = Instant(T0 + timedelta(seconds=10))
    state = key(secrets=(version(starts_at=starts, dangerous_starts_at=starts),))
    for read, code in ((NOW + 10 * SECOND - 1, "not_yet_active"), (NOW + 10 * SECOND, "valid")):
        fill = Fill(rev=0, state=state, version=1, time=read)
        unkept, asked = Verifier(), Verifier()
        assert unkept.decide_fill(fill, now=NOW + 15 * SECOND).code == code
        verdict = asked.verify_cold(digest(), {digest(): fill}.__getitem__, now=NOW + 15 * SECOND, leased=False)
        assert verdict.code == code


def test_f8_what_has_surely_started_has_started_however_wide_the_bounds_are() -> None:
    starts = Instant(T0 + timedelta(seconds=10))
    verifier = holding(key(secrets=(version(starts_at=starts, dangerous_starts_at=starts),)))
    verifier.width = 100 * SECOND
    assert _code(verifier, now=NOW + 10 * SECOND) == "not_yet_active"
    assert verifier.apply([entry(1, key(2), at=starts)])
    assert _code(verifier, now=NOW + 10 * SECOND + 1) == "valid", "and no judgement from before stands in the way"


def test_f7_entries_are_kept_for_others_before_anything_is_decided_by_them() -> None:
    """F6: who reads the kept ones after a revision was acknowledged finds it there."""
    recent = Recent()
    verifier = Verifier(recent=recent)
    verifier.start_at(rev=4, now=NOW)
    assert recent.after(4) == (4, ())
    told = [entry(5, key()), entry(6, Predicate())]
    assert not verifier.apply([*told, entry(8, key())])
    assert recent.after(4) == (6, tuple(told))
    verifier.start_at(rev=2, now=NOW, epoch=2)
    assert recent.after(2) == (2, ())


def test_f7_nobody_sees_a_revision_applied_that_is_not_kept_yet() -> None:
    class Looking(Recent):
        def add(self, entry: Any) -> None:
            behind.append(verifier.applied_rev)
            super().add(entry)

    behind: list[int] = []
    verifier = Verifier(recent=Looking())
    assert verifier.apply([entry(1, key()), entry(2, key())])
    assert behind == [0, 1]


def test_f15_a_limited_key_is_asked_about_where_its_requests_meet() -> None:
    """And that uses up nothing here; all that the key itself refuses is still refused at once."""
    state = key(limit=Limit(requests=1, window=timedelta(seconds=60)), permissions=("orders:read",))
    verifier = Verifier(limits=Shares(10))
    asked = verifier.verify_cold(digest(), lambda _: _fill(0, state), now=NOW)
    assert (asked.code, asked.valid, asked.view and asked.view.key_id) == (ASK, False, "key_1")
    assert verifier.decide_fill(_fill(0, state), now=NOW).code == ASK
    for _ in range(3):
        assert verifier.verify(secret_text(), now=NOW).code == ASK
    assert ASK not in CODES, "nobody takes it for an answer"
    assert verifier.verify(secret_text(), permissions=("orders:write",), now=NOW).code == "permission_missing"
    assert verifier.counts["valid"] == 0
    assert verifier.drain_uses().last == {}
    assert verifier.drain_callers() == []
    assert verifier.fill(digest(2), _fill(0, key(2)), now=NOW)
    assert _code(verifier, 2) == "valid", "a key without a limit is decided on here"


def test_f3_without_a_lease_memory_decides_nothing() -> None:
    """What is read is decided on and forgotten, each time anew."""
    verifier = holding(key())
    asked: list[bytes] = []

    def lookup(fingerprint: bytes) -> Fill:
        asked.append(fingerprint)
        return _fill(0, key(revoked=True))

    for count in (1, 2):
        assert verifier.verify_cold(digest(), lookup, now=NOW, leased=False).code == "revoked"
        assert len(asked) == count
    assert verifier.verify_cold(digest(2), lambda _: _fill(0), now=NOW, leased=False) is UNKNOWN_VERDICT
    assert not verifier.knows(digest(2), now=NOW)
    assert len(verifier) == 1


def test_judgements_are_bounded_and_stay_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_JUDGEMENTS", 3)
    verifier = holding(key(allowlist=("10.0.0.0/8",)))
    for at in range(10):
        assert verifier.verify(secret_text(), ip=f"10.0.0.{at}", now=NOW).valid
        assert not verifier.verify(secret_text(), ip=f"11.0.0.{at}", now=NOW).valid
    assert len(verifier._judged) <= 3


# -- uses


def test_last_uses_are_noted_of_accepted_requests_only() -> None:
    verifier = holding(key(), key(2, suspended=True))
    assert _code(verifier, now=NOW + 5) == "valid"
    assert _code(verifier, now=NOW + 9) == "valid"
    assert _code(verifier, 2) == "suspended"
    uses = verifier.drain_uses()
    assert (uses.last, uses.watched) == ({1: NOW + 9}, {})
    assert verifier.drain_uses().last == {}
    assert (verifier.counts["valid"], verifier.counts["suspended"]) == (2, 1)


def test_who_is_still_there_is_asked_about_again_and_that_is_a_use_but_no_request_of_the_limit() -> None:
    limit = Limit(requests=1, window=timedelta(seconds=60))
    verifier = holding(key(limit=limit, secrets=(version(watched=True),), allowlist=("192.0.2.0/24",)))
    asked: dict[str, Any] = {"permissions": ("orders:write",), "ip": "192.0.2.7"}

    def again(**more: Any) -> str:
        return verifier.verify_again(secret_text(), **asked | {"user_agent": "bot/1", "now": NOW + 5} | more).code

    assert verifier.verify(secret_text(), **asked, user_agent="bot/1", now=NOW).valid
    assert [again() for _ in range(3)] == ["valid"] * 3
    assert again(permissions=("orders:admin",)) == "permission_missing"
    assert again(ip="198.51.100.7") == "ip_not_allowed"
    assert verifier.verify(secret_text(), **asked, now=NOW + 5).code == "rate_limited"
    assert verifier.drain_uses().last == {1: NOW + 5}
    assert sum(one.times for one in verifier.drain_callers()) == 4
    assert verifier.verify_again(secret_text(2), now=NOW) is MISS
    assert verifier.verify_again("\ud800", now=NOW) is MISS
    assert verifier.apply([entry(1, key(suspended=True))])
    assert again() == "suspended"


def test_f8_who_is_still_there_is_decided_on_as_late_as_it_can_be() -> None:
    verifier = holding(key(secrets=(version(stops_at=Instant(T0 + timedelta(seconds=10))),)))
    assert verifier.verify_again(secret_text(), now=NOW).valid
    verifier.hear(earliest=NOW + 10 * SECOND, latest=NOW + 10 * SECOND)
    assert not verifier.verify_again(secret_text(), now=NOW)


def test_last_uses_that_nobody_fetches_are_bounded() -> None:
    verifier = holding(most_keys=2)
    for number in range(1, 6):
        assert verifier.fill(digest(number), _fill(0, key(number)), now=NOW)
        assert _code(verifier, number) == "valid"
        assert len(verifier._used) <= 3


def test_r33_uses_of_a_watched_secret_tell_from_where_and_for_what() -> None:
    """R20: the first use is among them."""
    verifier = holding(key(secrets=(version(watched=True),)))
    asked: dict[str, Any] = {"permissions": ("orders:read",), "ip": "192.0.2.1"}
    for at in (3, 1, 2):
        assert verifier.verify(secret_text(), **asked, user_agent="bot " * 100, now=NOW + at).valid
    assert verifier.verify(secret_text(), now=NOW).valid
    assert not verifier.verify(secret_text(), permissions=("x:read",), now=NOW).valid
    agent = ("bot " * 100)[:LONGEST_AGENT]
    assert verifier.drain_uses().watched == {
        Origin(1, 1, "192.0.2.1", ("orders:read",), agent): Tally(3, NOW + 1, NOW + 3),
        Origin(1, 1, None, (), ""): Tally(1, NOW, NOW),
    }
    assert not verifier.drain_uses().watched


def test_ways_of_use_are_bounded_and_the_rest_is_counted_together() -> None:
    verifier = holding(key(secrets=(version(watched=True),)))
    for at in range(MOST_TALLIES + 50):
        assert verifier.verify(secret_text(), user_agent=str(at), now=NOW + at).valid
    watched = verifier.drain_uses().watched
    assert len(watched) == MOST_TALLIES + 1
    assert watched[Origin(1, 1, None, (), "")] == Tally(50, NOW + MOST_TALLIES, NOW + MOST_TALLIES + 49)
    assert sum(tally.count for tally in watched.values()) == MOST_TALLIES + 50


# -- callers


def test_who_used_a_key_is_counted_by_address_permission_and_program_and_told_once() -> None:
    verifier = holding(key(), key(2, suspended=True))
    for at, agent in enumerate(("a", "b", "a", "b", "b")):
        assert verifier.verify(
            secret_text(), permissions=("orders:read",), ip="192.0.2.1", user_agent=agent, now=NOW + at
        )
    assert verifier.verify(secret_text(), now=NOW + 9).valid
    assert not verifier.verify(secret_text(), permissions=("x:read",), now=NOW).valid
    assert _code(verifier, 2) == "suspended"
    assert sorted(verifier.drain_callers(), key=lambda one: one.last) == [
        Callers(1, "192.0.2.1", ("orders:read",), "a", 2, NOW + 2),
        Callers(1, "192.0.2.1", ("orders:read",), "b", 3, NOW + 4),
        Callers(1, None, (), "", 1, NOW + 9),
    ]
    assert verifier.drain_callers() == []
    assert verifier.verify(secret_text(), now=NOW + 11).valid
    assert verifier.drain_callers() == [Callers(1, None, (), "", 1, NOW + 11)]


def test_programs_of_one_address_are_bounded_and_the_rest_is_counted_together() -> None:
    verifier = holding(key())
    for at in range(MOST_AGENTS + 4):
        assert verifier.verify(secret_text(), user_agent=f"{at} " * 200, now=NOW).valid
    told = verifier.drain_callers()
    assert [one.times for one in told] == [1] * (MOST_AGENTS + 1) + [3]
    assert {len(one.user_agent) for one in told} == {LONGEST_AGENT, 0}


def test_no_use_is_lost_with_the_judgement_that_counted_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither where a date has passed, nor where the judgements are thrown out, nor where none is kept."""
    monkeypatch.setattr(module, "MOST_JUDGEMENTS", 2)
    verifier = holding(key(secrets=(version(dangerous_starts_at=Instant(T0 + timedelta(seconds=1))),)))
    for now in (NOW, NOW + 2 * SECOND):
        assert _code(verifier, now=now) == "valid"
    for ip in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        assert verifier.verify(secret_text(), ip=ip, now=NOW).valid
    assert verifier.decide_fill(_fill(0, key()), now=NOW).valid
    told = verifier.drain_callers()
    assert (sum(one.times for one in told), {one.ip for one in told}) == (
        6,
        {None, "192.0.2.1", "192.0.2.2", "192.0.2.3"},
    )


def test_f9_what_was_read_in_the_epoch_before_is_not_kept() -> None:
    """Its revision is higher than where the new epoch began: kept, it would stand in the way of a later stop."""
    state = key(1, secrets=(version(),))
    verifier = Verifier()
    verifier.start_at(rev=100, now=NOW, epoch=1)
    read = Fill(rev=100, state=state, version=state.secrets[0].version, time=NOW, epoch=1)
    verifier.start_at(rev=90, now=NOW, epoch=2)
    assert not verifier.fill(digest(), read, now=NOW)
    assert verifier.fill_signer(read) is not None
    assert verifier.signer(state.key_id) is None
    assert verifier.fill(digest(), replace(read, rev=90, epoch=2), now=NOW)
    assert verifier.apply([entry(91, replace(state, revoked=True))])
    assert verifier.verify_fingerprint(digest(), now=NOW).code == "revoked"
