"""What verifiers tell is kept within bounds until it is written."""

from keyturn.flow.reports import MOST, MOST_OF_ONE, Reports
from keyturn.verify.message import Report

ONE = Report(last=(), watched=(), callers=())
LINE = 500_000


def kept(reports: Reports, by: str) -> int:
    """How many lines of its half a megabyte a verifier gets in."""
    count = 0
    while count < MOST // LINE + 1 and reports.add(ONE, by=by, size=LINE):
        count += 1
    return count


def test_one_verifier_fills_its_own_share_and_nobody_else_s() -> None:
    reports = Reports()
    assert kept(reports, "ver_loud") == MOST_OF_ONE // LINE
    assert reports.add(ONE, by="ver_quiet", size=100)
    assert len(reports.drain()) == MOST_OF_ONE // LINE + 1
    assert reports.drain() == []
    assert reports.add(ONE, by="ver_loud", size=LINE), "what was written down waits no longer"


def test_many_verifiers_together_fill_no_more_than_there_is_for_all() -> None:
    reports = Reports()
    assert sum(kept(reports, f"ver_{number}") for number in range(100)) == MOST // LINE
