"""A node's records of its verifiers (F5, F7, F12)."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from keyturn.core.lease import FOR_GOOD, Renewal, Terms
from keyturn.verify.granter import Granter

TERMS = Terms(length=5_000, margin=50)
FENCE = TERMS.fence
FAR = 1_000_000  # a deadline that is in nobody's way


def renewal(instance: str = "v", **changes: Any) -> Renewal:
    plain: dict[str, Any] = {"nonce": 1, "epoch": 1, "applied_rev": changes.get("acked_rev", 3), "acked_rev": 3}
    return Renewal(instance=instance, **plain | changes)


def granted(granter: Granter, instance: str = "v", *, boot: int, deadline: int = FAR, **changes: Any) -> int:
    """Asked and answered in one moment."""
    granter.asked(renewal(instance, **changes), boot)
    return granter.granted(instance, deadline=deadline, boot=boot)


def acked(granter: Granter, boot: int, *, applied: int = 9, epoch: int = 1) -> int:
    return granter.acked(epoch=epoch, applied_rev=applied, boot=boot)


def test_f0_an_instance_is_renewed_and_vouched_for_by_its_own_holder_alone() -> None:
    granter = Granter(TERMS)
    assert granter.asked(renewal(acked_rev=3), 0, holder=b"its own")
    assert not granter.asked(renewal(acked_rev=9, stale=7), 10, holder=b"another")
    assert acked(granter, 20) == 3
    assert [one.stale for one in granter.attached(20)] == [0]
    assert granter.asked(renewal(acked_rev=4), 30, holder=b"its own")
    assert acked(granter, 40) == 4


def test_f12_a_holder_is_known_while_it_may_hold_a_lease() -> None:
    granter = Granter(TERMS)
    assert not granter.knows(b"its own", 0)
    assert granter.asked(renewal("a"), 0, holder=b"its own")
    assert granter.asked(renewal("b"), 10, holder=b"another")
    assert granter.knows(b"its own", FENCE - 1)
    assert not granter.knows(b"its own", FENCE)
    assert granter.knows(b"another", FENCE)
    assert not granter.knows(b"nobody", FENCE)
    granter.acked(epoch=1, applied_rev=9, boot=FENCE)
    assert not granter.knows(b"its own", 0), "waited out"
    # One that begins anew under another name is known by that one, also once the first is waited out.
    assert granter.asked(renewal("c"), FENCE, holder=b"another")
    granter.acked(epoch=1, applied_rev=9, boot=FENCE + 10)
    assert granter.knows(b"another", FENCE + 10)


def test_f7_alone_a_node_acknowledges_what_it_has_applied() -> None:
    assert acked(Granter(TERMS), 0) == 9


def test_f7_a_node_acknowledges_no_more_than_each_verifier_that_may_hold_a_lease() -> None:
    granter = Granter(TERMS)
    assert granted(granter, "a", boot=0, acked_rev=5) == TERMS.length
    assert granted(granter, "b", boot=10, acked_rev=7) == TERMS.length
    assert acked(granter, 20) == 5
    granter.acknowledged("a", epoch=1, rev=8)
    assert acked(granter, 20) == 7
    granter.acknowledged("b", epoch=1, rev=12)
    assert acked(granter, 20) == 8
    assert acked(granter, 20, applied=4) == 4, "nor more than itself"


def test_f7_a_verifier_that_is_being_granted_a_lease_is_on_record_at_full_length() -> None:
    """Also where its length is not known yet."""
    granter = Granter(TERMS)
    granter.asked(renewal(acked_rev=3), 100)
    assert acked(granter, 100) == 3
    assert acked(granter, 100 + FENCE - 1) == 3
    assert acked(granter, 100 + FENCE) == 9


def test_f7_a_lease_is_waited_out_by_its_length_and_two_margins() -> None:
    """F5: not a microsecond less."""
    granter = Granter(TERMS)
    length = granted(granter, boot=100, deadline=100 + 1_000 + TERMS.margin)
    assert length == 1_000
    assert acked(granter, 100 + length + 2 * TERMS.margin - 1) == 3
    assert acked(granter, 100 + length + 2 * TERMS.margin) == 9
    assert granter.attached(100 + length + 2 * TERMS.margin) == ()


def test_f7_a_grant_ends_a_margin_before_the_nodes_own_lease() -> None:
    granter = Granter(TERMS)
    assert granted(granter, boot=0, deadline=FAR) == TERMS.length, "and is never longer than a lease"
    assert granted(granter, boot=0, deadline=TERMS.margin + 1) == 1
    assert granted(granter, boot=0, deadline=TERMS.margin) == 0
    assert granted(granter, boot=0, deadline=0) == 0


def test_f7_a_refusal_never_shortens_what_is_on_record() -> None:
    granter = Granter(TERMS)
    assert granted(granter, boot=0) == TERMS.length
    assert granted(granter, boot=1_000, deadline=0) == 0
    assert acked(granter, FENCE - 1) == 3
    assert acked(granter, FENCE) == 9


def test_f7_a_shorter_grant_never_shortens_what_is_on_record() -> None:
    granter = Granter(TERMS)
    assert granted(granter, boot=0) == TERMS.length
    assert granted(granter, boot=10, deadline=10 + TERMS.margin + 5) == 5
    assert acked(granter, FENCE - 1) == 3


def test_f7_a_refused_verifier_that_never_had_a_lease_is_not_waited_for() -> None:
    granter = Granter(TERMS)
    assert granted(granter, boot=0, deadline=0) == 0
    assert acked(granter, 0) == 9


def test_f7_a_record_that_was_waited_out_meanwhile_is_granted_nothing() -> None:
    """The database took longer than a lease to put the verifier's name on record."""
    granter = Granter(TERMS)
    granter.asked(renewal(), 0)
    assert acked(granter, FENCE) == 9
    assert granter.granted("v", deadline=FAR, boot=FENCE) == 0
    assert acked(granter, FENCE) == 9


def test_f6_an_acknowledgement_never_falls_back() -> None:
    """Late or doubled messages say less than what is known."""
    granter = Granter(TERMS)
    assert granted(granter, boot=0, acked_rev=5)
    granter.acknowledged("v", epoch=1, rev=8)
    granter.acknowledged("v", epoch=1, rev=6)
    assert granted(granter, boot=1, acked_rev=5)
    assert acked(granter, 2) == 8
    assert granter.attached(2)[0].applied_rev == 8


def test_f5_nobody_acknowledges_in_a_renewal_what_it_has_not_applied() -> None:
    granter = Granter(TERMS)
    for lie in (4, 9, 1 << 61, FOR_GOOD):
        assert granted(granter, boot=0, applied_rev=3, acked_rev=lie)
        assert acked(granter, 1) == 0
    assert granted(granter, boot=1, applied_rev=3, acked_rev=3)
    assert acked(granter, 2) == 3
    assert granted(granter, boot=2, applied_rev=3, acked_rev=9)
    assert acked(granter, 3) == 3, "what it had acknowledged before it has"


def test_f5_whoever_asks_for_a_lease_has_not_left() -> None:
    granter = Granter(TERMS)
    assert granted(granter, boot=0)
    granter.acknowledged("v", epoch=1, rev=FOR_GOOD)
    assert acked(granter, 1) == 9
    granter.asked(renewal(acked_rev=4), 2)
    assert acked(granter, 3) == 4
    assert [(one.acked_rev, one.applied_rev) for one in granter.attached(3)] == [(4, 4)]


def test_f9_an_acknowledgement_of_another_epoch_counts_for_nothing() -> None:
    granter = Granter(TERMS)
    assert granted(granter, boot=0, acked_rev=5)
    assert acked(granter, 1, epoch=2) == 0
    granter.acknowledged("v", epoch=2, rev=4)
    assert acked(granter, 1, epoch=2) == 4, "of the new epoch it does, though it is a lower number"
    assert acked(granter, 1, epoch=1) == 0


def test_an_acknowledgement_of_a_stranger_is_passed_over() -> None:
    granter = Granter(TERMS)
    granter.acknowledged("nobody", epoch=1, rev=2)
    assert acked(granter, 0) == 9
    assert granter.attached(0) == ()


def test_f12_a_verifier_that_answers_without_a_lease_is_named_for_as_long_as_it_does() -> None:
    """Its lease is waited out as any other; its name stays until what it answers from is no longer answered from."""
    granter = Granter(TERMS)
    assert granted(granter, boot=0, stale=700, name="billing")
    assert acked(granter, FENCE - 1) == 3
    assert acked(granter, FENCE) == 9
    (seen,) = granter.attached(FENCE + 699)
    assert (seen.instance, seen.name, seen.acked_rev, seen.stale) == ("v", "billing", 3, 700)
    assert seen.ends_in == -699
    assert acked(granter, FENCE + 699) == 9
    assert len(granter.attached(FENCE + 699)) == 1
    assert granter.attached(FENCE + 700) == ()
    assert acked(granter, FENCE + 700) == 9
    # The longest that it ever said counts.
    assert granted(granter, boot=FAR, deadline=2 * FAR, stale=700)
    assert granted(granter, boot=FAR, deadline=2 * FAR, stale=0)
    assert len(granter.attached(FAR + FENCE + 699)) == 1


def test_who_is_attached_is_told_in_order() -> None:
    granter = Granter(TERMS)
    assert granted(granter, "b", boot=0, name="two", acked_rev=2, applied_rev=4)
    assert granted(granter, "a", boot=5, name="one")
    assert [(one.instance, one.name, one.acked_rev, one.applied_rev, one.ends_in) for one in granter.attached(10)] == [
        ("a", "one", 3, 3, FENCE - 5),
        ("b", "two", 2, 4, FENCE - 10),
    ]


def test_f7_when_the_first_lease_may_be_over() -> None:
    granter = Granter(TERMS)
    assert granter.next_end(0) is None
    assert granted(granter, "b", boot=30)
    assert granted(granter, "a", boot=20)
    assert granter.next_end(25) == 20 + FENCE
    assert granter.next_end(20 + FENCE) == 30 + FENCE
    assert granter.next_end(30 + FENCE) is None


class Granting(RuleBasedStateMachine):
    """F7: asked, refused, granted and acknowledged in whatever order: a node vouches for nobody too much."""

    def __init__(self) -> None:
        super().__init__()
        self.granter = Granter(TERMS)
        self.boot = 0
        self.ends: dict[str, int] = {}
        self.asked: set[str] = set()
        self.known: dict[str, int] = {}

    instances = st.sampled_from(["a", "b", "c"])

    @rule(instance=instances, rev=st.integers(0, 9))
    def f7_ask(self, instance: str, rev: int) -> None:
        self.granter.asked(renewal(instance, acked_rev=rev, applied_rev=rev), self.boot)
        self.asked.add(instance)
        self.known[instance] = max(self.known.get(instance, 0), rev)

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), left=st.integers(0, 2 * TERMS.length))
    def f7_answer(self, data: st.DataObject, left: int) -> None:
        instance = data.draw(st.sampled_from(sorted(self.asked)))
        self.asked.discard(instance)
        deadline = self.boot + left
        length = self.granter.granted(instance, deadline=deadline, boot=self.boot)
        assert length <= TERMS.length
        if length:
            assert self.boot + length + TERMS.margin <= deadline
            self.ends[instance] = max(self.ends.get(instance, 0), self.boot + length)

    @rule(instance=instances, rev=st.integers(0, 9))
    def f6_acknowledge(self, instance: str, rev: int) -> None:
        self.granter.acknowledged(instance, epoch=1, rev=rev)
        if instance in self.known:
            self.known[instance] = max(self.known[instance], rev)

    @rule(micros=st.integers(0, TERMS.length))
    def f5_time_goes_by(self, micros: int) -> None:
        self.boot += micros

    @invariant()
    def f7_nobody_who_may_hold_a_lease_is_passed_over(self) -> None:
        told = self.granter.acked(epoch=1, applied_rev=9, boot=self.boot)
        # Its clock may run slower by the margin.
        holding = [one for one, end in self.ends.items() if self.boot < end + 2 * TERMS.margin]
        assert told <= min((self.known[one] for one in holding), default=9)
        attached = {one.instance for one in self.granter.attached(self.boot)}
        assert set(holding) <= attached


TestGranting = Granting.TestCase
TestGranting.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@given(boot=st.integers(0, 10**6), deadline=st.integers(0, 2 * 10**6))
def test_f7_a_grant_fits_into_the_nodes_own_lease(boot: int, deadline: int) -> None:
    length = granted(Granter(TERMS), boot=boot, deadline=deadline)
    assert length == 0 or boot + length <= deadline - TERMS.margin


def test_f12_a_verifier_that_has_left_answers_without_a_lease_no_more() -> None:
    """Its record stays until its lease would be over, and acknowledges everything."""
    granter = Granter(TERMS)
    renewal = Renewal(instance="ver_stale", nonce=1, epoch=1, applied_rev=3, acked_rev=3, stale=60_000_000)
    granter.asked(renewal, 0)
    assert granter.granted("ver_stale", deadline=TERMS.length, boot=0)
    assert [one.stale for one in granter.attached(0)] == [60_000_000]
    granter.acknowledged("ver_stale", epoch=1, rev=FOR_GOOD)
    assert [one.stale for one in granter.attached(0)] == [0]
    assert granter.acked(epoch=1, applied_rev=9, boot=0) == 9
    assert not granter.attached(TERMS.length + 2 * TERMS.margin)


def test_f5_one_that_left_before_it_was_granted_anything_is_not_waited_for() -> None:
    """It has not heard which epoch it is, and answers in none."""
    granter = Granter(TERMS)
    assert granted(granter, boot=0, epoch=0, acked_rev=0)
    assert acked(granter, 1) == 0
    granter.acknowledged("v", epoch=0, rev=FOR_GOOD)
    assert acked(granter, 1) == 9
