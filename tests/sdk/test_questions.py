"""What a node answers that is not as it should be: it is that node's, and the next one is asked."""

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest

from keyturn.core import feed
from keyturn.core.share import Wish
from keyturn.sdk import Verifier
from keyturn.sdk.clock import boot_micros
from keyturn.sdk.nodes import ALL_SECONDS, Nodes, NodeUnavailable, Patience
from keyturn.sdk.questions import TooManyGuesses, Unleased, filler, lender, told_verdict
from keyturn.verify.verifier import Verifier as Memory
from tests.loopback import Loopback, Reply
from tests.sdk.verifying import LONG, lapse
from tests.serving import Serving
from tests.verify.states import key

_FILL: Final[dict[str, Any]] = {"rev": 5, "epoch": 1, "version": 1, "time": 10, "state": feed.to_plain(key())}
_VERDICT: Final[dict[str, Any]] = {
    "valid": False,
    "code": "replaced",
    "key_id": "key_1",
    "account_id": "acc_1",
    "owner_id": "usr_1",
    "environment": "live",
    "permissions": ["a:read"],
    "version": 1,
    "expires_at": "2030-01-01T00:00:00Z",
    "replaced_at": "2029-01-01T00:00:00Z",
    "reset_id": "rst_1",
}
_SHARE: Final[dict[str, Any]] = {
    "key_id": "key_1",
    "loan": "lon_1",
    "requests": 1,
    "interval": 1,
    "window": 1,
    "others": 0,
    "wait": 0,
}
_NUMBERS: Final = ("Infinity", "-Infinity", "NaN", "1e999", "-1", "1.5", "true", '"1"', "null", "[]", f"1{'0' * 40}")
_TEXTS: Final = ("1", "null", "[]", '"a\\nb"', '"\\u00e9"', '"\\ud800"')
_SHAPES: Final = ("[]", "7", '"x"', "null", "{}", "nonsense", '{"x":' * 5_000)


def _changed(whole: dict[str, Any], **by_name: tuple[str, ...]) -> Iterator[str]:
    """The answer with one of its values written otherwise."""
    for name, others in by_name.items():
        for other in others:
            yield json.dumps(whole | {name: "here"}).replace('"here"', other)


_OF_ANOTHER: Final = (f'"{"0" * 64}"', "null", "7", "[]")
_BROKEN_FILLS: Final = [
    *_SHAPES,
    *_changed(_FILL, key_sha256=_OF_ANOTHER),
    *_changed({"unleased": True}, key_sha256=_OF_ANOTHER),
    *_changed({"retry_after": 7}, key_sha256=_OF_ANOTHER),
    *_changed(_FILL, rev=_NUMBERS, epoch=_NUMBERS, version=_NUMBERS, time=_NUMBERS, retry_after=_NUMBERS),
    *_changed(_FILL, state=("[]", "7", "{}", '{"kind": "many", "account_id": "", "owner_id": ""}')),
    *(
        json.dumps(_FILL | {"state": _FILL["state"] | {"expires_at": "here"}}).replace('"here"', one)
        for one in _NUMBERS
    ),
]
_BROKEN_VERDICTS: Final = [
    *_SHAPES,
    *_changed(_VERDICT, version=_NUMBERS, retry_after=_NUMBERS, permissions=("null", "7", "[7]", '["a\\nb"]')),
    *_changed(_VERDICT, account_id=_TEXTS, owner_id=_TEXTS, environment=_TEXTS, key_id=("1", "[]", '"a\\nb"')),
    *_changed(_VERDICT, expires_at=("7", '"never"', '"99999-01-01"', "[1]"), replaced_at=("7", '"x"', "[1]")),
    *_changed(
        _VERDICT, valid=("true", "null", "0"), code=('"nonsense"', "null", '"valid"', "[]"), reset_id=('"a\\nb"',)
    ),
]
_BROKEN_SHARES: Final = [
    *_SHAPES,
    *(
        f'{{"shares": [{one}]}}'
        for one in (
            *_SHAPES,
            *_changed(_SHARE, requests=_NUMBERS, interval=_NUMBERS, window=_NUMBERS, others=_NUMBERS, wait=_NUMBERS),
            *_changed(_SHARE, key_id=_TEXTS, loan=_TEXTS),
        )
    ),
]


@pytest.fixture(scope="module")
def two() -> Iterator[tuple[Loopback, Loopback, Nodes]]:
    """A node that answers as it is told, one that answers well, and both as they are asked."""
    whole = {"/v1/feed/fill": _FILL, "/v1/feed/share": {"shares": [_SHARE]}, "/v1/verify": _VERDICT}
    with (
        Loopback(lambda asked: Reply(body=whole[asked.path])) as first,
        Loopback(lambda asked: Reply(body=whole[asked.path])) as second,
    ):
        nodes = Nodes([first.url, second.url], "kt_live_x", allow_plain_http=False)
        yield first, second, nodes
        nodes.close()


def _says(two: tuple[Loopback, Loopback, Nodes], said: str) -> Nodes:
    first, second, nodes = two
    nodes.ask_first(first.url)
    first.then(Reply(body=said, headers={"Content-Type": "application/json"}))
    second.heard.clear()
    return nodes


def _shown(said: str) -> str:
    return said[:40]


@pytest.mark.parametrize("said", _BROKEN_FILLS, ids=_shown)
def test_a_fill_that_is_broken_is_asked_of_the_next_node(two: tuple[Loopback, Loopback, Nodes], said: str) -> None:
    nodes = _says(two, said)
    memory = Memory()
    memory.start_at(rev=0, now=0, epoch=1)
    fill = filler(nodes, memory, label="")(b"x" * 32)
    assert (fill.rev, fill.time, fill.state) == (5, 10, key())
    assert len(two[1].heard) == 1


@pytest.mark.parametrize("said", _BROKEN_VERDICTS, ids=_shown)
def test_a_verdict_that_is_broken_is_asked_of_the_next_node(two: tuple[Loopback, Loopback, Nodes], said: str) -> None:
    verdict = _says(two, said).ask("/v1/verify", {}, told_verdict)
    assert verdict.code == "replaced"
    assert verdict.view is not None
    assert verdict.view.key_id == "key_1"
    assert len(two[1].heard) == 1


@pytest.mark.parametrize("said", _BROKEN_SHARES, ids=_shown)
def test_a_share_that_is_broken_is_asked_of_the_next_node(two: tuple[Loopback, Loopback, Nodes], said: str) -> None:
    (share,) = lender(_says(two, said))([Wish(key_id="key_1", waiting=1)], [])
    assert share.loan == "lon_1"
    assert len(two[1].heard) == 1


@pytest.mark.parametrize(("said", "raised"), [({"unleased": True}, Unleased), ({"retry_after": 7}, TooManyGuesses)])
def test_what_a_node_says_instead_of_a_fill_is_an_answer(
    two: tuple[Loopback, Loopback, Nodes], said: dict[str, Any], raised: type[Exception]
) -> None:
    nodes = _says(two, json.dumps(said))
    with pytest.raises(raised):
        filler(nodes, Memory(), label="")(b"x" * 32)
    assert not two[1].heard


def test_whoever_has_waited_long_enough_asks_nobody(two: tuple[Loopback, Loopback, Nodes]) -> None:
    first, second, nodes = two
    before = len(first.heard), len(second.heard)
    with nodes.waiting(boot_micros() - round(ALL_SECONDS * 1e6)):
        with pytest.raises(NodeUnavailable):
            nodes.ask("/v1/verify", {}, told_verdict)
        with pytest.raises(NodeUnavailable):
            nodes.left()
    assert (len(first.heard), len(second.heard)) == before
    assert 0 < nodes.left() <= ALL_SECONDS, "that was over with the block"


def test_all_that_one_request_asks_has_one_time_from_its_start_on(server: Serving, credential: str) -> None:
    """What it knows of the key, a share of its limit, and the verdict where that has to be a node's."""
    secret = server.create(limit="1000/1s")["secret"]
    with Verifier(server.url, credential) as verifier:
        assert verifier.wait_until_leased(LONG)
        nodes = verifier._nodes
        asked: list[tuple[str, int]] = []
        ask = nodes.ask

        def noting(path: str, *rest: Any, **more: Any) -> Any:
            asked.append((path, nodes._wait.until))
            return ask(path, *rest, **more)

        nodes.ask = noting  # type: ignore[method-assign]  # to see what each one of them may wait for
        began = boot_micros()
        assert verifier.verify(secret)
        ended = boot_micros()
        assert [path for path, _ in asked] == ["/v1/feed/fill", "/v1/feed/share"]
        (until,) = {until for _, until in asked}
        assert began <= until - ALL_SECONDS * 1e6 <= ended
        lapse(verifier)
        assert verifier.verify(secret)
        path, until = asked[-1]
        assert path == "/v1/verify"
        assert boot_micros() <= until


def test_whoever_has_waited_long_enough_waits_for_no_other_that_borrows(server: Serving, credential: str) -> None:
    secret = server.create(limit="1000/1s")["secret"]
    with Verifier(server.url, credential) as verifier:
        assert verifier.wait_until_leased(LONG)
        verifier._nodes._patience = Patience(each=0.5, together=0.5)
        with verifier._borrower._together._asking, pytest.raises(NodeUnavailable):
            verifier.verify(secret)
