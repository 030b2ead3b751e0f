"""F0 with real processes, by schedules that leave nothing to luck; and each again with a guard taken away.

With the real code the checker finds nothing.  Without the guard the same schedule must break the promise, or neither
the schedule nor the checker shows anything.
"""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from functools import partial
from itertools import count
from typing import Final

import pytest

from keyturn.core.lease import Terms
from tests.databases import postgres_copy
from tests.fleet.chaos.fleet import Fleet, Key, Node, Verifier, eventually
from tests.fleet.chaos.history import Judged
from tests.fleet.chaos.link import Connection, Way
from tests.fleet.chaos.recording import boot_nanos
from tests.postgres import Postgres

TERMS: Final = Terms(length=2_000_000, margin=20_000)
OFTEN: Final = 20
"""So many verifications after the reset has returned have to be right."""
HOUR: Final = 3600 * 1_000_000
STREAM: Final = b"POST /v1/feed HTTP"
PUSH: Final = b'"kind":"push"'
GRANT: Final = b'"kind":"grant"'
NEWS: Final = 8
"""So many lines come before the late one."""
FILL: Final = b"POST /v1/feed/fill"
MOST_TRIES: Final = 4
"""More for a build that is broken; the real one has one."""
_names = count(1)


@pytest.fixture(scope="module")
def fleet(postgres_server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Two nodes; each test has a verifier of its own."""
    with postgres_copy(postgres_server) as url, Fleet(tmp_path_factory.mktemp("fleet"), url, terms=TERMS) as fleet:
        fleet.node("one")
        fleet.node("two")
        yield fleet


def _verifier(fleet: Fleet, node: Node) -> Verifier:
    return fleet.verifier(f"verifier-{next(_names)}", node)


def _warm(fleet: Fleet, verifier: Verifier) -> Key:
    """A key whose secret the verifier has in memory."""
    key = fleet.key(fleet.nodes[0])
    fleet.await_answers(verifier, key, version=1, answer="valid", count=3)
    return key


def a_verifier_is_cut_off(fleet: Fleet, node: Node, verifier: Verifier) -> Key:
    """It hears nothing of the reset, so its lease has to be waited out."""
    key = _warm(fleet, verifier)
    verifier.links[0].stall()
    stop, answer = fleet.reset(key, node, show=False)  # the new secret could not be asked about
    assert answer.body["receipt"]["confirmed"], answer.text
    fleet.await_answers(verifier, key, version=1, after=stop.confirmed, count=OFTEN)
    return key


def a_verifier_s_wall_clock_is_set_back(fleet: Fleet, node: Node, verifier: Verifier) -> Key:
    """The same, and its wall clock says that the lease has an hour to go."""
    key = _warm(fleet, verifier)
    verifier.links[0].stall()
    verifier.orders.step_wall_clock(-HOUR)
    stop, _ = fleet.reset(key, node, show=False, sure=True)
    fleet.await_answers(verifier, key, version=1, after=stop.confirmed, count=OFTEN)
    return key


def a_grant_comes_late(fleet: Fleet, node: Node, verifier: Verifier) -> Key:
    """A lease from before the reset arrives after it; what the reset has pushed is still held behind it.

    A verifier takes a silent line for dead, so it hears older news now and then.
    """
    key = _warm(fleet, verifier)
    link = verifier.links[0]
    (stream,) = link.connections(STREAM)
    link.stall(Way.BACK)
    for number in range(2 * NEWS):
        pushed = stream.back.held.count(PUSH)
        fleet.new_key(node)  # nobody waits until everybody knows of it
        eventually(partial(_holds_more, stream, pushed), "news are under way")
        if number >= NEWS:
            link.let(stream.back, len(_held(stream)[0]))
    eventually(lambda: GRANT in _held(stream)[-1], "a grant is under way after them")
    *news, grant = map(len, _held(stream))
    with ThreadPoolExecutor(1) as pool:
        reset = pool.submit(fleet.reset, key, node, show=False)
        while not wait([reset], TERMS.length / 1e6 / 4).done:
            link.let(stream.back, news.pop(0))
        link.let(stream.back, sum(news) + grant)
        returned = boot_nanos()
        reset.result()
    fleet.await_answers(verifier, key, version=1, after=returned, count=OFTEN)
    return key


def _holds_more(stream: Connection, pushed: int) -> bool:
    return stream.back.held.count(PUSH) > pushed and bool(_held(stream))


def _held(stream: Connection) -> list[bytes]:
    """The whole lines on their way to the verifier, each with the frame of its chunk before it."""
    return re.findall(rb".*?\}\n", bytes(stream.back.held), re.DOTALL)


def a_node_is_cut_off_from_the_database(fleet: Fleet, node: Node, verifier: Verifier) -> Key:
    """The reset waits that node out, and its verifiers with it."""
    key = _warm(fleet, verifier)
    node.to_database.stall()
    stop, _ = fleet.reset(key, fleet.nodes[0], show=False, sure=True)
    fleet.await_answers(verifier, key, version=1, after=stop.confirmed, count=OFTEN)
    return key


def a_node_returns_while_a_reset_is_scanning(fleet: Fleet, node: Node, verifier: Verifier) -> Key:
    """It was waited out and is no longer on record; what it reads of the feed must be from after it is again.

    It misses every hint, and the database holds its record up until the reset has returned.
    """
    other, home = _warm(fleet, verifier), fleet.nodes[0]
    key, secret = fleet.new_key(home)
    with node.orders.without("hints"):
        assert fleet.ask(node, key, secret, version=1) == "valid"
        counter = fleet.leases()[node.instance]
        eventually(lambda: fleet.leases()[node.instance] > counter, "the node renews its lease")
        assert fleet.ask(node, key, secret, version=1) == "valid"
        node.pause()
        try:
            fleet.reset(other, home)
            assert node.instance not in fleet.leases()
            with fleet.session() as session, session.transaction(force_rollback=True):
                session.execute(
                    "INSERT INTO leases (instance, counter, lasts, epoch, acked_rev, applied_rev, name, grants,"
                    " verifiers) VALUES (%s, 0, 0, 0, 0, 0, '', false, '[]')",
                    [node.instance],
                )
                node.go_on()
                eventually(lambda: _waits_to_record(fleet), "the node is about to be recorded")
                fleet.reset(key, home, show=False)
        finally:
            node.go_on()
        eventually(lambda: node.instance in fleet.leases(), "the node is recorded")
        first = fleet.leases()[node.instance]
        fleet.ask(node, key, secret, version=1)
        while fleet.leases()[node.instance] == first:
            fleet.ask(node, key, secret, version=1)
    return key


def _waits_to_record(fleet: Fleet) -> bool:
    waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'INSERT INTO leases%'"
    return bool(fleet.sql(waiting))


def all_is_well(fleet: Fleet, node: Node, verifier: Verifier) -> Key:
    """Nothing is in the way, ten times; the new secret is shown last, for asking about it tells of the old one."""
    key = _warm(fleet, verifier)
    for version in range(1, 11):
        stop, answer = fleet.reset(key, node, show=False)
        assert answer.body["receipt"]["confirmed"], answer.text
        fleet.await_answers(verifier, key, version=version, after=stop.confirmed)
        fleet.show(key, answer.body["secret"])
        fleet.await_answers(verifier, key, version=version + 1, answer="valid")
    return key


def a_fill_comes_late(fleet: Fleet, node: Node, verifier: Verifier) -> Key:
    """What was read of the key before the reset arrives after it; what the reset has pushed came first."""
    _warm(fleet, verifier)
    link = verifier.links[0]
    key, secret = fleet.new_key(node)
    (stream,) = link.connections(STREAM)
    link.stall(Way.BACK)
    link.let(stream.back)
    fleet.show(key, secret)
    held = key.id.encode()
    eventually(lambda: any(held in one.back.held for one in link.connections(FILL)), "the fill is under way")
    stop, answer = fleet.reset(key, node)
    assert answer.body["receipt"]["confirmed"], answer.text
    link.resume()
    fleet.await_answers(verifier, key, version=1, after=stop.confirmed, count=OFTEN)
    return key


Schedule = Callable[[Fleet, Node, Verifier], Key]
SCHEDULES: Final[dict[Schedule, dict[str, str]]] = {  # the guards that it shows, and whose they are
    a_verifier_is_cut_off: {"lease_ends": "verifier", "fence_waits": "node", "verifiers_on_record": "node"},
    a_verifier_s_wall_clock_is_set_back: {"boot_time_clock": "verifier"},
    a_grant_comes_late: {"counted_from_sending": "verifier"},
    a_node_is_cut_off_from_the_database: {"within_own_lease": "node"},
    a_node_returns_while_a_reset_is_scanning: {"record_before_feed": "node"},
    all_is_well: {"applied_before_acknowledged": "verifier"},
    a_fill_comes_late: {"fill_is_not_late": "verifier"},
}
CASES: Final = [(schedule, guard) for schedule, guards in SCHEDULES.items() for guard in ("", *guards)]


@pytest.mark.parametrize(
    ("schedule", "guard"), CASES, ids=[f"{one.__name__}-{guard or 'real'}" for one, guard in CASES]
)
def test_f0_holds_and_fails_without_its_guard(fleet: Fleet, schedule: Schedule, guard: str) -> None:
    """On a machine that stands still what is broken may be over before anybody asks: then it is tried again."""
    judged = _played(fleet, schedule, guard)
    for _ in range(MOST_TRIES if guard else 0):
        if judged.violations:
            break
        judged = _played(fleet, schedule, guard)
    assert judged.after_stop
    assert bool(judged.violations) == bool(guard), "\n".join(map(str, judged.violations[:5])) or judged.answers
    if not guard:
        assert not judged.refusals, "\n".join(map(str, judged.refusals[:5]))


def _played(fleet: Fleet, schedule: Schedule, guard: str) -> Judged:
    home, node = fleet.nodes
    with ExitStack() as ending:
        verifier = _verifier(fleet, home if schedule is a_node_returns_while_a_reset_is_scanning else node)
        ending.callback(fleet.end, verifier)
        ending.callback(node.to_database.resume)
        whose = verifier if SCHEDULES[schedule].get(guard) == "verifier" else node
        with whose.orders.without(*guard.split()):
            key = schedule(fleet, node, verifier)
    return fleet.judge(key)
