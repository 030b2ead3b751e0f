"""Delays that grow, and that nobody can put in an owner's way (K8, pitfalls 11, 15)."""

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from keyturn.core.instant import Instant
from keyturn.core.link import LASTS, LinkKind
from keyturn.core.throttle import (
    FIRST_DELAY,
    FREE,
    LONGEST_DELAY,
    QUIET,
    CaptchaFirst,
    Counted,
    Counter,
    Wait,
    check,
    delay,
    failed,
    failures,
    network,
    succeeded,
)

T0 = Instant(datetime.fromisoformat("2030-01-01T00:00:00+00:00"))
A_SECOND = timedelta(seconds=1)
STRANGER = (Counted.ACCOUNT, Counted.PAIR, Counted.NETWORK)
delaying = st.sampled_from([one for one in Counted if one is not Counted.ACCOUNT])


def at(span: timedelta) -> Instant:
    return Instant(T0 + span)


def after(counted: Counted, count: int, *, now: Instant = T0) -> Counter:
    counter = Counter(counted=counted)
    for _ in range(count):
        counter = failed(counter, now)
    return counter


def test_k8_delays_double_from_the_first_to_the_longest() -> None:
    free = FREE[Counted.PAIR]
    assert delay(after(Counted.PAIR, free - 1), T0) is None
    assert delay(after(Counted.PAIR, free), T0) == T0 + FIRST_DELAY
    assert delay(after(Counted.PAIR, free + 1), T0) == T0 + 2 * FIRST_DELAY
    assert delay(after(Counted.PAIR, free + 2), T0) == T0 + 4 * FIRST_DELAY
    assert delay(after(Counted.PAIR, 10_000), T0) == T0 + LONGEST_DELAY
    assert delay(after(Counted.PAIR, free), at(FIRST_DELAY)) is None


@given(delaying, st.integers(0, 200), st.timedeltas(timedelta(0), timedelta(days=2)))
def test_k8_a_delay_grows_with_failures_never_passes_the_longest_and_ends(
    counted: Counted, count: int, passed: timedelta
) -> None:
    now = at(passed)
    fewer, more = after(counted, count), after(counted, count + 1)
    before, later = delay(fewer, now), delay(more, now)
    assert before is None or (later is not None and later >= before)
    longest = QUIET[counted] if counted is Counted.LETTERS else LONGEST_DELAY
    assert later is None or now < later <= T0 + longest
    assert delay(more, at(QUIET[counted])) is None
    assert failures(more, at(QUIET[counted])) == 0


@given(st.lists(st.tuples(st.sampled_from(STRANGER), st.integers(0, 500))), st.booleans())
def test_k8_the_account_s_counter_alone_never_blocks(counts: list[tuple[Counted, int]], captcha: bool) -> None:  # noqa: FBT001  # drawn
    counters = {counted: after(counted, count) for counted, count in counts}
    held = check(counters, captcha=captcha, now=T0)
    others: dict[Counted, Counter] = {
        counted: one for counted, one in counters.items() if counted is not Counted.ACCOUNT
    }
    assert isinstance(held, Wait) == isinstance(check(others, captcha=False, now=T0), Wait)
    if captcha:
        assert not isinstance(held, CaptchaFirst)


def test_k8_after_some_failures_a_stranger_solves_a_captcha_first() -> None:
    most = FREE[Counted.ACCOUNT]
    assert check({Counted.ACCOUNT: after(Counted.ACCOUNT, most - 1)}, captcha=False, now=T0) is None
    tried: dict[Counted, Counter] = {Counted.ACCOUNT: after(Counted.ACCOUNT, most)}
    assert check(tried, captcha=False, now=T0) == CaptchaFirst()
    assert check(tried, captcha=True, now=T0) is None
    assert check(tried, captcha=False, now=at(QUIET[Counted.ACCOUNT])) is None
    assert check({}, captcha=False, now=T0) is None
    tried[Counted.PAIR] = after(Counted.PAIR, FREE[Counted.PAIR] + 1)
    assert check(tried, captcha=True, now=T0) == Wait(until=at(2 * FIRST_DELAY))


def test_k8_no_more_letters_are_sent_until_the_earlier_links_are_over() -> None:
    sent = after(Counted.LETTERS, FREE[Counted.LETTERS])
    assert delay(sent, at(timedelta(minutes=29))) == at(timedelta(minutes=30))
    assert delay(sent, at(timedelta(minutes=30))) is None


def test_a_right_try_clears_what_is_the_person_s_own_and_nothing_else() -> None:
    cleared = {one for one in Counted if succeeded(after(one, 7)) == Counter(counted=one)}
    assert cleared == {Counted.PAIR, Counted.OWN}
    assert {one for one in Counted if succeeded(after(one, 7)) == after(one, 7)} == set(Counted) - cleared


def test_counting_begins_anew_after_a_quiet_time() -> None:
    old = after(Counted.PAIR, 50)
    assert failed(old, at(QUIET[Counted.PAIR])).failures == 1
    assert failed(old, at(QUIET[Counted.PAIR] - A_SECOND)).failures == 51


def test_k8_addresses_are_counted_by_the_network_a_stranger_has_whole() -> None:
    stories = {
        "IPv4 by its /24": ("192.0.2.77", "192.0.2.0/24"),
        "IPv6 by its /56": ("2001:db8:1:2ff::1", "2001:db8:1:200::/56"),
        "IPv4 written in IPv6 as IPv4": ("::ffff:192.0.2.77", "192.0.2.0/24"),
        "all whose address nobody knows together": (None, "unknown"),
    }
    for story, (address, counted_with) in stories.items():
        assert network(address) == counted_with, story


def test_k8_whoever_lost_a_password_always_has_a_link_or_gets_one() -> None:
    """Strangers may use up the mails of an owner, and not for longer than the links in those mails last."""
    assert QUIET[Counted.LETTERS] <= LASTS[LinkKind.PASSWORD]
