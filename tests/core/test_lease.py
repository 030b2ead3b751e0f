"""How long leases are, and how long a stop waits for them (F2, F5)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.core.instant import from_micros
from keyturn.core.lease import (
    FOR_GOOD,
    LONGEST_FENCE,
    Lease,
    Terms,
    epoch_after,
    everybody_before,
    everybody_lost,
    is_everybody,
    length_fault,
    margin_fault,
)


def test_f2_the_terms_where_nobody_has_said() -> None:
    """F5: a stop waits L + 2E, and a holder asks three times within a lease."""
    terms = Terms()
    assert (terms.length, terms.margin) == (5_000_000, 50_000)
    assert terms.fence == 5_100_000
    assert terms.renew_every == 1_666_666


@given(length=st.integers(1, 10**9), margin=st.integers(0, 10**7))
def test_f5_a_fence_outlasts_each_lease_whatever_the_clocks_do_within_the_margin(length: int, margin: int) -> None:
    terms = Terms(length=length, margin=margin)
    assert terms.fence == length + 2 * margin
    assert 0 <= terms.renew_every * 3 <= length


def test_f5_no_revision_is_beyond_what_a_clean_leaver_acknowledges() -> None:
    assert FOR_GOOD < 1 << 62, "the wire carries it"
    assert FOR_GOOD < 1 << 63, "and a row holds it"


def test_f9_the_number_of_an_epoch_does_not_come_again_after_a_backup_from_before_it() -> None:
    """Nor, of those that were begun in one second, within it."""
    first = epoch_after(1, now=from_micros(1_764_000_000_999_999))
    assert first == 1_764_000_000
    assert epoch_after(1, now=from_micros(1_764_000_001_000_000)) > first
    assert epoch_after(first, now=from_micros(1_764_000_000_999_999)) == first + 1


def test_f9_everybody_before_an_epoch_is_one_record_that_nobody_acknowledges_for() -> None:
    everybody = everybody_before(3, lasts=5)
    assert (everybody.epoch, everybody.acked_rev, everybody.grants, everybody.lasts) == (3, 0, True, 5)
    assert everybody.instance != everybody_before(4, lasts=5).instance


def test_f9_everybody_of_a_lost_time_is_another_record_each_time_somebody_notices() -> None:
    everybody = everybody_lost(3, noticed_by="node_1", counter=7, lasts=5)
    assert (everybody.epoch, everybody.acked_rev, everybody.grants, everybody.lasts) == (3, 0, True, 5)
    assert everybody.instance != everybody_lost(3, noticed_by="node_2", counter=7, lasts=5).instance
    assert everybody.counter == 7
    assert is_everybody(everybody)
    assert is_everybody(everybody_before(3, lasts=5))
    assert not is_everybody(Lease(instance="node_1", counter=0, lasts=5, epoch=3, acked_rev=0))


@given(length=st.integers(1, 10**8), margin=st.integers(0, 10**8))
def test_f9_no_lease_outlasts_the_longest_fence(length: int, margin: int) -> None:
    terms = Terms(length=length, margin=margin)
    assert length_fault(terms) or margin_fault(terms) or terms.fence <= LONGEST_FENCE


@pytest.mark.parametrize(
    ("length", "margin", "fits"),
    [
        (5_000_000, 50_000, True),
        (200_000, 200, True),
        (199_999, 200, False),
        (20_000_000, 20_000, True),
        (20_000_000, 2_500_000, True),
        (20_000_000, 2_500_001, False),
        (20_000_001, 30_000, False),
        (1_000_000, 1_000, True),
        (1_000_000, 999, False),
        (1_000_000, 250_000, True),
        (1_000_000, 250_001, False),
    ],
)
def test_what_terms_leases_may_be_given_by(length: int, margin: int, *, fits: bool) -> None:
    terms = Terms(length=length, margin=margin)
    assert (
        (length_fault(terms) or margin_fault(terms)) == ""
        if fits
        else "lease" in length_fault(terms) + margin_fault(terms)
    )
