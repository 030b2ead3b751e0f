"""A fleet of real processes on one machine: PostgreSQL, nodes, verifiers, and the lines between them.

    with Fleet(tmp_path, postgres_url, terms=TERMS) as fleet:
        node = fleet.node("one")
        verifier = fleet.verifier("first", node)
        key = fleet.key(node)
        fleet.reset(key, node)
        fleet.judge()

Each verifier has a line of its own to each of its nodes, each node one to the database.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit, urlunsplit

import psycopg

from keyturn.core.lease import LOST, Terms
from tests.fleet.chaos.history import History, Judged, Stop
from tests.fleet.chaos.launch import WALL, WITHOUT, obeyed
from tests.fleet.chaos.link import Link, Links
from tests.fleet.chaos.recording import Verified, boot_nanos, read
from tests.fleet.chaos.verifying import WRITE, Work
from tests.postgres import die_with_parent
from tests.serving import Answer, Serving

ROOT: Final = Path(__file__).parents[3]
LAUNCHER: Final = "tests.fleet.chaos.launch"
PATIENCE: Final = 30.0
"""Seconds after which what a test waits for will not come."""


STARTER: Final = ThreadPoolExecutor(4, thread_name_prefix="starter")
"""Threads that live as long as this process: what dies with its parent dies with the thread that has started it."""


class WaitedInVainError(AssertionError):
    """What a test needs has not come: nothing wrong was seen, and nothing right either."""


def eventually(holds: Callable[[], bool], what: str, *, told: Callable[[], str] = lambda: "") -> None:
    """Wait for it.  `told` is asked where it does not come: whatever helps to see why."""
    until = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > until:
            raise WaitedInVainError(f"waited in vain: {what}. {told()}")
        time.sleep(0.005)


class Orders:
    """What the test tells a process through files, as `launch.py` reads them."""

    def __init__(self, folder: Path, name: str) -> None:
        self._wall = folder / f"{name}.wall"
        self._without = folder / f"{name}.without"
        self._wall.write_text("0")
        self._without.touch()

    @property
    def environment(self) -> dict[str, str]:
        """Where the process finds them."""
        return {WALL: str(self._wall), WITHOUT: str(self._without), "PYTHONPATH": str(ROOT)}

    def step_wall_clock(self, micros: int) -> None:
        """Have its wall clock off by that much."""
        _write_whole(self._wall, str(micros))

    @contextmanager
    def without(self, *names: str) -> Iterator[None]:
        """Have the process run without these guards, beside those that it does without already."""
        before = self._without.read_text()
        self._obey(" ".join([before, *names]).strip())
        try:
            yield
        finally:
            self._obey(before)

    def _obey(self, text: str) -> None:
        if self._without.read_text() != text:
            _write_whole(self._without, text)
            done = obeyed(self._without)
            eventually(lambda: done.exists() and done.read_text() == text, f"{done.name}: {text}")


def _write_whole(file: Path, text: str) -> None:
    fresh = file.with_suffix(".fresh")
    fresh.write_text(text)
    fresh.replace(file)


@dataclass
class Node:
    """A keyturn server, and its line to the database."""

    serving: Serving
    to_database: Link
    orders: Orders
    instance: str = ""
    """Who it was when it first started."""
    doors: list[Link] = field(default_factory=list)
    """The lines that lead here."""

    def start(self) -> Self:
        """Start, or start again, on another port."""
        STARTER.submit(self.serving.start).result()
        for door in self.doors:
            door.target = self.serving.port
        return self

    def pause(self) -> None:
        """SIGSTOP."""
        os.kill(self.serving.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        os.kill(self.serving.pid, signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL."""
        self.serving.kill()


@dataclass
class Verifier:
    """A process that verifies without pause, and its lines to its nodes."""

    name: str
    work: Work
    folder: Path
    links: Sequence[Link]
    orders: Orders
    _process: subprocess.Popen[bytes] | None = None
    _starts: int = 0

    def start(self) -> Self:
        """Start, or start again as another instance."""
        STARTER.submit(self._start).result()
        return self

    def _start(self) -> None:
        self._starts += 1
        words = [sys.executable, "-m", LAUNCHER, "verify", str(self.work.write(self.folder / f"{self.name}.json"))]
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env=_environment() | self.orders.environment,
                preexec_fn=die_with_parent,  # noqa: PLW1509  # one prctl call
            )

    def pause(self) -> None:
        """SIGSTOP."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL, and the recordings of this instance set aside."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
            for one in self.folder.glob(f"{self.name}.recording.*"):
                one.rename(one.with_name(f"{self.name}.ended-{self._starts}{one.suffix}"))

    @property
    def alive(self) -> bool:
        """Whether it runs; it never ends by itself."""
        return self._process is not None and self._process.poll() is None

    def where_it_stands(self) -> str:
        """What it has answered last, and what each of its threads does."""
        last = list(self.recorded())[-5:]
        if self.alive:
            self._signal(signal.SIGUSR1)
            time.sleep(0.5)  # it writes that into its log
        log = (self.folder / f"{self.name}.log").read_text(errors="replace")
        return f"{'Running' if self.alive else 'Ended'}, now {boot_nanos()}, answered last {last}; log:\n{log[-8000:]}"

    def recorded(self) -> Iterator[Verified]:
        """All that it has answered, in every start."""
        for path in sorted(self.folder.glob(f"{self.name}.*.*")):
            if ".recording." in path.name or ".ended-" in path.name:
                yield from read(path)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


@dataclass
class Key:
    """A key under test."""

    number: int
    id: str
    version: int = 1


class Fleet:
    """Everything that runs in one test; `with` ends it."""

    def __init__(self, folder: Path, database_url: str, *, terms: Terms) -> None:
        self.folder = folder
        self.terms = terms
        self.history = History()
        self.nodes: list[Node] = []
        self.verifiers: list[Verifier] = []
        self.keys: list[Key] = []
        self.database_url = database_url
        self._numbering = threading.Lock()
        self._asked: list[Verified] = []
        self._links = Links()
        self._targets = folder / "targets"
        self._targets.touch()
        self._credential = folder / "verifier.key"
        self.sql(f"UPDATE authority SET lease_length = {terms.length}, lease_margin = {terms.margin}")

    def node(self, name: str) -> Node:
        """One more server.  The second and later ones get what makes them one deployment."""
        folder = self.folder / name
        if self.nodes:
            folder.mkdir(mode=0o700)
            first = self.nodes[0].serving.folder
            shutil.copytree(first / "peppers", folder / "peppers")
            shutil.copy(first / "admin.key", folder)
        parts = urlsplit(self.database_url)
        line = self._links.to(parts.port or 5432)
        address = urlunsplit(parts._replace(netloc=f"{parts.username}@127.0.0.1:{line.port}"))
        orders = Orders(self.folder, name)
        serving = Serving(folder=folder, database_url=address, program=LAUNCHER, environment=orders.environment)
        node = Node(serving, line, orders)
        self.nodes.append(node)
        known = self.leases()
        node.start()
        (node.instance,) = (one for one in self.leases().keys() - known.keys() if not one.startswith(LOST))
        if not self._credential.exists():
            made = serving.create(name="verifiers", permissions=["keyturn.attach"])
            self._credential.write_text(made["secret"])
            many = serving.call(f"/v1/accounts/{made['account_id']}", {"max_keys_per_user": 10_000}, method="PATCH")
            assert many.status == 200, many.text
        return node

    def verifier(
        self, name: str, *nodes: Node, on_lapse: str = "refuse", threads: int = 1, pause: float = 0.002
    ) -> Verifier:
        """A verifier on those nodes, the first of them first."""
        links = [self._links.to(node.serving.port) for node in nodes]
        for node, link in zip(nodes, links, strict=True):
            node.doors.append(link)
        work = Work(
            urls=tuple(f"http://127.0.0.1:{link.port}" for link in links),
            credential_file=str(self._credential),
            targets=str(self._targets),
            recording=str(self.folder / f"{name}.recording"),
            on_lapse=on_lapse,
            threads=threads,
            pause=pause,
            name=name,
        )
        verifier = Verifier(name, work, self.folder, links, Orders(self.folder, name))
        self.verifiers.append(verifier)
        return verifier.start()

    def key(self, node: Node) -> Key:
        """A new key, verified from now on."""
        key, secret = self.new_key(node)
        self.show(key, secret)
        return key

    def new_key(self, node: Node) -> tuple[Key, str]:
        """A new key that no verifier has seen yet, and its secret."""
        made = node.serving.create(permissions=[WRITE])
        return self._number(made["id"]), made["secret"]

    def known(self, made: Mapping[str, Any]) -> Key:
        """A key that somebody has made, verified from now on."""
        key = self._number(made["id"])
        self.show(key, made["secret"])
        return key

    def _number(self, key_id: str) -> Key:
        with self._numbering:
            key = Key(number=len(self.keys) + 1, id=key_id)
            self.keys.append(key)
            return key

    def line_to(self, port: int) -> Link:
        """One more line, to whatever listens there."""
        return self._links.to(port)

    def show(self, key: Key, secret: str) -> None:
        """Have this secret verified by every verifier from now on."""
        with self._targets.open("ab", buffering=0) as out:
            out.write(f"{key.number} {key.version} {secret}\n".encode())

    def reset(self, key: Key, node: Node, *, show: bool = True, sure: bool = False) -> tuple[Stop, Answer]:
        """Reset it there, nothing being in the way of the answer; `show` the new secret to the verifiers.

        `sure`: what comes next makes sense only where it is confirmed.
        """
        stop = self.history.begun(Stop(key=key.number, through=key.version, begin=boot_nanos()))
        answer = node.serving.call(f"/v1/keys/{key.id}/resets", {"reason": "leaked"})
        assert answer.status == 201, answer.text
        if answer.body["receipt"]["confirmed"]:
            stop.confirmed = boot_nanos()
        elif sure:
            raise WaitedInVainError(f"not confirmed: {answer.text}")
        key.version = answer.body["new_version"]
        if show:
            self.show(key, answer.body["secret"])
        return stop, answer

    def await_answers(
        self, verifier: Verifier, key: Key, *, version: int, answer: str = "", after: float = 0, count: int = 1
    ) -> None:
        """Wait until it has answered so, that often, to questions about that version begun after that instant."""

        def come() -> bool:
            found = (
                one
                for one in verifier.recorded()
                if (one.key, one.version) == (key.number, version) and one.begin > after and answer in ("", one.answer)
            )
            return sum(1 for _ in found) >= count

        what = f"{verifier.name} answers {answer or 'anything'} to version {version} of key {key.number} after {after}"
        eventually(come, what, told=verifier.where_it_stands)

    def ask(self, node: Node, key: Key, secret: str, *, version: int) -> str:
        """Have a node verify a secret over HTTP; answers what `judge` will see."""
        begin = boot_nanos()
        answer = node.serving.verdict(secret)
        self._asked.append(Verified(begin, boot_nanos(), key.number, version, writes=False, answer=answer))
        return answer

    def judge(self, *keys: Key) -> Judged:
        """What all verifiers have answered about these keys, or about all, judged."""
        numbers = {key.number for key in keys or self.keys}
        judged = Judged()
        for by, verified in [(one.name, one.recorded()) for one in self.verifiers] + [("asked", iter(self._asked))]:
            self.history.judge(by, (one for one in verified if one.key in numbers), judged)
        return judged

    def leases(self) -> dict[str, int]:
        """The counters of the nodes on record."""
        return dict(self.sql("SELECT instance, counter FROM leases"))

    def sql(self, statement: str) -> Sequence[Any]:
        """One statement at the database itself."""
        with self.session() as connection:
            found = connection.execute(statement.encode())
            return found.fetchall() if found.description else ()

    @contextmanager
    def session(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection of the test's own, past every line."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            yield connection

    def end(self, one: Node | Verifier) -> None:
        """Kill it for good; what a verifier has recorded stays."""
        one.kill()
        if isinstance(one, Node):
            self.nodes.remove(one)

    def __enter__(self) -> Self:
        self._links.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        running: list[Node | Verifier] = [*self.verifiers, *self.nodes]
        for one in running:
            one.kill()
        self._links.__exit__()


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("KEYTURN_", "CHAOS_"))}
