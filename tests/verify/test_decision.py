"""What a key's record, the time, the address and the wanted permissions decide."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.core import limit as limits
from keyturn.core.feed import KeyState
from keyturn.core.instant import FOREVER, Instant, from_text, to_micros
from keyturn.core.permission import action_rank, covers
from keyturn.verify.decision import CODES, Judgement, judge
from keyturn.verify.entry import MOST_ANSWERS, Profile, mark, pack, view
from keyturn.verify.memory import Fill
from keyturn.verify.verifier import Verifier
from tests.verify.states import NOW, SECOND, T0, digest, holding, key, secret_text, version

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "decision.json").read_text())


def _instant(text: str | None) -> Instant:
    return from_text(text) if text else FOREVER


def _state(record: dict[str, Any]) -> KeyState:
    secret = version(
        starts_at=_instant(record["starts_at"]),
        dangerous_starts_at=_instant(record["dangerous_starts_at"]),
        stops_at=_instant(record["stops_at"]),
        stopped=record["stopped"],
        replaced_by=record["replaced_by"] or "",
    )
    return key(
        permissions=tuple(record["permissions"]),
        allowlist=tuple(record["allowlist"]),
        limit=limits.parse(record["limit"]) if record["limit"] else None,
        expires_at=_instant(record["expires_at"]),
        suspended=record["suspended"],
        revoked=record["revoked"],
        secrets=(secret,),
    )


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["name"])
def test_vectors_warm_and_cold(case: dict[str, Any]) -> None:
    """R2, R24, pitfall 5: each vector, from memory and from the store, by secret and by fingerprint."""
    fill = Fill(rev=0, state=_state(case["record"]), version=1)
    now, wanted = to_micros(from_text(case["now"])), tuple(case["permissions"])
    cold = Verifier().verify_cold(digest(), lambda _: fill, permissions=wanted, ip=case["ip"], now=now)
    unkept = Verifier().decide_fill(fill, permissions=wanted, ip=case["ip"], now=now)
    warm = Verifier()
    assert warm.fill(digest(), fill, now=now)
    codes = [cold.code, unkept.code]
    for _ in range(2):  # reckoned, then remembered
        codes.append(warm.verify(secret_text(), permissions=wanted, ip=case["ip"], now=now).code)
        codes.append(warm.verify_fingerprint(digest(), permissions=wanted, ip=case["ip"], now=now).code)
    assert set(codes) == {case["code"]}


@pytest.mark.parametrize("series", VECTORS["limits"], ids=lambda series: series["name"])
def test_vectors_of_limits(series: dict[str, Any]) -> None:
    """R23: one key asked in turn."""
    verifier = Verifier()
    state = _state(VECTORS["limits_record"] | {"limit": series["limit"]})
    assert verifier.fill(digest(), Fill(rev=0, state=state, version=1), now=0)
    for at, asked in enumerate(series["requests"]):
        wanted = tuple(asked.get("permissions", ()))
        verdict = verifier.verify(secret_text(), permissions=wanted, now=to_micros(from_text(asked["at"])))
        assert (verdict.code, verdict.retry_after) == (asked["code"], asked.get("retry_after", 0)), at


def test_every_code_has_a_vector() -> None:
    seen = {case["code"] for case in VECTORS["cases"]}
    seen |= {asked["code"] for series in VECTORS["limits"] for asked in series["requests"]}
    # The rest is about no key, or about signed requests (test_signed.py).
    assert seen == set(CODES) - {"unknown", "malformed", "stale", "replayed"}


# -- laws over all records

instants = st.integers(-4, 4).map(lambda hours: Instant(T0 + timedelta(hours=hours)))
states = st.builds(
    lambda suspended, revoked, expires, allowlist, permissions, secret: key(
        suspended=suspended,
        revoked=revoked,
        expires_at=expires,
        allowlist=allowlist,
        permissions=permissions,
        secrets=(secret,),
    ),
    st.booleans(),
    st.booleans(),
    st.one_of(instants, st.just(FOREVER)),
    st.sampled_from([(), ("192.0.2.0/24",)]),
    st.sampled_from([(), ("orders:read",), ("orders:admin", "trades:read"), ("*:write",)]),
    st.builds(
        lambda starts, wait, stops, stopped, by: version(
            starts_at=starts,
            dangerous_starts_at=Instant(starts + timedelta(hours=wait)),
            stops_at=stops,
            stopped=stopped,
            replaced_by=by,
        ),
        instants,
        st.integers(0, 3),
        st.one_of(instants, st.just(FOREVER)),
        st.booleans(),
        st.sampled_from(["", "rst_1"]),
    ),
)
wanted_sets = st.sampled_from(
    [(), ("orders:read",), ("orders:write",), ("orders:admin",), ("orders:read", "trades:read")]
)
addresses = st.sampled_from([None, "192.0.2.1", "203.0.113.1", "nonsense"])
moments = st.tuples(st.integers(-5, 5), st.integers(-1, 1)).map(lambda at: NOW + at[0] * 3_600_000_000 + at[1])


def _judge(
    state: KeyState, now: int, wanted: tuple[str, ...], ip: str | None, *, earliest: int | None = None
) -> Judgement:
    profile = Profile(state.permissions, state.allowlist, state.limit)
    return judge(pack(state, state.secrets[0], 0), profile, now, wanted, ip, earliest=earliest)


def _accepted(state: KeyState, now: int, wanted: tuple[str, ...], ip: str | None) -> bool:
    """R2 and R24 as they stand in the specification, without codes or their order."""
    (secret,) = state.secrets
    starts = secret.dangerous_starts_at if any(map(action_rank, wanted)) else secret.starts_at
    return (
        to_micros(starts) <= now < to_micros(secret.stops_at)
        and not secret.stopped
        and not state.suspended
        and not state.revoked
        and now < to_micros(state.expires_at)
        and (not state.allowlist or ip == "192.0.2.1")
        and covers(state.permissions, wanted)
    )


@given(state=states, now=moments, wanted=wanted_sets, ip=addresses)
def test_r2_nothing_else_decides_it(state: KeyState, now: int, wanted: tuple[str, ...], ip: str | None) -> None:
    verdict = _judge(state, now, wanted, ip).verdict
    assert verdict.valid == _accepted(state, now, wanted, ip)


@given(state=states, now=moments, later=moments, wanted=wanted_sets, ip=addresses)
def test_a_judgement_holds_for_as_long_as_it_says(
    state: KeyState, now: int, later: int, wanted: tuple[str, ...], ip: str | None
) -> None:
    """Pitfall 6: dates are compared at each request, also where the answer is remembered."""
    judged = _judge(state, now, wanted, ip)
    assert judged.since <= now < judged.until
    if judged.since <= later < judged.until:
        assert _judge(state, later, wanted, ip)[2].code == judged.verdict.code


@given(state=states, moments=st.lists(moments, min_size=1, max_size=6), wanted=wanted_sets, ip=addresses)
def test_pitfall_5_warm_and_cold_say_the_same(
    state: KeyState, moments: list[int], wanted: tuple[str, ...], ip: str | None
) -> None:
    warm, fill = Verifier(), Fill(rev=0, state=state, version=1)
    assert warm.fill(digest(), fill, now=0)
    for now in moments:
        asked: dict[str, Any] = {"permissions": wanted, "ip": ip, "now": now}
        assert warm.verify(secret_text(), **asked).code == Verifier().decide_fill(fill, **asked).code


def test_pitfall_6_every_date_is_kept_by_an_answer_that_is_remembered() -> None:
    """R2, R24: one warm secret, asked again and again, on either side of each of its dates."""
    hour = 3_600_000_000
    secret = version(
        starts_at=Instant(T0 + timedelta(hours=1)),
        dangerous_starts_at=Instant(T0 + timedelta(hours=2)),
        stops_at=Instant(T0 + timedelta(hours=3)),
        replaced_by="rst_1",
    )
    for expires, last in ((FOREVER, ("replaced", 3)), (Instant(T0 + timedelta(hours=2, minutes=30)), ("expired", 2.5))):
        verifier = Verifier()
        state = key(secrets=(secret,), expires_at=expires)
        assert verifier.fill(digest(), Fill(rev=0, state=state, version=1), now=NOW)
        for at, read, write in (
            (0, "not_yet_active", "not_yet_active"),
            (1, "valid", "not_yet_active"),
            (2, "valid", "valid"),
            (last[1], last[0], last[0]),
        ):
            for now in (NOW + int(at * hour), NOW + int(at * hour) + 1):
                for _ in range(2):
                    assert verifier.verify(secret_text(), permissions=("orders:read",), now=now).code == read
                    assert verifier.verify(secret_text(), permissions=("orders:write",), now=now).code == write
        # And back again: a judgement says from when on it holds, too.
        assert verifier.verify(secret_text(), permissions=("orders:write",), now=NOW + hour).code == "not_yet_active"


@given(state=states, wanted=wanted_sets, ip=addresses, moment=moments, width=st.integers(0, 5 * 3_600_000_000))
def test_f8_where_the_time_is_not_known_exactly_nothing_is_accepted_that_might_not_be(
    state: KeyState, wanted: tuple[str, ...], ip: str | None, moment: int, width: int
) -> None:
    """Valid within bounds is valid at either end of them, and so all the way between."""
    within = _judge(state, moment, wanted, ip, earliest=moment - width).verdict
    ends = [_judge(state, at, wanted, ip).verdict for at in (moment - width, moment)]
    assert within.valid is all(one.valid for one in ends)
    if not ends[1].valid and within.code != "not_yet_active":
        assert within.code == ends[1].code, "and what stands against it at the latest is what is said"


@given(state=states, wanted=wanted_sets, ip=addresses, moment=moments, width=st.integers(0, 3_600_000_000))
def test_f8_a_judgement_within_bounds_holds_as_long_as_it_says(
    state: KeyState, wanted: tuple[str, ...], ip: str | None, moment: int, width: int
) -> None:
    """Remembered until then, while the bounds move on with the clock, it accepts nothing that is refused by then."""
    judged = _judge(state, moment, wanted, ip, earliest=moment - width)
    last = min(judged.until - 1, moment + 10 * 3_600_000_000)
    assert judged.since <= moment <= last
    later = _judge(state, last, wanted, ip, earliest=last - width)
    assert judged.verdict.valid is later.verdict.valid or judged.verdict.code == "not_yet_active"


def test_f8_r24_what_is_dangerous_starts_by_the_earliest_that_it_can_be() -> None:
    late = key(secrets=(version(starts_at=Instant(T0 - timedelta(hours=1)), dangerous_starts_at=T0),))
    for earliest, code in ((NOW - 1, "not_yet_active"), (NOW, "valid")):
        assert _judge(late, NOW + 5, ("orders:write",), None, earliest=earliest).verdict.code == code
        assert _judge(late, NOW + 5, ("orders:read",), None, earliest=earliest).verdict.valid


def test_f8_a_start_that_may_not_have_come_is_looked_at_again_at_once() -> None:
    late = key(secrets=(version(starts_at=T0, dangerous_starts_at=T0),))
    assert _judge(late, NOW, (), None, earliest=NOW - 1).until == NOW + 1
    assert _judge(late, NOW, (), None, earliest=NOW).until > NOW + 1
    assert _judge(late, NOW - 1, (), None, earliest=NOW - 9).until == NOW


def test_dangerous_permissions_never_start_before_the_secret() -> None:
    early = version(dangerous_starts_at=Instant(T0 - timedelta(days=1)))
    assert view(pack(key(), early, 0)).dangerous_starts == NOW


def test_an_entry_unpacks_to_what_was_packed() -> None:
    seen = view(pack(key(7, owner_id="", suspended=True), version(3, watched=True, replaced_by="rst_1"), 5))
    assert (seen.key_id, seen.account_id, seen.owner_id, seen.environment) == ("key_7", "acc_1", "", "live")
    assert (seen.number, seen.version, seen.profile, seen.replaced_by) == (7, 3, 5, "rst_1")


def test_an_entry_bears_the_marks_of_its_account_and_owner() -> None:
    packed = pack(key(), version(), 0)
    assert mark("acc_1") in packed
    assert mark("usr_1") in packed
    assert mark("acc_") not in packed


def test_a_profile_remembers_a_bounded_number_of_answers() -> None:
    profile = Profile(("orders:read",), ("10.0.0.0/8",), None)
    for at in range(MOST_ANSWERS + 10):
        assert profile.admits(f"10.0.{at // 256}.{at % 256}")
        assert not profile.grants((f"r{at}:read",))
    assert max(len(profile._addresses), len(profile._wanted)) <= MOST_ANSWERS
    for _ in range(2):  # reckoned, then remembered
        assert profile.admits("10.0.0.1")
        assert not profile.admits("11.0.0.1")
        assert profile.grants(("orders:read",))


def test_the_time_and_reset_of_a_replaced_secret_are_at_hand() -> None:
    """R52: for whoever presents it whole."""
    old = version(stops_at=T0, stopped=True, replaced_by="rst_9")
    seen = _judge(key(secrets=(old,)), NOW, (), None).verdict.view
    assert seen is not None
    assert (seen.replaced_by, seen.stops) == ("rst_9", NOW)


def test_r24_a_verdict_in_the_cool_down_shows_what_may_be_done_so_far() -> None:
    """Whoever reads the permissions from the verdict lets no more through than who asks for them."""
    waiting = key(
        permissions=("*:read", "keyturn.keys:write", "orders:write", "reports:admin"),
        secrets=(version(dangerous_starts_at=T0 + timedelta(hours=1)),),
    )
    verifier = holding(waiting)
    early, late = verifier.verify(secret_text(), now=NOW), verifier.verify(secret_text(), now=NOW + 3600 * SECOND)
    assert (early.code, early.profile.permissions) == ("valid", ("*:read", "orders:read", "reports:read"))
    assert (late.code, late.profile.permissions) == ("valid", waiting.permissions)
    for one in early.profile.permissions:
        assert verifier.verify(secret_text(), permissions=(one,), now=NOW).valid
    readers = holding(replace(waiting, permissions=("orders:read",)))
    assert readers.verify(secret_text(), now=NOW).profile.permissions == ("orders:read",)
    assert readers.verify(secret_text(), now=NOW).profile is readers.verify(secret_text(), now=NOW + 1).profile
