"""What comes on a stream and is no message of an honest node ends the lease and the stream, and extends nothing."""

import json
from collections.abc import Iterator
from typing import Final

import pytest

from keyturn.core.feed import FeedEntry
from keyturn.core.instant import from_micros
from keyturn.core.lease import LAPSED, LONGEST, Denial, Grant, Push, Renewal, Terms
from keyturn.sdk.attachment import Attachment
from keyturn.sdk.clock import boot_micros
from keyturn.sdk.nodes import Nodes
from keyturn.sdk.stream import Stream
from keyturn.verify.holder import Alarm, Holder
from keyturn.verify.message import Message, read, write
from keyturn.verify.shares import Shares
from keyturn.verify.verifier import Verifier
from tests.verify.states import key

_NOW: Final = 2_000_000_000_000_000
_NUMBERS: Final = ("Infinity", "NaN", "1e999", "-1", "1.5", "true", '"1"', "null", "[]", f"1{'0' * 40}", "9" * 5_000)
_DEEP: Final = ('{"x":' * 50_000, "[" * 50_000, f'{{"kind":{"[" * 900}{"]" * 900}}}')


class _Node(Stream):
    """The other side; what is sent to it is kept."""

    def __init__(self) -> None:
        self.heard: list[Message] = []

    def send(self, line: bytes) -> None:
        self.heard.append(read(line))


@pytest.fixture
def leased() -> Iterator[tuple[Attachment, _Node, int]]:
    """One that holds a lease, and the nonce of what it has asked since."""
    shares = Shares(10)
    memory = Verifier(limits=shares)
    holder = Holder(memory, instance="ver_1", terms=Terms())
    nodes = Nodes("https://127.0.0.1:1", "kt", allow_plain_http=False)
    attachment, node = Attachment(nodes, holder, memory, shares), _Node()
    nonce = holder.renewal(boot_micros(), wall=0).nonce
    assert attachment._hear(write(_grant(nonce, rev=7)), node)
    assert holder.deadline > 0
    yield attachment, node, holder.renewal(boot_micros(), wall=0).nonce
    attachment._wake.close()


def _grant(nonce: int, *, rev: int, entries: tuple[FeedEntry, ...] = (), length: int = 1_000_000) -> Grant:
    return Grant(nonce=nonce, length=length, epoch=1, rev=rev, entries=entries, time=_NOW, at=1)


_ENTRY: Final = FeedEntry(rev=8, at=from_micros(_NOW), change=key())


def _messages(nonce: int) -> dict[str, Message]:
    return {
        "grant": _grant(nonce, rev=8, entries=(_ENTRY,)),
        "push": Push(epoch=1, entries=(_ENTRY,)),
        "terms": Terms(),
        "deny": Denial(nonce=nonce, reason=LAPSED),
    }


def _numbers() -> Iterator[tuple[str, str]]:
    for kind, message in _messages(1).items():
        for name, value in json.loads(write(message)).items():
            if isinstance(value, int) and not isinstance(value, bool):
                yield kind, name


@pytest.mark.parametrize(("kind", "name"), list(_numbers()))
@pytest.mark.parametrize("value", _NUMBERS, ids=lambda value: value[:12])
def test_f5_a_message_with_what_is_no_such_value_drops_the_lease(
    leased: tuple[Attachment, _Node, int], kind: str, name: str, value: str
) -> None:
    attachment, node, nonce = leased
    plain = json.loads(write(_messages(nonce)[kind]))
    _drops(attachment, node, json.dumps(plain | {name: "here"}).replace('"here"', value).encode())


@pytest.mark.parametrize(
    "line",
    [
        *(one.encode() for one in _DEEP),
        write(_grant(2, rev=8, entries=(_ENTRY,)))[:-20],
        b"\xff",
        b"",
        b"[]",
        b"null",
        write(Terms(length=LONGEST + 1, margin=LONGEST // 10)),
        write(Terms(length=0, margin=0)),
        write(Terms(length=5_000_000, margin=5_000_000)),
        write(Renewal(instance="ver_2", nonce=1, epoch=1, applied_rev=1, acked_rev=1)),
    ],
    ids=lambda line: line[:40].decode("latin-1").encode("unicode_escape").decode(),
)
def test_f5_a_line_that_no_honest_node_sends_drops_the_lease(
    leased: tuple[Attachment, _Node, int], line: bytes
) -> None:
    attachment, node, _ = leased
    _drops(attachment, node, line)


def test_f5_a_message_as_it_should_be_drops_nothing(leased: tuple[Attachment, _Node, int]) -> None:
    attachment, node, nonce = leased
    for message in _messages(nonce).values():
        attachment._hear(write(message), node)
    assert attachment._holder.deadline > 0
    assert attachment._holder.told() == []


def _drops(attachment: Attachment, node: _Node, line: bytes) -> None:
    node.heard.clear()
    with pytest.raises(ValueError, match="message"):
        attachment._hear(line, node)
    assert attachment._holder.deadline == 0
    assert attachment._holder.told() == [Alarm.FORGED]
    assert node.heard == [], "nothing is acknowledged"
