"""A small deployment for tests: a store on a real database, a verifier that follows it, and a clock to turn.

Nothing in it is a stand-in but the clock: flows, store, forge and verifier are the ones that serve.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Final, TypeVar

from keyturn.core import limit as limits
from keyturn.core.account import Account, Role, User
from keyturn.core.actor import Actor, Channel
from keyturn.core.authenticator import SessionProof
from keyturn.core.feed import FeedEntry
from keyturn.core.instant import Instant, to_micros
from keyturn.core.key import Key
from keyturn.core.own_secret import label_of
from keyturn.core.permission import RIGHT_KEYS_READ, RIGHT_KEYS_RESET, RIGHT_KEYS_WRITE
from keyturn.core.proof import PASSWORD
from keyturn.core.refusal import Refusal
from keyturn.core.reset import Asking, Narrowing, Reason
from keyturn.core.secret import Pepper, SecretText, fingerprint
from keyturn.core.session import Spans, Visitor
from keyturn.flow import account as account_flow
from keyturn.flow import bootstrap
from keyturn.flow import claim as claim_flow
from keyturn.flow import key as key_flow
from keyturn.flow import new_key as new_key_flow
from keyturn.flow import password as password_flow
from keyturn.flow import policy as policy_flow
from keyturn.flow import proof as proof_flow
from keyturn.flow import reset as reset_flow
from keyturn.flow import session as session_flow
from keyturn.flow import sign_in as sign_in_flow
from keyturn.flow import user as user_flow
from keyturn.flow.account import AccountEdit
from keyturn.flow.bring import Bring
from keyturn.flow.follow import Follower
from keyturn.flow.housekeeping import Housekeeper
from keyturn.flow.key import KeyAnswer
from keyturn.flow.new_key import KeyWish
from keyturn.flow.own_secret import OwnSecrets
from keyturn.flow.proof import Showing
from keyturn.flow.replay import Once
from keyturn.flow.step import ResetAnswer
from keyturn.flow.user import UserWish
from keyturn.outside import presets
from keyturn.outside.authenticators import SystemAuthenticators
from keyturn.outside.forge import SystemForge
from keyturn.outside.stretcher import Argon2Stretcher
from keyturn.ports.page import Page
from keyturn.store.database import connect
from keyturn.store.store import SqlStore
from keyturn.store.transaction import SqlTransaction
from keyturn.verify.decision import MISS, Verdict
from keyturn.verify.verifier import Verifier

T0: Final = Instant(datetime(2030, 1, 1, tzinfo=UTC))
PEPPER: Final = Pepper("p0001", bytes(range(32)))
BASE_URL: Final = "https://keys.example.com"
T = TypeVar("T")


@dataclass
class Clock:
    """The deployment's time.  It moves when a test says so."""

    at: Instant = T0

    def __call__(self) -> Instant:
        return self.at

    def advance(self, span: timedelta) -> None:
        """Let time pass; a negative span is a wall clock set back."""
        self.at = Instant(self.at + span)


class CountingStretcher(Argon2Stretcher):
    """The real one with little work to do, and how often it was asked."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=64)
        self.stretched = 0
        self.estimated = 0

    def stretch(self, secret: bytes, salt: bytes) -> bytes:
        self.stretched += 1
        return super().stretch(secret, salt)

    def estimate(self, text: str, *, known: Sequence[str]) -> tuple[int, float]:
        self.estimated += 1
        return super().estimate(text, known=known)


def sure(answer: T | Refusal) -> T:
    """The answer, which is no refusal."""
    assert not isinstance(answer, Refusal), answer
    return answer


def unseen(answer: KeyAnswer | ResetAnswer) -> str:
    """The secret of an answer, which has one."""
    assert answer.secret is not None
    return answer.secret.reveal


def wish(**changes: Any) -> KeyWish:
    """What a plain new key is to be."""
    plain: dict[str, Any] = {
        "name": "trading",
        "environment": "live",
        "permissions": ("orders:write",),
        "allowlist": (),
        "limit": None,
        "expires_at": None,
        "policy": "",
        "account_id": None,
        "owner_id": None,
    }
    return KeyWish(**plain | changes)


@dataclass(kw_only=True)
class World:
    """One deployment: its operator, and whatever a test adds."""

    url: str
    store: SqlStore
    verifier: Verifier
    follower: Follower
    forge: SystemForge
    authenticators: SystemAuthenticators
    clock: Clock
    own_secrets: OwnSecrets
    stretcher: CountingStretcher
    operator: Account
    operator_user: User
    admin_key: Key
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def root(self) -> Actor:
        """The administrator key as an actor."""
        return self.as_key(self.admin_key)

    @property
    def housekeeper(self) -> Housekeeper:
        """A housekeeper of this deployment."""
        return Housekeeper(self.store, self.verifier, self.follower)

    def account(self, **edit: Any) -> Account:
        """A new customer."""
        made = AccountEdit(name=f"Customer {next(self.numbers)}", **edit)
        return sure(self.store.change(lambda tx: account_flow.create(tx, actor=self.root, wish=made, forge=self.forge)))

    def user(self, account: Account, role: Role = Role.OWNER, stored: str = "stored") -> User:
        """A new member of an account; `password` is the stored form."""
        made = UserWish(
            email=f"u{next(self.numbers)}@example.com", name="", role=role, account_id=account.id, password=stored
        )
        user, _ = sure(self.store.change(lambda tx: user_flow.create(tx, actor=self.root, wish=made, forge=self.forge)))
        return user

    def set_password(self, user: User, stored: str = "another") -> None:
        """The operator puts another password in place; every session of the user ends."""
        sure(
            self.store.change(
                lambda tx: password_flow.set_for(tx, actor=self.root, user_id=user.id, new=stored, forge=self.forge)
            )
        )

    def prove_again(self, actor: Actor) -> Actor:
        """A person shows once more who they are: what that opens stays open for ten minutes."""
        if actor.session:
            proof = SessionProof(kind=PASSWORD, at=self.clock.at)
            self.store.change(lambda tx: tx.note_session_proof(actor.session, proof))
        return actor

    def sign_in(self, user: User, stored: str = "stored", address: str | None = "192.0.2.1") -> Actor:
        """The person, in a new session."""

        def flow(tx: SqlTransaction) -> Actor:
            answer = sign_in_flow.sign_in(
                tx,
                user=user.email,
                matched_password=stored,
                account_id=None,
                visitor=Visitor(address=address),
                spans=Spans(),
                forge=self.forge,
            )
            return session_flow.person(tx, sure(answer).session, address=address)

        return self.store.change(flow)

    def as_key(self, key: Key, channel: Channel = Channel.MACHINE, address: str | None = "192.0.2.9") -> Actor:
        """A key as an actor."""
        return Actor(
            id=key.id,
            channel=channel,
            account_id=key.account_id,
            user_id=key.owner_id,
            permissions=key.permissions,
            in_deployment_account=key.account_id == self.operator.id,
            address=address,
        )

    def key(self, actor: Actor | None = None, **changes: Any) -> KeyAnswer:
        """A new key as it is stored, made by the administrator key where nobody else is named."""
        made = sure(self.try_key(actor or self.root, **changes))
        return replace(made, key=self.get(made.key.id))

    def try_key(
        self, actor: Actor, once: Once | None = None, bring: Bring | str | None = None, **changes: Any
    ) -> KeyAnswer | Refusal:
        """The same, which may be refused.  A text that is brought is an own secret, reckoned with first."""
        if isinstance(changes.get("limit"), str):
            changes["limit"] = limits.parse(changes["limit"])
        asked = wish(**changes)
        if isinstance(bring, str):
            bring = self.own_secrets.for_new_key(SecretText(bring), actor=actor, wish=asked, brand="kt")
        return self.store.change(
            lambda tx: new_key_flow.create(
                tx, actor=actor, wish=asked, brand="kt", forge=self.forge, once=once, bring=bring
            )
        )

    def machine(self, account: Account, owner: User, *more: str) -> Actor:
        """An automation credential of the account that may read, write and reset its keys."""
        rights = tuple(sorted({RIGHT_KEYS_READ, RIGHT_KEYS_WRITE, RIGHT_KEYS_RESET, *more}))
        made = self.key(permissions=rights, account_id=account.id, owner_id=owner.id, name="automation")
        return self.as_key(made.key)

    def policy(self, base: str = "tradingonramp", **fields: Any) -> str:
        """A new policy; answers its name."""
        name = f"policy-{next(self.numbers)}"
        sure(self.store.change(lambda tx: policy_flow.store(tx, actor=self.root, name=name, base=base, fields=fields)))
        return name

    def ask(
        self,
        actor: Actor,
        key: Key | str,
        reason: str = "routine",
        *,
        once: Once | None = None,
        arrived_rev: int | None = None,
        bring: Bring | str | None = None,
        **wishes: Any,
    ) -> ResetAnswer | Refusal:
        """Ask for a reset; it arrives now, or at `arrived_rev`."""
        narrow = wishes.pop("narrow", None)
        asking = Asking(reason=Reason(reason), narrow=narrow and Narrowing(**narrow), **wishes)
        key_id = key if isinstance(key, str) else key.id
        arrived = self.verifier.applied_rev if arrived_rev is None else arrived_rev
        if isinstance(bring, str):
            bring = self.own_secrets.for_reset(SecretText(bring), actor=actor, key_id=key_id)
        return self.store.change(
            lambda tx: reset_flow.ask(
                tx,
                actor=actor,
                key_id=key_id,
                asking=asking,
                forge=self.forge,
                once=once,
                arrived_rev=arrived,
                bring=bring,
            )
        )

    def prove(
        self,
        actor: Actor,
        reset_id: str,
        kind: str = "password",
        matched: str = "stored",
        once: Once | None = None,
        **showing: Any,
    ) -> ResetAnswer | Refusal:
        """Show a proof."""
        one = Showing(kind=kind, matched_password=matched, **showing)
        return self.store.change(
            lambda tx: proof_flow.prove(
                tx,
                actor=actor,
                reset_id=reset_id,
                showing=one,
                forge=self.forge,
                authenticators=self.authenticators,
                once=once,
            )
        )

    def mint(
        self, actor: Actor, reset_id: str, once: Once | None = None, bring: Bring | str | None = None
    ) -> ResetAnswer | Refusal:
        """Make the new secret, or bring it."""
        if isinstance(bring, str):
            bring = self.own_secrets.for_reset(SecretText(bring), actor=actor, reset_id=reset_id)
        return self.store.change(
            lambda tx: reset_flow.mint(tx, actor=actor, reset_id=reset_id, forge=self.forge, once=once, bring=bring)
        )

    def order(self, actor: Actor, key: Key | str, reason: str = "policy", **wishes: Any) -> ResetAnswer | Refusal:
        """Order a reset for the key's owner to claim."""
        asking = Asking(reason=Reason(reason), **wishes)
        key_id = key if isinstance(key, str) else key.id
        return self.store.change(
            lambda tx: claim_flow.ask_for_claim(
                tx, actor=actor, key_id=key_id, asking=asking, forge=self.forge, once=None
            )
        )

    def claim(self, actor: Actor, reset_id: str, once: Once | None = None) -> ResetAnswer | Refusal:
        """Take on a reset that was ordered."""
        return self.store.change(
            lambda tx: claim_flow.claim(tx, actor=actor, reset_id=reset_id, forge=self.forge, once=once)
        )

    def step(self, name: str, actor: Actor, reset_id: str) -> ResetAnswer | Refusal:
        """`cancel`, `finish` or `show`."""
        flow: Callable[..., ResetAnswer | Refusal] = getattr(reset_flow, name)
        return self.store.change(lambda tx: flow(tx, actor=actor, reset_id=reset_id))

    def on_key(self, name: str, actor: Actor, key_id: str, **words: Any) -> KeyAnswer | Refusal:
        """`suspend`, `resume`, `revoke`, `edit`."""
        flow: Callable[..., KeyAnswer | Refusal] = getattr(key_flow, name)
        return self.store.change(lambda tx: flow(tx, actor=actor, key_id=key_id, **words))

    def get(self, key_id: str) -> Key:
        """A key as the store has it."""
        key = self.store.read(lambda tx: tx.key(key_id))
        assert key is not None
        return key

    def verify(self, secret: str, *permissions: str, ip: str | None = None, agent: str = "") -> Verdict:
        """What a caller is told now: from memory, else from the store."""
        now = to_micros(self.clock())
        verdict = self.verifier.verify(secret, permissions=permissions, ip=ip, user_agent=agent, now=now)
        if verdict is not MISS:
            return verdict
        label = label_of(secret)
        lookup = self.own_secrets.lookup(label, now=now) if label else self.store.lookup
        return self.verifier.verify_cold(
            fingerprint(secret), lookup, permissions=permissions, ip=ip, user_agent=agent, now=now
        )

    def code(self, secret: str, *permissions: str) -> str:
        """The code of the same."""
        return self.verify(secret, *permissions).code

    def cold_code(self, secret: str, *permissions: str) -> str:
        """What a verifier that has just started says."""
        fresh = Verifier()
        now = to_micros(self.clock())
        fresh.start_at(rev=self.store.rev(), now=0)
        return fresh.verify_cold(fingerprint(secret), self.store.lookup, permissions=permissions, now=now).code

    def audit(self, **where: Any) -> list[Any]:
        """Audit records, oldest first."""
        words: dict[str, Any] = {"account_ids": None, "subject_id": None} | where
        found = self.store.read(lambda tx: tx.audit(page=Page(size=100_000), **words))
        return [one for _, one in reversed(found)]


def begun_at(store: SqlStore, *, now: int = 0) -> Verifier:
    """A verifier that holds nothing and follows the feed from where it is."""
    verifier = Verifier()
    newest = store.feed_after(store.rev() - 1, limit=1)[0]
    verifier.start_at(rev=newest.rev, now=now, at=to_micros(newest.at))
    return verifier


@contextmanager
def world(url: str) -> Iterator[World]:
    """A new deployment on a migrated, empty database."""
    engine = connect(url)
    clock = Clock()
    store = SqlStore(engine, peppers=[PEPPER], presets=presets.load(), system_now=clock, clock=clock)
    forge = SystemForge(PEPPER)
    try:
        founded = store.change(lambda tx: bootstrap.found(tx, brand="kt", forge=forge))
        assert founded is not None
        verifier = begun_at(store, now=to_micros(clock()))
        follower = Follower(store, verifier)
        store.follow = follower.committed
        stretcher = CountingStretcher()
        yield World(
            url=url,
            store=store,
            verifier=verifier,
            follower=follower,
            forge=forge,
            authenticators=SystemAuthenticators(forge, base_url=BASE_URL),
            clock=clock,
            own_secrets=OwnSecrets(store, stretcher, peppers=store.peppers, deployment=founded.account.id),
            stretcher=stretcher,
            operator=founded.account,
            operator_user=founded.owner,
            admin_key=founded.key,
        )
    finally:
        store.close()


def entries_of(store: SqlStore) -> Sequence[FeedEntry]:
    """The whole feed."""
    return store.feed_after(0, limit=1_000_000)
