"""K9: where an open reset may go on from, which need not be where it was asked."""

from dataclasses import replace

import pytest

from keyturn.core import reset as protocol
from keyturn.core.actor import Actor
from keyturn.core.policy import Policy
from keyturn.core.proof import sets_to_wire
from keyturn.core.refusal import Refusal, SecondFactorNotEnrolled
from keyturn.core.reset import Reset
from tests.core.keys import MACHINE, PERSON, PLAIN, a_key, ask, good

LISTED = ("198.51.100.0/24",)
ELSEWHERE = "203.0.113.9"
STEPS_UP = replace(PLAIN, reset_origin="step_up_if_new", step_up="none")
LISTED_ONLY = replace(PLAIN, reset_origin="allowlist_only")


def from_here(
    policy: Policy, actor: Actor, address: str | None, *, enrolled: frozenset[str] = frozenset()
) -> Reset | Refusal:
    """A reset that was asked at a listed address, as it stands for its asker at another one."""
    asked = good(ask(a_key(), actor=actor, policy=policy, reset_allowlist=LISTED)).reset
    here = replace(actor, address=address)
    return protocol.from_here(asked, here, enrolled=enrolled, reset_allowlist=LISTED)


# The policy, who asks, from where it goes on, what they have enrolled; the refusal or what is wanted from then on
STORIES: dict[str, tuple[Policy, Actor, str | None, frozenset[str], str | tuple[str, ...]]] = {
    "any asks nobody": (PLAIN, PERSON, ELSEWHERE, frozenset(), ("password",)),
    "a listed address is none that is new": (STEPS_UP, PERSON, "198.51.100.8", frozenset({"totp"}), ("password",)),
    "a new one wants a second factor": (STEPS_UP, PERSON, ELSEWHERE, frozenset({"totp"}), ("password+totp",)),
    "so does one that nobody knows": (STEPS_UP, PERSON, None, frozenset({"totp"}), ("password+totp",)),
    "none enrolled is said": (STEPS_UP, PERSON, ELSEWHERE, frozenset(), "second_factor_not_enrolled"),
    "a program has no second factor": (STEPS_UP, MACHINE, ELSEWHERE, frozenset(), ("credential",)),
    "off the list nobody goes on": (LISTED_ONLY, PERSON, ELSEWHERE, frozenset({"totp"}), "reset_origin_refused"),
    "no program either": (LISTED_ONLY, MACHINE, ELSEWHERE, frozenset(), "reset_origin_refused"),
}


@pytest.mark.parametrize("story", STORIES)
def test_k9_an_open_reset_is_asked_again_where_it_goes_on_from(story: str) -> None:
    policy, actor, address, enrolled, answer = STORIES[story]
    here = from_here(policy, actor, address, enrolled=enrolled)
    assert (here.kind if isinstance(here, Refusal) else sets_to_wire(here.wanted)) == (
        answer if isinstance(answer, str) else list(answer)
    )


def test_r31_the_refusal_names_the_field_and_what_would_do() -> None:
    refusal = from_here(STEPS_UP, PERSON, ELSEWHERE)
    assert refusal == SecondFactorNotEnrolled(wanted=("totp", "passkey"), policy=STEPS_UP.name, field="reset_origin")
