"""Limits shared out among real nodes and verifiers (F15)."""

import http.client
import json
import shutil
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from http import HTTPStatus
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest

from keyturn.core.limit import parse
from keyturn.core.secret import fingerprint
from keyturn.core.share import HOLD
from keyturn.ports.page import Page
from keyturn.ports.transaction import Transaction
from keyturn.sdk import Verifier
from keyturn.settings import Settings
from keyturn.store.address import libpq_address
from keyturn.verify.decision import Verdict
from keyturn.verify.shares import Shares
from keyturn.wiring import open_node
from tests import databases
from tests.attached import until
from tests.postgres import Postgres
from tests.serving import Serving

RUN: Final = 200


@contextmanager
def serving(first: Path, *others: Path, database_url: str) -> Iterator[list[Serving]]:
    """Nodes on one database."""
    nodes: list[Serving] = []
    try:
        for folder in (first, *others):
            if nodes:
                shutil.copytree(first / "peppers", folder / "peppers")
                shutil.copy(first / "admin.key", folder / "admin.key")
            nodes.append(Serving(folder=folder, database_url=database_url).start())
        yield nodes
    finally:
        for one in nodes:
            one.kill()


@pytest.fixture(scope="module")
def database(postgres_server: Postgres) -> Iterator[str]:
    with databases.postgres_empty(postgres_server) as url:
        yield url


@pytest.fixture(scope="module")
def nodes(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Serving]]:
    folder = tmp_path_factory.mktemp("shares")
    with serving(folder / "one", folder / "two", database_url=database) as both:
        knows_both = "SELECT count(*) FROM leases WHERE acked_rev < 4611686018427387903"
        until(lambda: _asked(database, knows_both)[0][0] == 2)
        yield both


def _asked(database: str, query: str, *values: object) -> list[Any]:
    with closing(psycopg.connect(libpq_address(database))) as connection:
        return connection.execute(query, values).fetchall()


def hammered(calls: Sequence[Callable[[], str]]) -> Counter[str]:
    """What threads got that all call at once."""
    got: Counter[str] = Counter()
    begin = threading.Barrier(len(calls))

    def hammer(call: Callable[[], str]) -> None:
        begin.wait()
        mine = Counter(call() for _ in range(RUN))
        with lock:
            got.update(mine)

    lock = threading.Lock()
    threads = [threading.Thread(target=hammer, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return got


def asking(server: Serving, secret: str) -> Callable[[], str]:
    return lambda: server.verdict(secret)


def test_f15_two_nodes_together_let_through_what_one_counter_would(nodes: list[Serving]) -> None:
    """Many threads at both; as much as the limit says at once, and one for each interval that has gone by."""
    made = nodes[0].create(limit="300/1h")
    began = time.monotonic()
    got = hammered([asking(node, made["secret"]) for node in nodes for _ in range(4)])
    assert sum(got.values()) == 8 * RUN
    assert set(got) == {"valid", "rate_limited"}
    # What one of them has in hand while the other is refused comes back to be lent again: all of it is to be had.

    def has_had_all() -> bool:
        got[nodes[0].verdict(made["secret"])] += 1
        return got["valid"] >= 300

    until(has_had_all)
    assert got["valid"] <= 300 + (time.monotonic() - began) // 12


def test_f15_nodes_and_their_verifiers_together_let_through_what_one_counter_would(nodes: list[Serving]) -> None:
    """And where everybody has ended, whatever they had left is to be had elsewhere."""
    made = nodes[0].create(limit="300/31d")
    credential = nodes[0].create(permissions=["keyturn.attach"])["secret"]
    with ExitStack() as stack:
        verifiers = [stack.enter_context(Verifier(node.url, credential)) for node in nodes]
        assert all(one.wait_until_leased(30) for one in verifiers)
        calls = [lambda one=one: one.verify(made["secret"]).code for one in verifiers for _ in range(3)]
        got = hammered([*calls, *(asking(node, made["secret"]) for node in nodes)])
    assert set(got) == {"valid", "rate_limited"}
    assert got["valid"] <= 300

    def has_had_all() -> bool:
        got[nodes[1].verdict(made["secret"])] += 1
        return got["valid"] >= 300

    until(has_had_all)
    assert [node.verdict(made["secret"]) for node in nodes] == ["rate_limited"] * 2


def test_f15_a_small_limit_is_exact_however_two_nodes_alternate(nodes: list[Serving]) -> None:
    for turns in ((0, 1), (0, 0, 1), (0, 0, 0, 0, 0, 1, 1, 1, 1, 1)):
        made = nodes[0].create(limit="10/1h")
        at = cycle(turns)
        answers = [nodes[next(at)].call("/v1/verify", {"key": made["secret"]}).body for _ in range(14)]
        assert [one["code"] for one in answers] == ["valid"] * 10 + ["rate_limited"] * 4
        assert [one["remaining"] for one in answers[:10]] == list(range(9, -1, -1))
        assert all(350 < one["retry_after"] <= 360 for one in answers[10:])


def test_f15_a_gateway_and_a_callers_own_credential_are_counted_at_both(nodes: list[Serving]) -> None:
    made = nodes[0].create(limit="4/1h", permissions=["keyturn.keys:read", "orders:read"])
    authz = {
        "X-Api-Key": made["secret"],
        "X-Keyturn-Credential": nodes[0].admin_key,
        "X-Keyturn-Permission": "orders:read",
    }
    for node in nodes:
        assert node.call("/v1/authz", headers=authz | {"Authorization": ""}).status == HTTPStatus.OK
    own = [node.call("/v1/keys", key=made["secret"]) for node in nodes]
    assert [one.status for one in own] == [HTTPStatus.OK] * 2
    assert own[1].headers["ratelimit"].startswith('"key";r=0;')
    for node in nodes:
        refused = node.call("/v1/authz", headers=authz | {"Authorization": ""})
        assert (refused.status, refused.body["code"]) == (HTTPStatus.TOO_MANY_REQUESTS, "rate_limited")
        assert 800 < int(refused.headers["retry-after"]) <= 900
        assert node.call("/v1/keys", key=made["secret"]).status == HTTPStatus.TOO_MANY_REQUESTS


def test_pitfall_4_a_reset_gives_nobody_a_second_limit(nodes: list[Serving]) -> None:
    """F15: the counter is the key's, at every node."""
    made = nodes[0].create(limit="3/1h")
    assert [nodes[turn].verdict(made["secret"]) for turn in (0, 1)] == ["valid", "valid"]
    fresh = nodes[1].call(f"/v1/keys/{made['id']}/resets", {"reason": "leaked"}).body["secret"]
    assert [nodes[turn].verdict(fresh) for turn in (1, 0, 1, 0)] == ["valid", *["rate_limited"] * 3]


def test_f15_a_limit_that_changes_holds_at_once(nodes: list[Serving]) -> None:
    made = nodes[0].create(limit="1000/1h")
    assert [nodes[1].verdict(made["secret"]) for _ in range(20)] == ["valid"] * 20
    path = f"/v1/keys/{made['id']}"
    assert nodes[0].call(path, {"limit": "2/1h"}, method="PATCH").status == HTTPStatus.OK
    assert [node.verdict(made["secret"]) for node in nodes for _ in range(3)].count("valid") <= 2
    assert nodes[0].call(path, {"limit": None}, method="PATCH").status == HTTPStatus.OK
    assert [node.verdict(made["secret"]) for node in nodes] == ["valid", "valid"]


def test_f15_what_a_node_has_left_is_given_back(nodes: list[Serving], database: str) -> None:
    made = nodes[0].create(limit="100000/1h")
    for _ in range(40):
        assert nodes[0].verdict(made["secret"]) == "valid"
    query = "SELECT arrival, at, loans FROM limits JOIN keys USING (number) WHERE id = %s"
    arrival, _, loans = _asked(database, query, made["id"])[0]
    assert loans != "[]", "forty requests in a row are reason enough to borrow ahead"
    until(lambda: _asked(database, query, made["id"])[0][2] == "[]")
    assert _asked(database, query, made["id"])[0][0] < arrival


def test_f15_sharing_is_no_change_of_the_key(nodes: list[Serving], database: str) -> None:
    made = nodes[0].create(limit="5/1h")
    nodes[0].verdict(made["secret"])
    seen = "SELECT (SELECT rev FROM authority), (SELECT count(*) FROM feed), (SELECT count(*) FROM audit)"
    before = _asked(database, seen)
    assert [nodes[1].verdict(made["secret"]) for _ in range(6)] == ["valid"] * 4 + ["rate_limited"] * 2
    assert _asked(database, seen) == before


def test_f15_a_hot_key_costs_few_trips_and_is_answered_the_quick_way(nodes: list[Serving], database: str) -> None:
    """Counted in the database's own numbers of transactions, those of leases and housekeeping among them."""
    made = nodes[0].create(limit="1000000/1h")
    body = json.dumps({"key": made["secret"]})
    lines = ["POST /v1/verify HTTP/1.1", "Host: keyturn", f"Authorization: Bearer {nodes[0].admin_key}"]
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}", "", body]
    begun = "SELECT pg_current_xact_id()::text::bigint"
    before, quick = _asked(database, begun)[0][0], 0
    with socket.create_connection(("127.0.0.1", nodes[0].port), timeout=30) as line:
        for _ in range(2000):
            line.sendall("\r\n".join(lines).encode())  # whole, as the quick way wants it
            answer = http.client.HTTPResponse(line)
            answer.begin()
            assert json.loads(answer.read())["code"] == "valid"
            quick += "x-request-id" not in answer.headers
    assert _asked(database, begun)[0][0] - before < 200
    assert quick > 1900, "all others had to wait for a share"


def test_f15_a_single_node_gets_exactly_the_limit_at_once_and_none_while_the_database_is_away(
    own_postgres: Postgres, tmp_path: Path
) -> None:
    with serving(tmp_path / "data", database_url=own_postgres.url(own_postgres.create_database())) as (server,):
        made, small = server.create(limit="200/1h"), server.create(limit="2/1h")
        got = hammered([asking(server, made["secret"]) for _ in range(4)])
        assert got == {"valid": 200, "rate_limited": 4 * RUN - 200}
        assert server.verdict(small["secret"]) == "valid"
        own_postgres.stop()
        away = server.call("/v1/verify", {"key": small["secret"]})
        assert away.status == HTTPStatus.SERVICE_UNAVAILABLE
        assert away.body["code"] in ("store_unavailable", "lease_lapsed")
        own_postgres.start()
        until(lambda: server.call("/v1/verify", {"key": small["secret"]}).status == HTTPStatus.OK)
        assert server.verdict(small["secret"]) == "rate_limited", "what was counted outlasts the outage"


def test_r23_a_caller_with_a_limit_is_counted_once_where_a_share_of_the_keys_is_wanting(
    nodes: list[Serving], database: str
) -> None:
    """F15: the quick way gives back what it took of the caller's before it hands the request on."""
    caller = nodes[0].create(permissions=["keyturn.verify"], limit="1000/31d")
    asker = caller["secret"]
    for _ in range(30):  # so that the caller's own share is warm
        assert nodes[0].call("/v1/verify", {"key": asker}, key=asker).status == HTTPStatus.OK
    remaining, before = [], _accepted(nodes[0])
    for _ in range(5):
        key = nodes[0].create(limit="3/1h")["secret"]
        nodes[0].verdict(key)
        remaining.append(nodes[0].call("/v1/verify", {"key": asker}, key=asker).body["remaining"])
        assert _whole(nodes[0], key, asker)["code"] == "valid"
    assert [before - after for before, after in pairwise(remaining)] == [3] * 4, "two for the one, one for the other"
    # Each time: the key is made and shown, the caller asks about itself, and about the key.
    assert _accepted(nodes[0]) - before == 5 * (1 + 2 + 2 + 2)
    uses = "SELECT coalesce(sum(count), 0) FROM callers JOIN keys ON number = key_number WHERE id = %s"
    until(lambda: _asked(database, uses, caller["id"])[0][0] >= 30 * 2 + 5 * 3)
    assert _asked(database, uses, caller["id"])[0][0] == 30 * 2 + 5 * 3


def _accepted(server: Serving) -> int:
    """Requests of keys that were accepted there."""
    name = 'keyturn_verifications_total{code="valid"} '
    return sum(int(float(one.removeprefix(name))) for one in server.call("/metrics").text.splitlines() if name in one)


def _whole(server: Serving, key: str, credential: str) -> dict[str, Any]:
    """The answer to a question that arrives in one piece, as the quick way wants it."""
    body = json.dumps({"key": key})
    lines = ["POST /v1/verify HTTP/1.1", "Host: keyturn", f"Authorization: Bearer {credential}"]
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}", "", body]
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as line:
        line.sendall("\r\n".join(lines).encode())
        answer = http.client.HTTPResponse(line)
        answer.begin()
        return dict(json.loads(answer.read()))


def _limit_the_only_key(tx: Transaction) -> None:
    (one,) = tx.keys(account_ids=None, owner_id=None, page=Page(size=2))
    key = tx.key(one.id, lock=True)
    assert key is not None
    tx.save_key(replace(key, limit=parse("1000/1h")))


@pytest.mark.parametrize("beyond", [HOLD // 2, 60 * HOLD])
def test_f15_f8_a_node_spends_no_share_beyond_its_second_while_its_time_stands_still(
    postgres_url: str, tmp_path: Path, beyond: int
) -> None:
    """As once a grant that took seconds is followed by one that did not: until the time that is known goes on."""
    with open_node(Settings(data=tmp_path / "data", database_url=postgres_url)) as node:
        node.store.change(_limit_the_only_key)
        shares, member = node.verifier._limits, node.membership
        assert isinstance(shares, Shares)

        def latest() -> int:
            return member.holder.look(member.boot())[0]

        def ask() -> Verdict:
            now = max(latest(), node.verifier.floor)
            secret = fingerprint(node.admin_key)
            return node.verifier.verify_cold(secret, node.store.lookup, ip=None, now=now, leased=True)

        assert node.sharing.decide(ask(), ask).valid
        shares.drain()
        late = latest() + beyond
        node.verifier.hear(earliest=0, latest=late)
        assert node.sharing.decide(ask(), ask).valid
        (held,) = shares._held.values()
        assert held.ends <= max(late + 1, latest() + HOLD)
