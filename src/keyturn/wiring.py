"""The one place that builds everything: a node from its settings, and the threads that keep it going."""

import logging
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from socket import gethostname
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from keyturn.api import server
from keyturn.api.app import build_app
from keyturn.core.delivery import Means
from keyturn.flow import bootstrap
from keyturn.flow.confirm import Confirming
from keyturn.flow.follow import Follower
from keyturn.flow.housekeeping import Housekeeper
from keyturn.flow.membership import Clocks, Membership
from keyturn.flow.own_secret import OwnSecrets
from keyturn.flow.sharing import Sharing, limits_for
from keyturn.flow.telling import Teller, Turn
from keyturn.outside import captcha, clock, folder, oidc, presets
from keyturn.outside.authenticators import SystemAuthenticators
from keyturn.outside.clock import AuthorityClock
from keyturn.outside.forge import SystemForge, load_peppers
from keyturn.outside.mail import MailSender, transport
from keyturn.outside.notary import Notary
from keyturn.outside.oidc import OidcClient
from keyturn.outside.passwords import Argon2Passwords
from keyturn.outside.stretcher import Argon2Stretcher
from keyturn.outside.webhook import WebhookSender
from keyturn.ports import Captcha, StoreUnavailable, Transaction
from keyturn.settings import Settings
from keyturn.store.database import connect, libpq_address, sqlite_file
from keyturn.store.durability import Durability, Durable
from keyturn.store.hints import NoHints, PostgresHints
from keyturn.store.migrate import migrate
from keyturn.store.peppers import agree
from keyturn.store.store import SqlStore
from keyturn.verify.message import LONGEST_NAME
from keyturn.verify.recent import Recent
from keyturn.verify.verifier import Verifier
from keyturn.web.app import Dashboard

ADMIN_KEY_FILE: Final = "admin.key"
TICK_SECONDS: Final = 0.5
_SWITCH_SECONDS: Final = 0.0005
_FORGET_EVERY: Final = 7200  # ticks: an hour
_MEASURE_EVERY: Final = 10  # ticks: five seconds
_WORKERS: Final = {Means.MAIL: 1, Means.WEBHOOK: 3}
_LONGEST_PAUSE: Final = 60
log = logging.getLogger("keyturn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One running keyturn: everything a request may need."""

    settings: Settings
    store: SqlStore
    verifier: Verifier
    membership: Membership
    sharing: Sharing
    confirming: Confirming
    notary: Notary
    hints: PostgresHints | NoHints
    follower: Follower
    housekeeper: Housekeeper
    teller: Teller
    whereabouts: "Whereabouts"
    forge: SystemForge
    own_secrets: OwnSecrets
    passwords: Argon2Passwords
    authenticators: SystemAuthenticators
    captcha: Captcha
    oidc: Mapping[str, OidcClient]
    clock: AuthorityClock
    durable: Durable
    deployment_account_id: str
    admin_key: str
    """The administrator key's secret where this start has made it, else empty."""

    def preset_sources(self, name: str) -> Mapping[str, str]:
        """Where each value of a preset comes from."""
        return presets.sources(name)

    @property
    def durability(self) -> Durability:
        """Whether a commit is safe here, as far as was seen last (F13)."""
        return self.durable.now

    @property
    def admin_key_file(self) -> Path:
        """Where the administrator key lies."""
        return self.settings.data / ADMIN_KEY_FILE


@contextmanager
def open_node(settings: Settings) -> Iterator[Node]:
    """A node, its database migrated and founded, alone on its data folder and SQLite file.

    Raises FolderInUse, StoreUnavailable, OSError or ValueError, each with a sentence for a person.
    """
    with folder.alone(settings.data, sqlite_file(settings.database)):
        store = open_store(settings)
        try:
            store.serve()
            node = _build(settings, store)
            yield node
            with _surviving("leaving"):
                node.membership.leave()
        finally:
            store.close()


def open_store(settings: Settings) -> SqlStore:
    """The store with its schema up to date.  Raises StoreUnavailable, OSError or ValueError."""
    engine = connect(settings.database)
    with ExitStack() as failing:
        failing.callback(engine.dispose)
        try:
            migrate(engine)
            peppers = agree(engine, lambda is_new: load_peppers(settings.data, may_make=is_new))
        except SQLAlchemyError as error:
            # Never the address: it may hold a password.
            msg = f"the database cannot be opened: {type(getattr(error, 'orig', None) or error).__name__}"
            raise StoreUnavailable(msg) from error
        failing.pop_all()
    return SqlStore(engine, peppers=peppers, presets=presets.load(), system_now=clock.now)


def _build(settings: Settings, store: SqlStore) -> Node:
    forge = SystemForge(*store.peppers)
    recent = Recent()
    limits = limits_for(is_shared=store.is_shared, most=settings.cached_keys)
    verifier = Verifier(most_keys=settings.cached_keys, recent=recent, limits=limits)
    admin_key = store.change(lambda tx: _found(tx, settings, forge))
    now, deployment = store.read(lambda tx: (tx.now, tx.deployment_account_id))
    hints = _hints(settings, forge, deployment) if store.is_shared else NoHints()
    membership = _join(settings, store, verifier, recent, forge, hints)
    follower = Follower(store, verifier, applied=membership.applied)
    store.follow = follower.committed
    whereabouts = Whereabouts(settings.base_url)
    return Node(
        settings=settings,
        store=store,
        verifier=verifier,
        membership=membership,
        sharing=Sharing(
            store,
            follower,
            limits,
            holders=lambda: membership.holders,
            loan=lambda: forge.id("loan"),
            now=lambda: max(membership.holder.look(membership.boot())[0], verifier.floor),
        ),
        confirming=Confirming(store, membership, epoch=lambda: verifier.epoch),
        # By the oldest pepper: a newer one must not change the name under which receipts are known.
        notary=Notary(deployment, forge.derived_by_each("receipts", deployment)[-1]),
        hints=hints,
        follower=follower,
        housekeeper=Housekeeper(store, verifier, follower),
        teller=_teller(settings, store, forge, whereabouts),
        whereabouts=whereabouts,
        forge=forge,
        own_secrets=OwnSecrets(store, Argon2Stretcher(), peppers=store.peppers, deployment=deployment),
        passwords=Argon2Passwords(),
        authenticators=SystemAuthenticators(forge, base_url=settings.base_url),
        captcha=captcha.load(settings, forge),
        oidc=oidc.load(settings.oidc),
        clock=AuthorityClock(now),
        durable=Durable(store.durability),
        deployment_account_id=deployment,
        admin_key=admin_key,
    )


def _hints(settings: Settings, forge: SystemForge, deployment: str) -> PostgresHints:
    return PostgresHints(libpq_address(settings.database), forge.derived_by_each("hints", deployment))


def _join(
    settings: Settings,
    store: SqlStore,
    verifier: Verifier,
    recent: Recent,
    forge: SystemForge,
    hints: PostgresHints | NoHints,
) -> Membership:
    """A member of the fleet, with a lease."""
    if not store.is_shared:
        # The lock on the data folder shows that whoever served from it is gone; only its verifiers may go on (F10).
        store.change(_remove_dead)
    membership = Membership(
        store,
        verifier,
        recent,
        instance=forge.id("node"),
        name=f"{gethostname()}:{settings.port}"[:LONGEST_NAME],
        terms=store.read(lambda tx: tx.terms()),
        clocks=Clocks(boot=clock.boot_micros, wall=clock.wall_micros, machine=clock.boot_id),
        hints=hints,
        has_its_clock=not store.is_shared,
    )
    membership.renew()
    return membership


def _remove_dead(tx: Transaction) -> None:
    for one in tx.leases():
        if not one.grants:
            tx.remove_lease(one.instance, counter=one.counter)


def _found(tx: Transaction, settings: Settings, forge: SystemForge) -> str:
    founded = bootstrap.found(tx, brand=settings.brand, forge=forge)
    if founded is None:
        return ""
    # Before the commit: a crash in between leaves a file that the next start writes again, never a lost key.
    folder.replace_secret(settings.data / ADMIN_KEY_FILE, founded.secret.reveal)
    return founded.secret.reveal


def _teller(settings: Settings, store: SqlStore, forge: SystemForge, whereabouts: "Whereabouts") -> Teller:
    mails = MailSender(transport(settings), settings.mail_from, lambda: whereabouts.base_url)
    calls = WebhookSender(to_loopback=settings.webhooks_to_loopback)
    return Teller(store, forge, {Means.MAIL: mails, Means.WEBHOOK: calls})


class Whereabouts:
    """Where people reach this server: what links in mails begin with, and nothing a request says (pitfall 21)."""

    def __init__(self, configured: str) -> None:
        self._configured = configured
        self._listening = ""

    def listens_on(self, host: str, address: str) -> None:
        """Told once it listens.  Only this machine's own address is one that is known to lead here."""
        if ip_address(host).is_loopback:
            self._listening = address

    @property
    def base_url(self) -> str:
        """What is configured, else where it listens on loopback, else nothing."""
        return self._configured or self._listening


@contextmanager
def telling(node: Node) -> Iterator[None]:
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
        for thread in threads:
            # What is under way may finish; what does not is made again when its lease has run out.
            thread.join(node.settings.drain_seconds)


def _look(node: Node, due: Mapping[Means, threading.Event], stopping: threading.Event) -> None:
    ticks = 0
    while not stopping.wait(TICK_SECONDS):
        with _surviving("telling"):
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
        with _surviving(means.value):
            while not stopping.is_set() and (turn := node.teller.tell(means)) is not Turn.IDLE:
                away = away + 1 if turn is Turn.AWAY and means is Means.MAIL else 0
                if away:
                    # The one server of all mails is away: the others would fare no better just now.
                    stopping.wait(min(2**away, _LONGEST_PAUSE))


@contextmanager
def _surviving(what: str) -> Iterator[None]:
    try:
        yield
    except StoreUnavailable:
        pass  # housekeeping says so; the next turn tries again
    except Exception:
        log.exception("%s failed", what)


@contextmanager
def leasing(node: Node) -> Iterator[None]:
    """A thread that renews the lease until the block ends, and threads that pass hints."""
    stopping = threading.Event()
    node.membership.renew()  # a start may have taken longer than a lease
    thread = threading.Thread(target=_keep_lease, args=(node, stopping), name="leasing", daemon=True)
    thread.start()
    hears = node.hints.running(_Hearer(node)) if isinstance(node.hints, PostgresHints) else nullcontext()
    try:
        with hears:
            yield
    finally:
        stopping.set()
        thread.join()


def _keep_lease(node: Node, stopping: threading.Event) -> None:
    member = node.membership
    every = member.terms.renew_every / 1e6
    while not stopping.is_set():
        wait = every / 8
        with _surviving("the lease"):
            member.renew()
            wait = every
        for alarm in member.holder.told():
            log.error("the lease was dropped: %s", alarm.value)
        stopping.wait(wait)


@dataclass(frozen=True, slots=True)
class _Hearer:
    """What is done about hints."""

    node: Node

    def feed_moved(self) -> None:
        with _surviving("the feed"):
            self.node.follower.catch_up()

    def acknowledged(self, instance: str, *, epoch: int, rev: int) -> None:
        self.node.confirming.heard(instance, epoch=epoch, rev=rev)


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
    with _surviving("giving back"):
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


def serve(settings: Settings, *, listening: Callable[[str], None] = lambda _address: None) -> None:
    """Serve until a signal; `listening` is told the address once there is one.

    Raises CannotListen, FolderInUse, StoreUnavailable, OSError or ValueError where it cannot begin, each with
    a sentence for a person.
    """
    certificate = server.load_certificate(settings)
    # A thread that works on a reset must not keep the one that answers verifications waiting for its 5 ms.
    sys.setswitchinterval(_SWITCH_SECONDS)
    with open_node(settings) as node, closing(server.listen(settings.host, settings.port)) as listener:
        app, protocol = build_app(node, pages=Dashboard)
        host, port = listener.getsockname()[:2]
        scheme = "https" if certificate else "http"
        shown = f"[{host}]" if ":" in host else host
        address = f"{scheme}://{shown}:{port}"
        _greet(node, address)
        listening(address)
        node.whereabouts.listens_on(host, address)
        with leasing(node), housekeeping(node), telling(node):
            server.run(
                app,
                listener=listener,
                certificate=certificate,
                protocol=protocol,
                drain_seconds=settings.drain_seconds,
                farewell=node.membership.end_streams,
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
