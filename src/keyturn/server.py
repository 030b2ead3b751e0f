"""A node at work: the threads that keep it going, and serving until a signal."""

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from keyturn.api.app import build_app
from keyturn.api.server import listen, load_certificate, run
from keyturn.core.delivery import Means
from keyturn.flow.telling import Turn
from keyturn.outside import clock
from keyturn.ports.store import StoreUnavailable
from keyturn.settings import Settings
from keyturn.store.durability import Durability
from keyturn.verify.holder import Alarm
from keyturn.web.app import Dashboard
from keyturn.wiring import Node, open_node, surviving

TICK_SECONDS: Final = 0.5
ANSWERING_SECONDS: Final = 2.0
"""So long before requests are cut off those that wait for verifiers are answered."""
_SWITCH_SECONDS: Final = 0.0005
_FORGET_EVERY: Final = 7200  # ticks: an hour
_MEASURE_EVERY: Final = 10  # ticks: five seconds
_WORKERS: Final = {Means.MAIL: 1, Means.WEBHOOK: 3}
_LONGEST_PAUSE: Final = 60
_TOLD_SECONDS: Final = 2.0
"""How long after a drain that was used up a mail may take that is under way."""
_LAST_SECONDS: Final = 10.0
"""With the ten of a drain less than what Kubernetes gives until it kills."""
log = logging.getLogger("keyturn")


class Leave:
    """How long this server may still take, once it has been told to end."""

    def __init__(self, seconds: float) -> None:
        self._micros = int(seconds * 1e6)
        self._until: int | None = None

    def begin(self) -> None:
        """It has been told so."""
        if self._until is None:
            self._until = clock.boot_micros() + self._micros

    @property
    def left(self) -> float:
        """Seconds; who was not told to end, but failed, begins with this."""
        self.begin()
        return max(0.0, ((self._until or 0) - clock.boot_micros()) / 1e6)


@contextmanager
def telling(node: Node, leave: Leave) -> Iterator[None]:
    """Threads that empty the outbox until the block ends: a slow mail server delays mails and nothing else."""
    stopping = threading.Event()
    due = {means: threading.Event() for means in node.teller.means}
    threads = [threading.Thread(target=_look, args=(node, due, stopping), name="telling", daemon=True)]
    for means, event in due.items():
        threads += [
            threading.Thread(target=_deliver, args=(node, means, event, stopping), name=means.value, daemon=True)
            for _ in range(_WORKERS[means])
        ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        for event in due.values():
            event.set()  # whoever waits for it need not wait for the next look
        for thread in threads:
            # What is under way may finish; what does not is made again when its lease has run out.
            thread.join(leave.left)


def _look(node: Node, due: Mapping[Means, threading.Event], stopping: threading.Event) -> None:
    ticks = 0
    while not stopping.wait(TICK_SECONDS):
        with surviving("telling"):
            for means in node.teller.look() & due.keys():
                due[means].set()
            if ticks % _MEASURE_EVERY == 0:
                node.teller.measure()
            ticks += 1


def _deliver(node: Node, means: Means, due: threading.Event, stopping: threading.Event) -> None:
    away = 0
    while not stopping.is_set():
        if not due.wait(TICK_SECONDS):
            continue
        due.clear()
        with surviving(means.value):
            while not stopping.is_set() and (turn := node.teller.tell(means)) is not Turn.IDLE:
                away = away + 1 if turn is Turn.AWAY and means is Means.MAIL else 0
                if away:
                    # The one server of all mails is away: the others would fare no better just now.
                    stopping.wait(min(2**away, _LONGEST_PAUSE))


@contextmanager
def leasing(node: Node) -> Iterator[None]:
    """A thread that renews the lease until the block ends, and threads that pass hints."""
    stopping = threading.Event()
    node.membership.renew()  # a start may have taken longer than a lease
    thread = threading.Thread(target=_keep_lease, args=(node, stopping), name="leasing", daemon=True)
    thread.start()
    try:
        with node.hints.running(_Hearer(node)):
            yield
    finally:
        stopping.set()
        thread.join()


def _keep_lease(node: Node, stopping: threading.Event) -> None:
    member = node.membership
    while not stopping.is_set():
        every = member.terms.renew_every
        wait = every / 8e6
        with surviving("the lease"):
            member.renew()
            # Its record still lasts by the terms of before: the next renewal comes by the shorter ones.
            wait = min(every, member.terms.renew_every) / 1e6
        for alarm in member.holder.told():
            log.error("%s%s", "" if alarm is Alarm.PUT_BACK else "the lease was dropped: ", alarm.value)
        stopping.wait(wait)


@dataclass(frozen=True, slots=True)
class _Hearer:
    """What is done about hints."""

    node: Node

    def feed_moved(self) -> None:
        with surviving("the feed"):
            self.node.follower.catch_up()

    def acknowledged(self, instance: str, *, epoch: int, rev: int, at: int) -> None:
        self.node.confirming.heard(instance, epoch=epoch, rev=rev, at=at)


@contextmanager
def housekeeping(node: Node) -> Iterator[None]:
    """A thread that does the node's errands until the block ends; an outage of the store is waited out."""
    stopping = threading.Event()
    thread = threading.Thread(target=_keep_house, args=(node, stopping), name="housekeeping", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def _keep_house(node: Node, stopping: threading.Event) -> None:
    away = False
    ticks = 0
    while not stopping.wait(TICK_SECONDS):
        ticks += 1
        try:
            node.clock.hear(node.store.read(lambda tx: tx.now))
            with surviving("staying known"):
                node.stay()
            node.housekeeper.tick()
            node.sharing.tick()
            if ticks % _FORGET_EVERY == 0:
                node.housekeeper.forget()
            if ticks % _MEASURE_EVERY == 0 and node.durable.look():
                _say_durability(node.durability)
        except StoreUnavailable:
            if not away:
                log.warning(
                    "the database cannot be reached; refusing changes, and verifications once the lease is over"
                )
            away = True
        except Exception:
            # A bug in one errand must not stop the others for good; it is told, and the next tick tries again.
            log.exception("housekeeping failed")
        else:
            if away:
                log.warning("the database is back")
            away = False
    _write_last_uses(node)
    with surviving("giving back"):
        node.sharing.leave()


def _write_last_uses(node: Node) -> None:
    try:
        node.housekeeper.write_uses()
    except StoreUnavailable:
        log.warning("the last uses of the final second could not be written")


def log_to_stderr() -> None:
    """Lines of this process's log on standard error."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for library in ("alembic", "uvicorn"):
        logging.getLogger(library).setLevel(logging.WARNING)


def end_at_last(drain_seconds: int) -> None:
    """End this process some seconds after the last request, whoever still waits, as for a silent database."""

    def end() -> None:
        log.error("something never ends, such as a question to a silent database; ending all the same")
        os._exit(1)

    last = threading.Timer(drain_seconds + _LAST_SECONDS, end)
    last.daemon = True  # whoever ends in time does not wait for it
    last.start()


def serve(
    settings: Settings,
    *,
    listening: Callable[[str], None] = lambda _address: None,
    leaving: Callable[[], None] = lambda: None,
) -> None:
    """Serve until a signal; `listening` is told the address once there is one, `leaving` is called at the signal.

    Raises CannotListen, FolderInUse, NotAlone, StoreUnavailable, OSError or ValueError where it cannot begin, each
    with a sentence for a person.
    """
    certificate = load_certificate(settings)
    # A thread that works on a reset must not keep the one that answers verifications waiting for its 5 ms.
    sys.setswitchinterval(_SWITCH_SECONDS)
    leave = Leave(settings.drain_seconds + _TOLD_SECONDS)
    with open_node(settings) as node, closing(listen(settings.host, settings.port)) as listener:
        app, protocol = build_app(node, pages=Dashboard)
        host, port = listener.getsockname()[:2]
        scheme = "https" if certificate else "http"
        shown = f"[{host}]" if ":" in host else host
        address = f"{scheme}://{shown}:{port}"
        _greet(node, address)
        listening(address)
        node.whereabouts.listens_on(host, address)

        def farewell() -> None:
            leaving()
            leave.begin()
            node.membership.end_streams()
            app.leave(max(0.0, settings.drain_seconds - ANSWERING_SECONDS))

        with leasing(node), housekeeping(node), telling(node, leave):
            run(
                app,
                listener=listener,
                certificate=certificate,
                protocol=protocol,
                drain_seconds=settings.drain_seconds,
                farewell=farewell,
            )


def _greet(node: Node, address: str) -> None:
    """Say on standard error where we listen; the administrator key on a terminal only, elsewhere where it lies."""
    say = partial(print, file=sys.stderr, flush=True)
    say(f"keyturn listens on {address}")
    _say_durability(node.durability)
    if node.admin_key:
        if sys.stderr.isatty():
            say(f"administrator key (shown once): {node.admin_key}")
        say(f"the administrator key lies in {node.admin_key_file}")


def _say_durability(durability: Durability) -> None:
    for note in durability.notes:
        log.info("%s", note)
    if not durability.strict:
        log.warning("resets will not be confirmed: %s", durability.reason)
