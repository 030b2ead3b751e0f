"""Laws over random histories of orders, claims and ordinary resets (L1, L2, L6, R20, R41)."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from keyturn.core import claim as claims
from keyturn.core import reset as protocol
from keyturn.core.actor import SYSTEM, Actor, Channel
from keyturn.core.instant import Instant
from keyturn.core.key import Key, StopReason, accepted_versions
from keyturn.core.policy import Policy, resolve
from keyturn.core.proof import CREDENTIAL, PASSWORD, Proof
from keyturn.core.reset import Asking, Reason, Reset, Step
from keyturn.core.stage import Stage
from tests.core.keys import DAY, HOUR, MACHINE, NEW, PERSON, PLAIN, T0, a_key, ask
from tests.core.test_claim import COLLEAGUE, ELSEWHERE

ACTORS: Final = (PERSON, ELSEWHERE, COLLEAGUE, MACHINE)
POLICIES: Final = (PLAIN, replace(PLAIN, cool_down=HOUR), replace(PLAIN, manual="two_step", grace_max=2 * DAY))
graces = st.sampled_from([None, timedelta(0), HOUR, 2 * DAY])
actors = st.sampled_from(ACTORS)
reasons = st.sampled_from([Reason.POLICY, Reason.ROUTINE, Reason.LOST, Reason.LEAKED])


class Histories(RuleBasedStateMachine):
    """One key, and whatever people, programs and the system do to it."""

    def __init__(self) -> None:
        super().__init__()
        self.now: Instant = T0
        self.key: Key = a_key(permissions=("orders:write",))
        self.resets: list[Reset] = []
        self.policy = PLAIN
        self.leaked: set[int] = set()

    @property
    def latest(self) -> Reset | None:
        return self.resets[-1] if self.resets else None

    def written(self, step: Step, *, is_new: bool = False) -> None:
        """Write a step down, as a flow would, and see that no date was put off."""
        for one in self.key.secrets:
            now = step.key.secret(one.version)
            assert now is not None
            assert now.stops_at <= one.stops_at, "R20: dates only ever move earlier"
            assert one.stopped_at is None or now.stopped_at == one.stopped_at
        self.key = step.key
        if is_new:
            self.resets.append(replace(step.reset, id=f"rst_{len(self.resets)}"))
        else:
            self.resets[-1] = step.reset

    @rule(policy=st.sampled_from(POLICIES))
    def policy_changes(self, policy: Policy) -> None:
        self.policy = policy

    @rule(reason=reasons, grace=graces)
    def order(self, reason: Reason, grace: timedelta | None) -> None:
        step = claims.order(
            self.key,
            Asking(reason=reason, grace=grace),
            by=SYSTEM,
            effective=resolve(key=self.policy, account=None, deployment=self.policy, floors=()),
            latest=self.latest,
            reset_id="new",
            now=self.now,
        )
        assert isinstance(step, Step)
        before = self.latest.proofs if self.latest else ()
        assert step.reset.proofs in ((), before), "R41: an order proves nothing"
        if grace is not None and reason is not Reason.LEAKED:
            assert all(one.stops_at <= self.now + grace for one in step.key.secrets)
            assert step.reset.lapses_at >= self.now + grace, "it waits until the end that it set"
        self.written(step, is_new=step.event is None)

    @rule(actor=actors, reason=reasons, grace=st.sampled_from([None, HOUR]))
    def ask(self, actor: Actor, reason: Reason, grace: timedelta | None) -> None:
        step = ask(self.key, reason, actor=actor, policy=self.policy, latest=self.latest, now=self.now, grace=grace)
        if isinstance(step, Step):
            self.written(step, is_new=step.event is None)
            assert step.reset.asked_by == actor.id

    @precondition(lambda self: self.resets)
    @rule(actor=actors, gone=st.booleans())
    def claim(self, actor: Actor, gone: bool) -> None:  # noqa: FBT001  # drawn
        before = self.resets[-1]
        claimed = claims.claim(
            before, actor=actor, enrolled=frozenset(), reset_allowlist=(), holder_gone=gone, now=self.now
        )
        if isinstance(claimed, Reset):
            assert before.ordered is not None
            same = (before.asked_by, before.session) == (actor.id, actor.session)
            assert same or not claimed.proofs, "R11: whoever takes it over proves anew"
            self.resets[-1] = claimed

    @precondition(lambda self: self.resets)
    @rule()
    def let_go(self) -> None:
        before = self.resets[-1]
        if before.ordered is not None and isinstance(released := claims.let_go(before, now=self.now), Reset):
            assert released.waits
            self.resets[-1] = released

    @precondition(lambda self: self.resets)
    @rule(actor=actors)
    def prove(self, actor: Actor) -> None:
        before = self.resets[-1]
        kind = PASSWORD if actor.channel is Channel.PERSON else CREDENTIAL
        step = protocol.prove(
            before, self.key, Proof(kind=kind, by=actor.id, at=self.now, session=actor.session), now=self.now
        )
        if isinstance(step, Step):
            assert not before.waits, "R41: it is claimed first"
            self.written(step)
            if step.reset.terms.revoke_first and step.reset.stage is Stage.PROVEN:
                self.leaked |= {one.version for one in step.key.secrets}

    @precondition(lambda self: self.resets)
    @rule(actor=actors)
    def mint(self, actor: Actor) -> None:
        before = self.resets[-1]
        step = protocol.mint(before, self.key, NEW, actor=actor, now=self.now)
        if isinstance(step, Step):
            assert (before.asked_by, before.session) == (actor.id, actor.session), "L6: to the claimer alone"
            assert not before.missing(self.now)
            self.written(step)

    @precondition(lambda self: self.resets)
    @rule()
    def finish(self) -> None:
        step = protocol.finish(self.resets[-1], self.key, now=self.now)
        if isinstance(step, Step):
            self.written(step)

    @rule(span=st.sampled_from([timedelta(minutes=9), timedelta(minutes=11), HOUR, DAY]))
    def wait(self, span: timedelta) -> None:
        self.now = Instant(self.now + span)

    @invariant()
    def l2_at_most_two_are_accepted(self) -> None:
        assert len(accepted_versions(self.key, self.now)) <= 2

    @invariant()
    def l1_what_leaked_is_never_accepted_again(self) -> None:
        assert not self.leaked & set(accepted_versions(self.key, self.now))
        for one in self.key.secrets:
            assert one.version not in self.leaked or one.stop_reason in {*StopReason}

    @invariant()
    def r22_a_leak_keeps_the_key_stopped_until_it_is_mended(self) -> None:
        latest = self.latest
        if latest is not None and protocol.is_open(latest, self.now) and latest.terms.revoke_first:
            assert accepted_versions(self.key, self.now) == ()


Histories.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)


class TestHistories(Histories.TestCase):  # type: ignore[misc,valid-type]  # made at run time
    """L1, L2, L6, R20 and R41, whatever comes in whatever order."""
