"""Counting tries to prove who somebody is, in the transaction that looks at them (K8, pitfall 15).

    attempt = throttle.of_session(forge, actor)
    if refusal := throttle.check(tx, attempt):
        return refused(...)
    ... look at what was shown ...
    throttle.failed(tx, attempt)  # or succeeded

`check` holds the counters until the transaction ends, so of many tries at once each is counted before the next is
looked at.  Suspending and revoking are never counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from keyturn.core import throttle
from keyturn.core.account import User
from keyturn.core.actor import Actor
from keyturn.core.captcha import Solved
from keyturn.core.link import LinkKind
from keyturn.core.refusal import CaptchaRequired, Refusal, TooManyRequests
from keyturn.core.session import Visitor
from keyturn.core.throttle import CaptchaFirst, Counted, Wait
from keyturn.ports.forge import Forge
from keyturn.ports.transaction import Transaction

_LONGEST_NAME: Final = 320
_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try, by what it is counted with.  Subjects are digests: what was typed may be a password."""

    subjects: Mapping[Counted, bytes]
    captcha: Solved | None = None


def of_stranger(
    tx: Transaction, forge: Forge, *, user: User | None, typed: str, visitor: Visitor, captcha: Solved | None
) -> Attempt:
    """Somebody who is not signed in tries to prove to be that user, or to be somebody there is not."""
    device = tx.device(visitor.device) if visitor.device else None
    if device is not None and user is not None and device.user_id == user.id:
        return Attempt(subjects={Counted.OWN: _subject(forge, Counted.OWN, device.id)})
    # By the name that was typed, not by whose it is: else a delay would tell that two names are one person's.
    who = _canonical(typed) or (user.id if user else "")
    network = throttle.network(visitor.address)
    subjects = {
        Counted.ACCOUNT: _subject(forge, Counted.ACCOUNT, who),
        Counted.NETWORK: _subject(forge, Counted.NETWORK, network),
        Counted.PAIR: _subject(forge, Counted.PAIR, f"{who}\n{network}"),
    }
    return Attempt(subjects=subjects, captcha=captcha)


def of_second_step(forge: Forge, attempt: Attempt, *, user_id: str) -> Attempt:
    """The same try once the password was right: what is wrong now is counted for the user as well, and delays."""
    if Counted.OWN in attempt.subjects:
        return attempt
    subjects = dict(attempt.subjects)
    subjects.pop(Counted.ACCOUNT, None)
    subjects[Counted.SECOND] = _subject(forge, Counted.SECOND, user_id)
    return replace(attempt, subjects=subjects)


def of_session(forge: Forge, actor: Actor) -> Attempt:
    """Somebody who is signed in shows something once more: counted for this session alone, so nobody is in its way."""
    return Attempt(subjects={Counted.OWN: _subject(forge, Counted.OWN, actor.session)})


def of_letter(forge: Forge, *, kind: LinkKind, to: str, account_id: str = "") -> Attempt:
    """Somebody has a link of that kind mailed to that address, whoever's it is; no more of them are sent.

    Counted apart, so that none of them keeps the owner of the address from another.
    """
    name = f"{kind.value}\n{account_id}\n{_canonical(to)}"
    return Attempt(subjects={Counted.LETTERS: _subject(forge, Counted.LETTERS, name)})


def of_asking(forge: Forge, *, visitor: Visitor) -> Attempt:
    """Anybody asks for mails, of whomever."""
    network = throttle.network(visitor.address)
    return Attempt(subjects={Counted.ASKS: _subject(forge, Counted.ASKS, network)})


def look(tx: Transaction, attempt: Attempt) -> Refusal | None:
    """Whether it would be looked at now; asked before what takes long, and asked again by `check`."""
    counters = tx.counters(attempt.subjects)
    return _refusal(tx, throttle.check(counters, captcha=attempt.captcha is not None, now=tx.now))


def check(tx: Transaction, attempt: Attempt) -> Refusal | None:
    """Whether it is looked at; a CAPTCHA is spent where it takes one."""
    counters = tx.counters(attempt.subjects, lock=True)
    held = throttle.check(counters, captcha=False, now=tx.now)
    if isinstance(held, CaptchaFirst) and attempt.captcha is not None and tx.spend_captcha(attempt.captcha):
        return None
    return _refusal(tx, held)


def failed(tx: Transaction, attempt: Attempt) -> None:
    """It was looked at, and wrong."""
    counters = tx.counters(attempt.subjects, lock=True)
    tx.save_counters(attempt.subjects, {one: throttle.failed(counter, tx.now) for one, counter in counters.items()})


def succeeded(tx: Transaction, attempt: Attempt) -> None:
    """It was looked at, and right."""
    counters = tx.counters(attempt.subjects, lock=True)
    tx.save_counters(attempt.subjects, {one: throttle.succeeded(counter) for one, counter in counters.items()})


def _canonical(typed: str) -> str:
    """As users are found by it: whatever means the same is counted as the same."""
    return typed.strip().lower()[:_LONGEST_NAME]


def _subject(forge: Forge, counted: Counted, name: str) -> bytes:
    return forge.derived(f"counter {counted.value}", name)


def _refusal(tx: Transaction, held: Wait | CaptchaFirst | None) -> Refusal | None:
    if isinstance(held, CaptchaFirst):
        return CaptchaRequired()
    if held is None:
        return None
    seconds = -((tx.now - held.until) // _SECOND)
    return TooManyRequests(retry_after=max(1, seconds))
