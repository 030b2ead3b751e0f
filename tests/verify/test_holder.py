"""A holder's side of a lease (F2, F3, F6, F8, F9)."""

from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.core.feed import FeedEntry
from keyturn.core.instant import from_micros
from keyturn.core.lease import AHEAD, LAPSED, Acknowledgement, Denial, Grant, Push, Renewal, Terms
from keyturn.core.share import HOLD, Share, Wish
from keyturn.verify.decision import MISS
from keyturn.verify.holder import JUMP, Alarm, Holder
from keyturn.verify.memory import Fill
from keyturn.verify.shares import Shares
from keyturn.verify.verifier import Verifier
from tests.verify.states import NOW, digest, entry, key, secret_text

TERMS = Terms(length=5_000_000, margin=50_000)
L, E = TERMS.length, TERMS.margin
BOOT = 1_000_000_000


class Held(NamedTuple):
    """A holder on a verifier of its own."""

    holder: Holder
    verifier: Verifier

    def ask(self, boot: int = BOOT, *, wall: int | None = None) -> Renewal:
        """Its clocks run alike unless a test says otherwise."""
        return self.holder.renewal(boot, wall=boot if wall is None else wall)

    def leased(self, boot: int) -> bool:
        """Whether memory answers at that time."""
        return self.holder.look(boot)[1]


def fresh(**changes: Any) -> Held:
    verifier = Verifier()
    return Held(Holder(verifier, instance="v", terms=TERMS, **changes), verifier)


def grant(asked: Renewal, *, rev: int = 1, entries: tuple[FeedEntry, ...] = (), **changes: Any) -> Grant:
    """An honest answer to `asked`."""
    plain: dict[str, Any] = {"nonce": asked.nonce, "length": L, "epoch": 1, "time": NOW, "at": NOW}
    return Grant(rev=rev, entries=entries, **plain | changes)


def joined(*, rev: int = 1, boot: int = BOOT) -> Held:
    """Holds a lease from `boot` on."""
    held = fresh()
    assert held.holder.granted(grant(held.ask(boot), rev=rev, anew=True), boot) is not None
    return held


def alarms(held: Held) -> list[Alarm]:
    return held.holder.told()


# -- F2: what a grant is worth


def test_f2_without_a_grant_memory_answers_nothing() -> None:
    held = fresh()
    assert not held.leased(BOOT)
    held.ask()
    assert not held.leased(BOOT)


def test_f2_a_lease_counts_from_the_sending_of_its_renewal() -> None:
    """Not from the receipt of the grant; and it ends at its end, not a microsecond later (F3)."""
    held = fresh()
    asked = held.ask(BOOT)
    answer = held.holder.granted(grant(asked, rev=4), BOOT + 3_000_000)
    assert answer == Acknowledgement(epoch=1, rev=4)
    assert held.holder.deadline == BOOT + L
    assert held.leased(BOOT + L - 1)
    assert not held.leased(BOOT + L)


def test_f2_a_grant_is_paired_with_its_own_renewal() -> None:
    """Never with a later one, which would make it longer."""
    held = fresh()
    first = held.ask(BOOT)
    held.ask(BOOT + 1_000_000)
    assert held.holder.granted(grant(first, length=2_000_000), BOOT + 1_500_000)
    assert held.holder.deadline == BOOT + 2_000_000


def test_f2_a_shorter_or_later_grant_takes_nothing_back() -> None:
    held = fresh()
    first, second = held.ask(BOOT), held.ask(BOOT + 1_000_000)
    assert held.holder.granted(grant(second), BOOT + 1_200_000)
    assert held.holder.granted(grant(first, time=NOW), BOOT + 1_300_000)
    assert held.holder.deadline == BOOT + 1_000_000 + L
    third = held.ask(BOOT + 1_400_000)
    assert held.holder.granted(grant(third, length=1, time=NOW + 1_400_000), BOOT + 1_400_000)
    assert held.holder.deadline == BOOT + 1_000_000 + L
    assert alarms(held) == []


def test_f2_a_grant_that_comes_after_its_end_is_none() -> None:
    held = fresh()
    assert held.holder.granted(grant(held.ask(BOOT)), BOOT + L)
    assert not held.leased(BOOT + L)


FORGED: dict[str, dict[str, Any]] = {
    "F2 a nonce that was never sent": {"nonce": 99},
    "F2 a nonce that nobody sends": {"nonce": 0},
    "F2 longer than a lease can be": {"length": L + 1},
    "F2 of no length": {"length": 0},
}


@pytest.mark.parametrize("story", FORGED)
def test_a_forged_grant_drops_the_lease_and_is_followed_in_nothing(story: str) -> None:
    held = joined()
    asked = held.ask(BOOT + 1)
    bad = grant(asked, rev=2, entries=(entry(2, key()),), **FORGED[story])
    assert held.holder.granted(bad, BOOT + 2) is None
    assert not held.leased(BOOT + 2)
    assert held.verifier.applied_rev == 1
    assert alarms(held) == [Alarm.FORGED]
    assert alarms(held) == []


def test_a_grant_from_before_it_was_asked_for_is_forged() -> None:
    held = joined()
    asked = held.ask(BOOT + 10)
    assert held.holder.granted(grant(asked), BOOT + 9) is None
    assert alarms(held) == [Alarm.FORGED]


def test_a_replayed_grant_drops_the_lease() -> None:
    held = fresh()
    once = grant(held.ask())
    assert held.holder.granted(once, BOOT)
    assert held.holder.granted(once, BOOT + 1) is None
    assert not held.leased(BOOT + 1)
    assert alarms(held) == [Alarm.FORGED]


def test_what_comes_too_late_for_a_lease_that_was_given_up_extends_nothing() -> None:
    """A new stream, a dropped lease, a grant whose renewal is long forgotten: no cause for an alarm either."""
    held = fresh()
    on_the_old_stream = held.ask(BOOT)
    held.holder.disconnected()
    assert held.holder.granted(grant(on_the_old_stream), BOOT + 1) is None
    asked = [held.ask(BOOT + at) for at in range(2, 20)]
    assert held.holder.granted(grant(asked[1]), BOOT + 20) is None, "two more than are kept"
    assert held.holder.granted(grant(asked[2]), BOOT + 20)
    held.holder.drop(Alarm.JUMPED)
    assert held.holder.granted(grant(asked[-1], rev=2, entries=(entry(2, key()),)), BOOT + 21) is None
    assert not held.leased(BOOT + 21)
    assert held.verifier.applied_rev == 1
    assert alarms(held) == [Alarm.JUMPED]
    assert held.holder.granted(grant(held.ask(BOOT + 22)), BOOT + 23), "and the next one is as good as ever"


def test_f2_the_lease_runs_on_where_a_stream_ends() -> None:
    held = joined()
    held.holder.disconnected()
    assert held.leased(BOOT + L - 1)


def test_f2_a_denial_takes_no_lease_and_gives_none() -> None:
    held = joined()
    asked = held.ask(BOOT + 5)
    held.holder.denied(Denial(nonce=asked.nonce, reason=LAPSED))
    assert held.holder.deadline == BOOT + L
    assert held.holder.granted(grant(asked), BOOT + 6) is None, "a grant for what was denied is forged"
    assert alarms(held) == [Alarm.FORGED]


# -- what is asked


def test_f2_a_renewal_says_how_far_the_holder_has_come() -> None:
    held = fresh(name="billing", stale=30)
    assert held.ask() == Renewal(instance="v", nonce=1, epoch=0, applied_rev=0, acked_rev=0, stale=30, name="billing")
    assert held.holder.granted(grant(held.ask(), rev=4, epoch=3), BOOT)
    asked = held.ask(BOOT + 1)
    assert (asked.nonce, asked.epoch, asked.applied_rev, asked.acked_rev) == (3, 3, 4, 4)
    of_a_node = held.holder.renewal(BOOT + 2, wall=BOOT + 2, acked_rev=2)
    assert (of_a_node.applied_rev, of_a_node.acked_rev) == (4, 2), "a node's verifiers are behind it"


# -- F6: entries


def test_f6_a_grant_counts_only_once_everything_up_to_it_is_applied() -> None:
    held = joined()
    asked = held.ask(BOOT + 10)
    gap = grant(asked, rev=3, entries=(entry(3, key()),))
    assert held.holder.granted(gap, BOOT + 11) is None
    assert held.holder.deadline == BOOT + L
    asked = held.ask(BOOT + 12)
    short = grant(asked, rev=3, entries=(entry(2, key()),))
    assert held.holder.granted(short, BOOT + 13) is None
    assert (held.holder.deadline, held.verifier.applied_rev) == (BOOT + L, 2)
    asked = held.ask(BOOT + 14)
    assert held.holder.granted(grant(asked, rev=3, entries=(entry(3, key()),)), BOOT + 15) == Acknowledgement(
        epoch=1, rev=3
    )
    assert held.holder.deadline == BOOT + 14 + L
    assert alarms(held) == []


def test_f6_a_push_is_applied_and_acknowledged_and_extends_nothing() -> None:
    """F14: it is a hint."""
    held = joined()
    assert held.holder.pushed(Push(epoch=1, entries=(entry(2, key()), entry(3, key())))) == Acknowledgement(
        epoch=1, rev=3
    )
    assert held.holder.deadline == BOOT + L


def test_f6_a_push_that_leaves_a_gap_acknowledges_nothing() -> None:
    held = joined()
    assert held.holder.pushed(Push(epoch=1, entries=(entry(2, key()), entry(4, key())))) is None
    assert held.verifier.applied_rev == 2
    assert held.leased(BOOT), "it is only a reason to renew"


def test_f6_a_push_before_the_first_grant_or_of_another_epoch_is_passed_over() -> None:
    held = fresh()
    push = Push(epoch=0, entries=(entry(1, key()),))
    assert held.holder.pushed(push) is None
    assert held.verifier.applied_rev == 0
    held = joined()
    assert held.holder.pushed(Push(epoch=2, entries=(entry(2, key()),))) is None
    assert held.verifier.applied_rev == 1


def test_f6_a_late_grant_takes_back_no_newer_entry() -> None:
    """It was read before what was pushed meanwhile: the lease is good, the entries stay."""
    held = joined()
    asked = held.ask(BOOT + 10)
    assert held.holder.pushed(Push(epoch=1, entries=(entry(2, key(revoked=True)),)))
    assert held.holder.granted(grant(asked, rev=1), BOOT + 11) == Acknowledgement(epoch=1, rev=2)
    assert held.holder.deadline == BOOT + 10 + L


def test_f6_a_late_grant_that_says_drop_everything_takes_back_no_newer_entry_either() -> None:
    """F4: else a reading from before the stop could be kept, after the stop was acknowledged."""
    held = fresh()
    first, second = held.ask(BOOT), held.ask(BOOT + 1)
    assert held.holder.granted(grant(first, rev=1, anew=True), BOOT + 2)
    before = Fill(rev=1, state=key(), version=1)
    assert held.holder.pushed(Push(epoch=1, entries=(entry(2, key(revoked=True)),))) == Acknowledgement(epoch=1, rev=2)
    assert held.holder.granted(grant(second, rev=1, anew=True), BOOT + 3) is None
    assert held.verifier.applied_rev == 2
    assert held.leased(BOOT + L - 1), "what is held runs on"
    assert not held.verifier.fill(digest(), before, now=NOW)
    assert alarms(held) == []


# -- F9, F11: beginning anew


def test_f11_who_is_too_far_behind_drops_everything_and_goes_on_from_there() -> None:
    held = joined()
    assert held.verifier.fill(digest(), Fill(rev=1, state=key(), version=1), now=NOW)
    asked = held.ask(BOOT + 5)
    assert held.holder.granted(grant(asked, rev=50, anew=True, length=100), BOOT + 6) == Acknowledgement(
        epoch=1, rev=50
    )
    assert held.verifier.verify(secret_text(), now=NOW) is MISS
    assert held.holder.deadline == BOOT + 5 + 100, "the lease from before went with what it was about"


def test_f9_a_higher_epoch_drops_cache_and_lease_and_joins_anew() -> None:
    held = joined(rev=9)
    assert held.verifier.fill(digest(), Fill(rev=9, state=key(), version=1), now=NOW)
    asked = held.ask(BOOT + 5)
    assert held.holder.granted(grant(asked, rev=3, epoch=2, length=100), BOOT + 6) == Acknowledgement(epoch=2, rev=3)
    assert (held.verifier.epoch, held.verifier.applied_rev) == (2, 3)
    assert held.verifier.verify(secret_text(), now=NOW) is MISS
    assert held.holder.deadline == BOOT + 105
    assert alarms(held) == []


@pytest.mark.parametrize(("epoch", "rev"), [(1, 8), (0, 99)], ids=["F9 a lower rev", "F9 a lower epoch"])
def test_f9_an_authority_that_knows_less_gives_no_lease_and_raises_an_alarm(epoch: int, rev: int) -> None:
    held = joined(rev=9)
    assert held.verifier.fill(digest(), Fill(rev=9, state=key(revoked=True), version=1), now=NOW)
    asked = held.ask(BOOT + 5)
    assert held.holder.granted(grant(asked, rev=rev, epoch=epoch, anew=True), BOOT + 6) is None
    assert not held.leased(BOOT + 6)
    assert alarms(held) == [Alarm.BEHIND]
    assert held.verifier.verify(secret_text(), now=NOW).code == "revoked", "what is known as stopped is kept"


def test_f9_a_node_that_says_so_has_the_same_effect() -> None:
    held = joined(rev=9)
    held.holder.denied(Denial(nonce=held.ask(BOOT + 1).nonce, reason=AHEAD))
    assert not held.leased(BOOT + 1)
    assert alarms(held) == [Alarm.BEHIND]


def test_f9_once_the_authority_has_come_as_far_again_nothing_of_the_lost_past_is_believed() -> None:
    """Its entries 8 and 9 are others than those that were applied here: one of them may be a stop."""
    held = joined(rev=9)
    assert held.verifier.fill(digest(), Fill(rev=9, state=key(), version=1), now=NOW)
    assert held.holder.granted(grant(held.ask(BOOT + 5), rev=8), BOOT + 6) is None
    assert held.holder.pushed(Push(epoch=1, entries=(entry(10, key(2)),))) is None, "nor is anything acknowledged"
    assert held.verifier.applied_rev == 9
    asked = held.ask(BOOT + 7)
    assert held.holder.granted(grant(asked, rev=11, entries=(entry(10, key(2)), entry(11, key(2)))), BOOT + 8)
    assert held.leased(BOOT + 8)
    assert held.verifier.verify(secret_text(), now=NOW) is MISS
    assert held.holder.pushed(Push(epoch=1, entries=(entry(12, key()),))) == Acknowledgement(epoch=1, rev=12)


def test_f9_a_holder_says_when_what_it_applied_last_was_written() -> None:
    """Two pasts may share a revision, but not that."""
    held = fresh()
    assert held.ask().applied_at == 0
    held = joined(rev=8)
    assert held.ask().applied_at == NOW, "as the grant said it"
    assert held.holder.pushed(Push(epoch=1, entries=(entry(9, key(), at=from_micros(NOW + 7)),)))
    asked = held.ask()
    assert (asked.applied_rev, asked.applied_at) == (9, NOW + 7)


# -- F8: what time it can be


def test_f8_a_lease_by_longer_terms_is_cut_down_with_the_first_by_shorter_ones() -> None:
    """What time it can be is known for as long as the terms last under which it was found."""
    held = fresh()
    held.holder.terms = Terms(length=4 * L, margin=4 * E)
    assert held.holder.granted(grant(held.ask(BOOT), length=4 * L), BOOT)
    assert held.leased(BOOT + 4 * L - 1)
    held.holder.terms = TERMS
    sent = BOOT + L
    assert held.holder.granted(grant(held.ask(sent), time=NOW + L), sent + 1)
    assert held.leased(sent + L - 1)
    assert not held.leased(sent + L)


def test_f8_the_bounds_hold_whenever_within_the_journey_the_time_was_read() -> None:
    held = fresh()
    sent, back, width = BOOT, BOOT + 200_000, 7_000
    assert held.holder.granted(grant(held.ask(sent), time=NOW, width=width), back)
    latest, _ = held.holder.look(back)
    earliest, span = held.holder.time(back)
    assert latest == NOW + width + (back - sent) + E
    assert earliest == NOW, "surely past, and no clock parts in no time"
    assert earliest + span == latest
    assert held.holder.time(back + 1_000_000)[0] == NOW + 1_000_000 - E
    assert held.verifier.width == width + (back - sent) + 2 * E


@given(
    journey=st.integers(0, 3_000_000),
    read=st.integers(0, 3_000_000),
    later=st.integers(0, L),
    drift=st.integers(-E, E),
    width=st.integers(0, 100_000),
    inside=st.integers(0, 100_000),
)
def test_f8_the_authoritys_time_lies_within_the_bounds(
    journey: int, read: int, later: int, drift: int, width: int, inside: int
) -> None:
    """Whatever the messages take, and as far as the clocks may part within a lease."""
    held = fresh()
    read, inside = min(read, journey), min(inside, width)
    true = NOW + inside  # what it was at the authority when `time` was read
    assert held.holder.granted(grant(held.ask(BOOT), time=NOW, width=width), BOOT + journey)
    now = BOOT + journey + later
    truly = true + (now - BOOT - read) + drift
    earliest, span = held.holder.time(now)
    if truly >= NOW:
        assert earliest <= truly <= earliest + span
    assert truly <= held.holder.look(now)[0]


def test_f8_the_width_never_narrows() -> None:
    """A reader may hold the bounds of the grant before."""
    held = fresh()
    assert held.holder.granted(grant(held.ask(BOOT)), BOOT + 1_000_000)
    wide = held.verifier.width
    assert held.holder.granted(grant(held.ask(BOOT + 2_000_000), time=NOW + 2_000_000), BOOT + 2_000_001)
    assert held.verifier.width == wide == 1_000_000 + 2 * E


def test_f8_time_never_runs_back() -> None:
    """What was decided as of the latest that it could be stays decided so."""
    held = fresh()
    assert held.holder.granted(grant(held.ask(BOOT)), BOOT + 1_000_000)
    at = BOOT + 2_000_000
    told, _ = held.holder.look(at)
    assert held.holder.granted(grant(held.ask(at), time=NOW + 1_000_000), at)
    assert held.holder.look(at)[0] < told, "more is known now"
    assert held.verifier.floor == told
    assert held.verifier.earliest == NOW + 1_000_000


JUMPS: dict[str, tuple[int, bool]] = {
    "F8 as far ahead as the clocks may have parted": (2 * E, True),
    "F8 further": (2 * E + 1, False),
    "F8 as far behind": (-2 * E, True),
    "F8 further behind": (-2 * E - 1, False),
}


@pytest.mark.parametrize("story", JUMPS)
def test_f8_a_jump_of_the_authoritys_time_drops_the_lease(story: str) -> None:
    off, believed = JUMPS[story]
    held = joined()
    at = BOOT + 1_000_000
    answer = held.holder.granted(grant(held.ask(at), time=NOW + 1_000_000 + off), at)
    assert (answer is not None) is believed
    assert held.leased(at) is believed
    assert alarms(held) == ([] if believed else [Alarm.TIME])
    if not believed:  # what it says next is taken as it is
        assert held.holder.granted(grant(held.ask(at), time=NOW + 1_000_000 + off), at)
        assert held.leased(at)


@pytest.mark.parametrize("heard", [NOW + 10 * L, NOW + 1_000], ids=["F8 far ahead", "F8 far behind"])
def test_f8_bounds_from_before_the_last_lease_say_nothing(heard: int) -> None:
    """The margin holds for the length of a lease."""
    held = joined()
    at = BOOT + L + 1
    assert held.holder.granted(grant(held.ask(at), time=heard), at)
    assert held.leased(at)
    assert alarms(held) == []
    assert held.verifier.floor == heard


@pytest.mark.parametrize(("late", "over"), [(4_000_000, True), (15_000, False)])
def test_f15_what_was_lent_by_a_late_time_ends_as_much_sooner_once_that_is_known(late: int, over: bool) -> None:  # noqa: FBT001  # a table
    shares = Shares(10)
    verifier = Verifier(limits=shares)
    held = Held(Holder(verifier, instance="v", terms=TERMS), verifier)
    assert held.holder.granted(grant(held.ask(BOOT), time=NOW + late, anew=True), BOOT + late)
    asked, _ = held.holder.look(BOOT + late)
    lent = Share(key_id="key_1", requests=5, loan="loan_1", interval=1_000, window=5_000, others=0, wait=0)
    shares.put(1, lent, wish=Wish(key_id="key_1", waiting=1), asked=asked)
    assert shares.holds(1, 1_000, 5_000, asked)
    assert held.holder.granted(grant(held.ask(BOOT + late), time=NOW + late), BOOT + late)
    latest, _ = held.holder.look(BOOT + late)
    assert shares.holds(1, 1_000, 5_000, latest + HOLD - 20_000)
    assert shares.holds(1, 1_000, 5_000, latest + HOLD + 10_000) is not over


def test_f8_bounds_hold_for_a_lease_from_the_reading_of_the_time_on() -> None:
    """Not from the arrival of the grant: the clocks part on the way, too."""
    held = fresh()
    assert held.holder.granted(grant(held.ask(BOOT)), BOOT + L - 10)
    at = BOOT + L + 1
    assert held.holder.granted(grant(held.ask(at), time=NOW + 10 * L), at)
    assert alarms(held) == []


def test_f0_a_jump_between_wall_clock_and_boot_time_clock_drops_the_lease() -> None:
    """A paused or copied machine; a second is what a person who sets the clock may do."""
    held = joined()
    held.ask(BOOT + 1, wall=BOOT + 1 + JUMP)
    assert held.leased(BOOT + 1)
    held.ask(BOOT + 2, wall=BOOT + 2 + 2 * JUMP)
    assert held.leased(BOOT + 2), "it is compared with the last time"
    asked = held.ask(BOOT + 3, wall=BOOT + 3 + JUMP - 1)
    assert not held.leased(BOOT + 3)
    assert alarms(held) == [Alarm.JUMPED]
    assert held.holder.granted(grant(asked), BOOT + 4), "a lease asked for since is good"


def test_f0_another_boot_of_the_machine_drops_the_lease() -> None:
    """A process that was frozen and thawed elsewhere, where the clocks happen to agree."""
    held = fresh()
    held.holder.renewal(BOOT, wall=BOOT, machine="one")
    assert held.holder.granted(grant(held.holder.renewal(BOOT, wall=BOOT, machine="one")), BOOT)
    assert alarms(held) == []
    held.holder.renewal(BOOT + 1, wall=BOOT + 1, machine="two")
    assert not held.leased(BOOT + 1)
    assert alarms(held) == [Alarm.JUMPED]


def test_f8_a_time_that_was_read_late_is_not_counted_from_the_renewal() -> None:
    """The lease still is (F2)."""
    held = fresh()
    assert held.holder.granted(grant(held.ask(BOOT)), BOOT + 900, read_after=BOOT + 700)
    assert held.holder.look(BOOT + 900)[0] == NOW + 200 + E
    assert held.holder.deadline == BOOT + L


def test_f8_a_node_on_the_authoritys_own_clock_knows_the_time_exactly() -> None:
    """And it never runs back, whoever sets that clock."""
    held = fresh(has_its_clock=True)
    at = BOOT + 900
    assert held.holder.granted(grant(held.ask(BOOT)), at)
    assert held.holder.time(at) == (NOW, 0)
    assert held.holder.look(at)[0] == NOW
    assert held.verifier.width == 0
    later = at + 1_000_000
    assert held.holder.granted(grant(held.ask(later), time=NOW - 10 * L), later)
    assert held.holder.time(later) == (NOW + 1_000_000, 0)
    assert held.holder.granted(grant(held.ask(later), time=NOW + 10 * L), later)
    assert held.holder.time(later) == (NOW + 10 * L, 0)
    assert alarms(held) == [], "nor is it a jump: nobody else's clock is compared with it"


# -- F3: the order


def test_f3_the_time_then_the_deadline_then_the_memory() -> None:
    """A lease that ends between the reading of the clock and the answer was good when the request began."""
    held = joined()
    assert held.verifier.fill(digest(), Fill(rev=1, state=key(), version=1), now=NOW)
    now, leased = held.holder.look(BOOT + L - 1)
    assert leased
    assert held.verifier.verify(secret_text(), now=now).valid
    assert now == NOW + L - 1 + E


# -- laws


class Wire(NamedTuple):
    """What a hostile or broken stream may do."""

    what: str
    at: int
    length: int
    rev: int
    epoch: int
    anew: bool


wires = st.lists(
    st.builds(
        Wire,
        st.sampled_from(["ask", "grant", "replay", "forge", "push", "deny", "cut", "jump"]),
        st.integers(0, 5),
        st.integers(0, 2 * L),
        st.integers(0, 12),
        st.integers(0, 2),
        st.booleans(),
    ),
    max_size=40,
)


@given(wires)
def test_f2_nothing_but_an_answer_to_a_renewal_lengthens_a_lease(wires: list[Wire]) -> None:
    """And that by no more than was granted, from when it was asked for; whatever comes in whatever order."""
    held, boot = fresh(), BOOT
    asked: list[tuple[Renewal, int]] = []
    answered: list[Grant] = []
    for wire in wires:
        boot += 100_000
        before = held.holder.deadline
        allowed = before
        match wire.what:
            case "ask":
                asked.append((held.ask(boot), boot))
            case "grant" if asked:
                renewal, sent = asked.pop(wire.at % len(asked))
                given = grant(
                    renewal,
                    length=wire.length,
                    rev=wire.rev,
                    epoch=wire.epoch,
                    anew=wire.anew,
                    time=NOW + boot - BOOT,
                    entries=tuple(entry(rev, key()) for rev in range(renewal.applied_rev + 1, wire.rev + 1)),
                )
                answered.append(given)
                allowed = max(before, sent + min(wire.length, L))
                held.holder.granted(given, boot)
            case "replay" if answered:
                held.holder.granted(answered[wire.at % len(answered)], boot)
            case "forge":
                nonce = held.holder._nonce + 1 + wire.at
                held.holder.granted(
                    Grant(nonce=nonce, length=L, epoch=wire.epoch, rev=wire.rev, entries=(), time=NOW, at=NOW), boot
                )
                assert held.holder.deadline == 0
            case "push":
                held.holder.pushed(Push(epoch=wire.epoch, entries=(entry(wire.rev, key()),)))
            case "deny":
                held.holder.denied(Denial(nonce=wire.at, reason=AHEAD if wire.anew else LAPSED))
            case "cut":
                held.holder.disconnected()
            case "jump":
                held.ask(boot, wall=boot + 2 * JUMP)
        assert held.holder.deadline <= allowed


@given(wires)
def test_f6_what_was_acknowledged_is_never_unlearnt_within_an_epoch(wires: list[Wire]) -> None:
    """By whatever grants and pushes of an honest feed, in whatever order."""
    held, boot = fresh(), BOOT
    asked: list[Renewal] = []
    told: dict[int, int] = {}
    for wire in wires:
        boot += 1
        answer: Acknowledgement | None = None
        if wire.what in ("ask", "cut"):
            asked.append(held.ask(boot))
        elif wire.what in ("grant", "replay") and asked:
            renewal = asked.pop(wire.at % len(asked))
            entries = tuple(entry(rev, key()) for rev in range(renewal.applied_rev + 1, wire.rev + 1))
            answer = held.holder.granted(
                grant(renewal, rev=wire.rev, epoch=wire.epoch + 1, anew=wire.anew, entries=entries), boot
            )
        elif wire.what == "push":
            answer = held.holder.pushed(Push(epoch=wire.epoch + 1, entries=(entry(wire.rev, key()),)))
        if answer is not None:
            told[answer.epoch] = max(told.get(answer.epoch, 0), answer.rev)
            assert answer.rev == held.verifier.applied_rev
        if Alarm.BEHIND not in held.holder.alarms:
            assert held.verifier.applied_rev >= told.get(held.verifier.epoch, 0)
