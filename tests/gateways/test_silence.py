"""keyturn is gone, does not answer, or does not say yes: nobody comes through, and the caller waits a bounded time.

The bound is held without a clock: the answer comes while keyturn still says nothing.
"""

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path

import pytest

from tests.gateways.conftest import Site
from tests.gateways.program import KINDS, Gateway, Kind
from tests.loopback import Loopback, Reply
from tests.serving import Answer

CLOSED = {403, 500, 502, 503, 504}


@pytest.fixture
def gateways(site: Site, tmp_path: Path) -> Iterator[Sequence[Gateway]]:
    """All that are here, at once."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(site.behind(kind, tmp_path / kind.name, limits=True))
            for kind in KINDS
            if not kind.missing
        ]


def _ask(gateways: Sequence[Gateway], key: str) -> Mapping[str, Answer]:
    with ThreadPoolExecutor(len(gateways)) as pool:
        return dict(
            zip(
                [gateway.kind.name for gateway in gateways],
                pool.map(lambda gateway: gateway.call(key=key), gateways),
                strict=True,
            )
        )


def _assert_closed(site: Site, gateways: Sequence[Gateway], key: str) -> None:
    before = len(site.api.heard)
    for name, answer in _ask(gateways, key).items():
        assert answer.status in CLOSED, (name, answer)
    assert len(site.api.heard) == before


def _assert_open(gateways: Sequence[Gateway], key: str) -> None:
    """At one of a few tries: a machine that stands still for the two seconds of a file closes them too."""
    tries = [_ask(gateways, key)]
    while {answer.status for answer in tries[-1].values()} != {HTTPStatus.OK}:
        assert len(tries) < 5, tries
        tries.append(_ask(gateways, key))


def test_while_keyturn_does_not_answer_nobody_comes_through(site: Site, gateways: Sequence[Gateway]) -> None:
    key = site.keyturn.create(permissions=["api:read"])["secret"]
    _assert_open(gateways, key)
    os.kill(site.keyturn.pid, signal.SIGSTOP)
    try:
        _assert_closed(site, gateways, key)
    finally:
        os.kill(site.keyturn.pid, signal.SIGCONT)
    _assert_open(gateways, key)


def test_when_keyturn_is_gone_nobody_comes_through(site: Site, gateways: Sequence[Gateway]) -> None:
    key = site.keyturn.create(permissions=["api:read"])["secret"]
    _assert_open(gateways, key)
    site.keyturn.kill()
    try:
        _assert_closed(site, gateways, key)
        _assert_closed(site, gateways, key)  # the connections that it held are gone too
    finally:
        site.keyturn.start()


def _reply(status: int, key_id: str) -> Reply:
    named = {"X-Keyturn-Key-Id": key_id} if key_id else {}
    return Reply(status=status, headers={"Location": "/elsewhere"} | named)


NO_YES = {
    **{f"{status}": _reply(status, "key_x") for status in (201, 202, 204, 206, 299, 302, 404, 500, 503)},
    "somebody else": _reply(200, ""),
    "an empty name": _reply(200, " "),
    "no name of a key": _reply(200, "acc_x"),
}


def test_what_is_no_yes_lets_nobody_through(site: Site, kind: Kind, tmp_path: Path) -> None:
    """A yes is the status 200, and names a key."""
    replies = [*NO_YES.values(), _reply(200, "key_x")]
    with (
        Loopback(lambda _: replies.pop(0)) as other,
        site.behind(kind, tmp_path / kind.name, keyturn=other.port) as gateway,
    ):
        for story in NO_YES:
            answer, came = site.heard(gateway, key="kt_anything")
            assert not came, story
            assert answer.status != HTTPStatus.OK, story
        answer, came = site.heard(gateway, key="kt_anything")
    assert (answer.status, came[0].headers["x-keyturn-key-id"]) == (HTTPStatus.OK, "key_x")
    assert not replies
