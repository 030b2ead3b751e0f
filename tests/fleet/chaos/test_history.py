"""The checker itself: what it must find, and what it must not."""

from math import inf
from pathlib import Path
from typing import Final

import pytest

from tests.fleet.chaos.history import History, Judged, Stop
from tests.fleet.chaos.recording import LAPSED, Recording, Verified, read

RESET: Final = Stop(key=1, through=1, begin=100, confirmed=200)
SUSPENDED: Final = Stop(key=1, begin=100, confirmed=200, lifted=300, undone=400)
NARROWED: Final = Stop(key=1, writes=True, begin=100, confirmed=200)
UNANSWERED: Final = Stop(key=1, through=1, begin=100)
LATER: Final = Stop(key=1, through=3, begin=500, confirmed=600)


def one(begin: int, end: int, answer: str, *, version: int = 1, writes: bool = False) -> Verified:
    return Verified(begin=begin, end=end, key=1, version=version, writes=writes, answer=answer)


STORIES: Final = {  # stops, verification: F0 broken, refused for nothing
    "F0 accepted, begun after the reset was confirmed": ([RESET], one(201, 210, "valid"), True, False),
    "accepted, begun before": ([RESET], one(199, 900, "valid"), False, False),
    "accepted, the new version": ([RESET], one(300, 310, "valid", version=2), False, False),
    "refused while the reset is under way": ([RESET], one(90, 101, "replaced"), False, False),
    "refused before anybody asked": ([RESET], one(90, 99, "replaced"), False, True),
    "refused, the new version": ([RESET], one(300, 310, "replaced", version=2), False, True),
    "no answer is neither": ([RESET], one(10, 20, LAPSED), False, False),
    "a reset that was never confirmed promises nothing": ([UNANSWERED], one(300, 310, "valid"), False, False),
    "but explains a refusal": ([UNANSWERED], one(300, 310, "replaced"), False, False),
    "a later reset stops all before it": ([UNANSWERED, LATER], one(601, 610, "valid"), True, False),
    "the same, of the version between": ([LATER, UNANSWERED], one(601, 610, "valid", version=2), True, False),
    "the first that was confirmed counts": ([RESET, LATER], one(201, 210, "valid"), True, False),
    "F0 accepted while suspended": ([SUSPENDED], one(201, 299, "valid", version=7), True, False),
    "accepted when the resume was asked for meanwhile": ([SUSPENDED], one(201, 301, "valid"), False, False),
    "refused until the resume is confirmed": ([SUSPENDED], one(399, 410, "suspended"), False, False),
    "refused after the resume was confirmed": ([SUSPENDED], one(401, 410, "suspended"), False, True),
    "F0 a narrowed key accepted for more": ([NARROWED], one(201, 210, "valid", writes=True), True, False),
    "a narrowed key accepted for less": ([NARROWED], one(201, 210, "valid"), False, False),
    "a narrowed key refused for less": ([NARROWED], one(201, 210, "permission_missing"), False, True),
    "another key": ([Stop(key=2, begin=1, confirmed=2)], one(201, 210, "valid"), False, False),
    "another key's stop explains nothing": ([Stop(key=2, begin=1)], one(201, 210, "revoked"), False, True),
}


@pytest.mark.parametrize("story", STORIES)
def test_what_the_checker_finds(story: str) -> None:
    stops, verified, violated, refused = STORIES[story]
    history, judged = History(), Judged()
    for stop in stops:
        history.begun(stop)
    history.judge("v", [verified], judged)
    assert (bool(judged.violations), bool(judged.refusals)) == (violated, refused)
    assert judged.answers == {verified.answer: 1}
    for fault in (*judged.violations, *judged.refusals):
        assert str(fault)


def test_stops_begin_unconfirmed() -> None:
    assert (UNANSWERED.confirmed, UNANSWERED.lifted, UNANSWERED.undone) == (inf, inf, inf)


def test_a_recording_is_read_as_it_was_written_while_it_is_still_open(tmp_path: Path) -> None:
    path = tmp_path / "recording"
    recording = Recording(path)
    assert not list(read(path))
    written = [one(at, at + 1, "valid", version=at % 5, writes=at % 2 == 0) for at in range(1, 20_000)]
    for each in written:
        recording.write(each.begin, each.end, key=1, version=each.version, writes=each.writes, answer=each.answer)
    assert list(read(path)) == written
    recording.close()
