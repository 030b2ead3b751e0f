"""F9 on real servers with real verifiers: a raised epoch, and a backup that was restored."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from keyturn.core.lease import Terms
from keyturn.server import _keep_lease
from keyturn.settings import Settings
from keyturn.wiring import open_node
from tests import databases
from tests.attached import Attached, attached, of, until, verifiers
from tests.ports import free_port
from tests.postgres import Postgres
from tests.serving import Serving


@contextmanager
def running(server: Serving) -> Iterator[Serving]:
    server.start()
    try:
        yield server
    finally:
        server.kill()


def credential_of(server: Serving, folder: Path) -> Path:
    file = folder / "verifier.key"
    file.write_text(server.create(permissions=["keyturn.attach", "keyturn.verify"])["secret"])
    return file


def is_leased(server: Serving, verifier: Attached) -> bool:
    return of(server.call("/v1/fleet").body, verifier.instance).get("footing") == "leased"


def revoked(server: Serving) -> dict[str, Any]:
    """The receipt of a stop."""
    receipt: dict[str, Any] = server.call(f"/v1/keys/{server.create()['id']}/revoke", {}).body["receipt"]
    return receipt


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Serving]:
    if request.param == "sqlite":
        with running(Serving(folder=tmp_path / "data")) as one:
            yield one
        return
    postgres: Postgres = request.getfixturevalue("postgres_server")
    with databases.postgres_empty(postgres) as url, running(Serving(folder=tmp_path / "data", database_url=url)) as one:
        yield one


def test_f9_after_a_raised_epoch_everybody_joins_anew_and_the_first_stop_waits(server: Serving, tmp_path: Path) -> None:
    key = server.create()
    with attached(server.url, credential_of(server, tmp_path)) as verifier:
        assert verifier.verify(key["secret"]) == "valid"
        before = server.call("/v1/fleet").body
        stopped = server.create()
        raised = server.call("/v1/fleet/raise-epoch", {"epoch": before["epoch"], "reason": "restored"})
        assert (raised.status, raised.body["epoch"] > before["epoch"]) == (200, True)
        assert raised.body["nothing_confirmed_for_ms"] == 5100
        fleet = server.call("/v1/fleet").body
        first = server.call(f"/v1/keys/{stopped['id']}/revoke", {}).body["receipt"]
        assert fleet["epoch"] == raised.body["epoch"]
        earlier = f"epoch-{fleet['epoch']}"
        assert of(fleet, earlier)["footing"] == "earlier"
        second = revoked(server)
        assert (first["confirmed"], first["epoch"], first["verifiers"]["waited_out"]) == (
            True,
            fleet["epoch"],
            [earlier],
        ), "the node and the verifier have joined the new epoch; nobody speaks for those who were before it"
        assert first["waited_ms"] >= 5100
        assert (second["confirmed"], second["verifiers"]["waited_out"]) == (True, [])
        assert not of(server.call("/v1/fleet").body, earlier)
        assert verifier.verify(key["secret"]) == "valid"
        server.call(f"/v1/keys/{key['id']}/revoke", {})
        assert verifier.verify(key["secret"]) == "revoked"


def test_f9_f10_the_quiet_after_a_raised_epoch_outlasts_a_restart(tmp_path: Path) -> None:
    settings = Settings.load({"data": tmp_path / "data", "port": 0})
    with open_node(settings) as node:
        raised = node.store.change(lambda tx: tx.raise_epoch(tx.epoch))
        assert raised
        gone = node.membership.instance
    with open_node(settings) as node:
        leases = {one.instance for one in node.store.read(lambda tx: tx.leases())}
    assert f"epoch-{raised.epoch}" in leases, "nobody has waited for whoever it stands for"
    assert gone not in leases, "the lock shows that it is gone, and it granted nothing"


def test_f9_raising_the_epoch_is_explicit_and_audited(server: Serving) -> None:
    auditor = server.create(permissions=["keyturn.audit:read"])["secret"]
    body = {"epoch": 1, "reason": "restored from Tuesday"}
    assert server.call("/v1/fleet/raise-epoch", body, key=auditor).body["needed"] == "keyturn.admin"
    assert server.call("/v1/fleet/raise-epoch", {"epoch": 1}).status == 422
    raised = server.call("/v1/fleet/raise-epoch", body)
    assert raised.status == 200
    again = server.call("/v1/fleet/raise-epoch", body)
    assert (again.status, again.body["code"], again.body["field"]) == (422, "invalid_field", "epoch")
    assert server.call("/v1/fleet").body["epoch"] == raised.body["epoch"], "a call that is repeated raises it once"
    records = [one for one in server.call("/v1/audit").body["items"] if one["action"] == "fleet.epoch_raised"]
    assert [one["outcome"] for one in records] == ["invalid_field", "done", "permission_missing"]
    assert records[1]["detail"]["reason"] == "restored from Tuesday"


def test_f9_a_restored_backup_is_met_by_refusal_and_an_alarm_until_the_epoch_is_raised(tmp_path: Path) -> None:
    """What an operator does: stop, restore, start, raise the epoch."""
    server = Serving(folder=tmp_path / "data", flags=("--port", str(free_port())))
    with running(server):
        stays, stopped = server.create(), server.create()
        credential = credential_of(server, tmp_path)
        server.stop()
        shutil.copy(server.folder / "keyturn.db", tmp_path / "backup.db")
        server.start()
        with (
            attached(server.url, credential, name="asks") as asks,
            attached(server.url, credential, name="refuses", on_lapse="refuse") as refuses,
        ):
            for one in (asks, refuses):
                assert (one.verify(stays["secret"]), one.verify(stopped["secret"])) == ("valid", "valid")
            receipt = server.call(f"/v1/keys/{stopped['id']}/revoke", {}).body["receipt"]
            assert (receipt["confirmed"], receipt["verifiers"]["waited_out"]) == (True, [])
            server.stop()
            shutil.copy(tmp_path / "backup.db", server.folder / "keyturn.db")
            server.start()
            for one in (asks, refuses):
                until(partial(one.has_said, "restored backup"))
            assert f"verifier {asks.instance} knows more than the database" in server.said
            assert server.call("/v1/keys/" + stopped["id"]).body["revoked_at"] is None, "the database has come to life"
            assert refuses.verify(stays["secret"]) == refuses.verify(stopped["secret"]) == "LeaseLapsed"
            assert asks.verify(stopped["secret"]) == "revoked", "what it knows as stopped stays so"
            assert asks.verify(stays["secret"]) == "valid", "of the rest the database decides"
            footings = {one["name"]: one["footing"] for one in verifiers(server.call("/v1/fleet").body)}
            assert footings == {"asks": "ahead", "refuses": "ahead"}
            epoch = server.call("/v1/fleet").body["epoch"]
            assert server.call("/v1/fleet/raise-epoch", {"epoch": epoch, "reason": "restored"}).status == 200
            for one in (asks, refuses):
                until(partial(is_leased, server, one))
                assert one.verify(stopped["secret"]) == "valid", "the authority's past is the only one again"
            again = server.call(f"/v1/keys/{stopped['id']}/revoke", {}).body["receipt"]
            assert again["confirmed"] is True
            for one in (asks, refuses):
                assert (one.verify(stays["secret"]), one.verify(stopped["secret"])) == ("valid", "revoked")


def test_f2_terms_are_changed_by_an_administrator_and_audited(server: Serving) -> None:
    auditor = server.create(permissions=["keyturn.audit:read"])["secret"]
    body = {"lease_ms": 2000, "margin_ms": 20}
    put = partial(server.call, "/v1/fleet/terms", method="PUT")
    assert put(body, key=auditor).body["needed"] == "keyturn.admin"
    assert put({"lease_ms": 100, "margin_ms": 1}).body["field"] == "lease_ms"
    assert put({"lease_ms": "2s", "margin_ms": 20}).status == 422
    assert put(body).body == {"lease_ms": 2000, "margin_ms": 20, "fence_ms": 2040}
    assert server.call("/v1/fleet").body["terms"]["fence_ms"] == 2040
    records = [one for one in server.call("/v1/audit").body["items"] if one["action"] == "fleet.terms_set"]
    assert [one["outcome"] for one in records] == ["done", "invalid_field", "permission_missing"]
    assert records[0]["detail"] == {"lease_ms": "5000 -> 2000", "margin_ms": "50 -> 20"}


def test_f5_a_stop_waits_by_the_lease_that_was_given_and_soon_by_the_shorter_one(
    server: Serving, tmp_path: Path
) -> None:
    """A verifier with a lease of five seconds is stopped in the moment in which leases of two seconds are set."""
    first, second = server.create(), server.create()
    with attached(server.url, credential_of(server, tmp_path), name="stopped") as verifier:
        assert verifier.verify(first["secret"]) == "valid"
        verifier.freeze()
        fence = server.call("/v1/fleet/terms", {"lease_ms": 2000, "margin_ms": 20}, method="PUT").body["fence_ms"]
        receipt = server.call(f"/v1/keys/{first['id']}/revoke", {}).body["receipt"]
        assert receipt["verifiers"]["waited_out"] == [verifier.instance]
        assert receipt["waited_ms"] > fence, "it was given for five seconds and renewed within a third of that"
        verifier.thaw()
        assert verifier.verify(first["secret"]) == "revoked", "its lease was over, so it may have asked for this one"
        until(partial(is_leased, server, verifier))
        verifier.freeze()
        assert of(server.call("/v1/fleet").body, verifier.instance)["lease_ends_in_ms"] <= fence
        receipt = server.call(f"/v1/keys/{second['id']}/revoke", {}).body["receipt"]
        assert receipt["verifiers"]["waited_out"] == [verifier.instance]


class _Waits(threading.Event):
    """So often; for how long each time stands here."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times, self.seconds = times, list[float]()

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds.append(timeout or 0)
        if len(self.seconds) == self.times:
            self.set()
        return self.is_set()


def test_f2_after_leases_are_made_longer_the_next_renewal_comes_by_the_shorter_ones(tmp_path: Path) -> None:
    """What is on record lasts by them still: by the others it would come when somebody may have waited it out."""
    waits = _Waits(3)
    with open_node(Settings.load({"data": tmp_path / "data", "port": 0})) as node:
        before = node.membership.terms
        longer = Terms(length=3 * before.length, margin=before.margin)
        node.store.change(lambda tx: tx.set_terms(longer))
        _keep_lease(node, waits)
    assert waits.seconds == [one.renew_every / 1e6 for one in (before, longer, longer)]


def test_f9_the_quiet_after_a_raised_epoch_is_as_long_as_the_longest_lease_on_record(server: Serving) -> None:
    """Also where leases are shorter by now."""
    server.call("/v1/fleet/terms", {"lease_ms": 20_000, "margin_ms": 50}, method="PUT")
    until(lambda: server.call("/v1/fleet").body["nodes"][0]["lease_ends_in_ms"] > 10_000)
    server.call("/v1/fleet/terms", {"lease_ms": 500, "margin_ms": 5}, method="PUT")
    raised = server.call("/v1/fleet/raise-epoch", {"epoch": 1, "reason": "restored"}).body
    assert raised["epoch"] > 1
    assert 5_000 < raised["nothing_confirmed_for_ms"] <= 20_100
