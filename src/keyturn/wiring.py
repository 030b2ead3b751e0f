"""The one place that builds everything: a node from its settings.  `keyturn.server` keeps it going."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from socket import gethostname
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from keyturn.core.delivery import Means
from keyturn.core.lease import LONGEST_FENCE, everybody_lost
from keyturn.flow import bootstrap
from keyturn.flow.confirm import Confirming
from keyturn.flow.follow import Follower
from keyturn.flow.housekeeping import Housekeeper
from keyturn.flow.membership import Clocks, Membership
from keyturn.flow.own_secret import OwnSecrets
from keyturn.flow.sharing import Sharing, limits_for
from keyturn.flow.telling import Teller
from keyturn.outside import captcha, clock, folder, oidc, presets
from keyturn.outside.authenticators import SystemAuthenticators
from keyturn.outside.clock import AuthorityClock
from keyturn.outside.forge import SystemForge, load_peppers
from keyturn.outside.mail import MailSender, transport
from keyturn.outside.notary import Notary
from keyturn.outside.oidc import OidcClient
from keyturn.outside.passwords import Argon2Passwords
from keyturn.outside.stretcher import Argon2Stretcher
from keyturn.outside.succession import Succession
from keyturn.outside.webhook import WebhookSender
from keyturn.ports.captcha import Captcha
from keyturn.ports.store import StoreUnavailable
from keyturn.ports.transaction import Transaction
from keyturn.settings import Settings
from keyturn.store.address import libpq_address
from keyturn.store.database import connect, reason_of, sqlite_file
from keyturn.store.durability import Durability, Durable
from keyturn.store.hints import HeardHints, NoHints
from keyturn.store.opening import enter
from keyturn.store.peppers import agree
from keyturn.store.presence import Presence
from keyturn.store.store import SqlStore
from keyturn.verify.message import LONGEST_NAME
from keyturn.verify.recent import Recent
from keyturn.verify.verifier import Verifier

ADMIN_KEY_FILE: Final = "admin.key"
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
    hints: HeardHints
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
    stay: Callable[[], None]
    """Be known as a server of this database, should it have forgotten, and say in the end that it is as it was.

    Raises StoreUnavailable.
    """
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

    Raises FolderInUse, NotAlone, StoreUnavailable, OSError or ValueError, each with a sentence for a person.
    """
    database = sqlite_file(settings.database)
    with folder.alone(settings.data, database):
        succession = Succession(database) if database else None
        unknown = succession.unknown() if succession else 0
        store, is_alone = open_store(settings)
        try:
            node = _build(settings, store, succession, unknown=unknown, is_alone=is_alone)
            yield node
            with surviving("leaving"):
                node.membership.leave()
        finally:
            store.close()
        if succession:
            succession.end()


def open_store(settings: Settings) -> tuple[SqlStore, bool]:
    """The store with its schema up to date, known to be worked with; and whether by nobody else until it serves.

    Raises NotAlone, StoreUnavailable, OSError or ValueError.
    """
    engine = connect(settings.database)
    presence = Presence(engine)
    with ExitStack() as failing:
        failing.callback(engine.dispose)
        failing.callback(presence.release)
        try:
            is_alone = enter(engine, presence)
            peppers = agree(engine, lambda is_new: load_peppers(settings.data, may_make=is_new))
        except (SQLAlchemyError, UnicodeError) as error:
            raise StoreUnavailable(f"the database cannot be opened: {reason_of(error)}") from error
        failing.pop_all()
    return SqlStore(engine, peppers=peppers, presets=presets.load(), system_now=clock.now, presence=presence), is_alone


def _build(settings: Settings, store: SqlStore, succession: Succession | None, *, unknown: int, is_alone: bool) -> Node:
    forge = SystemForge(*store.peppers)
    recent = Recent()
    limits = limits_for(is_shared=store.is_shared, most=settings.cached_keys)
    verifier = Verifier(most_keys=settings.cached_keys, recent=recent, limits=limits)
    instance = forge.id("node")
    if is_alone:
        _take_over(store, succession, instance=instance, unknown=unknown)
    admin_key = store.change(lambda tx: _found(tx, settings, forge))
    now, deployment = store.read(lambda tx: (tx.now, tx.deployment_account_id))
    hints = _hints(settings, forge, deployment) if store.is_shared else NoHints()
    membership = _join(settings, store, verifier, recent, hints, instance=instance, is_alone=is_alone)
    if succession:
        membership.lengthened = succession.lengthened
    follower = Follower(store, verifier, applied=membership.applied, estranged=membership.estrange)
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
            now=lambda: max(_latest(membership), verifier.floor),
            latest=partial(_latest, membership),
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
        stay=partial(_stay, store, membership),
        deployment_account_id=deployment,
        admin_key=admin_key,
    )


def _stay(store: SqlStore, membership: Membership) -> None:
    if store.stay(membership.rejoin):
        membership.affirm()


def _latest(membership: Membership) -> int:
    """The latest that it can be at the authority just now."""
    return membership.holder.look(membership.boot())[0]


def _hints(settings: Settings, forge: SystemForge, deployment: str) -> HeardHints:
    from keyturn.store.notify import PostgresHints

    return PostgresHints(libpq_address(settings.database), forge.derived_by_each("hints", deployment))


def _join(
    settings: Settings,
    store: SqlStore,
    verifier: Verifier,
    recent: Recent,
    hints: HeardHints,
    *,
    instance: str,
    is_alone: bool,
) -> Membership:
    """A member of the fleet, with a lease."""
    membership = Membership(
        store,
        verifier,
        recent,
        instance=instance,
        name=f"{gethostname()}:{settings.port}"[:LONGEST_NAME],
        terms=store.read(lambda tx: tx.terms()),
        clocks=Clocks(boot=clock.boot_micros, wall=clock.wall_micros, machine=clock.boot_id),
        hints=hints,
        has_its_clock=not store.is_shared,
    )
    (membership.renew if is_alone else membership.rejoin)()
    return membership


def _take_over(store: SqlStore, succession: Succession | None, *, instance: str, unknown: int) -> None:
    """Begin where no server is; only once what was left is on record may others begin beside this one."""
    lasts = store.change(partial(_succeed, instance=instance, unknown=unknown, is_shared=store.is_shared))
    if succession:
        succession.begin(lasts)
    store.serve()


def _succeed(tx: Transaction, *, instance: str, unknown: int, is_shared: bool) -> int:
    """Nobody else serves: put on record whom the record may lack, where the database may have been put back (F9, F10).

    `unknown` is for how long their leases may last; answers for how long anybody's may.
    """
    leases = tx.leases()
    if not tx.take_over() and tx.deployment_account_id:
        unknown = LONGEST_FENCE
    for one in leases:
        # The lock on the file shows that whoever served from it is gone; only its verifiers may go on.
        if not is_shared and not one.grants:
            tx.remove_lease(one.instance, counter=one.counter, read_from=one.read_from)
    lasts = max(unknown, tx.terms().fence, *(one.lasts for one in leases), 0)
    if unknown:
        tx.renew_lease(everybody_lost(tx.epoch, noticed_by=instance, counter=0, lasts=lasts))
    return lasts


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
def surviving(what: str) -> Iterator[None]:
    """Let neither an outage nor a bug of one errand end the thread that does them all."""
    try:
        yield
    except StoreUnavailable:
        pass  # housekeeping says so; the next turn tries again
    except Exception:
        log.exception("%s failed", what)
