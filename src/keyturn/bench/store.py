"""What the database costs: a cold verification, a reset to its confirmation, a bulk suspension."""

import http.client
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, insert, text

from keyturn.bench.figure import Figure, interleaved
from keyturn.bench.start import server
from keyturn.core.actor import Actor, Channel
from keyturn.core.permission import RIGHT_ADMIN
from keyturn.core.refusal import Refusal
from keyturn.core.reset import Asking, Reason
from keyturn.core.secret import fingerprint
from keyturn.flow import key as keys
from keyturn.flow import new_key as new_keys
from keyturn.flow import reset as resets
from keyturn.ports.transaction import Transaction
from keyturn.server import leasing
from keyturn.settings import Settings
from keyturn.store.database import connect
from keyturn.store.tables import keys as keys_table
from keyturn.verify.verifier import Verifier
from keyturn.wiring import Node, open_node

RESET_REACH: Final = 8.0
AT_ONCE_REACH: Final = 1.5
BULK_KEYS: Final = 1_000_000
BULK_REACH: Final = 1.5
BULK_SLACK_MS: Final = 1000.0
_COLD_BATCH: Final = 50
_CALLERS: Final = 12
_INSERTED_AT_ONCE: Final = 10_000


def figures(*, rounds: int, database_url: str = "") -> list[Figure]:
    """Every figure of this module on one database: SQLite in a folder of its own, or the PostgreSQL at that address."""
    with tempfile.TemporaryDirectory(prefix="keyturn-bench-") as folder:
        settings = Settings(data=Path(folder) / "data", database_url=database_url)
        with open_node(settings) as node, leasing(node), _floor(connect(settings.database)) as floor:
            _make_room(node)
            where = floor.dialect.name
            return [
                _cold(node, floor, where=where, rounds=rounds),
                _reset(node, floor, where=where, rounds=rounds * 5),
                _at_once(node, where=where, rounds=rounds),
                _bulk(node, where=where, rounds=max(3, rounds // 3)),
            ]


def over_http(*, rounds: int) -> Figure:
    """A reset as a caller sees it: from the request to the answer with its receipt, on SQLite."""
    with tempfile.TemporaryDirectory(prefix="keyturn-bench-") as folder:
        data = Path(folder) / "data"
        with (
            server(data) as (port, admin_key),
            _floor(connect(f"sqlite:///{folder}/floor.db")) as floor,
        ):
            call = _caller(port, admin_key.read_text("ascii").strip())
            key_id = call("/v1/keys", {"name": "bench"})["id"]
            path = f"/v1/keys/{key_id}/resets"

            def reset() -> float:
                began = time.perf_counter()
                receipt = call(path, {"reason": "routine"})["receipt"]
                elapsed = time.perf_counter() - began
                assert receipt["confirmed"], receipt  # noqa: S101  # an unconfirmed one is not what is measured
                return elapsed

            reset()
            ours, commit = interleaved(reset, lambda: _commit(floor), rounds=rounds)
    return _reset_figure("reset over HTTP, ask to confirmed (sqlite)", ours, commit)


def _reset(node: Node, floor: Engine, *, where: str, rounds: int) -> Figure:
    actor = _administrator(node)
    key_id = _create(node, actor).key.id

    def reset() -> float:
        began = time.perf_counter()
        _turn_over(node, actor, key_id, Reason.ROUTINE)
        return time.perf_counter() - began

    reset()
    ours, commit = interleaved(reset, lambda: _commit(floor), rounds=rounds)
    return _reset_figure(f"reset in process, ask to confirmed ({where})", ours, commit)


def _at_once(node: Node, *, where: str, rounds: int) -> Figure:
    """Whether callers hold one another up: a leaked key is stopped and minted while others are made for its owner."""
    actor = _administrator(node)
    known = [_create(node, actor).key.id for _ in range(_CALLERS)]

    def work(key_id: str) -> None:
        _turn_over(node, actor, key_id, Reason.LEAKED)
        _create(node, actor)

    def together() -> float:
        began = time.perf_counter()
        list(pool.map(work, known))
        return time.perf_counter() - began

    def alone() -> float:
        began = time.perf_counter()
        for one in known:
            work(one)
        return time.perf_counter() - began

    with ThreadPoolExecutor(_CALLERS) as pool:
        together()
        ours, floor = interleaved(together, alone, rounds=rounds)
    return Figure(
        name=f"{_CALLERS} callers: a reset and a new key each, one owner ({where})",
        ours=ours * 1e3,
        floor=floor * 1e3,
        unit="ms",
        floor_name="one after the other",
        reach=AT_ONCE_REACH,
    )


def _turn_over(node: Node, actor: Actor, key_id: str, reason: Reason) -> None:
    """Reset a key, to its confirmation."""
    answer = node.store.change(
        lambda tx: resets.ask(
            tx,
            actor=actor,
            key_id=key_id,
            asking=Asking(reason=reason),
            forge=node.forge,
            once=None,
            arrived_rev=node.verifier.applied_rev,
        )
    )
    assert not isinstance(answer, Refusal), answer  # noqa: S101  # a refusal is not what is measured
    assert node.confirming.confirm(answer.rev, epoch=node.verifier.epoch).confirmed  # noqa: S101  # as above


def _reset_figure(name: str, ours: float, commit: float) -> Figure:
    return Figure(
        name=name,
        ours=ours * 1e3,
        floor=commit * 1e3,
        unit="ms",
        floor_name="one durable single-row commit",
        reach=RESET_REACH,
    )


def _cold(node: Node, floor: Engine, *, where: str, rounds: int) -> Figure:
    actor = _administrator(node)
    known = []
    for _ in range(_COLD_BATCH):
        made = _create(node, actor).secret
        assert made is not None  # noqa: S101  # the first answer always has it
        known.append(fingerprint(made.reveal))
    digest = text("SELECT version FROM secrets WHERE digest = :digest")

    def cold() -> float:
        verifier = Verifier()  # knows nothing yet
        verifier.start_at(rev=node.verifier.applied_rev, now=node.clock.micros())
        began = time.perf_counter()
        for one in known:
            code = verifier.verify_cold(one, node.store.lookup, now=node.clock.micros())[0]
            assert code == "valid", code  # noqa: S101  # as above
        return (time.perf_counter() - began) / len(known)

    def bare() -> float:
        began = time.perf_counter()
        for one in known:
            with floor.connect() as connection:
                connection.execute(digest, {"digest": one}).first()
        return (time.perf_counter() - began) / len(known)

    ours, select = interleaved(cold, bare, rounds=rounds)
    return Figure(
        name=f"verify in process, cold ({where})",
        ours=ours * 1e6,
        floor=select * 1e6,
        unit="us",
        floor_name="one indexed SELECT",
    )


def _bulk(node: Node, *, where: str, rounds: int) -> Figure:
    actor = _administrator(node)
    template = _create(node, actor).key
    engine = connect(node.settings.database)
    try:
        _fill(engine, template.id)
        lift = text("UPDATE keys SET suspended_at = NULL, suspended_by = NULL, suspended_reason = NULL")
        bare = text(
            "UPDATE keys SET suspended_at = :now, suspended_by = 'bench', suspended_reason = 'bench'"
            " WHERE account_id = :account AND revoked_at IS NULL AND suspended_at IS NULL"
        )
        parameters = {"now": node.clock.micros(), "account": actor.account_id}

        def suspend() -> float:
            began = time.perf_counter()
            count = node.store.change(
                lambda tx: keys.suspend_account(tx, actor=actor, account_id=actor.account_id, reason="bench")
            )
            assert isinstance(count, tuple), count  # noqa: S101  # a refusal is not what is measured
            confirmed = node.confirming.confirm(count[1], epoch=node.verifier.epoch).confirmed
            elapsed = time.perf_counter() - began
            assert confirmed  # noqa: S101  # as above
            assert count[0] >= BULK_KEYS, count  # noqa: S101  # as above
            with engine.execution_options(keyturn_writes=True).begin() as connection:
                connection.execute(lift)
            return elapsed

        def update() -> float:
            began = time.perf_counter()
            with engine.execution_options(keyturn_writes=True).begin() as connection:
                connection.execute(bare, parameters)
            elapsed = time.perf_counter() - began
            with engine.execution_options(keyturn_writes=True).begin() as connection:
                connection.execute(lift)
            return elapsed

        ours, floor = interleaved(suspend, update, rounds=rounds)
    finally:
        engine.dispose()
    return Figure(
        name=f"suspend {BULK_KEYS:,} keys of an account, to confirmed ({where})",
        ours=ours * 1e3,
        floor=floor * 1e3,
        unit="ms",
        floor_name="the bare UPDATE",
        reach=BULK_REACH * floor * 1e3 + BULK_SLACK_MS,
        absolute=True,
    )


def _fill(engine: Engine, template_id: str) -> None:
    """Many keys like one that there is: only what a bulk suspension looks at matters."""
    with engine.execution_options(keyturn_writes=True).begin() as connection:
        row = connection.execute(keys_table.select().where(keys_table.c.id == template_id)).mappings().one()
        plain = {name: value for name, value in row.items() if name not in ("number", "id")}
        for first in range(0, BULK_KEYS, _INSERTED_AT_ONCE):
            batch = [plain | {"id": f"key_bench{first + at:012}"} for at in range(_INSERTED_AT_ONCE)]
            connection.execute(insert(keys_table), batch)


def _administrator(node: Node) -> Actor:
    owner = node.store.read(lambda tx: tx.members(account_id=node.deployment_account_id))[0]
    return Actor(
        id="bench",
        channel=Channel.MACHINE,
        account_id=node.deployment_account_id,
        user_id=owner.user_id,
        permissions=(RIGHT_ADMIN,),
        in_deployment_account=True,
    )


def _make_room(node: Node) -> None:
    """Let one owner have as many keys as are measured."""

    def lift(tx: Transaction) -> None:
        account = tx.account(node.deployment_account_id, lock=True)
        assert account is not None  # noqa: S101  # a node has its account
        tx.save_account(replace(account, max_keys_per_user=BULK_KEYS * 10))

    node.store.change(lift)


def _create(node: Node, actor: Actor) -> keys.KeyAnswer:
    wish = new_keys.KeyWish(
        name="bench",
        environment="live",
        permissions=("*:read",),
        allowlist=(),
        limit=None,
        expires_at=None,
        policy="",
        account_id=None,
        owner_id=None,
    )
    made = node.store.change(
        lambda tx: new_keys.create(tx, actor=actor, wish=wish, brand="kt", forge=node.forge, once=None)
    )
    assert isinstance(made, keys.KeyAnswer), made  # noqa: S101  # a refusal is not what is measured
    return made


@contextmanager
def _floor(engine: Engine) -> Iterator[Engine]:
    """A second way into the same database, with one row of its own to write."""
    with engine.execution_options(keyturn_writes=True).begin() as connection:
        connection.exec_driver_sql("DROP TABLE IF EXISTS bench_floor")
        connection.exec_driver_sql("CREATE TABLE bench_floor (id INTEGER PRIMARY KEY, value INTEGER NOT NULL)")
        connection.exec_driver_sql("INSERT INTO bench_floor VALUES (1, 0)")
    try:
        yield engine
    finally:
        with engine.execution_options(keyturn_writes=True).begin() as connection:
            connection.exec_driver_sql("DROP TABLE bench_floor")
        engine.dispose()


def _commit(engine: Engine) -> float:
    """One durable single-row commit, through the bare driver."""
    connection = engine.raw_connection()
    try:
        cursor = connection.cursor()
        began = time.perf_counter()
        if engine.dialect.name == "sqlite":
            cursor.execute("BEGIN IMMEDIATE")
        cursor.execute("UPDATE bench_floor SET value = value + 1 WHERE id = 1")
        connection.commit()
        return time.perf_counter() - began
    finally:
        connection.close()


def _caller(port: int, key: str) -> Callable[[str, dict[str, str]], dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def call(path: str, body: dict[str, str]) -> dict[str, Any]:
        connection.request("POST", path, json.dumps(body), headers)
        answer = connection.getresponse()
        parsed: dict[str, Any] = json.loads(answer.read())
        if answer.status != http.HTTPStatus.CREATED:
            msg = f"{path} answered {answer.status} {parsed.get('code')}"
            raise RuntimeError(msg)
        return parsed

    return call
