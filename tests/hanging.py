"""Requests that hang for as long as a test wants them to: edits of keys, at a lock that is waited for without end."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg

from keyturn.edge.places import OTHERS
from tests.attached import until
from tests.serving import Answer, Serving

_LOCK: Final = 4711
_TRIGGER: Final = f"""
CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('lock_timeout', '0', true);
  PERFORM pg_advisory_xact_lock_shared({_LOCK});
  RETURN NEW;
END $$;
CREATE TRIGGER hang BEFORE UPDATE ON keys FOR EACH ROW WHEN (NEW.name = 'hung') EXECUTE FUNCTION hang();
"""
_HUNG: Final = """
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@dataclass
class Hanging:
    """They hang, in every place that is for requests like these."""

    database: psycopg.Connection[Any]
    edits: list[Future[Answer]] = field(default_factory=list)

    @property
    def hung(self) -> int:
        """How many hang in the database; the others stand behind them."""
        found = self.database.execute(_HUNG).fetchone()
        assert found is not None
        return int(found[0])

    @property
    def under_way(self) -> bool:
        """Whether none of them is answered."""
        return not any(one.done() for one in self.edits)


@contextmanager
def hung(url: str) -> Iterator[Hanging]:
    """Every edit that names a key `hung` hangs, until the block ends."""
    with psycopg.connect(url, autocommit=True) as holding, psycopg.connect(url, autocommit=True) as looking:
        holding.execute(_TRIGGER)
        holding.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        try:
            yield Hanging(looking)
        finally:
            holding.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))


@contextmanager
def hanging(server: Serving, url: str, *, places: int = OTHERS, **also: object) -> Iterator[Hanging]:
    """More edits than there are places for hang, until the block ends; `also` is what else they give the key."""
    keys = [server.create()["id"] for _ in range(places + 4)]
    with ThreadPoolExecutor(len(keys)) as pool:
        with hung(url) as one:
            one.edits += [pool.submit(edit, server, key, also) for key in keys]
            until(lambda: one.hung == places, within=120)
            yield one
        assert [made.result().status for made in one.edits] == [200] * len(keys)


def edit(server: Serving, key: str, also: dict[str, object]) -> Answer:
    """One such edit."""
    return server.call(f"/v1/keys/{key}", {"name": "hung"} | also, method="PATCH")
