"""`/v1/fleet`: who is attached, how far each has come, whom a stop waits for."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keyturn.core.note import key_from_text
from keyturn.flow.confirmation import UNLEASED
from keyturn.sdk import Verifier
from tests.attached import Attached, attached, of, until, verifiers
from tests.serving import Serving


@pytest.fixture
def credential(api: Serving, tmp_path: Path) -> Path:
    file = tmp_path / "verifier.key"
    file.write_text(api.create(permissions=["keyturn.attach", "keyturn.verify"])["secret"])
    return file


@pytest.fixture
def verifier(api: Serving, credential: Path) -> Iterator[Attached]:
    with attached(api.url, credential) as one:
        yield one


def test_nodes_and_verifiers_are_shown_with_what_they_hold(api: Serving, verifier: Attached) -> None:
    rev = api.create()["id"] and api.call("/v1/fleet").body["rev"]
    # Every lease is renewed long before it ends, and each acknowledgement arrives by itself.
    fleet = until(lambda: (one := api.call("/v1/fleet").body) and of(one, verifier.instance)["lag"] == 0 and one)
    here = of(fleet, fleet["answered_by"])
    there = of(fleet, verifier.instance)
    assert fleet["rev"] == here["applied_rev"] == here["acknowledged_rev"] == there["acknowledged_rev"] == rev
    assert fleet["terms"] == {"lease_ms": 5000, "margin_ms": 50, "fence_ms": 5100}
    assert (here["footing"], there["footing"], there["name"]) == ("leased", "leased", "apart")
    assert 0 < here["lease_ends_in_ms"] <= 5000
    assert 0 < there["lease_ends_in_ms"] <= 5100
    assert there in here["verifiers"]
    assert fleet["confirms"] is True
    assert key_from_text(fleet["receipt_key"]).name == api.call("/v1/accounts").body["items"][-1]["id"]


def test_a_running_fence_names_whom_it_waits_for_and_is_final_in_the_end(api: Serving, verifier: Attached) -> None:
    key = api.create()
    until(lambda: [one["instance"] for one in verifiers(api.call("/v1/fleet").body)] == [verifier.instance])
    verifier.freeze()
    revoked: dict[str, Any] = {}
    stop = threading.Thread(target=lambda: revoked.update(api.call(f"/v1/keys/{key['id']}/revoke", {}).body))
    stop.start()
    fleet = until(lambda: (one := api.call("/v1/fleet").body)["fences"] and one)
    waited = fleet["fences"][0]
    assert waited["waiting_for"] == [verifier.instance], "the node itself decides by it already"
    assert waited["of"] - waited["acknowledged"] == 1
    assert 0 < waited["last_lease_ends_in_ms"] <= 5100
    assert (waited["final"], waited["waited_out"], waited["reason"]) == (False, [], None)
    assert api.call(f"/v1/fleet/fences/{waited['rev']}").body["waiting_for"] == [verifier.instance]
    stop.join()
    receipt = revoked["receipt"]
    assert (receipt["confirmed"], receipt["rev"]) == (True, waited["rev"])
    assert receipt["verifiers"]["waited_out"] == [verifier.instance]
    assert api.call("/v1/fleet").body["fences"] == []
    seen = until(lambda: (one := api.call(f"/v1/fleet/fences/{waited['rev']}").body)["final"] and one)
    assert (seen["last_lease_ends_in_ms"], seen["waiting_for"]) == (0, [])
    assert seen["waited_out"] == [verifier.instance], "who was silent has confirmed nothing"
    assert seen["of"] - seen["acknowledged"] == 1
    verifier.thaw()


def test_f12_an_unleased_verifier_is_shown_as_such(api: Serving, credential: Path) -> None:
    with attached(api.url, credential, name="stale", on_lapse="stale:1s") as one:
        fleet = api.call("/v1/fleet").body
        assert of(fleet, one.instance)["footing"] == "unleased"
        assert (fleet["confirms"], fleet["reason"]) == (False, UNLEASED)
        receipt = api.call(f"/v1/keys/{api.create()['id']}/revoke", {}).body["receipt"]
        seen = api.call(f"/v1/fleet/fences/{receipt['rev']}").body
        assert (receipt["confirmed"], seen["final"], seen["last_lease_ends_in_ms"]) == (False, False, 0)
        assert seen["unleased"] == receipt["verifiers"]["unleased"] == [one.instance]
        assert seen["reason"] == receipt["reason"] == UNLEASED
    # Its second beyond the lease is over in the end.
    until(lambda: api.call(f"/v1/fleet/fences/{receipt['rev']}").body["final"])


def test_there_is_no_fence_of_a_revision_that_is_not_there(api: Serving) -> None:
    rev = api.call("/v1/fleet").body["rev"]
    assert api.call(f"/v1/fleet/fences/{rev}").status == 200
    assert api.call(f"/v1/fleet/fences/{rev + 1_000_000}").body["code"] == "not_found"
    assert api.call("/v1/fleet/fences/0").body["code"] == "invalid_field"


def test_only_the_operators_auditors_look_at_the_fleet(api: Serving) -> None:
    auditor = api.create(permissions=["keyturn.audit:read"])["secret"]
    assert api.call("/v1/fleet", key=auditor).status == 200
    account = api.call("/v1/accounts", {"name": "customer"}).body["id"]
    owner = {"email": f"{account}@example.com", "account_id": account, "role": "owner"}
    api.call("/v1/users", owner)
    customer = api.create(permissions=["keyturn.audit:read"], account_id=account)["secret"]
    verifier = api.create(permissions=["keyturn.attach", "keyturn.verify", "*:admin"])["secret"]
    for key in (customer, verifier):
        for path in ("/v1/fleet", "/v1/fleet/fences/1"):
            refused = api.call(path, key=key)
            assert (refused.status, refused.body["needed"]) == (403, "keyturn.audit:read"), path


def test_a_verifier_that_has_left_is_waited_for_no_longer(api: Serving, credential: Path) -> None:
    with Verifier(api.url, credential_file=credential, name="leaving") as one:
        assert one.wait_until_leased(30)
    left = until(lambda: (seen := of(api.call("/v1/fleet").body, one.instance)).get("footing") == "left" and seen)
    assert (left["lag"], left["lease_ends_in_ms"]) == (0, 0)
