"""Who waits does so in no thread, and nobody stands behind what is none of theirs (F3, F5, K8, R22)."""

import json
import socket
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from keyturn.core.lease import FOR_GOOD
from keyturn.edge.places import OTHERS
from keyturn.edge.slow import AT_ONCE
from keyturn.flow.confirmation import LEFT
from keyturn.sdk import Verifier
from tests import databases
from tests.attached import attached, until
from tests.hanging import hanging
from tests.postgres import Postgres
from tests.serving import Answer, Serving
from tests.web.house import PASSPHRASE, House

RESETS, SUSPENSIONS = OTHERS + 2, 7
"""More than there are threads for."""
PATIENCE = 600
"""Seconds; only who would wait in vain reaches their end."""


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[Serving]:
    """A server whose callers wait for as long as it takes."""
    server = Serving(tmp_path / "data", patience=PATIENCE).start()
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def waited_for(server: Serving) -> Iterator[Callable[[], None]]:
    """A holder whose lease outlasts every test, so that no stop is over before the block ends; then it acknowledges.

    No terms give one as long as that: a verifier that stood still would be waited out on a machine that is slow.
    """
    row = ("silent", 1, PATIENCE * 1_000_000, 1, 0, 0, "silent", False, "[]")
    with closing(sqlite3.connect(server.folder / "keyturn.db", timeout=PATIENCE, isolation_level=None)) as database:

        def let_go() -> None:
            database.execute("UPDATE leases SET acked_rev = ? WHERE instance = 'silent'", (FOR_GOOD,))

        database.execute(f"INSERT INTO leases VALUES ({', '.join('?' * len(row))})", row)
        try:
            yield let_go
        finally:
            let_go()
            until(lambda: not fences(server), within=120)


def fences(server: Serving) -> list[dict[str, Any]]:
    """Whatever is waited for."""
    found: list[dict[str, Any]] = server.call("/v1/fleet").body["fences"]
    return found


def under_way(done: Sequence[Future[Any]]) -> bool:
    return not any(one.done() for one in done)


def test_f5_k8_r22_however_many_stops_are_waited_for_the_next_begins_at_once(patient: Serving, tmp_path: Path) -> None:
    """A holder says nothing, and whoever stops something meanwhile waits for it; nobody else does."""
    keys = [patient.create()["id"] for _ in range(RESETS + SUSPENSIONS)]
    leaked, fresh = patient.create(), [patient.create()["secret"] for _ in range(2)]
    with ThreadPoolExecutor(len(keys) + 1) as pool, waited_for(patient):
        stops = [
            *(pool.submit(patient.call, f"/v1/keys/{key}/resets", {"reason": "leaked"}) for key in keys[:RESETS]),
            *(pool.submit(patient.call, f"/v1/keys/{key}/suspend", {}) for key in keys[RESETS:]),
        ]
        # F5: each has scanned the leases, and the node goes on answering those who look.
        until(lambda: len(fences(patient)) == len(keys), within=120)
        revoked = pool.submit(patient.call, f"/v1/keys/{leaked['id']}/revoke", {})
        until(lambda: patient.verdict(leaked["secret"]) == "revoked")
        # F3: what memory does not know is asked, by the node and by a verifier that is granted a lease just now (F2).
        assert patient.verdict(fresh[0]) == "valid"
        credential = tmp_path / "healthy.key"
        credential.write_text(patient.create(permissions=["keyturn.attach"])["secret"])
        with attached(patient.url, credential, name="healthy") as healthy:
            assert healthy.verify(fresh[1]) == "valid"
        assert under_way([*stops, revoked])
    receipts = [one.result().body["receipt"] for one in (*stops, revoked)]
    assert all(one["confirmed"] for one in receipts)
    assert len({one["rev"] for one in receipts}) == len(receipts)
    assert all(one["waited_ms"] > 0 for one in receipts)


def test_f5_f10_a_caller_that_hangs_up_leaves_nothing_half_done(patient: Serving) -> None:
    """The stop stands, is waited for to its end, and its receipt is logged; the same caller may ask again."""
    key, idempotency = patient.create()["id"], "once-and-for-all"
    body = json.dumps({"reason": "leaked"})
    with waited_for(patient):
        with closing(socket.create_connection(("127.0.0.1", patient.port))) as line:
            line.sendall(
                f"POST /v1/keys/{key}/resets HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {patient.admin_key}\r\n"
                f"Idempotency-Key: {idempotency}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
            )
            (fence,) = until(lambda: fences(patient))
        assert [one["rev"] for one in fences(patient)] == [fence["rev"]], "though nobody is there who waits"
    until(lambda: '"event": "receipt"' in patient.said and f"key {key}" in patient.said)
    again = patient.call(f"/v1/keys/{key}/resets", {"reason": "leaked"}, headers={"Idempotency-Key": idempotency})
    assert (again.body["secret"], again.body["secret_shown"], again.body["receipt"]["confirmed"]) == (None, True, True)


def test_f5_a_server_that_ends_answers_everybody_who_waits(tmp_path: Path) -> None:
    """The stop stands, its receipt says that nobody was waited out, and asking again gives one that does."""
    drain = {"KEYTURN_DRAIN_SECONDS": str(PATIENCE)}
    server = Serving(tmp_path / "data", patience=PATIENCE, program="tests.api.leaving", environment=drain).start()
    try:
        keys = [server.create()["id"] for _ in range(RESETS)]

        def stop(key: str) -> Answer:
            return server.call(f"/v1/keys/{key}/resets", {"reason": "leaked"}, headers={"Idempotency-Key": key})

        with ThreadPoolExecutor(len(keys)) as pool, waited_for(server) as let_go:
            stops = [pool.submit(stop, key) for key in keys]
            until(lambda: len(fences(server)) == len(keys), within=120)
            assert server.stop() == 0
            answers = [one.result() for one in stops]
            assert {(one.status, one.body["receipt"]["confirmed"]) for one in answers} == {(201, False)}
            assert {one.body["receipt"]["reason"] for one in answers} == {LEFT}
            assert not any(one.body["receipt"]["verifiers"]["waited_out"] for one in answers)
            assert all(one.body["secret"] for one in answers)
            server.start()
            let_go()
            assert stop(keys[0]).body["receipt"]["confirmed"]
    finally:
        server.kill()


def test_f5_whoever_mints_on_a_page_keeps_no_place_of_the_slow_ones(patient: Serving) -> None:
    """A password is waited for in two places; the fence of what it brought about is not."""
    house = House(patient)
    account = house.account(policy=house.policy(proofs=["password"], reset_origin="any", on_member_added="none"))
    owner, email = house.user(account)
    minting = []
    with ThreadPoolExecutor(AT_ONCE + 1) as pool, ExitStack() as stack:
        for _ in range(AT_ONCE + 1):
            key = patient.create(account_id=account, owner_id=owner)["id"]
            person = house.person()
            person.client.timeout = httpx2.Timeout(PATIENCE)
            assert person.sign_in(email, PASSPHRASE).path == "/keys"
            reset = person.submit(f"/keys/{key}/reset", at=f"/keys/{key}/reset?reason=leaked").path
            assert person.submit(f"{reset}/proofs", at=reset, password=PASSPHRASE).status == 200
            minting.append((person, reset))
        stack.enter_context(waited_for(patient))
        pages = [pool.submit(person.submit, f"{reset}/mint", at=reset) for person, reset in minting]
        until(lambda: len(fences(patient)) == len(minting), within=120)
        assert under_way(pages)
    assert all("kt_live_" in one.result().html for one in pages)
    for one in house.met:
        one.client.close()


def test_k8_f3_nobody_stands_behind_changes_that_wait_for_a_lock(postgres_server: Postgres, tmp_path: Path) -> None:
    """More than there are threads for change keys, and hang."""
    with databases.postgres_empty(postgres_server) as url:
        server = Serving(tmp_path / "data", database_url=url, patience=PATIENCE).start()
        try:
            leaked = server.create()
            fresh = [server.create()["secret"] for _ in range(2)]
            credential = tmp_path / "healthy.key"
            credential.write_text(server.create(permissions=["keyturn.attach"])["secret"])
            with hanging(server, url) as held:
                assert server.call(f"/v1/keys/{leaked['id']}/revoke", {}).body["receipt"]["confirmed"]
                assert server.verdict(leaked["secret"]) == "revoked"
                assert server.verdict(fresh[0]) == "valid"
                with Verifier(server.url, credential_file=credential) as healthy:
                    assert healthy.wait_until_leased(20)
                    assert healthy.verify(fresh[1]).code == "valid"
                assert held.under_way
                assert held.hung == OTHERS, "the rest of the connections are for others"
        finally:
            server.kill()
