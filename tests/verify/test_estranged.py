"""F9: where the authority has lost a part of its past, what memory knows as stopped stays stopped."""

from typing import Any

import pytest

from keyturn.core.lease import AHEAD, Denial, Terms
from keyturn.verify.decision import MISS
from keyturn.verify.holder import Holder
from keyturn.verify.memory import Fill
from keyturn.verify.verifier import Verifier
from tests.verify.states import NOW, digest, key, version
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
