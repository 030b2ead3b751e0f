"""`keyturn fleet` against a real server with a real verifier."""

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attached import Attached, attached
from tests.cli.conftest import Keyturn
from tests.serving import Serving


@pytest.fixture
def kt(served_keyturn: Keyturn) -> Keyturn:
    return served_keyturn


@pytest.fixture
def verifier(served: Serving, kt: Keyturn, tmp_path: Path) -> Iterator[Attached]:
    file = tmp_path / "verifier.key"
    kt.ok("key", "create", "verifier", "--permission", "keyturn.attach", "--out", str(file))
    with attached(served.url, file, name="shop/1") as one:
        yield one


def test_fleet_shows_nodes_verifiers_and_the_receipt_key(kt: Keyturn, verifier: Attached) -> None:
    ran = kt("fleet")
    assert ran.code == 0
    shown = kt.ok("fleet")
    assert shown["receipt_key"] in ran.out
    line = next(one for one in ran.out.splitlines() if verifier.instance in one)
    assert line.split()[1:3] == ["shop/1", "leased"]
    assert line.startswith("  "), "below its node"
    node = next(one for one in ran.out.splitlines() if one.startswith(shown["answered_by"]))
    assert "(answers)" in node
    assert kt("fleet", "show").out.splitlines()[0] == ran.out.splitlines()[0]
    assert "fence" in kt("fleet", "--help").out


def test_a_fence_is_watched_until_it_is_final(served: Serving, kt: Keyturn, verifier: Attached, tmp_path: Path) -> None:
    key = served.create()
    verifier.freeze()
    stop = threading.Thread(target=served.call, args=(f"/v1/keys/{key['id']}/revoke", {}))
    stop.start()
    until = time.monotonic() + 20
    while not (running := kt.ok("fleet")["fences"]):
        assert time.monotonic() < until
    rev = str(running[0]["rev"])
    seen = kt("fleet")
    assert verifier.instance in seen.out[seen.out.index("WAITING FOR REVISION") :]
    waiting = kt("fleet", "fence", rev)
    assert waiting.code == 3
    assert "the last lease ends in" in waiting.out
    assert verifier.instance in waiting.err
    ran = kt("fleet", "fence", rev, "--watch")
    assert ran.code == 0
    assert re.search(r"acknowledged, [12] waited out; final$", ran.out.strip()), "with one that an earlier test killed"
    assert "the last lease ends in" in ran.err
    stop.join()
    assert kt.ok("fleet", "fence", rev, "--watch")["final"] is True
    with attached(served.url, tmp_path / "verifier.key", name="stale", on_lapse="stale:1s"):
        never = kt("fleet", "fence", rev, "--watch")
        assert never.code == 3
        assert "not final: a verifier answers from memory without a lease" in never.out
    assert kt("fleet", "fence", "0").code == 2
    assert kt("fleet", "fence", "999999999").code == 1


def test_f9_the_epoch_is_raised_by_whoever_says_so(kt: Keyturn) -> None:
    before = kt.ok("fleet")["epoch"]
    unsaid = kt("fleet", "raise-epoch", "--reason", "restored")
    assert (unsaid.code, "--yes" in unsaid.err) == (2, True)
    assert kt("fleet", "raise-epoch", "--yes").code == 2, "for no reason"
    assert kt.ok("fleet")["epoch"] == before
    ran = kt("fleet", "raise-epoch", "--reason", "restored", "--yes")
    assert (ran.code, ran.out.strip()) == (0, f"epoch {kt.ok('fleet')['epoch']}")
    assert "no reset is confirmed for" in ran.err
    assert kt.ok("fleet")["epoch"] > before


def test_leases_are_given_for_longer_or_shorter_at_any_time(kt: Keyturn, verifier: Attached) -> None:
    assert kt.ok("fleet", "terms") == {"lease_ms": 5000, "margin_ms": 50, "fence_ms": 5100}
    assert kt.ok("fleet", "terms", "--lease", "1500ms") == {"lease_ms": 1500, "margin_ms": 15, "fence_ms": 1530}
    assert kt.ok("fleet")["terms"]["lease_ms"] == 1500
    shown = kt("fleet", "terms", "--lease", "2s", "--margin", "40ms")
    assert "2.0 s, margin 40 ms" in shown.out
    assert "2.1 s" in shown.out.splitlines()[-1]
    for wrong in (("--lease", "2"), ("--lease", "1h"), ("--margin", "0.5s")):
        assert kt("fleet", "terms", *wrong).code == 2
    refused = kt("fleet", "terms", "--lease", "2s", "--margin", "1s")
    assert refused.code == 1
    assert "margin_ms: for leases of 2000 ms it is 2 ms to 500 ms" in refused.err
    assert "200 ms to 20000 ms" in kt("fleet", "terms", "--lease", "999999s").err
    assert kt.ok("fleet")["terms"]["lease_ms"] == 2000
    assert verifier.instance in kt("fleet").out, "it goes on under the new ones"
