"""Waiting for a stop to be confirmed: who watches for whom, and what ends it (F5, F14)."""

import threading
from collections.abc import Iterator

import pytest

from keyturn.core.instant import to_micros
from keyturn.core.lease import Scan
from keyturn.flow.confirmation import AWAY
from keyturn.flow.follow import Follower
from tests.attached import until
from tests.fleet.chaos.link import Links, Way
from tests.flow.node import HOUR, TERMS, Member, absent, member, waiting
from tests.postgres import Postgres


@pytest.fixture
def one(sqlite_url: str) -> Iterator[Member]:
    with member(sqlite_url) as made:
        yield made
    until(lambda: not keepers())


@pytest.mark.parametrize(("told", "believed"), [("as it is", True), ("of another past", False)])
def test_f9_a_hint_counts_for_the_entry_that_it_is_about(one: Member, told: str, *, believed: bool) -> None:
    """F14: it is for speed, and safety comes from leases alone."""
    with waiting(one, one.stop()) as confirming:
        rev, at = one.verifier.applied
        epoch = one.verifier.epoch
        one.confirming.heard("node_gone", epoch=epoch, rev=rev, at=at if told == "as it is" else at + 1)
    assert confirming.result().waited_out == (() if believed else ("node_gone",))


def test_f14_a_hint_that_comes_before_its_entry_counts_once_that_is_here(one: Member) -> None:
    rev = one.stop()
    follow, one.here.store.follow = one.here.store.follow, lambda _entries: None
    later = one.stop()
    at = to_micros(one.here.store.feed_after(later - 1, limit=1)[0].at)
    with waiting(one, rev) as confirming:
        one.confirming.heard("node_gone", epoch=one.verifier.epoch, rev=later, at=at)
        assert one.confirming.running(), "it is not known here yet"
        one.here.store.follow = follow
        Follower(one.here.store, one.verifier, applied=one.membership.applied).catch_up()
    assert confirming.result().waited_out == ()


def keepers() -> int:
    return sum(thread.name == "confirming" for thread in threading.enumerate())


def test_f5_all_who_wait_share_a_thread_and_a_look_at_the_leases(one: Member) -> None:
    """However many: it ends with the last of them."""
    scan, looks = one.here.store.scan, list[int]()

    def counted(rev: int) -> Scan:
        looks.append(rev)
        return scan(rev)

    with waiting(one, one.stop()) as confirming:
        begun = [one.confirming.begin(one.stop(), epoch=one.epoch) for _ in range(20)]
        assert len(one.confirming.running()) == 21
        assert keepers() == 1
        one.here.store.scan = counted  # type: ignore[method-assign]  # the same, counted
        until(lambda: len(looks) >= 8)
        looked = list(looks)
        one.confirming.heard("node_gone", epoch=one.epoch, rev=one.verifier.applied_rev, at=one.verifier.applied[1])
        assert [wait.over.result(20) for wait in begun] == [True] * len(begun)
        one.here.store.scan = scan  # type: ignore[method-assign]  # as above
    earlier = [rev for rev in looked if rev != begun[-1].rev]
    assert len(earlier) <= 2, "but for those under way when the last began, each look is for all"
    found = [confirming.result(), *(one.confirming.end(wait) for wait in begun)]
    assert {(each.confirmed, each.waited_out) for each in found} == {(True, ())}
    assert len({each.rev for each in found}) == len(found)
    assert not one.confirming.running()
    until(lambda: not keepers())


def test_f5_what_need_not_be_waited_for_takes_no_thread(one: Member) -> None:
    wait = one.confirming.begin(one.stop(), epoch=one.epoch)
    assert (wait.over.done(), wait.over.result(), keepers()) == (True, False, 0)


def test_f5_where_no_thread_can_be_begun_nobody_waits_for_ever(one: Member) -> None:
    """As under a limit of processes; the stop is committed by then, and is confirmed all the same."""
    absent(one, lasts=TERMS.fence)
    rev = one.stop()
    threading.stack_size(1 << 50)  # more than there is
    try:
        wait = one.confirming.begin(rev, epoch=one.epoch)
    finally:
        threading.stack_size(0)
    assert wait.over.result(20) is True
    found = one.confirming.end(wait)
    assert (found.confirmed, found.waited_out) == (True, ("node_gone",))
    absent(one)
    later = one.confirming.begin(one.stop(), epoch=one.epoch)
    assert keepers() == 1, "and the next one has a thread"
    one.let_pass(HOUR)
    assert later.over.result(20) is True


@pytest.mark.parametrize("ends", ["in time", "by what is told"])
def test_f5_a_silent_connection_holds_nobody(postgres_server: Postgres, postgres_url: str, ends: str) -> None:
    """Its TCP goes on, as behind a pooler: the look at the leases is not answered, and all share that look."""
    with Links() as links:
        line = links.to(postgres_server.port)
        with member(postgres_url.replace(f":{postgres_server.port}/", f":{line.port}/")) as one:
            absent(one)
            epoch = one.epoch
            waits = [one.confirming.begin(one.stop(), epoch=epoch) for _ in range(3)]
            recent = one.membership.recent
            told = [(each.rev, recent.at(each.rev) or 0) for each in waits if ends == "by what is told"]
            line.stall(Way.BACK)
            try:
                until(lambda: any(each.back.held for each in line.connections(b"")))
                assert one.confirming.running(), "the look is under way, and somebody waits"
                for rev, at in told:
                    one.confirming.heard("node_gone", epoch=epoch, rev=rev, at=at)
                if ends == "in time":
                    one.let_pass(HOUR - TERMS.fence)  # and the rest while nobody is told anything
                assert [each.over.result(30) for each in waits] == [True] * len(waits)
                away = [one.confirming.unended(each) for each in waits]
            finally:
                line.resume()
            found = [one.confirming.end(each) for each in waits]
    late = ("node_gone",) if ends == "in time" else ()
    assert {(each.confirmed, each.reason, each.waited_out) for each in away} == {(False, AWAY, late)}
    assert {(each.confirmed, each.reason, each.waited_out) for each in found} == {(True, "", late)}


def test_a_bug_in_a_look_leaves_nobody_waiting(one: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    class BugError(Exception):
        pass

    def bug(_rev: int) -> Scan:
        raise BugError

    absent(one)
    begun = one.confirming.begin(one.stop(), epoch=one.epoch)
    monkeypatch.setattr(one.here.store, "scan", bug)
    with pytest.raises(BugError):
        begun.over.result(20)
    assert not one.confirming.running()


def test_a_bug_leaves_nobody_waiting(one: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    class BugError(Exception):
        pass

    def bug() -> None:
        raise BugError

    with waiting(one, one.stop()) as confirming:
        begun = one.confirming.begin(one.stop(), epoch=one.epoch)
        monkeypatch.setattr(one.confirming._waits, "_believe", bug)
        one.membership.applied()
        for future in (confirming, begun.over):
            with pytest.raises(BugError):
                future.result(20)
    monkeypatch.undo()
    assert not one.confirming.running()
    absent(one)
    later = one.confirming.begin(one.stop(), epoch=one.epoch)
    assert one.confirming.running(), "and the next one waits again"
    one.let_pass(HOUR)
    assert later.over.result(20) is True
