"""Addresses (pitfall 12) and limits (GCRA)."""

from datetime import timedelta
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.core import allowlist, limit
from keyturn.core.allowlist import Matcher
from keyturn.core.limit import Limit


def test_pitfall_12_networks_are_written_one_way() -> None:
    given_ = ["192.0.2.7", "2001:DB8::/32", "::ffff:192.0.2.0/120", "192.0.2.7/32"]
    assert allowlist.parse_set(given_) == ("192.0.2.7/32", "2001:db8::/32", "192.0.2.0/24")


@pytest.mark.parametrize(
    "text", ["", "167772160", "192.0.2.1/24", "fe80::1%eth0", "192.0.2", "\uff11.2.3.4", "1.2.3.4/33", "01.2.3.4", "x"]
)
def test_pitfall_12_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        allowlist.parse_network(text)


def test_an_allowlist_is_bounded() -> None:
    with pytest.raises(ValueError, match="more than"):
        allowlist.parse_set(str(ip_address(at)) for at in range(1, allowlist.MOST_NETWORKS + 2))


COVERS = {
    "everything covers everything": ((), (), True),
    "no list covers any": ((), ("192.0.2.0/24",), True),
    "a list does not cover everything": (("192.0.2.0/24",), (), False),
    "a part is covered": (("192.0.2.0/24", "2001:db8::/32"), ("192.0.2.7/32", "2001:db8:1::/48"), True),
    "a neighbour is not": (("192.0.2.0/24",), ("192.0.3.0/24",), False),
    "another version is not": (("::/1",), ("192.0.2.0/24",), False),
}


@pytest.mark.parametrize("story", COVERS)
def test_r23_what_lies_within_what(story: str) -> None:
    outer, inner, within = COVERS[story]
    assert allowlist.covers(outer, inner) is within


networks = st.one_of(
    st.builds(
        lambda number, bits: ip_network((number >> (32 - bits) << (32 - bits), bits)),
        st.integers(0, 2**32 - 1),
        st.integers(1, 32),
    ),
    st.builds(
        lambda number, bits: ip_network((number >> (128 - bits) << (128 - bits), bits)),
        st.integers(0, 2**128 - 1),
        st.integers(1, 128),
    ),
)


@given(st.lists(networks, max_size=6), st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_the_ready_made_matcher_agrees_with_the_plain_question(nets: list[object], address: object) -> None:
    texts = tuple(map(str, nets))
    seen = allowlist.parse_address(str(address))
    plain = any(seen.version == net.version and seen in net for net in map(ip_network, texts))
    assert Matcher(texts).admits(str(address)) is plain


def test_pitfall_12_a_mapped_address_is_the_address_it_maps() -> None:
    matcher = Matcher(("10.0.0.0/8",))
    assert matcher.admits("::ffff:10.1.2.3")
    assert not matcher.admits("::10.1.2.3")
    assert not matcher.admits("nonsense")


def test_a_limit_is_requests_in_a_window() -> None:
    assert limit.parse("100/1m") == limit.parse("100/minute") == Limit(requests=100, window=timedelta(minutes=1))
    assert limit.to_text(limit.parse("5/second")) == "5/1s"


@pytest.mark.parametrize("text", ["", "100", "0/1m", "1/0s", "1/32d", "9999999999/1m", "-1/1m", "1/fortnight", "1/1m "])
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        limit.parse(text)


@given(st.integers(1, 50), st.integers(1, 3600), st.lists(st.integers(0, 10**9), min_size=1, max_size=200))
def test_a_window_holds_twice_the_limit_less_one_at_the_most_and_a_burst_never_more_than_it(
    requests: int, seconds: int, steps: list[int]
) -> None:
    rate = Limit(requests=requests, window=timedelta(seconds=seconds))
    now = arrival = 0
    admitted: list[int] = []
    for step in steps:
        now += step
        following = limit.arrive(arrival, interval=rate.interval_micros, window=rate.window_micros, now=now)
        if following is not None:
            arrival = following
            admitted.append(now)
    for at in admitted:
        assert admitted.count(at) <= requests
        window = rate.window // timedelta(microseconds=1)
        assert sum(at <= other < at + window for other in admitted) < 2 * requests


@given(st.integers(1, 2000), st.integers(1, 3600))
def test_as_many_as_the_limit_says_may_come_at_once_however_it_divides(requests: int, seconds: int) -> None:
    """And then one for each interval, so that the window that begins with them holds twice as many less one."""
    rate = Limit(requests=requests, window=timedelta(seconds=seconds))
    step = {"interval": rate.interval_micros, "window": rate.window_micros}
    arrival: int | None = 0
    for _ in range(requests):
        assert arrival is not None
        arrival = limit.arrive(arrival, **step, now=0)
    assert arrival is not None
    assert limit.arrive(arrival, **step, now=0) is None
    for turn in range(1, requests):
        arrival = limit.arrive(arrival, **step, now=turn * rate.interval_micros)
        assert arrival is not None


def test_a_burst_of_the_whole_limit_then_one_each_interval() -> None:
    rate = Limit(requests=3, window=timedelta(seconds=3))
    step = {"interval": rate.interval_micros, "window": rate.window_micros}
    arrival = 0
    answers = []
    for now in (0, 0, 0, 0, 999_999, 1_000_000, 1_000_000):
        following = limit.arrive(arrival, **step, now=now)
        answers.append(following is not None)
        arrival = following if following is not None else arrival
    assert answers == [True, True, True, False, False, True, False]
