"""One request on its way through a handler, whoever asks and by whichever face."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from anyio import CapacityLimiter

from keyturn.core.actor import Actor
from keyturn.core.allowlist import Matcher
from keyturn.core.instant import Instant
from keyturn.core.refusal import HttpsRequired, Refusal, Unauthenticated
from keyturn.core.session import Visitor
from keyturn.edge.metrics import Metrics
from keyturn.edge.node import Node
from keyturn.edge.places import Aim, Places
from keyturn.edge.receipt import Receipts
from keyturn.edge.refused import Refused
from keyturn.edge.slow import Slowly
from keyturn.flow.credential import stands
from keyturn.flow.evidence import refused
from keyturn.flow.replay import Once
from keyturn.flow.step import ResetAnswer
from keyturn.outside.forge import token_digest
from keyturn.ports.transaction import Transaction

T = TypeVar("T")
ARRIVED_REV: Final = "keyturn.arrived_rev"
"""Where on the scope stands the feed revision this node had applied when the request's headers arrived (R14)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """A change that was made: when, by authority time, and in which epoch (F9)."""

    at: Instant
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What every request of one server shares."""

    node: Node
    proxies: Matcher
    metrics: Metrics
    places: Places
    receipts: Receipts
    slowly: Slowly
    """Places of strangers, for what takes long."""
    slowly_known: Slowly
    """Places of those who are signed in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A request, whoever asks."""

    node: Node
    metrics: Metrics
    places: Places
    receipts: Receipts
    slowly: Slowly
    aim: Aim
    secure: bool
    address: str | None
    user_agent: str = ""

    @property
    def place(self) -> CapacityLimiter | None:
        """Where it is worked on; None where it has no place of its own."""
        return self.places.of(self.aim)

    def visitor(self, device: str | None = None, *, remember: bool = True) -> Visitor:
        """Where somebody who signs in comes from; `device` is the token by which this browser is known."""
        digest = token_digest(device) if device else None
        return Visitor(address=self.address, user_agent=self.user_agent, device=digest, remember=remember)

    def check_https(self) -> None:
        """Refuse a stranger's password or token on a line that others read along (K11).

        Nothing was looked at, and nobody knows whose it is: so it is nobody's attempt.
        """
        if not self.secure:
            raise Refused(HttpsRequired())

    def change(self, flow: Callable[[Transaction], T | Refusal]) -> tuple[T, Committed]:
        """Run a flow and answer what it made; its refusal leaves as a problem."""
        committed, answer = self.node.store.change(lambda tx: (Committed(at=tx.now, epoch=tx.epoch), flow(tx)))
        return _granted(answer), committed

    def read(self, query: Callable[[Transaction], T | Refusal]) -> tuple[T, Instant]:
        """The same for a question that changes nothing, with authority time."""
        now, answer = self.node.store.read(lambda tx: (tx.now, query(tx)))
        self.node.clock.hear(now)
        return _granted(answer), now

    def glance(self, query: Callable[[Transaction], T | Refusal]) -> tuple[T, Instant]:
        """The same of a few rows; it is given up where the database says nothing."""
        now, answer = self.node.store.glance(lambda tx: (tx.now, query(tx)))
        self.node.clock.hear(now)
        return _granted(answer), now


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Visit):
    """A request of somebody we know."""

    actor: Actor
    arrived_rev: int
    once: Once | None

    def change(self, flow: Callable[[Transaction], T | Refusal]) -> tuple[T, Committed]:
        """As for anybody, if the credential still stands: it may have been stopped while the request waited (F0)."""
        return super(Call, self).change(lambda tx: flow(tx) if stands(tx, self.actor) else Unauthenticated())

    def needs_https(self, action: str, subject_id: str) -> None:
        """Refuse, before anything changes, to hand out a secret that others could read on its way (K11)."""
        if self.secure:
            return
        actor = self.actor
        self.change(lambda tx: refused(tx, actor, action, HttpsRequired(), subject_id=subject_id))

    def note_minted(self, answer: ResetAnswer) -> None:
        """Count a new secret, once: a replay has minted none."""
        if answer.has_minted:
            self.metrics.minted.labels(answer.reset.asking.reason.value).inc()


def _granted(answer: T | Refusal) -> T:
    if isinstance(answer, Refusal):
        raise Refused(answer)
    return answer
