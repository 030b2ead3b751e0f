"""A verifier that is let go of without a word leaves as one that is closed does (F5)."""

import gc
import threading
import weakref
from pathlib import Path

import pytest

from keyturn.sdk import Verifier
from tests.sdk.verifying import LONG, reset, until
from tests.serving import Serving


def _feeds() -> int:
    return sum(one.name == "keyturn feed" for one in threading.enumerate())


def test_f5_whoever_is_let_go_of_leaves(server: Serving, credential: str) -> None:
    """It keeps no thread, no file and no lease, and no reset waits for it."""
    made = server.create()
    gc.collect()
    feeds, files = _feeds(), _files()
    for _ in range(3):
        one = Verifier(server.url, credential)
        assert one.wait_until_leased(LONG)
        assert one.verify(made["secret"])
        known = weakref.ref(one)
        del one
        assert known() is None, "nothing of its own leads back to it"
    until(lambda: _feeds() == feeds)
    gc.collect()
    assert _files() == files
    assert reset(server, made["id"])["receipt"]["verifiers"]["waited_out"] == []


def test_nothing_stays_of_one_that_never_reached_a_node() -> None:
    feeds = _feeds()
    Verifier("http://127.0.0.1:1", "kt_x")
    until(lambda: _feeds() == feeds)


def _files() -> int:
    folder = Path("/proc/self/fd")
    if not folder.exists():
        pytest.skip("counts open files in /proc")
    return len(list(folder.iterdir()))
