"""The proofs of a reset, one at a time (R11, R15, R51): checked, counted, used up.

What takes its time was checked before: a password, for Argon2 is slow, and a CAPTCHA, for a service may be asked.
Nothing is used up for a reset that has no use for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from keyturn.core import reset as protocol
from keyturn.core.actor import Actor, Channel
from keyturn.core.authenticator import Purpose, Shown
from keyturn.core.captcha import Solved
from keyturn.core.instant import Instant, later, to_text
from keyturn.core.key import Key
from keyturn.core.letter import Letter
from keyturn.core.link import LASTS, MOST_PROOF_LINKS, Link, LinkKind, check_link
from keyturn.core.proof import ADMINISTRATOR, CAPTCHA, EMAIL_LINK, PASSKEY, PASSWORD, Proof, wants
from keyturn.core.refusal import (
    AuthenticatorRefused,
    ClaimWaits,
    NotFound,
    NotTheAsker,
    OutOfOrder,
    ProofNotWanted,
    ProofRefused,
    Refusal,
    ResetLapsed,
    TooManyAttempts,
    TooManyLinks,
)
from keyturn.core.reset import Reset, Step
from keyturn.core.stage import Event, Stage
from keyturn.flow import authenticator, throttle
from keyturn.flow.created import suspend_created
from keyturn.flow.evidence import done, refused, tell_of_key
from keyturn.flow.replay import Once, remember, replayed
from keyturn.flow.step import ResetAnswer, answered, found_for_step, written
from keyturn.ports.authenticators import Authenticators
from keyturn.ports.forge import Forge
from keyturn.ports.transaction import Transaction

_REFUSED: Final = "refused"
"""What is remembered of a proof that was not accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Showing:
    """A proof as somebody shows it."""

    kind: str
    matched_password: str = field(default="", repr=False)
    """The stored form that the shown password was found to match, or empty."""
    solved: Solved | None = None
    """What the answer to a CAPTCHA solved, not yet spent."""
    link: bytes = b""
    """The digest of a mailed link's token."""
    shown: Shown | None = None
    """A second factor."""


def prove(
    tx: Transaction,
    *,
    actor: Actor,
    reset_id: str,
    showing: Showing,
    forge: Forge,
    authenticators: Authenticators,
    once: Once | None = None,
) -> ResetAnswer | Refusal:
    """Add one proof.  A wrong one is counted, once however often it is sent (R15); too many end the reset (R11).

    It is counted for the session as well, whatever resets are asked for in it, and delays what comes next (K8).
    """
    found = found_for_step(tx, actor, reset_id, action="reset.proven")
    if isinstance(found, Refusal):
        return found
    reset, key = found
    earlier = replayed(tx, once)
    if earlier == reset.id:
        return answered(tx, reset, key=key)
    if earlier == _REFUSED:
        earlier = ProofRefused(attempts_left=max(0, reset.policy.attempts - reset.refused_proofs))
    if isinstance(earlier, Refusal):
        return refused(tx, actor, "reset.proven", earlier, subject_id=reset.id, account_id=key.account_id)
    attempt = throttle.of_session(forge, actor)
    proof = (
        _check_wanted(reset, actor, showing.kind, tx)
        or throttle.check(tx, attempt)
        or _check(tx, actor, reset, showing, authenticators)
    )
    proven = proof if isinstance(proof, Refusal) else protocol.prove(reset, key, proof, now=tx.now)
    if isinstance(proven, ProofRefused):
        remember(tx, once, _REFUSED)
        throttle.failed(tx, attempt)
        return _count_refused(tx, actor, reset, key, proven)
    if isinstance(proven, Refusal):
        return refused(tx, actor, "reset.proven", proven, subject_id=reset.id, account_id=key.account_id)
    if proven.event is Event.PROOF_COMPLETED:
        # Not for a single one: whoever knows the password must not buy new guesses at the rest with it.
        throttle.succeeded(tx, attempt)
    written(tx, actor, Step(event=None, reset=reset, key=key), proven, detail={"proof": showing.kind})
    suspend_created(tx, actor, proven)
    remember(tx, once, reset.id)
    return answered(tx, proven.reset, key=proven.key)


def mail_link(
    tx: Transaction, *, actor: Actor, reset_id: str, forge: Forge, once: Once | None = None
) -> ResetAnswer | Refusal:
    """Mail the asker a link that proves, in the browser they ask in; it ends the one mailed before (R51)."""
    found = found_for_step(tx, actor, reset_id, action="reset.link_mailed")
    if isinstance(found, Refusal):
        return found
    reset, key = found
    refusal = replayed(tx, once)
    if refusal == reset.id:
        return answered(tx, reset, key=key)
    earlier = tx.links_about(reset.id, LinkKind.PROOF)
    refusal = refusal or _check_asker(reset, actor, EMAIL_LINK, tx) or _check_links(len(earlier))
    if isinstance(refusal, Refusal):
        return refused(tx, actor, "reset.link_mailed", refusal, subject_id=reset.id, account_id=key.account_id)
    for one in earlier:
        if one.used_at is None:
            tx.spend_link(one)
    _mail(tx, actor, reset, key, forge)
    done(tx, actor, "reset.link_mailed", account_id=key.account_id, subject_id=reset.id)
    remember(tx, once, reset.id)
    return answered(tx, reset, key=key)


def ask_passkey(
    tx: Transaction, *, actor: Actor, reset_id: str, authenticators: Authenticators
) -> Mapping[str, Any] | Refusal:
    """What the browser is to ask a passkey: a challenge for this reset in this session."""
    found = found_for_step(tx, actor, reset_id, action="reset.passkey_asked")
    if isinstance(found, Refusal):
        return found
    reset, key = found
    asked: Mapping[str, Any] | Refusal | None = _check_asker(reset, actor, PASSKEY, tx)
    asked = asked or authenticator.ask_passkey(
        tx,
        user_id=actor.user_id,
        session=actor.session,
        authenticators=authenticators,
        purpose=Purpose.RESET,
        subject_id=reset.id,
    )
    if isinstance(asked, Refusal):
        return refused(tx, actor, "reset.passkey_asked", asked, subject_id=reset.id, account_id=key.account_id)
    return asked


def _check_open(reset: Reset, tx: Transaction) -> Refusal | None:
    if protocol.is_open(reset, tx.now):
        return ClaimWaits(reset_id=reset.id) if reset.waits else None
    if reset.stage is Stage.ENDED or protocol.stage_at(reset, tx.now) is not Stage.ENDED:
        return OutOfOrder(stage=reset.stage.value, event=Event.PROOF_COMPLETED.value)
    return ResetLapsed(lapsed_at=reset.lapses_at)


def _check_wanted(reset: Reset, actor: Actor, kind: str, tx: Transaction) -> Refusal | None:
    """Whether a proof of that kind is of use, and of a person: a key never proves for one (R40)."""
    if refusal := _check_open(reset, tx):
        return refusal
    if kind == ADMINISTRATOR:
        return None  # a word that is given, not something that is shown
    if actor.channel is not Channel.PERSON or not wants(reset.wanted, kind):
        return ProofNotWanted(missing=reset.missing(tx.now))
    return None


def _check_asker(reset: Reset, actor: Actor, kind: str, tx: Transaction) -> Refusal | None:
    """The same, and whether it is the asker who prepares it: proofs are bound to their session (R11)."""
    if refusal := _check_wanted(reset, actor, kind, tx):
        return refusal
    return None if protocol.is_asker(reset, actor) else NotTheAsker()


def _check_links(mailed: int) -> Refusal | None:
    return TooManyLinks(limit=MOST_PROOF_LINKS) if mailed >= MOST_PROOF_LINKS else None


def _check(
    tx: Transaction, actor: Actor, reset: Reset, showing: Showing, authenticators: Authenticators
) -> Proof | Refusal:
    if showing.kind == ADMINISTRATOR:
        return protocol.administrator_proof(reset, actor, known_since=_known_since(tx, actor), now=tx.now)
    right = protocol.is_asker(reset, actor) and _is_right(tx, actor, reset, showing, authenticators)
    if isinstance(right, Refusal):
        return right
    if not right:
        return protocol.refuse_proof(reset)
    return Proof(kind=showing.kind, by=actor.user_id, at=tx.now, session=actor.session)


def _known_since(tx: Transaction, actor: Actor) -> Instant:
    """Since when both the person who answers for the actor and the credential they speak by are there."""
    user, key = tx.user(actor.user_id), tx.key(actor.id)
    return max((one.created_at for one in (user, key) if one is not None), default=tx.now)


def _is_right(
    tx: Transaction, actor: Actor, reset: Reset, showing: Showing, authenticators: Authenticators
) -> bool | Refusal:
    """Whether it proves what it should; it is used up with that."""
    if showing.kind == PASSWORD:
        matched = showing.matched_password
        return bool(matched) and tx.password_of(actor.user_id) == matched
    if showing.kind == CAPTCHA:
        return showing.solved is not None and tx.spend_captcha(showing.solved)
    if showing.kind == EMAIL_LINK:
        return _use_link(tx, actor, reset, showing.link)
    used = authenticator.check(
        tx,
        user_id=actor.user_id,
        shown=showing.shown or Shown(kind=showing.kind),
        session=actor.session,
        authenticators=authenticators,
        purpose=Purpose.RESET,
        subject_id=reset.id,
    )
    if isinstance(used, AuthenticatorRefused):
        return False
    return used if isinstance(used, Refusal) else used == showing.kind


def _use_link(tx: Transaction, actor: Actor, reset: Reset, digest: bytes) -> bool | Refusal:
    link = tx.link(digest, lock=True)
    refusal = check_link(link, LinkKind.PROOF, session=actor.session, now=tx.now)
    if link is None or isinstance(refusal, NotFound) or (link.subject_id, link.user_id) != (reset.id, actor.user_id):
        return False  # made up, or of something else: a wrong proof like any other
    if refusal is not None:
        return refusal
    tx.spend_link(link)
    return True


def _mail(tx: Transaction, actor: Actor, reset: Reset, key: Key, forge: Forge) -> None:
    user = tx.user(actor.user_id)
    assert user is not None  # noqa: S101  # a foreign key holds it
    link = Link(
        id=forge.id("lnk"),
        kind=LinkKind.PROOF,
        made_at=tx.now,
        ends_at=later(tx.now, LASTS[LinkKind.PROOF]),
        user_id=user.id,
        account_id=key.account_id,
        subject_id=reset.id,
        session=actor.session,
        email=user.email,
    )
    _text, digest = forge.link_token(link.id)
    tx.insert_link(link, digest=digest)
    detail = {"key": key.name, "reason": reset.asking.reason.value, "ends_at": to_text(link.ends_at)}
    tx.send(Letter(kind="proof", to=user.email, language=user.language, link_id=link.id, detail=detail))


def _count_refused(tx: Transaction, actor: Actor, reset: Reset, key: Key, refusal: ProofRefused) -> Refusal:
    counted = protocol.count_refused_proof(reset, now=tx.now)
    tx.save_reset(counted)
    answer: Refusal = refusal
    if counted.stage is Stage.ENDED:
        answer = TooManyAttempts(policy=reset.source("attempts"))
        tell_of_key(tx, actor, "reset.refused", key, detail={"reason": reset.asking.reason.value})
    return refused(tx, actor, "reset.proven", answer, subject_id=reset.id, account_id=key.account_id)
