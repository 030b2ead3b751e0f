"""What nodes tell one another through PostgreSQL, and what anybody else may tell them (F14)."""

import queue

import psycopg
import pytest

from keyturn.store.address import libpq_address
from keyturn.store.notify import PostgresHints
from keyturn.store.transaction import CHANNEL

SEALS = [b"the newest pepper's".ljust(32), b"an older one's".ljust(32)]


class Hearing:
    """Everything that was passed on, in its order."""

    def __init__(self) -> None:
        self.heard: queue.Queue[tuple[str, int, int, int] | str] = queue.Queue()

    def feed_moved(self) -> None:
        self.heard.put("feed")

    def acknowledged(self, instance: str, *, epoch: int, rev: int, at: int) -> None:
        self.heard.put((instance, epoch, rev, at))


def notify(url: str, *payloads: str) -> None:
    with psycopg.connect(libpq_address(url), autocommit=True) as stranger:
        for payload in payloads:
            stranger.execute("SELECT pg_notify(%s, %s)", (CHANNEL, payload))


@pytest.mark.parametrize("seals", [SEALS[:1], SEALS[1:], SEALS], ids=["newest", "older", "both"])
def test_a_node_hears_another_that_has_one_of_its_peppers(postgres_url: str, seals: list[bytes]) -> None:
    hearing = Hearing()
    here, there = PostgresHints(libpq_address(postgres_url), SEALS), PostgresHints(libpq_address(postgres_url), seals)
    with here.running(hearing), there.running(Hearing()):
        assert hearing.heard.get(timeout=20) == "feed"  # once it listens
        there.acknowledged("node_1", epoch=2, rev=7, at=5)
        assert hearing.heard.get(timeout=20) == ("node_1", 2, 7, 5)


def test_f0_nobody_but_a_node_is_believed_and_no_word_of_theirs_ends_the_listening(postgres_url: str) -> None:
    """To notify takes no right but to connect."""
    hearing = Hearing()
    other = f"{'0' * 64} "
    with PostgresHints(libpq_address(postgres_url), SEALS).running(hearing):
        assert hearing.heard.get(timeout=20) == "feed"
        said = '["node_1", 1, 9, 5]'
        notify(postgres_url, said, other + said, " " + said, '["a", Infinity, 1]', "[" * 7000, "", "é ü", "feed")
        assert hearing.heard.get(timeout=20) == "feed"
