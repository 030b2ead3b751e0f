"""What a verifier does without a lease, as `on_lapse` says (F3, F12)."""

from pathlib import Path

import pytest

from keyturn.sdk import LeaseLapsed, Verifier
from keyturn.sdk.clock import boot_micros
from tests.sdk.verifying import LONG, lapse, reset
from tests.serving import Serving


def test_f3_ask_is_answered_by_a_node_while_there_is_no_lease(server: Serving, verifier: Verifier) -> None:
    made = server.create(permissions=["a:read"])
    assert verifier.verify(made["secret"])
    lapse(verifier)
    assert verifier.lease == 0
    assert verifier.verify(made["secret"], permission="a:read", ip="192.0.2.1", user_agent="x")
    assert verifier.verify("nonsense").code == "malformed"
    done = reset(server, made["id"])
    replaced = verifier.verify(made["secret"])
    assert (replaced.code, replaced.view and replaced.view.key_id) == ("replaced", made["id"])
    assert verifier.verify(done["secret"])


def test_f3_refuse_answers_nothing_without_a_lease(server: Serving, credential: str) -> None:
    secret = server.create()["secret"]
    with Verifier(server.url, credential, on_lapse="refuse") as verifier:
        assert verifier.wait_until_leased(LONG)
        assert verifier.verify(secret)
        lapse(verifier)
        for ask in (verifier.verify, verifier.verify_warm):
            with pytest.raises(LeaseLapsed):
                ask(secret)


def test_f12_stale_goes_on_for_that_long_and_no_reset_is_confirmed(tmp_path: Path) -> None:
    server = Serving(folder=tmp_path / "data").start()  # its own: an hour long none of its resets is confirmed
    made = server.create()
    credential = server.create(permissions=["keyturn.attach"])["secret"]
    try:
        with Verifier(server.url, credential, on_lapse="stale:1h") as verifier:
            assert verifier.wait_until_leased(LONG)
            assert verifier.verify(made["secret"])
            done = reset(server, made["id"])
            receipt = done["receipt"]
            assert (receipt["confirmed"], receipt["verifiers"]["unleased"]) == (False, [verifier.instance])
            assert verifier.verify(done["secret"])
            lapse(verifier)
            reset(server, made["id"])
            assert verifier.verify(done["secret"]).code == "valid"  # what was chosen
            verifier._holder.deadline = boot_micros() - 3_600_000_000
            with pytest.raises(LeaseLapsed):
                verifier.verify(done["secret"])
    finally:
        server.kill()


@pytest.mark.parametrize("chosen", ["", "stale", "stale:", "stale:0s", "stale:5", "stale:25h", "open"])
def test_how_to_go_on_without_a_lease_is_one_of_three(chosen: str) -> None:
    with pytest.raises(ValueError, match=r"on_lapse|duration"):
        Verifier("http://127.0.0.1:1", "kt_x", on_lapse=chosen)


def test_a_closed_verifier_answers_nothing(server: Serving, credential: str) -> None:
    secret = server.create()["secret"]
    with Verifier(server.url, credential) as verifier:
        assert verifier.wait_until_leased(LONG)
        assert verifier.verify(secret)
    with pytest.raises(LeaseLapsed):
        verifier.verify(secret)
