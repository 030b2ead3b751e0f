"""Instants, and durations as people write them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.core import duration, instant
from keyturn.core.duration import LONGEST, UNTIL_STOPPED
from keyturn.core.instant import EPOCH, FOREVER, Instant

T0 = Instant(datetime(2030, 1, 1, tzinfo=UTC))
moments = st.integers(0, 253_000_000_000 * 10**6).map(instant.from_micros)
spans = st.integers(0, LONGEST // timedelta(seconds=1)).map(lambda seconds: timedelta(seconds=seconds))


@given(moments)
def test_an_instant_survives_its_packed_and_its_written_form(moment: Instant) -> None:
    assert instant.from_micros(instant.to_micros(moment)) == moment
    assert instant.from_text(instant.to_text(moment)) == moment


def test_nothing_comes_later_than_forever() -> None:
    assert instant.later(T0, timedelta(hours=1)) == T0 + timedelta(hours=1)
    assert instant.later(T0, UNTIL_STOPPED) == FOREVER
    assert instant.later(FOREVER, timedelta(0)) == FOREVER


def test_rfc_3339_with_an_offset() -> None:
    assert instant.to_text(T0) == "2030-01-01T00:00:00Z"
    assert instant.from_text("2030-01-01T01:00:00+01:00") == T0
    assert instant.from_text("1970-01-01T00:00:00Z") == EPOCH


@pytest.mark.parametrize(
    "text",
    ["", "soon", "2030-01-01T00:00:00", "1969-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00", "2030-13-01T00:00:00Z"],
)
def test_other_times_are_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"not an RFC 3339 time|needs its offset|out of range"):
        instant.from_text(text)


@given(spans)
def test_a_duration_survives_its_written_form(span: timedelta) -> None:
    assert duration.parse(duration.to_text(span)) == span


WRITTEN = {
    "90d": timedelta(days=90),
    "24h": timedelta(days=1),
    "30m": timedelta(minutes=30),
    "0s": timedelta(0),
    "1h30m": timedelta(minutes=90),
    "2w": timedelta(weeks=2),
    "P90D": timedelta(days=90),
    "PT24H": timedelta(days=1),
    "P1W": timedelta(weeks=1),
    "P1DT12H30M5S": timedelta(days=1, hours=12, minutes=30, seconds=5),
    "until_stopped": UNTIL_STOPPED,
}


@pytest.mark.parametrize("text", WRITTEN)
def test_durations_are_texts_with_a_unit(text: str) -> None:
    assert duration.parse(text) == WRITTEN[text]


@pytest.mark.parametrize(
    "text",
    ["", "90", "1.5h", "-1d", "1h1h", "30m1h", "P1M", "P1Y", "P", "PT", "1d ", "٣d", "40000d", "1y", "999999999w"],
)
def test_anything_else_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a duration|longer than a hundred years"):
        duration.parse(text)
