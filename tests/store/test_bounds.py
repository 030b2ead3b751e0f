"""A client of PostgreSQL that stops or is cut off keeps nobody waiting for ever, and no long work is cut short."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
import pytest

from keyturn.store import database, migrate
from keyturn.store.address import libpq_address
from keyturn.store.database import connect
from keyturn.store.notify import PostgresHints
from tests.attached import until
from tests.postgres import die_with_parent
from tests.world import entries_of, world

_STOPS_IN_THE_MIDDLE: Final = """
import os, signal, sys
from keyturn.core.secret import Pepper
from keyturn.outside import clock
from keyturn.store.database import connect
from keyturn.store.store import SqlStore

url, account_id = sys.argv[1:]
store = SqlStore(connect(url), peppers=[Pepper("p0001", bytes(32))], presets={}, system_now=clock.now)

begun = []

def stop_in_the_middle(tx):
    begun.append(tx.rev)
    tx.suspend_account(account_id, by="", reason="")  # the authority's row is locked: everybody's changes wait for it
    if len(begun) == 1:
        os.kill(os.getpid(), signal.SIGSTOP)

store.change(stop_in_the_middle)
print(*begun, flush=True)
"""


@contextmanager
def stopped_in_the_middle(url: str, account_id: str) -> Iterator[subprocess.Popen[str]]:
    """A process that SIGSTOP met in the middle of a change that holds what every change waits for."""
    process = subprocess.Popen(
        [sys.executable, "-c", _STOPS_IN_THE_MIDDLE, url, account_id],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=die_with_parent,  # noqa: PLW1509  # one prctl call
    )
    try:
        assert os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1])
        yield process
    finally:
        process.kill()
        process.communicate()


def test_who_stops_in_the_middle_of_a_change_lets_go_of_it(postgres_url: str) -> None:
    with world(postgres_url) as here, stopped_in_the_middle(postgres_url, here.operator.id) as stopped:
        made = here.key().key
        stopped.send_signal(signal.SIGCONT)
        assert stopped.stdout is not None
        assert stopped.stdout.read().split() == ["1", "2"], "it had changed nothing, and began anew with what is now"
        assert [entry.rev for entry in entries_of(here.store)] == [1, 2, 3]
        assert here.get(made.id).suspension is not None, "made while it stood still, and met by the suspension"


def test_no_statement_is_cut_off_however_long_it_takes(postgres_url: str) -> None:
    engine = connect(postgres_url)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SHOW statement_timeout").scalar_one() == "0"
        assert connection.exec_driver_sql("SHOW lock_timeout").scalar_one() == "10s"
    engine.dispose()


def test_a_schema_that_another_server_is_changing_is_waited_for(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_SESSION", "SET lock_timeout = '1ms'")
    engine = connect(postgres_url)
    ended: list[BaseException | None] = []

    def start() -> None:
        try:
            migrate.migrate(engine)
        except Exception as error:  # noqa: BLE001  # told below
            ended.append(error)
        else:
            ended.append(None)

    with psycopg.connect(libpq_address(postgres_url), autocommit=True) as other:
        waiting = (
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            " AND waitstart < clock_timestamp() - interval '100 ms'"
        )
        other.execute("SELECT pg_advisory_lock(%s)", [migrate._LOCK_ID])
        thread = threading.Thread(target=start)
        thread.start()
        until(lambda: ended or other.execute(waiting.encode()).fetchone() != (0,))
        assert ended == [], "a hundred times its bound, and it waits"
        other.execute("SELECT pg_advisory_unlock(%s)", [migrate._LOCK_ID])
        thread.join()
    assert ended == [None]
    engine.dispose()


def test_a_connection_that_was_cut_off_without_a_word_is_found_out_by_either_side(postgres_url: str) -> None:
    """What a socket does then is the kernel's; this looks at what it was told."""
    engine = connect(postgres_url)
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        assert _bounds(driver) == (5, 2, 3, 10_000)
        shown = [
            connection.exec_driver_sql(f"SHOW {name}").scalar_one()
            for name in ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count", "tcp_user_timeout")
        ]
        assert shown == ["5", "2", "3", "10000"]  # asked of the server's end of the socket
    engine.dispose()
    with PostgresHints(libpq_address(postgres_url), [b"seal"])._connect() as hints:
        assert _bounds(hints) == (5, 2, 3, 10_000)


def _bounds(connection: "psycopg.Connection[object]") -> tuple[int, ...]:
    with socket.socket(fileno=os.dup(connection.fileno())) as one:
        names = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
        return tuple(one.getsockopt(socket.IPPROTO_TCP, name) for name in names)
