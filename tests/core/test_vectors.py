"""The published vectors hold for this implementation."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keyturn.core import duration, policy, secret
from keyturn.core.instant import from_text, to_text
from keyturn.core.policy import Policy
from keyturn.core.reset import Reason
from keyturn.core.secret import Pepper
from tests.core.keys import a_key, a_secret, minted

VECTORS = Path(__file__).parents[2] / "vectors"
BASE = Policy(name="vector", proofs=(frozenset({"password"}),))


def load(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((VECTORS / name).read_text("utf-8"))
    return loaded


@pytest.mark.parametrize("case", load("key_format.json")["made"], ids=lambda case: case["secret"][:12])
def test_r4_key_format(case: dict[str, str]) -> None:
    made = secret.make(
        brand=case["brand"],
        environment=case["environment"],
        entropy=bytes.fromhex(case["entropy"]),
        pepper=Pepper("p", bytes(32)),
    )
    assert made.text.reveal == case["secret"]
    assert secret.is_well_formed(case["secret"])


@pytest.mark.parametrize("case", load("key_format.json")["refused"], ids=lambda case: case["why"])
def test_r4_what_is_not_well_formed(case: dict[str, str]) -> None:
    assert not secret.is_well_formed(case["secret"])


@pytest.mark.parametrize("case", load("digest.json")["cases"], ids=lambda case: case["digest"][:8])
def test_r3_digest(case: dict[str, str]) -> None:
    presented = secret.fingerprint(case["secret"])
    assert presented.hex() == case["key_sha256"]
    assert secret.at_rest(presented, Pepper("p", bytes.fromhex(case["pepper"]))).hex() == case["digest"]


@pytest.mark.parametrize("case", load("handover.json")["cases"], ids=lambda case: case["story"])
def test_r20_r21_r24_handover(case: dict[str, Any]) -> None:
    now = from_text(load("handover.json")["now"])
    old = a_secret(stops_at=from_text(case["old_own_stop"])) if "old_own_stop" in case else a_secret()
    key = a_key(old)
    if "key_expires" in case:
        key = replace(key, expires_at=from_text(case["key_expires"]))
    grace = None if case["grace"] is None else duration.parse(case["grace"])
    chosen = policy.from_wire(case["policy"], name="vector", base=BASE)
    step = minted(key, Reason(case["reason"]), policy=chosen, grace=grace, now=now)
    new = step.key.secrets[-1]
    assert to_text(new.starts_at) == case["new_starts"]
    assert to_text(step.key.secrets[0].stops_at) == case["old_stops"]
    assert to_text(new.dangerous_starts_at) == case.get("dangerous_starts", case["new_starts"])
    uncovered = step.key.secrets[0].stops_at < new.dangerous_starts_at and case["reason"] != "leaked"
    assert uncovered is (case["gap"] is not None)
