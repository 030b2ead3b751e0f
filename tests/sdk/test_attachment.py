"""What an attached process does with what comes in which order."""

import threading
from typing import Any

from keyturn.core.lease import FOR_GOOD, LONGEST, Acknowledgement, Grant, Renewal, Terms
from keyturn.sdk.attachment import Attachment
from keyturn.sdk.nodes import Nodes
from keyturn.verify.holder import Holder
from keyturn.verify.message import Message, read, write
from keyturn.verify.shares import Shares
from keyturn.verify.verifier import Verifier
from tests.sdk.verifying import until


def _attachment() -> Attachment:
    shares = Shares(10)
    memory = Verifier(limits=shares)
    holder = Holder(memory, instance="ver_1", terms=Terms())
    return Attachment(Nodes("https://127.0.0.1:1", "kt", allow_plain_http=False), holder, memory, shares)


class _Node:
    """The other side of a stream."""

    def __init__(self) -> None:
        self.heard: list[Message] = []

    def send(self, line: bytes) -> None:
        if line:
            self.heard.append(read(line))


class _Granting(_Node):
    """Grants when the process is already leaving, and not before."""

    def __init__(self, attachment: Attachment) -> None:
        super().__init__()
        self.attachment = attachment
        self.leaving: threading.Thread | None = None

    def lines(self, _seconds: float, _wake: object) -> list[bytes] | None:
        if self.leaving is not None:
            return None
        renewal = self.heard[-1]
        assert isinstance(renewal, Renewal)
        self.leaving = threading.Thread(target=self.attachment.stop)
        self.leaving.start()
        until(lambda: self.attachment._stopping)
        grant = Grant(nonce=renewal.nonce, length=1_000_000, epoch=1, rev=7, entries=(), time=1, at=1)
        return [write(grant)]


def test_f5_a_grant_that_comes_while_leaving_is_no_lease() -> None:
    attachment = _attachment()
    node, follow = _Granting(attachment), _follow(attachment)
    follow(node)
    assert node.leaving is not None
    node.leaving.join()
    attachment._wake.close()
    assert [one.rev for one in node.heard if isinstance(one, Acknowledgement)][-1] == FOR_GOOD
    assert attachment._holder.deadline == 0


class _Short(_Node):
    """Tells that its leases are shorter than a verifier thinks at first, and ends."""

    terms = Terms(length=300_000)

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def lines(self, seconds: float, _wake: object) -> list[bytes] | None:
        self.waits.append(seconds)
        return [write(self.terms)] if len(self.waits) == 1 else None


def test_f2_the_first_lease_too_is_renewed_by_the_terms_of_the_deployment() -> None:
    attachment = _attachment()
    node, follow = _Short(), _follow(attachment)
    follow(node)
    attachment._wake.close()
    assert node.waits[1] <= node.terms.renew_every / 1e6 < node.terms.length / 1e6 < node.waits[0]


def _follow(attachment: Attachment) -> Any:
    """With whatever stands in for a stream."""
    return attachment._follow


class _Later(_Node):
    """Began later than what it is told of was applied: it grants anew, again and again."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def lines(self, seconds: float, _wake: object) -> list[bytes] | None:
        self.waits.append(seconds)
        renewal = self.heard[-1]
        assert isinstance(renewal, Renewal)
        if len(self.waits) > 1:
            return None
        return [
            write(Grant(nonce=renewal.nonce, length=1_000_000, epoch=0, rev=7, entries=(), time=1, at=1, anew=True))
        ]


def test_f9_who_waits_for_a_raised_epoch_asks_no_more_often_than_others() -> None:
    """Else every verifier asks fifty times a second until somebody does."""
    attachment = _attachment()
    attachment._holder.terms = Terms(length=LONGEST)
    attachment._verifier.estranged = True
    node, follow = _Later(), _follow(attachment)
    follow(node)
    attachment._wake.close()
    assert attachment._holder.deadline == 0
    assert node.waits[1] > 0.1
