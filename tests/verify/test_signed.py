"""Signed requests and the public keys they are checked with (R42, pitfalls 3, 5, 11, 23)."""

import json
from base64 import b64decode
from binascii import Error
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest

from keyturn.core.feed import KeyState, Predicate
from keyturn.core.instant import from_text, to_micros
from keyturn.core.limit import Limit
from keyturn.core.public_key import at_rest, parse
from keyturn.core.secret import Pepper
from keyturn.outside import ed25519
from keyturn.verify import memory as module
from keyturn.verify.decision import MISS, UNKNOWN_VERDICT, Verdict, judge, wait_verdict
from keyturn.verify.entry import Profile, pack
from keyturn.verify.memory import Fill
from keyturn.verify.signed import AHEAD_BY, FRESH_FOR, Replays, Signed
from keyturn.verify.usage import Callers
from keyturn.verify.verifier import Verifier
from tests.verify.states import NOW, SECOND, digest, entry, holding, key, secret_text, version

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "signed.json").read_text("utf-8"))
FIRST, SECOND_KEY = (parse(text).raw for text in VECTORS["public_keys"])
MINUTE = timedelta(minutes=1)


def _signer(number: int = 1, **changes: Any) -> KeyState:
    """A key in the middle of a handover: both public keys are accepted."""
    plain: dict[str, Any] = {"secrets": (version(1, public_key=FIRST), version(2, public_key=SECOND_KEY))}
    return key(number, **(plain | changes))


def _asked(case: dict[str, str]) -> Signed:
    try:
        signature = b64decode(case["signature"], validate=True)
    except Error:
        signature = b""
    return Signed(case["key_id"], case["base"], signature)


def _matches(signed: Signed) -> Callable[[bytes], bool]:
    return partial(ed25519.matches, signature=signed.signature, message=signed.base.encode())


def _verify(verifier: Verifier, signed: Signed, *, now: int = NOW, **asked: Any) -> Verdict:
    """As the shell asks it: the form, the key from memory, the signature, the decision."""
    refused = verifier.refuse_signed(signed, now=now)
    if refused is not None:
        return refused
    signer = verifier.signer(signed.key_id)
    if signer is None:
        return UNKNOWN_VERDICT
    return verifier.decide_signed(signer, signed, _matches(signed), now=now, **asked)


def _held(*states: KeyState) -> Verifier:
    verifier = Verifier()
    for state in states:
        assert verifier.fill_signer(Fill(rev=0, state=state, version=1)) is not None
    return verifier


VALID = _asked(VECTORS["cases"][0])


@pytest.mark.parametrize(("time", "code"), [(0, "not_yet_active"), (NOW, "valid")])
def test_f8_a_signer_that_had_started_when_it_was_read_has_started(time: int, code: str) -> None:
    verifier = Verifier()
    verifier.width = SECOND
    assert verifier.fill_signer(Fill(rev=0, state=_signer(), version=1, time=time)) is not None
    assert _verify(verifier, VALID).code == code


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["name"])
def test_r42_vectors_of_signed_requests(case: dict[str, str]) -> None:
    """Pitfall 23: the signature is checked over the exact bytes."""
    verdict = _verify(_held(_signer()), _asked(case), now=to_micros(from_text(VECTORS["now"])))
    assert verdict.code == case["code"]
    assert (verdict.view is not None) is (case["code"] == "valid")


def test_r42_an_ed25519_signature_of_rfc_9421_is_checked_as_there() -> None:
    """Appendix B.2.6."""
    base = (
        '"date": Tue, 20 Apr 2021 02:07:55 GMT\n"@method": POST\n"@path": /foo\n"@authority": example.com\n'
        '"content-type": application/json\n"content-length": 18\n'
        '"@signature-params": ("date" "@method" "@path" "@authority" "content-type" "content-length")'
        ';created=1618884473;keyid="test-key-ed25519"'
    )
    public_key = parse("MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=").raw
    signature = b64decode("wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==")
    assert ed25519.matches(public_key, signature=signature, message=base.encode())
    assert not ed25519.matches(public_key, signature=signature, message=base.encode() + b"\n")
    assert not ed25519.matches(b"short", signature=signature, message=base.encode())


# The one decision, for signed requests too

STORIES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "R42 suspended": ({"suspended": True}, {}, "suspended"),
    "R42 revoked": ({"revoked": True}, {}, "revoked"),
    "R42 a permission it holds": ({}, {"permissions": ("orders:write",)}, "valid"),
    "R42 a permission it lacks": ({}, {"permissions": ("orders:admin",)}, "permission_missing"),
    "R42 an address on its list": ({"allowlist": ("192.0.2.0/24",)}, {"ip": "192.0.2.1"}, "valid"),
    "R42 an address off its list": ({"allowlist": ("192.0.2.0/24",)}, {"ip": "203.0.113.1"}, "ip_not_allowed"),
    "R42 no address where it has a list": ({"allowlist": ("192.0.2.0/24",)}, {}, "ip_not_allowed"),
    "R42 R52 the public key was replaced": (
        {"secrets": (version(1, public_key=FIRST, stopped=True, replaced_by="rst_1"), version(2))},
        {},
        "replaced",
    ),
}


@pytest.mark.parametrize("story", STORIES)
def test_r42_pitfall_5_a_signed_request_is_decided_on_like_any_other(story: str) -> None:
    changes, asked, code = STORIES[story]
    assert _verify(_held(_signer(**changes)), VALID, **asked).code == code


def test_r42_pitfall_4_the_limit_is_the_keys_whichever_way_it_is_used() -> None:
    verifier = _held(_signer(limit=Limit(requests=1, window=MINUTE)))
    assert _verify(verifier, VALID).valid
    other = _asked(VECTORS["cases"][2])
    refused = _verify(verifier, other)
    assert (refused.code, refused.retry_after) == ("rate_limited", 60)
    # What was refused may come again once there is room.
    assert _verify(verifier, other, now=NOW + 60 * SECOND).valid


def test_r42_who_signs_is_counted_among_the_callers() -> None:
    verifier = _held(_signer())
    assert _verify(verifier, VALID, ip="192.0.2.1", user_agent="bot", permissions=("orders:read",)).valid
    assert verifier.drain_callers() == [Callers(1, "192.0.2.1", ("orders:read",), "bot", 1, NOW)]


def test_r42_uses_of_a_watched_public_key_are_noted() -> None:
    """R20, R33: a handover waits for them as for any other."""
    verifier = _held(_signer(secrets=(version(1, public_key=FIRST, watched=True),)))
    assert _verify(verifier, VALID, ip="192.0.2.1", user_agent="bot").valid
    uses = verifier.drain_uses()
    assert uses.last == {1: NOW}
    assert [(one.version, one.ip, one.user_agent) for one in uses.watched] == [(1, "192.0.2.1", "bot")]


# A public key is public


def test_r42_a_public_key_is_never_accepted_as_if_it_were_a_secret() -> None:
    """By the flag alone: also were its entry found under a fingerprint, warm, cold and unkept."""
    state = _signer()
    fill = Fill(rev=0, state=state, version=1)
    warm = Verifier()
    assert warm.fill(digest(), fill, now=NOW)
    verdicts = [
        warm.verify(secret_text(), now=NOW),
        warm.verify_fingerprint(digest(), now=NOW),
        Verifier().verify_cold(digest(), lambda _: fill, now=NOW),
        Verifier().decide_fill(fill, now=NOW),
    ]
    assert {one.code for one in verdicts} == {"unknown"}
    assert {one.view for one in verdicts} == {None}
    assert warm.drain_uses().last == {}


def test_r42_a_held_public_key_is_found_under_no_fingerprint() -> None:
    verifier = _held(_signer())
    text = VECTORS["public_keys"][0]
    shown = (FIRST, sha256(FIRST).digest(), sha256(text.encode()).digest(), at_rest(FIRST, Pepper("p", b"p")))
    for one in shown:
        assert verifier.held(one) is None
        assert verifier.verify_fingerprint(one, now=NOW) is MISS
    assert verifier.verify(text, now=NOW).code == "malformed"
    assert len(verifier) == 0


def test_r42_a_secret_signs_nothing() -> None:
    """The other way round: what is accepted as a secret is not accepted for a signature."""
    state = key()
    profile = Profile(state.permissions, (), None)
    assert judge(pack(state, state.secrets[0], 0), profile, NOW, (), None, signed=True).verdict is UNKNOWN_VERDICT
    signer = _held(state).signer("key_1")
    assert signer is not None
    assert signer.versions == ()
    assert _verify(_held(state), VALID).code == "unknown"


# Held as the feed tells


def test_f1_f6_a_held_signer_follows_the_feed() -> None:
    verifier = _held(_signer())
    assert verifier.apply([entry(1, _signer(suspended=True))])
    assert _verify(verifier, VALID).code == "suspended"
    assert verifier.apply([entry(2, _signer(secrets=(version(2, public_key=SECOND_KEY),)))])
    assert _verify(verifier, VALID).code == "unknown"
    assert _verify(verifier, _asked(VECTORS["cases"][1])).valid
    assert verifier.apply([entry(3, _signer(7))])  # one that is not held
    assert verifier.signer("key_7") is None


@pytest.mark.parametrize(
    ("change", "stays"),
    [
        (Predicate(account_id="acc_1"), False),
        (Predicate(owner_id="usr_1"), False),
        (Predicate(), False),
        (Predicate(account_id="acc_2"), True),
        (Predicate(account_id="acc_1", owner_id="usr_2"), True),
    ],
)
def test_f11_a_bulk_change_drops_the_signers_it_may_touch(change: Predicate, stays: bool) -> None:  # noqa: FBT001  # of the table
    verifier = _held(_signer())
    assert verifier.apply([entry(1, change)])
    assert (verifier.signer("key_1") is not None) is stays


def test_f4_a_late_reading_of_a_signer_is_used_once_and_not_kept() -> None:
    """Pitfall 3: a late fill resurrects nothing."""
    verifier = Verifier()
    assert verifier.apply([entry(1, _signer(revoked=True))])
    late = verifier.fill_signer(Fill(rev=0, state=_signer(), version=2))
    assert late is not None
    assert verifier.signer("key_1") is None
    ahead = verifier.fill_signer(Fill(rev=5, state=_signer(revoked=True), version=2))
    assert ahead is not None
    verifier.fill_signer(Fill(rev=4, state=_signer(), version=2))
    assert _verify(verifier, VALID).code == "revoked"
    assert verifier.apply([entry(2, _signer())])  # says less than what is held
    assert _verify(verifier, VALID).code == "revoked"
    assert verifier.fill_signer(Fill(rev=6)) is None


def test_f9_starting_anew_forgets_signers() -> None:
    verifier = _held(_signer())
    verifier.start_at(rev=7, now=NOW)
    assert verifier.signer("key_1") is None


def test_signers_are_bounded_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_SIGNERS", 100)
    verifier = Verifier()
    for number in range(1, 300):
        verifier.fill_signer(Fill(rev=0, state=_signer(number), version=1))
        assert len(verifier._signers) <= 100
    assert verifier.signer("key_299") is not None


def test_f8_freshness_is_by_authority_time() -> None:
    """A clock that stands behind makes nothing fresh that the authority knows to be old."""
    verifier = _held(_signer())
    assert verifier.refuse_signed(VALID, now=NOW) is None
    verifier.floor = NOW + FRESH_FOR
    refused = verifier.refuse_signed(VALID, now=NOW)
    assert refused is not None
    assert (refused.code, verifier.counts["stale"]) == ("stale", 1)


# Replays


def test_r42_of_two_requests_alike_one_is_accepted() -> None:
    verifier = _held(_signer())
    assert _verify(verifier, VALID).valid
    again = _verify(verifier, VALID)
    assert (again.code, again.view is not None, verifier.counts["replayed"]) == ("replayed", True, 1)
    assert _verify(verifier, VALID, now=NOW + FRESH_FOR - 10 * SECOND).code == "replayed"
    assert _verify(verifier, VALID, now=NOW + FRESH_FOR).code == "stale"


def test_r42_what_was_refused_may_come_again() -> None:
    """Else whoever sees a request in passing could burn it from another address."""
    verifier = _held(_signer(allowlist=("192.0.2.0/24",)))
    assert _verify(verifier, VALID, ip="203.0.113.1").code == "ip_not_allowed"
    assert _verify(verifier, VALID, ip="192.0.2.1").valid


def test_r42_of_many_at_once_one_is_accepted() -> None:
    verifier = _held(_signer())
    start = Barrier(8)
    codes: list[str] = []

    def ask() -> None:
        start.wait()
        codes.append(_verify(verifier, VALID).code)

    threads = [Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == ["replayed"] * 7 + ["valid"]


def test_r42_a_request_is_remembered_for_as_long_as_it_could_be_fresh() -> None:
    replays = Replays()
    assert replays.claim(b"a", now=0)
    assert not replays.claim(b"a", now=FRESH_FOR + AHEAD_BY)
    assert replays.claim(b"a", now=FRESH_FOR + AHEAD_BY + 1)
    replays.release(b"a")
    replays.release(b"never seen")
    assert replays.claim(b"a", now=0)


def test_r42_remembered_requests_are_bounded_and_the_longest_held_go_first() -> None:
    replays = Replays(most=2000)
    for at in range(5000):
        assert replays.claim(at.to_bytes(4, "big"), now=at)
        assert len(replays) <= 2000
    assert not replays.claim((4999).to_bytes(4, "big"), now=5000)
    assert replays.claim((0).to_bytes(4, "big"), now=5000)


def test_an_attempt_that_was_right_is_given_back() -> None:
    """R42: failures are counted per label, beforehand; `give_back` of an unknown one does nothing."""
    verifier = holding(key(limit=Limit(requests=1, window=MINUTE)))
    counters = verifier._limits
    counters.undo(99, 5)
    assert counters.take(1, 60, 60, 0) == 0
    assert counters.take(1, 60, 60, 0) == 60
    counters.undo(1, 60)
    assert counters.take(1, 60, 60, 0) == 0


def test_r42_what_waits_after_too_many_failures_is_of_no_key() -> None:
    told = wait_verdict(1_500_000)
    assert (told.code, told.retry_after, told.view, told.valid) == ("rate_limited", 2, None, False)
