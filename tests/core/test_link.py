from dataclasses import replace
from datetime import timedelta

from keyturn.core.link import LASTS, Link, LinkKind, check_link
from keyturn.core.refusal import LinkSpent, NotFound, WrongBrowser
from tests.world import T0

LINK = Link(id="lnk_1", kind=LinkKind.PROOF, made_at=T0, ends_at=T0 + LASTS[LinkKind.PROOF], session="ses_1")


def test_r51_a_link_serves_one_purpose_once_in_time_in_the_browser_that_asked() -> None:
    stories = {
        "R51 as it was asked for": (LINK, LinkKind.PROOF, "ses_1", timedelta(0), None),
        "R51 in any browser where none asked": (replace(LINK, session=""), LinkKind.PROOF, "", timedelta(0), None),
        "R51 until just before its end": (LINK, LinkKind.PROOF, "ses_1", timedelta(minutes=9, seconds=59), None),
        "R51 its time is over": (LINK, LinkKind.PROOF, "ses_1", timedelta(minutes=10), LinkSpent()),
        "R51 used": (replace(LINK, used_at=T0), LinkKind.PROOF, "ses_1", timedelta(0), LinkSpent()),
        "R51 another browser": (LINK, LinkKind.PROOF, "ses_2", timedelta(0), WrongBrowser()),
        "R51 another purpose": (LINK, LinkKind.PASSWORD, "ses_1", timedelta(0), NotFound()),
        "R51 no such link": (None, LinkKind.PROOF, "ses_1", timedelta(0), NotFound()),
    }
    for story, (link, kind, session, after, wanted) in stories.items():
        assert check_link(link, kind, session=session, now=T0 + after) == wanted, story
