"""A follower applies each entry once, in order, whatever order it hears of them in (F1, F6), also after an outage."""

import threading
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.core.feed import FeedEntry, KeyState, SecretState
from keyturn.core.instant import EPOCH, FOREVER
from keyturn.flow.follow import Follower, Unfollowed, entries_beyond
from keyturn.ports.store import StoreUnavailable
from keyturn.verify.verifier import Verifier


def entry(rev: int) -> FeedEntry:
    secret = SecretState(
        version=rev,
        starts_at=EPOCH,
        dangerous_starts_at=EPOCH,
        stops_at=FOREVER,
        stopped=False,
        replaced_by="",
        watched=False,
    )
    key = KeyState(
        number=1,
        key_id="key_1",
        account_id="acc_1",
        owner_id="usr_1",
        environment="live",
        permissions=(),
        allowlist=(),
        limit=None,
        expires_at=FOREVER,
        suspended=False,
        revoked=False,
        secrets=(secret,),
    )
    return FeedEntry(rev=rev, at=EPOCH, change=key, follows=EPOCH)


class Feed:
    """A store of which only the feed is asked, and which may be away."""

    def __init__(self, count: int) -> None:
        self.entries = [entry(rev) for rev in range(1, count + 1)]
        self.away = False
        self.kept_from = 1
        self.asked = 0

    def feed_after(self, rev: int, *, limit: int) -> Sequence[FeedEntry]:
        self.asked += 1
        if self.away:
            raise StoreUnavailable
        return self.entries[max(rev, self.kept_from - 1) :][:limit]

    def scan(self, rev: int) -> Any:
        raise NotImplementedError

    def change(self, flow: Any) -> Any:
        raise NotImplementedError

    def read(self, query: Any) -> Any:
        raise NotImplementedError


class Listening(Verifier):
    """A verifier that notes what is applied to it."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[int] = []

    def _apply(self, entry: FeedEntry) -> None:
        self.heard.append(entry.rev)
        super()._apply(entry)


@given(count=st.integers(1, 30), seed=st.integers())
def test_f6_entries_are_applied_in_order_without_gaps_or_doubles(count: int, seed: int) -> None:
    feed, verifier = Feed(count), Listening()
    follower = Follower(feed, verifier)
    told = list(feed.entries)
    Random(seed).shuffle(told)
    for one in told:
        follower.committed([one])
        assert verifier.applied_rev >= one.rev, "on return every thread decides by it"
    assert verifier.heard == list(range(1, count + 1))


def test_f6_without_a_gap_the_store_is_not_asked() -> None:
    feed, verifier = Feed(3), Listening()
    follower = Follower(feed, verifier)
    follower.committed(feed.entries[:2])
    follower.committed(feed.entries[1:])
    assert (verifier.heard, feed.asked) == ([1, 2, 3], 0)


def test_f6_after_an_outage_it_goes_on_where_it_was() -> None:
    feed, verifier = Feed(3000), Listening()
    follower = Follower(feed, verifier)
    feed.away = True
    with pytest.raises(StoreUnavailable):
        follower.committed([feed.entries[7]])
    assert verifier.heard == [], "nothing is applied past a gap"
    feed.away = False
    follower.catch_up()
    assert verifier.heard == list(range(1, 3001))
    follower.catch_up()
    assert verifier.applied_rev == 3000


@pytest.mark.parametrize("applied", [0, 2])
def test_f11_nothing_is_applied_past_what_is_no_longer_kept(applied: int) -> None:
    feed, verifier = Feed(9), Listening()
    follower = Follower(feed, verifier)
    verifier.apply(feed.entries[:applied])
    feed.kept_from = 4
    follower.catch_up()
    assert verifier.applied_rev == applied
    assert entries_beyond((applied, 0), feed.feed_after, limit=9) is Unfollowed.TRIMMED
    assert entries_beyond((4, 0), feed.feed_after, limit=9) == feed.entries[4:]
    assert entries_beyond((10, 0), feed.feed_after, limit=9) is Unfollowed.LOST
    assert entries_beyond((4, 1), feed.feed_after, limit=9) is Unfollowed.LOST


def test_f6_many_threads_that_commit_at_once_tell_one_story() -> None:
    feed, verifier = Feed(400), Listening()
    follower = Follower(feed, verifier)
    behind: list[int] = []

    def tell(first: int) -> None:
        for one in feed.entries[first::8]:
            follower.committed([one])
            if verifier.applied_rev < one.rev:
                behind.append(one.rev)

    threads = [threading.Thread(target=tell, args=(first,)) for first in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert behind == []
    assert verifier.heard == list(range(1, 401))
