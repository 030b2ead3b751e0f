"""From where a reset may start and go on (K9)."""

from dataclasses import replace

from keyturn.core import allowlist
from keyturn.core.actor import Actor, Channel
from keyturn.core.policy import Effective, Policy
from keyturn.core.proof import attainable, not_enrolled, with_second_factor
from keyturn.core.refusal import OriginRefused, Refusal, SecondFactorNotEnrolled
from keyturn.core.reset.value import Reset, effective_of


def check_origin(actor: Actor, effective: Effective, reset_allowlist: tuple[str, ...]) -> Refusal | None:
    """K9: who is off the account's allowlist may suspend, and no more, where the policy says so."""
    if effective.policy.reset_origin == "allowlist_only" and _is_new_origin(actor, reset_allowlist):
        return OriginRefused(policy=effective.source("reset_origin"))
    return None


def from_here(
    reset: Reset, actor: Actor, *, enrolled: frozenset[str], reset_allowlist: tuple[str, ...]
) -> Reset | Refusal:
    """K9: an open reset as it stands for somebody at this address, which need not be the one it was asked from.

    Where the policy wants a second factor from new addresses, it is wanted from here on.
    """
    effective = effective_of(reset)
    if refusal := check_origin(actor, effective, reset_allowlist):
        return refusal
    if not steps_up(actor, reset.policy, reset_allowlist):
        return reset
    sets = with_second_factor(reset.wanted)
    wanted = attainable(sets, enrolled)
    if wanted:
        return replace(reset, wanted=wanted)
    source = effective.source("reset_origin")
    return SecondFactorNotEnrolled(wanted=not_enrolled(sets, enrolled), policy=source, field="reset_origin")


def steps_up(actor: Actor, policy: Policy, reset_allowlist: tuple[str, ...]) -> bool:
    """Whether a second factor is wanted of this person for where they are.  A program's credential has no second."""
    asked = actor.channel is Channel.PERSON and policy.reset_origin == "step_up_if_new"
    return asked and _is_new_origin(actor, reset_allowlist)


def _is_new_origin(actor: Actor, reset_allowlist: tuple[str, ...]) -> bool:
    if not reset_allowlist:
        return False  # nothing set: every address may start a reset
    return actor.address is None or not allowlist.Matcher(reset_allowlist).admits(actor.address)
