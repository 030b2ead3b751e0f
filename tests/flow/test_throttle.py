"""Tries are counted in the transaction that looks at them, and no stranger is in the owner's way (K8, pitfall 15)."""

from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from keyturn.core.account import User
from keyturn.core.captcha import Solved
from keyturn.core.instant import FOREVER
from keyturn.core.refusal import CaptchaRequired, Refusal, TooManyRequests, Unauthenticated
from keyturn.core.session import Spans, Visitor
from keyturn.core.throttle import FREE, LONGEST_DELAY, LONGEST_QUIET, Counted
from keyturn.flow import sign_in as signing_in
from keyturn.flow import throttle
from keyturn.flow.session import SignedIn
from keyturn.flow.throttle import Attempt
from keyturn.outside import presets
from keyturn.outside.forge import token_digest
from keyturn.ports.transaction import Transaction
from keyturn.store.database import connect
from keyturn.store.store import SqlStore
from tests import databases
from tests.world import PEPPER, World, sure, world

HERE = Visitor(address="198.51.100.7")


def from_network(number: int) -> Visitor:
    return Visitor(address=f"10.{number // 250}.{number % 250}.9")


def solved(number: int = 0) -> Solved:
    return Solved(digest=sha256(str(number).encode()).digest(), ends_at=FOREVER)


def try_in(
    here: World, user: str, *, matched: str = "", visitor: Visitor = HERE, captcha: Solved | None = None
) -> SignedIn | Refusal:
    """As the edge does: asked first, then reckoned, then asked again where it counts."""
    asked = here.store.read(
        lambda tx: signing_in.ask(tx, user=user, visitor=visitor, captcha=captcha, forge=here.forge)
    )
    if isinstance(asked, Refusal):
        return asked
    return here.store.change(
        lambda tx: signing_in.sign_in(
            tx,
            user=user,
            matched_password=matched and asked,
            account_id=None,
            visitor=visitor,
            spans=Spans(),
            forge=here.forge,
            captcha=captcha,
        )
    )


def fail(here: World, attempt: Attempt) -> Refusal | None:
    """One wrong try, where it is looked at."""

    def flow(tx: Transaction) -> Refusal | None:
        refusal = throttle.check(tx, attempt)
        if refusal is None:
            throttle.failed(tx, attempt)
        return refusal

    return here.store.change(flow)


def kinds(answers: list[SignedIn | Refusal]) -> Mapping[str, int]:
    return Counter(one.kind if isinstance(one, Refusal) else "in" for one in answers)


def test_k8_wrong_tries_from_one_place_meet_growing_delays(here: World, owner: User) -> None:
    free = FREE[Counted.PAIR]
    assert [try_in(here, owner.email) for _ in range(free)] == [Unauthenticated()] * free
    assert try_in(here, owner.email) == TooManyRequests(retry_after=2)
    assert try_in(here, owner.email, matched="yes") == TooManyRequests(retry_after=2)  # it is not looked at
    here.clock.advance(timedelta(milliseconds=500))
    assert try_in(here, owner.email) == TooManyRequests(retry_after=2)
    here.clock.advance(timedelta(milliseconds=1500))
    assert try_in(here, owner.email) == Unauthenticated()
    assert try_in(here, owner.email) == TooManyRequests(retry_after=4)
    here.clock.advance(timedelta(seconds=4))
    assert isinstance(try_in(here, owner.email, matched="yes"), SignedIn)
    assert [try_in(here, owner.email) for _ in range(1)] == [Unauthenticated()]  # the pair's counter began anew


def test_k8_two_hundred_wrong_passwords_from_a_hundred_networks_do_not_lock_the_owner_out(
    here: World, owner: User
) -> None:
    at_home = sure(try_in(here, owner.email, matched="yes", visitor=Visitor(address="203.0.113.5")))
    tries = [try_in(here, owner.email, visitor=from_network(n % 100)) for n in range(200)]
    assert kinds(tries) == {"unauthenticated": FREE[Counted.ACCOUNT], "captcha_required": 200 - FREE[Counted.ACCOUNT]}
    known = Visitor(address="203.0.113.5", device=token_digest(at_home.device_token))
    elsewhere = replace(known, address=from_network(7).address)  # even from a network that attacks
    for visitor in (known, elsewhere):
        assert isinstance(try_in(here, owner.email, matched="yes", visitor=visitor), SignedIn)
    new = Visitor(address="192.0.2.44")
    assert try_in(here, owner.email, matched="yes", visitor=new) == CaptchaRequired()
    assert isinstance(try_in(here, owner.email, matched="yes", visitor=new, captcha=solved()), SignedIn)
    again = try_in(here, owner.email, matched="yes", visitor=new, captcha=solved())
    assert again == CaptchaRequired()  # solved once, spent once
    other = here.user(here.account())
    assert isinstance(try_in(here, other.email, matched="yes", visitor=new), SignedIn)


def test_k8_a_known_device_has_a_counter_of_its_own(here: World, owner: User) -> None:
    at_home = sure(try_in(here, owner.email, matched="yes"))
    known = replace(HERE, device=token_digest(at_home.device_token))
    free = FREE[Counted.OWN]
    wrong = [try_in(here, owner.email, visitor=known) for _ in range(free + 1)]
    assert kinds(wrong) == {"unauthenticated": free, "too_many_requests": 1}
    assert isinstance(try_in(here, owner.email, matched="yes"), SignedIn)  # a new browser at the same place
    here.clock.advance(timedelta(seconds=2))
    assert isinstance(try_in(here, owner.email, matched="yes", visitor=known), SignedIn)
    other = here.user(here.account())
    strangers = [try_in(here, other.email, visitor=known) for _ in range(FREE[Counted.PAIR] + 1)]
    assert kinds(strangers)["too_many_requests"] == 1  # for anybody else it is no known device


def test_k8_a_network_that_tries_many_users_is_held_up_and_cannot_clear_itself(here: World, owner: User) -> None:
    free = FREE[Counted.NETWORK]
    assert kinds([try_in(here, f"nobody{n}@example.com") for n in range(free)]) == {"unauthenticated": free}
    assert try_in(here, owner.email, matched="yes") == TooManyRequests(retry_after=2)
    here.clock.advance(timedelta(seconds=2))
    assert isinstance(try_in(here, owner.email, matched="yes"), SignedIn)
    assert try_in(here, "another@example.com") == Unauthenticated()
    assert try_in(here, owner.email, matched="yes") == TooManyRequests(retry_after=4)
    assert isinstance(try_in(here, owner.email, matched="yes", visitor=from_network(1)), SignedIn)


def test_pitfall_15_of_many_tries_at_once_no_more_are_looked_at_than_one_after_the_other(
    here: World, owner: User
) -> None:
    def at_once(_: int) -> SignedIn | Refusal:
        # All of them were asked before the first was counted; only the transaction can tell.
        return here.store.change(
            lambda tx: signing_in.sign_in(
                tx,
                user=owner.email,
                matched_password="",
                account_id=None,
                visitor=HERE,
                spans=Spans(),
                forge=here.forge,
            )
        )

    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(at_once, range(60)))
    free = FREE[Counted.PAIR]
    assert kinds(answers) == {"unauthenticated": free, "too_many_requests": 60 - free}
    recorded = Counter(one.outcome for one in here.audit() if one.action == "session.started")
    assert recorded == kinds(answers)  # each once


def test_pitfall_11_the_same_is_asked_and_written_whoever_was_meant(here: World, owner: User) -> None:
    without = here.user(here.account(), stored="")
    said: list[str] = []
    event.listen(
        here.store._engine,
        "before_cursor_execute",
        lambda _c, _cursor, statement, *_: said.append(statement),
    )

    def asked(user: str, n: int) -> list[str]:
        said.clear()
        assert try_in(here, user, visitor=from_network(n)) == Unauthenticated()
        return list(said)

    wrong = asked(owner.email, 1)
    assert asked(without.email, 2) == asked("nobody@example.com", 3) == wrong
    here.store.change(lambda tx: tx.save_user(replace(owner, username="trader")))
    assert asked("trader", 4) == asked("nobody", 5)


def test_no_delay_tells_that_two_names_are_one_person_s(here: World, owner: User) -> None:
    """Whoever guesses a user name and an address learns nothing from what one does to the other."""
    here.store.change(lambda tx: tx.save_user(replace(owner, username="trader")))

    def after_many(first: str, second: str, n: int) -> list[SignedIn | Refusal]:
        for _ in range(FREE[Counted.PAIR]):
            try_in(here, first, visitor=from_network(n))
        return [try_in(here, one, visitor=from_network(n)) for one in (first.upper() + " ", second)]

    nobody = after_many("nobody@example.com", "nobody", 1)
    assert nobody == [TooManyRequests(retry_after=2), Unauthenticated()]
    assert after_many(owner.email, "trader", 2) == nobody


def test_k8_counters_survive_a_restart(here: World, owner: User, database_url: str) -> None:
    for _ in range(FREE[Counted.PAIR]):
        try_in(here, owner.email)
    store = SqlStore(
        connect(database_url), peppers=[PEPPER], presets=presets.load(), system_now=here.clock, clock=here.clock
    )
    restarted = replace(here, store=store)
    try:
        assert try_in(restarted, owner.email, matched="yes") == TooManyRequests(retry_after=2)
    finally:
        store.close()


def test_a_wrong_second_factor_is_counted_for_the_user_whatever_network_it_comes_from(here: World, owner: User) -> None:
    def attempt(n: int) -> Attempt:
        stranger = here.store.read(
            lambda tx: throttle.of_stranger(tx, here.forge, user=owner, typed="", visitor=from_network(n), captcha=None)
        )
        return throttle.of_second_step(here.forge, stranger, user_id=owner.id)

    answers = [fail(here, attempt(n)) for n in range(FREE[Counted.SECOND] + 1)]
    assert answers == [None] * FREE[Counted.SECOND] + [TooManyRequests(retry_after=2)]
    here.store.change(lambda tx: throttle.succeeded(tx, attempt(1)))
    assert isinstance(fail(here, attempt(1)), TooManyRequests)  # one right code does not let the others go on


def test_what_a_person_shows_in_their_session_is_counted_for_that_session_alone(here: World, owner: User) -> None:
    first, second = here.sign_in(owner), here.sign_in(owner)

    mine, other = throttle.of_session(here.forge, first), throttle.of_session(here.forge, second)
    answers = [fail(here, mine) for _ in range(FREE[Counted.OWN] + 1)]
    assert answers == [None] * FREE[Counted.OWN] + [TooManyRequests(retry_after=2)]
    assert fail(here, other) is None
    here.clock.advance(timedelta(seconds=2))
    here.store.change(lambda tx: throttle.succeeded(tx, mine))
    assert fail(here, mine) is None


def test_old_counters_are_forgotten_and_empty_ones_not_kept(here: World, owner: User) -> None:
    try_in(here, owner.email)
    attempt = here.store.read(
        lambda tx: throttle.of_stranger(tx, here.forge, user=owner, typed=owner.email, visitor=HERE, captcha=None)
    )

    def counted() -> int:
        found = here.store.read(lambda tx: tx.counters(attempt.subjects))
        return sum(one.failures for one in found.values())

    here.housekeeper.forget()
    assert counted() == 3
    here.clock.advance(LONGEST_QUIET + timedelta(seconds=1))
    here.housekeeper.forget()
    assert counted() == 0
    sure(try_in(here, owner.email, matched="yes"))
    assert here.store.change(lambda tx: tx.forget_counters(before=tx.now)) <= 2  # locked, and nothing counted


@settings(max_examples=25)
@given(
    history=st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["wrong", "captcha", "wait", "nobody"])), max_size=40)
)
def test_k8_whatever_strangers_do_the_owner_gets_in(history: list[tuple[int, str]], sqlite_world: World) -> None:
    here = sqlite_world
    owner = here.user(here.account())
    at_home = sure(try_in(here, owner.email, matched="yes", visitor=Visitor(address="203.0.113.5")))
    known = Visitor(address="203.0.113.5", device=token_digest(at_home.device_token))
    for number, (network, deed) in enumerate(history):
        if deed == "wait":
            here.clock.advance(timedelta(seconds=40))
            continue
        captcha = solved(number) if deed == "captcha" else None
        user = "nobody@example.com" if deed == "nobody" else owner.email
        answer = try_in(here, user, visitor=from_network(network), captcha=captcha)
        assert isinstance(answer, Refusal)
        if isinstance(answer, TooManyRequests):
            assert answer.retry_after <= LONGEST_DELAY.total_seconds()
    assert isinstance(try_in(here, owner.email, matched="yes", visitor=known), SignedIn)
    fresh = Solved(digest=here.forge.derived("test", owner.id), ends_at=FOREVER)
    new = Visitor(address="192.0.2.44")
    assert isinstance(try_in(here, owner.email, matched="yes", visitor=new, captcha=fresh), SignedIn)


@pytest.fixture(scope="module")
def sqlite_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One deployment for a whole property: its users are many, and each example has its own."""
    folder = tmp_path_factory.mktemp("property")
    with world(databases.SqliteTemplate(folder).copy(folder)) as made:
        yield made
