"""What a node keeps of the feed to hand on (F6, F7, F11)."""

import threading

from hypothesis import given
from hypothesis import strategies as st

from keyturn.core.feed import FeedEntry
from keyturn.core.instant import from_micros
from keyturn.verify.recent import Recent
from tests.verify.states import entry, key


def _filled(count: int, *, most: int = 10_000, begin: int = 0) -> Recent:
    recent = Recent(most=most)
    recent.start_at(begin, at=0)
    for rev in range(begin + 1, begin + count + 1):
        recent.add(entry(rev, key()))
    return recent


def _revs(entries: tuple[FeedEntry, ...] | None) -> list[int] | None:
    return None if entries is None else [one.rev for one in entries]


@given(begin=st.integers(0, 5), count=st.integers(0, 12), most=st.integers(1, 6), asked=st.integers(0, 20))
def test_f6_everything_after_a_rev_or_nothing(begin: int, count: int, most: int, asked: int) -> None:
    """F11: whoever is too far behind is told so, and is never handed entries with a gap before them."""
    rev, entries = _filled(count, most=most, begin=begin).after(asked)
    assert rev == begin + count
    kept = range(max(begin, rev - most) + 1, rev + 1)
    wanted = range(asked + 1, rev + 1)
    assert _revs(entries) == (list(wanted) if set(wanted) <= set(kept) else None)


def test_f9_a_new_start_forgets_what_was_before() -> None:
    recent = _filled(5)
    recent.start_at(3, at=0)
    assert recent.after(3) == (3, ())
    assert recent.after(2) == (3, None)
    recent.add(entry(4, key()))
    assert _revs(recent.after(3)[1]) == [4]


def test_f9_when_each_entry_was_written_is_known_as_long_as_it_is_here() -> None:
    recent = Recent(most=2)
    recent.start_at(3, at=30)
    assert [recent.at(rev) for rev in (2, 3, 4)] == [None, 30, None]
    for rev in (4, 5, 6):
        recent.add(entry(rev, key(), at=from_micros(10 * rev)))
    assert [recent.at(rev) for rev in range(2, 8)] == [None, 30, None, 50, 60, None]


def test_f7_rev_and_entries_are_of_one_moment() -> None:
    """A grant says up to where it goes: a reader never sees the one without the other."""
    recent = _filled(1, most=50)
    wrong: list[object] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            asked = recent.rev
            rev, entries = recent.after(asked)
            if entries is not None and _revs(entries) != list(range(asked + 1, rev + 1)):
                wrong.append((asked, rev, entries))

    reader = threading.Thread(target=look)
    reader.start()
    for rev in range(2, 5_000):
        recent.add(entry(rev, key()))
    done.set()
    reader.join()
    assert wrong == []
