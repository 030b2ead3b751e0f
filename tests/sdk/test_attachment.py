"""What an attached process does with what comes in which order."""

import threading
from typing import Any

from keyturn.core.lease import FOR_GOOD, Acknowledgement, Grant, Renewal, Terms
from keyturn.sdk.attachment import Attachment, Nodes
from keyturn.verify.holder import Holder
from keyturn.verify.message import Message, read, write
from keyturn.verify.verifier import Verifier


class _Node:
    """A stream whose other side grants when the process is already leaving, and not before."""

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self.attachment: Any = None
        self.leaving: threading.Thread | None = None

    def send(self, line: bytes) -> None:
        self.heard.append(read(line))

    def lines(self, _seconds: float, _wake: object) -> list[bytes]:
        renewal = self.heard[-1]
        assert isinstance(renewal, Renewal)
        self.leaving = threading.Thread(target=self.attachment.stop)
        self.leaving.start()
        assert self.attachment._stopping.wait(10)
        grant = Grant(nonce=renewal.nonce, length=1_000_000, epoch=1, rev=7, entries=(), time=1)
        return [write(grant)]


def test_f5_a_grant_that_comes_while_leaving_is_no_lease() -> None:
    memory = Verifier()
    holder = Holder(memory, instance="ver_1", terms=Terms())
    node = _Node()
    node.attachment = attachment = Attachment(
        Nodes("https://127.0.0.1:1", "kt", allow_plain_http=False), holder, memory
    )
    follow: Any = attachment._follow
    follow(node)
    assert node.leaving is not None
    node.leaving.join()
    attachment._wake.close()
    assert [one.rev for one in node.heard if isinstance(one, Acknowledgement)][-1] == FOR_GOOD
    assert holder.deadline == 0
