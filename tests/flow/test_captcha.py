"""A solved CAPTCHA counts once, in the database: across threads, nodes and restarts (K2)."""

import threading
from datetime import timedelta

from keyturn.core.captcha import LASTS, Solved
from tests.world import T0, world

SOLVED = Solved(digest=bytes(32), ends_at=T0 + LASTS)


def test_r11_a_captcha_is_spent_once_also_across_a_restart(database_url: str) -> None:
    with world(database_url) as here:
        assert here.store.change(lambda tx: tx.spend_captcha(SOLVED))
        assert not here.store.change(lambda tx: tx.spend_captcha(SOLVED))
        from keyturn.store.database import connect  # noqa: PLC0415  # another node's
        from keyturn.store.store import SqlStore  # noqa: PLC0415  # as above

        again = SqlStore(connect(here.url), peppers=[], presets={}, system_now=lambda: T0)
        assert not again.change(lambda tx: tx.spend_captcha(SOLVED))
        again.close()


def test_r11_of_many_who_spend_one_at_once_one_does(database_url: str) -> None:
    with world(database_url) as here:
        answers: list[bool] = []
        start = threading.Barrier(6)

        def spend() -> None:
            start.wait()
            answers.append(here.store.change(lambda tx: tx.spend_captcha(SOLVED)))

        threads = [threading.Thread(target=spend) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answers) == [False] * 5 + [True]


def test_what_was_spent_is_remembered_as_long_as_it_could_be_shown(database_url: str) -> None:
    with world(database_url) as here:
        here.store.change(lambda tx: tx.spend_captcha(SOLVED))
        here.clock.advance(LASTS - timedelta(seconds=1))
        here.housekeeper.forget()
        assert not here.store.change(lambda tx: tx.spend_captcha(SOLVED))
        here.clock.advance(timedelta(seconds=1))
        assert here.store.change(lambda tx: tx.forget_challenges()) == 1
