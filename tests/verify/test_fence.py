"""One wait of a stop (F5)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.core.lease import FOR_GOOD, Lease, Terms
from keyturn.verify.fence import Fence

TERMS = Terms(length=5_000, margin=50)
SCANNED = 1_000_000
REV, NEWEST, EPOCH = 7, 9, 2


def lease(
    instance: str, acked_rev: int, *, epoch: int = EPOCH, applied_rev: int = 0, lasts: int = TERMS.fence
) -> Lease:
    return Lease(instance=instance, counter=1, lasts=lasts, epoch=epoch, acked_rev=acked_rev, applied_rev=applied_rev)


def fence(*leases: Lease) -> Fence:
    return Fence(leases, rev=REV, epoch=EPOCH, newest=NEWEST, scanned_at=SCANNED)


def names(waiting: Fence) -> list[str]:
    return [one.instance for one in waiting.pending]


ACKNOWLEDGED: dict[str, tuple[int, int, bool]] = {
    "F5 the stop itself": (EPOCH, REV, True),
    "F5 and more, as far as the authority has come": (EPOCH, NEWEST, True),
    "F5 everything, for good": (EPOCH, FOR_GOOD, True),
    "F5 for good, in whichever epoch it left": (EPOCH - 1, FOR_GOOD, True),
    "F5 not quite": (EPOCH, REV - 1, False),
    "F5 above the authority's own: of another past": (EPOCH, NEWEST + 1, False),
    "F9 of an earlier epoch": (EPOCH - 1, REV, False),
    "F9 of a later epoch": (EPOCH + 1, REV, False),
}


@pytest.mark.parametrize("story", ACKNOWLEDGED)
def test_whom_a_stop_waits_for(story: str) -> None:
    """In the scan, by a hint, and where the leases are read again."""
    epoch, acked, has = ACKNOWLEDGED[story]
    scanned = fence(lease("a", acked, epoch=epoch))
    assert names(scanned) == ([] if has else ["a"])
    heard = fence(lease("a", 0))
    heard.heard("a", epoch=epoch, acked_rev=acked)
    assert names(heard) == ([] if has else ["a"])
    again = fence(lease("a", 0))
    again.scanned([lease("a", acked, epoch=epoch)], newest=NEWEST)
    assert names(again) == ([] if has else ["a"])


def test_f5_applied_never_counts() -> None:
    assert names(fence(lease("a", REV - 1, applied_rev=REV))) == ["a"]


def test_f5_it_is_over_when_everybody_has_acknowledged_or_every_lease_has_ended() -> None:
    waiting = fence(lease("a", 0), lease("b", REV), lease("c", 0))
    assert (names(waiting), waiting.confirmed) == (["a", "c"], 1)
    assert not waiting.is_over(SCANNED)
    waiting.heard("c", epoch=EPOCH, acked_rev=REV)
    assert (names(waiting), waiting.confirmed) == (["a"], 2)
    # L + 2E from the scan, not a microsecond less.
    assert waiting.ends_at == SCANNED + TERMS.length + 2 * TERMS.margin
    assert not waiting.is_over(waiting.ends_at - 1)
    assert waiting.is_over(waiting.ends_at)
    assert names(waiting) == ["a"], "whoever was waited out is told of"
    waiting.heard("a", epoch=EPOCH, acked_rev=REV)
    assert waiting.is_over(SCANNED)
    assert [one.instance for one in waiting.leases] == ["a", "b", "c"]


def test_f5_it_waits_by_the_longest_lease_of_those_who_have_not_acknowledged() -> None:
    """Each lasts as long as it was given for, whatever the terms are by now."""
    waiting = fence(lease("short", 0, lasts=100), lease("long", 0, lasts=9_000), lease("longer", REV, lasts=99_000))
    assert waiting.ends_at == SCANNED + 9_000
    waiting.heard("long", epoch=EPOCH, acked_rev=REV)
    assert waiting.ends_at == SCANNED + 100
    assert not waiting.is_over(SCANNED + 99)
    assert waiting.is_over(SCANNED + 100)


def test_f5_nobody_on_record_nobody_to_wait_for() -> None:
    assert fence().is_over(SCANNED)


def test_f5_a_stranger_is_not_waited_for() -> None:
    """Whoever is not in the scan has been granted after it, from a feed that holds the stop."""
    waiting = fence(lease("a", 0))
    waiting.heard("b", epoch=EPOCH, acked_rev=0)
    waiting.heard("b", epoch=EPOCH, acked_rev=NEWEST + 1)
    assert not waiting.outdated, "nor looked into"
    waiting.scanned([lease("b", 0)], newest=NEWEST)
    assert names(waiting) == ["a"]


def test_f5_a_row_that_is_gone_is_waited_out_all_the_same() -> None:
    waiting = fence(lease("a", 0))
    waiting.scanned([], newest=NEWEST)
    assert not waiting.is_over(waiting.ends_at - 1)


def test_f5_more_than_the_authority_had_is_looked_into_and_counts_once_the_authority_has_it_too() -> None:
    waiting = fence(lease("a", 0), lease("b", 0))
    assert not waiting.outdated
    waiting.heard("a", epoch=EPOCH + 1, acked_rev=NEWEST + 5)
    assert not waiting.outdated, "of another epoch there is nothing to look into"
    waiting.heard("a", epoch=EPOCH, acked_rev=NEWEST + 5)
    assert (waiting.outdated, names(waiting)) == (True, ["a", "b"])
    waiting.scanned([lease("a", NEWEST + 5), lease("b", 0)], newest=NEWEST + 5)
    assert (waiting.outdated, names(waiting), waiting.newest) == (False, ["b"], NEWEST + 5)


@given(acked=st.lists(st.integers(0, NEWEST + 3), max_size=6), heard=st.lists(st.integers(0, 7), max_size=20))
def test_f5_nobody_is_let_off_who_has_not_acknowledged(acked: list[int], heard: list[int]) -> None:
    waiting = fence(*(lease(str(at), rev) for at, rev in enumerate(acked)))
    has = {str(at) for at, rev in enumerate(acked) if REV <= rev <= NEWEST}
    for at in heard:
        waiting.heard(str(at), epoch=EPOCH, acked_rev=REV + at % 2)
        has.add(str(at))
    assert names(waiting) == [str(at) for at in range(len(acked)) if str(at) not in has]
    assert waiting.is_over(waiting.ends_at - 1) is (not waiting.pending)
