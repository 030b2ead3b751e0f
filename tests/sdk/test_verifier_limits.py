"""Keys with a rate limit, decided on in the verifier's own process (F15)."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, NoReturn

import pytest

from keyturn.core.share import HOLD, Rest, Share, Wish
from keyturn.sdk import LeaseLapsed, NodeUnavailable, Verifier
from keyturn.sdk.clock import boot_micros
from tests.sdk.verifying import LONG, lapse, served, until
from tests.serving import Serving


def test_pitfall_4_a_limit_is_counted_where_all_requests_of_its_key_meet(
    server: Serving, credential: str, verifier: Verifier
) -> None:
    made = server.create(limit="3/1h")
    with Verifier(server.url, credential) as other:
        assert other.wait_until_leased(LONG)
        assert verifier.verify(made["secret"])
        assert other.verify(made["secret"])
        assert server.verdict(made["secret"]) == "valid"
        for one in (verifier, other):
            refused = one.verify(made["secret"])
            assert refused.code == "rate_limited"
            assert refused.retry_after >= 1


def test_f15_a_key_with_a_limit_is_decided_on_here_with_few_questions(server: Serving, verifier: Verifier) -> None:
    made = server.create(limit="1000000000/31d", permissions=["orders:read"])
    before, ends, got = served(server), time.monotonic() + 1.5, 0
    while got < 3000 or time.monotonic() < ends:
        assert verifier.verify(made["secret"], permission="orders:read")
        got += 1
    after = served(server)
    assert after.get("/v1/verify", 0) == before.get("/v1/verify", 0)
    asked = after["/v1/feed/share"] - before.get("/v1/feed/share", 0)
    assert 1 <= asked <= got / 20, "however long they took"
    assert verifier.verify_warm(made["secret"]), "which is as much as memory answering"
    assert verifier.verify_warm(made["secret"], permission="orders:write") is not None


def test_f15_verifiers_and_their_node_together_let_through_what_one_counter_would(
    server: Serving, credential: str, verifier: Verifier
) -> None:
    """Many threads of each; all of it is to be had, and what is left at the end has come back."""
    made = server.create(limit="300/31d")
    with Verifier(server.url, credential) as other:
        assert other.wait_until_leased(LONG)
        got: list[str] = []

        def hammer(verify: Callable[[str], Any]) -> None:
            got.extend(verify(made["secret"]).code for _ in range(100))

        calls = [verifier.verify] * 4 + [other.verify] * 4
        threads = [threading.Thread(target=hammer, args=(call,)) for call in calls]
        threads += [threading.Thread(target=lambda: got.extend(server.verdict(made["secret"]) for _ in range(100)))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(got) == {"valid", "rate_limited"}
        assert got.count("valid") <= 300

    def has_had_all() -> bool:
        got.append(server.verdict(made["secret"]))
        return got.count("valid") >= 300

    until(has_had_all)
    assert {server.verdict(made["secret"]) for _ in range(20)} == {"rate_limited"}
    assert verifier.verify(made["secret"]).code == "rate_limited"


def _nobody_lends(_wishes: object, _rests: object) -> NoReturn:
    raise NodeUnavailable("as where the node is an older one")


@pytest.mark.parametrize("on_lapse", ["ask", "refuse"])
def test_f15_without_a_share_a_node_decides_or_nothing_is_let_through(
    server: Serving, credential: str, on_lapse: str
) -> None:
    made = server.create(limit="2/1h")
    with Verifier(server.url, credential, on_lapse=on_lapse) as verifier:
        assert verifier.wait_until_leased(LONG)
        assert verifier.verify(made["secret"])
        verifier._borrower._lend = _nobody_lends
        asked = served(server).get("/v1/verify", 0)
        if on_lapse == "refuse":
            with pytest.raises(NodeUnavailable):
                verifier.verify(made["secret"])
            assert served(server).get("/v1/verify", 0) == asked
        else:
            assert verifier.verify(made["secret"])
            assert verifier.verify(made["secret"]).code == "rate_limited"
            assert served(server)["/v1/verify"] == asked + 2


@pytest.fixture
def stopping(tmp_path: Path) -> Iterator[Serving]:
    """A node of the test's own, to be stopped."""
    one = Serving(folder=tmp_path / "data").start()
    yield one
    one.kill()


def over(verifier: Verifier, *, leased: bool) -> None:
    """Hear nothing from the authority any more: in the middle of the lease, or after it."""
    verifier._attachment.stop()
    verifier._holder.deadline = boot_micros() + (int(LONG * 1e6) if leased else -1)


@pytest.mark.parametrize("leased", [True, False])
def test_f15_stale_goes_on_with_keys_that_have_a_limit_and_counts_by_itself(stopping: Serving, *, leased: bool) -> None:
    """F12: no node can be reached; it was chosen that memory goes on."""
    plain, limited, other = (stopping.create(limit=limit)["secret"] for limit in (None, "3/1h", "1/1h"))
    credential = stopping.create(permissions=["keyturn.attach"])["secret"]
    with Verifier(stopping.url, credential, on_lapse="stale:1h") as verifier:
        assert verifier.wait_until_leased(LONG)
        assert [verifier.verify(one).code for one in (plain, limited, other)] == ["valid"] * 3
        stopping.kill()
        over(verifier, leased=leased)
        assert verifier.verify(plain)
        assert [verifier.verify(limited).code for _ in range(5)] == ["valid"] * 3 + ["rate_limited"] * 2
        refused = verifier.verify(limited)
        assert 1100 < refused.retry_after <= 1200
        assert verifier.verify(other)
        verifier._holder.deadline = boot_micros() - int(3601e6)
        with pytest.raises(LeaseLapsed):
            verifier.verify(limited)


def test_f15_stale_asks_nobody_for_a_share_once_the_lease_is_over(server: Serving, credential: str) -> None:
    """It would wait for an answer each time; the stream finds the way back."""
    made = server.create(limit="3/1h")
    with Verifier(server.url, credential, on_lapse="stale:1h") as verifier:
        assert verifier.wait_until_leased(LONG)
        assert verifier.verify(made["secret"])
        over(verifier, leased=False)
        asked = served(server)["/v1/feed/share"]
        assert verifier.verify(made["secret"])
        assert served(server)["/v1/feed/share"] == asked


def test_f15_what_is_left_comes_back_however_long_leases_are(stopping: Serving) -> None:
    """Renewals are then further apart than the lender knows a loan for."""
    path, credential = "/v1/fleet/terms", stopping.create(permissions=["keyturn.attach"])["secret"]
    assert stopping.call(path, {"lease_ms": 20_000, "margin_ms": 20}, method="PUT").status == HTTPStatus.OK
    made = stopping.create(limit="100000/31d")
    with Verifier(stopping.url, credential) as verifier:
        until(lambda: verifier.lease > 19)  # just renewed, and not again for six seconds
        for _ in range(40):
            assert verifier.verify(made["secret"])
        asked = 0

        def is_whole() -> bool:
            nonlocal asked
            asked += 1
            left: int = stopping.call("/v1/verify", {"key": made["secret"]}).body["remaining"]
            return left >= 100_000 - 40 - asked

        assert not is_whole(), "forty requests in a row are reason enough to borrow ahead"
        until(is_whole)


class WatchedLock:
    """A lock that tells how often it was wanted."""

    def __init__(self) -> None:
        self.wanted = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self.wanted += 1
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_pitfall_15_stale_loses_no_request_to_a_thread_that_comes_in_between(server: Serving, credential: str) -> None:
    """F15: what one thread has counted for itself, another one's counting does not overwrite."""
    made = server.create(limit="2/1h")
    with Verifier(server.url, credential, on_lapse="stale:1h") as verifier:
        assert verifier.wait_until_leased(LONG)
        assert verifier.verify(made["secret"])
        over(verifier, leased=False)
        codes, lends, puts, lock = list[str](), list[Share](), list[Share](), WatchedLock()
        lend, put = verifier._counters.lend, verifier._shares.put

        def ask() -> None:
            codes.append(verifier.verify(made["secret"]).code)

        other = threading.Thread(target=ask)

        def lend_both_first(*arguments: Any, **named: Any) -> Share:
            lends.append(lend(*arguments, **named))
            if len(lends) == 1:
                other.start()
                until(lambda: lock.wanted >= 2 or len(lends) >= 2)
            else:
                until(lambda: puts)
            return lends[-1]

        def put_both_first(number: int, share: Share, *, wish: Wish, asked: int) -> None:
            put(number, share, wish=wish, asked=asked)
            puts.append(share)
            until(lambda: lock.wanted >= 2 or len(puts) >= 2)

        verifier.__dict__["_alone"] = lock
        verifier._counters.__dict__["lend"] = lend_both_first
        verifier._shares.__dict__["put"] = put_both_first
        ask()
        other.join()
        assert codes == ["valid"] * 2


def test_f15_refuse_lets_nothing_through_without_a_share(stopping: Serving) -> None:
    plain, limited = (stopping.create(limit=limit)["secret"] for limit in (None, "3/1h"))
    credential = stopping.create(permissions=["keyturn.attach"])["secret"]
    with Verifier(stopping.url, credential, on_lapse="refuse") as verifier:
        assert verifier.wait_until_leased(LONG)
        assert [verifier.verify(one).code for one in (plain, limited)] == ["valid"] * 2
        stopping.kill()
        over(verifier, leased=True)
        assert verifier.verify(plain)
        with pytest.raises(NodeUnavailable):
            verifier.verify(limited)
        over(verifier, leased=False)
        for one in (plain, limited):
            with pytest.raises(LeaseLapsed):
                verifier.verify(one)


@pytest.mark.parametrize("ends", ["lapsed", "closed", "unreachable"])
def test_f3_a_lease_that_ends_while_a_share_is_borrowed_lets_nothing_through(
    server: Serving, credential: str, ends: str
) -> None:
    """F15: nor is a node asked then by whoever refuses (`on_lapse`), or is closed."""
    made = server.create(limit="9/1h")
    on_lapse = "ask" if ends == "closed" else "refuse"
    with Verifier(server.url, credential, on_lapse=on_lapse) as verifier:
        assert verifier.wait_until_leased(LONG)
        assert verifier.verify(made["secret"])
        lend = verifier._borrower._lend

        def lend_late(wishes: Sequence[Wish], rests: Sequence[Rest]) -> Sequence[Share]:
            lent = lend(wishes, rests)
            if ends == "closed":
                verifier.close()
            else:
                lapse(verifier)
            if ends == "unreachable":
                _nobody_lends(wishes, rests)
            return lent

        verifier._borrower._lend = lend_late
        asked = served(server).get("/v1/verify", 0)
        with pytest.raises(LeaseLapsed):
            verifier.verify(made["secret"])
        assert served(server).get("/v1/verify", 0) == asked


def test_f15_nothing_is_borrowed_that_would_outlast_its_time(server: Serving, verifier: Verifier) -> None:
    """As once a grant that took seconds is followed by one that did not: until the time that is known goes on."""
    secret = server.create(limit="1000/1h")["secret"]
    assert verifier.wait_until_leased(LONG)
    assert verifier.verify(secret)
    verifier._shares.drain()
    late = boot_micros() + verifier._holder.ahead + 60 * HOLD
    verifier._memory.hear(earliest=0, latest=late)
    assert verifier.verify(secret).code == "valid", "a node decides meanwhile"
    assert len(verifier._shares) == 0
