"""What a customer brings in place of a secret made here (R42): a public key, or a secret of their own choice."""

from typing import Final

from keyturn.core import own_secret
from keyturn.core.key import Key
from keyturn.core.own_secret import Brought
from keyturn.core.policy import Effective, allows_own_secret
from keyturn.core.public_key import PublicKey
from keyturn.core.refusal import (
    InvalidField,
    NameTaken,
    OwnSecretForbidden,
    OwnSecretRefused,
    PublicKeyUsed,
    Refusal,
)
from keyturn.core.secret import Kept, NewSecret, SecretKind, SecretText, labelled
from keyturn.ports.forge import Forge
from keyturn.ports.transaction import Transaction

Bring = PublicKey | Brought
_FIELD: Final = {SecretKind.PUBLIC_KEY: "public_key", SecretKind.OWN: "own_secret"}


def kind_of(bring: Bring | None) -> SecretKind:
    """What the secret will be."""
    if bring is None:
        return SecretKind.MADE
    return SecretKind.PUBLIC_KEY if isinstance(bring, PublicKey) else SecretKind.OWN


def field_of(bring: Bring) -> str:
    """Its field in a request."""
    return _FIELD[kind_of(bring)]


def first_secret(
    tx: Transaction, bring: Bring | None, *, brand: str, label: str, environment: str, forge: Forge
) -> tuple[str, Kept] | Refusal:
    """A new key's first secret, and what stands in front of all its secrets."""
    is_own = kind_of(bring) is SecretKind.OWN
    try:
        if is_own and not label:
            return InvalidField(field="label", reason="an own secret is known by its label; write one")
        prefix = own_secret.prefix(brand, label) if is_own else labelled(brand, label)
    except ValueError as error:
        return InvalidField(field="label", reason=str(error))
    if is_own and tx.own_label(label) is not None:
        return NameTaken(field="label")
    made = next_secret(tx, bring, prefix=prefix, environment=environment, forge=forge)
    return made if isinstance(made, Refusal) else (prefix, made)


def next_secret(tx: Transaction, bring: Bring | None, *, prefix: str, environment: str, forge: Forge) -> Kept | Refusal:
    """The secret that is made, or what is kept of the one that was brought: never one seen before (R42)."""
    if bring is None:
        return forge.secret(brand=prefix, environment=environment)
    if isinstance(bring, PublicKey):
        return PublicKeyUsed() if tx.has_public_key(bring.raw) else forge.public_key(bring)
    # Asked in any case: a refusal must not tell by its time whether the secret is weak or somebody's (pitfall 11).
    is_seen = tx.has_seen(bring.seen)
    if bring.made is None or is_seen or not bring.is_strong:
        return OwnSecretRefused()
    return bring.made


def text_of(made: Kept) -> SecretText | None:
    """What its receiver is shown, once; None for what was brought: whoever brings it has it."""
    return made.text if isinstance(made, NewSecret) else None


def check_kind(key: Key, bring: Bring) -> Refusal | None:
    """A key's secrets stay of the kind they were made as."""
    if kind_of(bring) is key.kind:
        return None
    reason = "the secrets of this key are of another kind; make a new key"
    return InvalidField(field=field_of(bring), reason=reason)


def must_bring(key: Key) -> InvalidField:
    """The answer to a mint that brings nothing for a key whose secrets are brought."""
    return InvalidField(field=_FIELD[key.kind], reason="the next one of this key has to be brought")


def check_policy(bring: Bring | None, in_force: Effective) -> Refusal | None:
    """Whether the policy allows what is brought."""
    if kind_of(bring) is SecretKind.OWN and not allows_own_secret(in_force.policy):
        return OwnSecretForbidden(policy=in_force.source("own_secret"))
    return None


def is_same(bring: Bring | None, key: Key) -> bool:
    """Whether a retry brings what the first request brought: an own secret is in no digest of a request (R15)."""
    if not isinstance(bring, Brought):
        return True
    return any(one.seen in bring.seen for one in key.secrets)
