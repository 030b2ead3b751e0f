"""What the HTTP API needs of the node it speaks for; `keyturn.wiring` builds one."""

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from keyturn.core.instant import Instant
from keyturn.flow.confirm import Confirming
from keyturn.flow.follow import Follower
from keyturn.flow.housekeeping import Housekeeper
from keyturn.flow.membership import Membership
from keyturn.flow.own_secret import OwnSecrets
from keyturn.flow.sharing import Sharing
from keyturn.flow.telling import Teller
from keyturn.outside.notary import Notary
from keyturn.ports.authenticators import Authenticators
from keyturn.ports.captcha import Captcha
from keyturn.ports.forge import Forge
from keyturn.ports.oidc import Oidc
from keyturn.ports.passwords import Passwords
from keyturn.ports.store import Store
from keyturn.ports.transaction import Transaction
from keyturn.settings import Settings
from keyturn.store.durability import Durability
from keyturn.verify.memory import Fill
from keyturn.verify.verifier import Verifier

T = TypeVar("T")


class Authority(Store, Protocol):
    """The store, and the questions that a verification of an unknown secret asks it."""

    def glance(self, query: Callable[[Transaction], T]) -> T:
        """`read` of a few rows; given up where the database says nothing.  Raises StoreUnavailable."""
        ...

    def lookup(self, fingerprint: bytes) -> Fill:
        """What a verifier needs of the secret with this SHA-256 (F4).  Raises StoreUnavailable."""
        ...

    def lookup_signer(self, key_id: str) -> Fill:
        """The same of a key whose requests are signed (R42).  Raises StoreUnavailable."""
        ...


class Clock(Protocol):
    """The authority's time as this process knows it (F8)."""

    def micros(self) -> int: ...
    def now(self) -> Instant: ...
    def hear(self, heard: Instant) -> None: ...


class Whereabouts(Protocol):
    """Where people reach this server, as far as it knows; nothing that a request says (pitfall 21)."""

    @property
    def base_url(self) -> str:
        """What every link starts with; empty where nobody has said."""
        ...


class Node(Protocol):
    """One running keyturn."""

    @property
    def settings(self) -> Settings: ...
    @property
    def store(self) -> Authority: ...
    @property
    def verifier(self) -> Verifier: ...
    @property
    def membership(self) -> Membership: ...
    @property
    def sharing(self) -> Sharing: ...
    @property
    def notary(self) -> Notary: ...
    @property
    def confirming(self) -> Confirming: ...
    @property
    def follower(self) -> Follower: ...
    @property
    def housekeeper(self) -> Housekeeper: ...
    @property
    def teller(self) -> Teller: ...
    @property
    def forge(self) -> Forge: ...
    @property
    def own_secrets(self) -> OwnSecrets: ...
    @property
    def passwords(self) -> Passwords: ...
    @property
    def authenticators(self) -> Authenticators: ...
    @property
    def captcha(self) -> Captcha: ...
    @property
    def oidc(self) -> Mapping[str, Oidc]: ...
    @property
    def whereabouts(self) -> Whereabouts: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def durability(self) -> Durability: ...
    @property
    def deployment_account_id(self) -> str: ...
    def preset_sources(self, name: str) -> Mapping[str, str]:
        """Where each value of a preset comes from."""
        ...
