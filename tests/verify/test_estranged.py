"""F9: where the authority has lost a part of its past, what memory knows as stopped stays stopped."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from keyturn.core.feed import KeyState, Predicate, SecretState
from keyturn.core.instant import Instant
from keyturn.core.lease import AHEAD, Denial, Grant, Terms
from keyturn.verify.decision import MISS, UNKNOWN_VERDICT, Verdict
from keyturn.verify.entry import Profile, pack
from keyturn.verify.holder import Holder
from keyturn.verify.memory import Fill
from keyturn.verify.stops import PastLost
from keyturn.verify.verifier import Verifier
from tests.verify.states import NOW, T0, digest, entry, key, version
from tests.verify.test_signed import VALID, _matches, _signer

STOPS: dict[str, tuple[dict[str, Any], str]] = {
    "F9 revoked": ({"revoked": True}, "revoked"),
    "F9 suspended": ({"suspended": True}, "suspended"),
    "F9 replaced": ({"secrets": (version(stopped=True, replaced_by="rst_1"), version(2))}, "replaced"),
}


def estranged(*, of: str = "key", **changes: Any) -> Verifier:
    """One that has applied more than the authority holds."""
    verifier = Verifier()
    verifier.start_at(rev=9, now=NOW, epoch=1)
    if of == "key":
        assert verifier.fill(digest(), Fill(rev=9, state=key(**changes), version=1), now=NOW)
    else:
        assert verifier.fill_signer(Fill(rev=9, state=_signer(**changes), version=1)) is not None
    holder = Holder(verifier, instance="one", terms=Terms())
    holder.denied(Denial(nonce=1, reason=AHEAD))
    return verifier


def cold(verifier: Verifier) -> str:
    """What is decided where the authority says that nothing has happened to the key."""
    return verifier.verify_cold(
        digest(), lambda _: Fill(rev=3, state=key(), version=1), now=NOW, permissions=("orders:read",), leased=False
    ).code


@pytest.mark.parametrize("story", STOPS)
def test_f9_a_restored_backup_is_met_by_refusal_not_by_life(story: str) -> None:
    changes, code = STOPS[story]
    verifier = estranged(**changes)
    assert cold(verifier) == code
    assert verifier.counts[code] == 1
    verifier.start_at(rev=3, now=NOW, epoch=2)
    assert cold(verifier) == "valid", "in a new epoch the authority alone says what is"


def test_f9_what_memory_does_not_know_as_stopped_is_the_authoritys_to_say() -> None:
    assert cold(estranged()) == "valid"
    assert cold(estranged(secrets=(version(starts_at=key().expires_at),))) == "valid", "not to have started is no stop"
    assert estranged().remembered_stop(digest(2), now=NOW) is None


def test_f9_without_a_lost_past_memory_says_nothing_that_it_holds_no_lease_for() -> None:
    verifier = Verifier()
    verifier.start_at(rev=9, now=NOW, epoch=1)
    assert verifier.fill(digest(), Fill(rev=9, state=key(suspended=True), version=1), now=NOW)
    assert cold(verifier) == "valid", "it may have been resumed since"
    assert verifier.verify_cold(digest(2), lambda _: Fill(rev=9), now=NOW) is not MISS


@pytest.mark.parametrize(("known", "code"), [({"revoked": True}, "revoked"), ({}, "valid")])
def test_f9_r42_the_same_holds_for_signed_requests(known: dict[str, Any], code: str) -> None:
    verifier = estranged(of="signer", **known)
    signer = verifier.fill_signer(Fill(rev=3, state=_signer(), version=1))
    assert signer is not None
    matches = _matches(VALID)
    assert verifier.decide_signed(signer, VALID, matches, now=NOW).code == code
    verifier.start_at(rev=3, now=NOW, epoch=2)
    again = verifier.decide_signed(signer, VALID, matches, now=NOW).code
    assert again == ("valid" if known else "replayed")


# -- what it does not hold


def follower(*changes: KeyState | Predicate, most_keys: int = 9) -> Verifier:
    """One that has followed the feed from revision 9 on."""
    verifier = Verifier(most_keys=most_keys)
    verifier.start_at(rev=9, now=NOW, epoch=1)
    assert verifier.apply([entry(10 + at, change) for at, change in enumerate(changes)])
    return verifier


def lost(state: KeyState | None = None, *, rev: int = 9, epoch: int = 1) -> Callable[[bytes], Fill]:
    """A database that was put back to that revision, in which nothing has happened to the key."""
    return lambda _: Fill(rev=rev, state=state or key(), version=1, epoch=epoch)


def asked(verifier: Verifier, lookup: Callable[[bytes], Fill], number: int = 1, *, leased: int = True) -> str:
    try:
        return verifier.verify_cold(digest(number), lookup, now=NOW, leased=bool(leased)).code
    except PastLost:
        return "no answer"


@pytest.mark.parametrize("leased", [1, 0])
@pytest.mark.parametrize("story", STOPS)
def test_f9_a_reading_from_before_what_was_applied_shows_that_the_past_is_lost(story: str, leased: int) -> None:
    """Nobody has said so yet, and the secret was never held."""
    changes, code = STOPS[story]
    verifier = follower(key(**changes))
    assert asked(verifier, lost(), leased=leased) == code
    assert verifier.estranged
    assert asked(verifier, lost(rev=12), leased=leased) == code, "however far it comes again"
    assert asked(verifier, lost(key(2)), 2, leased=leased) == "valid", "what nothing was said of is the authority's"
    assert asked(verifier, lambda _: Fill(rev=9, epoch=1), 3, leased=leased) == "unknown"
    verifier.start_at(rev=9, now=NOW, epoch=2)
    assert asked(verifier, lost(epoch=2), leased=leased) == "valid"


@pytest.mark.parametrize("rev", [10, 11])
def test_f9_what_had_stopped_for_good_does_not_live_again_in_the_same_epoch(rev: int) -> None:
    """The database has come as far again, and nobody has noticed yet."""
    for changes in ({"revoked": True}, {"secrets": (version(stopped=True), version(2))}):
        verifier = follower(key(**changes))
        assert asked(verifier, lost(rev=rev)) == "revoked"
    assert asked(follower(key(suspended=True)), lost(rev=rev)) == "valid", "it may have been resumed"


LONG_OVER = version(stopped=True, stops_at=Instant(T0 - timedelta(hours=2)), replaced_by="rst_1")


@pytest.mark.parametrize("asked_for", [1, 2])
@pytest.mark.parametrize("ended", [version(stopped=True, stops_at=T0, replaced_by="rst_1"), LONG_OVER])
@pytest.mark.parametrize("signs", [0, 1])
def test_f9_a_reading_that_is_ahead_of_the_feed_tells_what_the_entries_up_to_it_would(
    asked_for: int, ended: SecretState, signs: int
) -> None:
    """The entries are passed over, since they say less than what was read."""
    verifier = follower(Predicate(account_id="acc_2"))
    changed = key(secrets=(ended, version(2)))
    fill = Fill(rev=12, state=changed, version=asked_for, epoch=1)
    if signs:
        assert verifier.fill_signer(fill) is not None
    else:
        assert verifier.fill(digest(asked_for), fill, now=NOW)
    assert verifier.apply([entry(11, changed), entry(12, Predicate(account_id="acc_2"))])
    is_told = asked_for == 1 or ended is not LONG_OVER
    assert asked(verifier, lost(), 3) == ("replaced" if is_told else "valid")


def test_f9_a_reading_that_is_not_ahead_tells_of_the_version_that_was_asked_about_alone() -> None:
    """Each key that is read would be held with what had stopped of it before anybody here was told of anything."""
    verifier = follower()
    changed = key(secrets=(version(stopped=True, stops_at=T0), version(2)))
    assert verifier.fill(digest(2), Fill(rev=9, state=changed, version=2, epoch=1), now=NOW)
    verifier.estranged = True
    assert asked(verifier, lost(), 3) == "valid"


def test_f9_a_reading_of_another_epoch_shows_nothing() -> None:
    verifier = follower(key(revoked=True))
    assert asked(verifier, lost(rev=3, epoch=2)) == "valid"
    assert not verifier.estranged

    def begins_anew(_: bytes) -> Fill:
        verifier.start_at(rev=2, now=NOW, epoch=2)
        return Fill(rev=9, state=key(), version=1, epoch=1)

    assert asked(verifier, begins_anew, leased=False) == "valid"
    assert not verifier.estranged


def test_f9_f11_of_what_was_stopped_together_it_gives_no_answer() -> None:
    verifier = follower(Predicate(account_id="acc_1"))
    assert asked(verifier, lost()) == "no answer"
    assert asked(verifier, lost(key(2, account_id="acc_2")), 2) == "valid"


def test_f9_f11_what_was_read_after_that_is_known() -> None:
    """A bulk change takes from memory what it may have touched."""
    verifier = follower(Predicate(account_id="acc_1"))
    assert asked(verifier, lost(rev=10)) == "valid"
    assert asked(verifier, lost(key(2, suspended=True), rev=10), 2) == "suspended"
    verifier.estranged = True
    assert [asked(verifier, lost(key(one)), one) for one in (1, 2, 3)] == ["valid", "suspended", "no answer"]


def test_f9_f11_a_bulk_change_does_not_take_what_is_known_as_stopped() -> None:
    verifier = follower()
    assert asked(verifier, lost(key(revoked=True))) == "revoked"
    assert verifier.apply([entry(10, Predicate())])
    assert verifier.held(digest()) is None
    assert asked(verifier, lost()) == "revoked"


def test_f9_a_small_memory_gives_no_answer_where_it_cannot_hold_every_stop() -> None:
    verifier = follower(*(key(number, revoked=True) for number in (1, 2, 3)), most_keys=2)
    assert asked(verifier, lost(key(2)), 2) == "revoked"
    assert asked(verifier, lost(key(3)), 3) == "no answer"
    assert asked(verifier, lost(key(4)), 4) == "no answer"


def test_f9_f11_nor_does_one_that_has_begun_anew_within_the_epoch() -> None:
    """What has stopped in between was not told to it."""
    verifier = follower(key(revoked=True))
    verifier.start_at(rev=20, now=NOW, epoch=1)
    assert asked(verifier, lost()) == "revoked"
    assert asked(verifier, lost(key(2)), 2) == "no answer"


def test_f9_nothing_that_is_read_takes_the_place_of_what_is_known() -> None:
    """The database may have come further than what was applied, by other ways."""
    verifier = estranged(suspended=True)
    assert not verifier.fill(digest(), Fill(rev=12, state=key(), version=1), now=NOW)
    assert asked(verifier, lost(rev=12)) == "suspended"
    signs = estranged(of="signer", suspended=True)
    assert signs.fill_signer(Fill(rev=12, state=_signer(), version=1)) is not None
    assert (found := signs.signer("key_1")) is not None
    assert signs.decide_signed(found, VALID, _matches(VALID), now=NOW).code == "suspended"


@pytest.mark.parametrize(
    ("change", "code"),
    [(_signer(revoked=True), "revoked"), (_signer(suspended=True), "suspended"), (Predicate(), "no answer")],
)
def test_f9_r42_the_same_holds_for_signed_requests_of_keys_that_are_not_held(
    change: KeyState | Predicate, code: str
) -> None:
    verifier = follower(change)
    signer = verifier.read_signer(lambda: Fill(rev=9, state=_signer(), version=1, epoch=1))
    assert signer is not None
    try:
        assert verifier.decide_signed(signer, VALID, _matches(VALID), now=NOW).code == code
    except PastLost:
        assert code == "no answer"


def told(state: KeyState) -> Verdict:
    """What a node has answered."""
    return Verdict("valid", pack(state, state.secrets[0], 0), Profile((), (), None), 0)


def test_f9_what_a_node_says_is_believed_but_of_what_has_stopped_here() -> None:
    verifier = follower(key(suspended=True), Predicate(account_id="acc_2"))
    other = told(key(2, account_id="acc_2"))
    for one, number in ((told(key()), 1), (other, 2), (UNKNOWN_VERDICT, 3)):
        assert verifier.believed(digest(number), one, now=NOW) is one, "nothing shows that a past is lost"
    verifier.estranged = True
    assert verifier.believed(digest(), told(key()), now=NOW).code == "suspended"
    with pytest.raises(PastLost):
        verifier.believed(digest(2), other, now=NOW)
    assert verifier.believed(digest(3), UNKNOWN_VERDICT, now=NOW) is UNKNOWN_VERDICT


def test_f9_nor_is_it_where_it_has_live_what_had_stopped_for_good() -> None:
    """A server that was started on a backup, and asked before it has heard how far its verifiers are."""
    verifier = follower(key(revoked=True))
    assert verifier.believed(digest(), told(key()), now=NOW).code == "revoked"


@pytest.mark.parametrize("is_held", [0, 1])
def test_f9_r42_nor_does_a_key_whose_requests_are_signed(is_held: int) -> None:
    verifier = follower(_signer(revoked=True))
    if is_held:
        assert verifier.fill_signer(Fill(rev=10, state=_signer(revoked=True), version=1, epoch=1)) is not None
    signer = Verifier().fill_signer(Fill(rev=10, state=_signer(), version=1, epoch=1))
    assert signer is not None
    assert verifier.decide_signed(signer, VALID, _matches(VALID), now=NOW).code == "revoked"


def test_f9_f11_who_cannot_tell_what_has_become_of_the_last_entry_is_no_way_back() -> None:
    """A server that was started since then has no entry as old as that."""
    verifier = follower(key(revoked=True))
    holder = Holder(verifier, instance="one", terms=Terms())
    for anew in (True, False):
        verifier.estranged = False
        renewal = holder.renewal(NOW, wall=NOW)
        grant = Grant(nonce=renewal.nonce, length=1, epoch=1, rev=20, entries=(), time=NOW, at=0, anew=True)
        assert holder.granted(grant, NOW) is not None
        holder.estrange()
        renewal = holder.renewal(NOW, wall=NOW)
        again = replace(grant, nonce=renewal.nonce, anew=anew)
        assert (holder.granted(again, NOW) is None) is anew
        assert verifier.estranged is anew
