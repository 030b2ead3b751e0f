"""Proof of who asks (R11, R40): which sets are enough, what is still missing, and what has gone stale.

Sets are alternatives: `password+captcha` or `password+email_link`.
Each proof is bound to one reset, one actor and one session, is used once, and goes stale.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import product
from typing import Any, Final

from keyturn.core.instant import Instant, from_text

ProofSets = tuple[frozenset[str], ...]

PASSWORD: Final = "password"  # noqa: S105  # the name of a proof
CAPTCHA: Final = "captcha"
EMAIL_LINK: Final = "email_link"
TOTP: Final = "totp"
PASSKEY: Final = "passkey"
RECOVERY_CODE: Final = "recovery_code"
PERSONAL: Final = (PASSWORD, CAPTCHA, EMAIL_LINK, TOTP, PASSKEY, RECOVERY_CODE)
"""What a policy may ask of a person."""

CREDENTIAL: Final = "credential"
"""An automation credential with `keyturn.keys:reset` over the key's account: complete for a machine."""
KEY_ITSELF: Final = "key_itself"
"""The key under reset, where the policy allows it to reset itself."""
ADMINISTRATOR: Final = "administrator"
"""The word of one administrator; `SECOND_ADMINISTRATOR` is the word of another one (R24)."""
SECOND_ADMINISTRATOR: Final = "second_administrator"

SECOND_FACTORS: Final = frozenset({TOTP, PASSKEY})
"""What step-up asks for.  A recovery code stands for one of them, and is spent."""

_ENROLLED: Final = SECOND_FACTORS | {RECOVERY_CODE}
"""What somebody must have enrolled before; anybody can show the rest."""
_SECOND_FACTORS: Final[ProofSets] = (frozenset({TOTP}), frozenset({PASSKEY}))
_WAIVER: Final[ProofSets] = (*_SECOND_FACTORS, frozenset({ADMINISTRATOR, SECOND_ADMINISTRATOR}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """One fact that shows who asks, as it was accepted."""

    kind: str
    by: str
    at: Instant
    session: str = ""

    def is_fresh(self, now: Instant, lasts: timedelta) -> bool:
        """Whether it may still be relied on."""
        return now - self.at < lasts


def parse_sets(wire: Any) -> ProofSets:  # noqa: ANN401  # anything may come over the wire
    """Read `["password+captcha", "password+email_link"]`.  Raises ValueError with a sentence for a person."""
    if not isinstance(wire, list) or not wire or not all(isinstance(one, str) for one in wire):
        msg = 'a list of sets such as ["password+captcha", "password+email_link"]'
        raise ValueError(msg)
    sets = tuple(frozenset(one.split("+")) for one in wire)
    for kind in frozenset[str]().union(*sets):
        if kind not in PERSONAL:
            msg = f"no such proof: {kind[:40]!r}; there are {', '.join(PERSONAL)}"
            raise ValueError(msg)
    return _least(sets)


def sets_to_wire(sets: ProofSets) -> list[str]:
    """The inverse of `parse_sets`, proofs in the order a person gives them."""
    return ["+".join(sorted(one, key=_order)) for one in sets]


def stricter_sets(one: ProofSets, other: ProofSets) -> ProofSets:
    """Sets that satisfy both; `one` itself where it is as strict already."""
    if all(any(theirs <= ours for theirs in other) for ours in one):
        return one
    return _least(tuple(ours | theirs for ours, theirs in product(one, other)))


def with_second_factor(sets: ProofSets) -> ProofSets:
    """The sets with TOTP or a passkey in addition (step-up)."""
    return stricter_sets(sets, _SECOND_FACTORS)


def with_waiver(sets: ProofSets) -> ProofSets:
    """The sets with what waiving a cool-down takes: a second factor or two administrators (R24)."""
    return stricter_sets(sets, _WAIVER)


def attainable(sets: ProofSets, enrolled: frozenset[str]) -> ProofSets:
    """The sets whose second factors this person can show; where there is none, those a recovery code opens."""
    whole = tuple(one for one in sets if one & _ENROLLED <= enrolled)
    return whole or tuple(one for one in sets if not _still(one & _ENROLLED, enrolled))


def not_enrolled(sets: ProofSets, enrolled: frozenset[str]) -> tuple[str, ...]:
    """Which second factors would have to be enrolled, any one of which may open a way."""
    lacking = frozenset[str]().union(*(_still(one & _ENROLLED, enrolled) for one in sets))
    return tuple(sorted(lacking, key=_order))


def wants(sets: ProofSets, kind: str) -> bool:
    """Whether a proof of that kind is of any use."""
    return any(kind in one or (kind == RECOVERY_CODE and one & SECOND_FACTORS) for one in sets)


def missing(sets: ProofSets, proofs: Iterable[Proof], *, now: Instant, lasts: timedelta) -> ProofSets:
    """What is still to be proved, alternative by alternative; empty when one set is complete and fresh."""
    shown = frozenset(one.kind for one in proofs if one.is_fresh(now, lasts))
    left = tuple(_still(one, shown) for one in sets)
    return () if frozenset() in left else _least(left)


def vouched(said: Mapping[str, str], *, by: str, session: str, now: Instant) -> tuple[Proof, ...]:
    """What an operator's credential vouches for in the session that it opened, as proofs of a reset asked there.

    `said` is the kind of each proof and when it was shown to the operator.  What cannot be read, or is no proof of a
    person, is nothing; what is said of the future is of now, for it must not stay fresh any longer.
    """
    proofs: list[Proof] = []
    for kind, text in said.items():
        if kind not in PERSONAL:
            continue
        try:
            at = from_text(text)
        except ValueError:
            continue
        proofs.append(Proof(kind=kind, by=by, at=min(at, now), session=session))
    return tuple(proofs)


def missing_to_wire(sets: ProofSets) -> tuple[str, ...]:
    """`("captcha", "email_link")`: each entry alone completes the proof; `+` joins what is needed together."""
    return tuple(sets_to_wire(sets))


def _still(one: frozenset[str], shown: frozenset[str]) -> frozenset[str]:
    """What of this set is not shown.  A recovery code that the set does not name stands for one second factor."""
    still = one - shown
    if RECOVERY_CODE in shown and RECOVERY_CODE not in one:
        still -= frozenset(sorted(still & SECOND_FACTORS)[:1])
    return still


def _least(sets: Sequence[frozenset[str]]) -> ProofSets:
    """Each set once, without those that hold another one whole."""
    once = tuple(dict.fromkeys(sets))
    return tuple(one for one in once if not any(other < one for other in once))


def _order(kind: str) -> tuple[int, str]:
    return (PERSONAL.index(kind) if kind in PERSONAL else len(PERSONAL), kind)
