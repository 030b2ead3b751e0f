"""From a request to whoever asks: a key, by the same verifier as every other, or a signed-in person's session.

Strangers get one answer, whatever is wrong with what they show (R52).  A warm key is known without the database.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from keyturn.core.actor import Actor, Channel
from keyturn.core.instant import from_micros
from keyturn.core.own_secret import label_of
from keyturn.core.refusal import CredentialReplaced, LeaseLapsed, Refusal, TooManyRequests, Unauthenticated
from keyturn.core.secret import fingerprint
from keyturn.edge.node import Node
from keyturn.edge.signed_in import PREFIX, signed_in
from keyturn.flow.own_secret import TooManyFailures
from keyturn.verify.decision import ASK, MISS, RATE_LIMITED, REPLACED, VALID, Verdict, wait_verdict
from keyturn.verify.entry import EntryView
from keyturn.verify.stops import PastLost

_SCHEME: Final = "bearer"
_LONGEST: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whoever asks, and what their own limit leaves them."""

    actor: Actor
    rate_headers: Mapping[str, str]


Known = Caller | Refusal
Later = Callable[[], Known]
"""What is still to be asked of the database, in a thread."""


def show(node: Node, scope: Mapping[str, Any], *, address: str | None, limited: bool = True) -> Known | Later:
    """Who asks, at once where memory knows it; else the rest of the question.

    `limited`: the key's own rate limit holds.  It does not where something is only stopped (K8).
    """
    shown = _bearer(scope)
    if shown is None:
        return Unauthenticated()
    if shown.startswith(PREFIX):
        return lambda: _session(node, shown, address)
    verdict, now, _ = _recall(node, shown, address)
    if verdict is not MISS and (verdict.code != ASK or not limited):
        return _of_verdict(node, verdict, now=now, address=address, limited=limited)

    def decide() -> Verdict:
        verdict, now, leased = _recall(node, shown, address)
        if verdict is not MISS:
            return verdict
        label = label_of(shown)
        lookup = node.own_secrets.lookup(label, now=now) if label else node.store.lookup
        try:
            return node.verifier.verify_cold(fingerprint(shown), lookup, ip=address, now=now, leased=leased)
        except TooManyFailures as failures:
            return wait_verdict(failures.wait)

    def ask() -> Known:
        try:
            found = decide() if verdict is MISS else verdict
            if limited:
                found = node.sharing.decide(found, decide)
        except PastLost:
            return LeaseLapsed()
        return _of_verdict(node, found, now=now, address=address, limited=limited)

    return ask


def _recall(node: Node, shown: str, address: str | None) -> tuple[Verdict, int, bool]:
    now, leased = node.membership.holder.look(node.membership.boot())
    return (node.verifier.verify(shown, ip=address, now=now) if leased else MISS), now, leased


def _bearer(scope: Mapping[str, Any]) -> str | None:
    """The one credential of the request; that there is no second header was seen to before."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, rest = value.decode("latin-1").partition(" ")
            shown = rest.strip(" ")
            if scheme.lower() == _SCHEME and shown.isascii() and 0 < len(shown) <= _LONGEST:
                return str(shown)
    return None


def _session(node: Node, token: str, address: str | None) -> Known:
    actor = signed_in(node, token, address=address)
    return Unauthenticated() if actor is None else Caller(actor=actor, rate_headers={})


def _of_verdict(node: Node, verdict: Verdict, *, now: int, address: str | None, limited: bool) -> Known:
    seen = verdict.view
    if verdict.code == RATE_LIMITED and limited:
        return TooManyRequests(retry_after=max(1, verdict.retry_after))
    if seen is not None and verdict.code == REPLACED:
        return CredentialReplaced(replaced_at=from_micros(seen.stops), reset_id=seen.replaced_by)
    if seen is None or verdict.code not in (VALID, RATE_LIMITED, ASK):  # the limit is the last that is asked
        return Unauthenticated()
    # R24: whoever took over a reset waits with everything but reading, here as well; the verdict has seen to it.
    return Caller(
        actor=_actor(seen, verdict.profile.permissions, node.deployment_account_id, address),
        rate_headers=_rate_headers(node, verdict, now),
    )


def _actor(seen: EntryView, permissions: tuple[str, ...], deployment_account_id: str, address: str | None) -> Actor:
    return Actor(
        id=seen.key_id,
        channel=Channel.MACHINE,
        account_id=seen.account_id,
        user_id=seen.owner_id,
        permissions=permissions,
        in_deployment_account=seen.account_id == deployment_account_id,
        address=address,
        secret_version=seen.version,
    )


def _rate_headers(node: Node, verdict: Verdict, now: int) -> Mapping[str, str]:
    limit = verdict.profile.limit
    if limit is None:
        return {}
    left = node.verifier.remaining(verdict, now=now)
    seconds = int(limit.window.total_seconds())
    return {
        "ratelimit-policy": f'"key";q={limit.requests};w={seconds}',
        "ratelimit": f'"key";r={max(0, left)};t={max(1, -(-limit.interval_micros // 1_000_000))}',
    }
