"""A line that is kept: no answer is ever taken for that of another question, whatever else a node or a proxy sends."""

import io
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest

from keyturn.sdk import Verifier
from keyturn.sdk.nodes import Nodes, Patience
from tests.certificate import self_signed
from tests.loopback import Loopback, Reply
from tests.sdk.verifying import LONG
from tests.sdk.verifying import until as wait_until
from tests.serving import Serving

_EARLY: Final = b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n"


def _answer(who: str, *, length: int = 0) -> bytes:
    """Of so many bytes in all."""
    body = b'{"who": "%s"}' % who.encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n" % len(body)
    pad = b"X-A: %s\r\n" % (b"x" * (length - len(head) - len(body) - 9)) if length else b""
    return head + pad + b"\r\n" + body


def _hear(line: socket.socket) -> bool:
    """One whole question, which comes in more than one part; False at the end."""
    heard = b""
    while not heard.endswith(b"\r\n\r\n{}"):
        part = line.recv(65_536)
        if not part:
            return False
        heard += part
    return True


@contextmanager
def _node(*says: tuple[bytes, ...], context: ssl.SSLContext | None = None) -> Iterator[tuple[str, list[int]]]:
    """A node that says this to each of its callers: parts of a first answer, of a second, ...; and how many call."""
    callers: list[int] = []

    def hear(caller: socket.socket) -> None:
        with suppress(OSError), caller if context is None else context.wrap_socket(caller, server_side=True) as line:
            for parts in says:
                if not _hear(line):
                    return
                for part in parts:
                    line.sendall(part)
            line.recv(65_536)

    def accept(listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                caller, _ = listening.accept()
                caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                callers.append(len(callers) + 1)
                threading.Thread(target=hear, args=(caller,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=accept, args=(listening,), daemon=True)
        thread.start()
        scheme = "http" if context is None else "https"
        try:
            yield f"{scheme}://127.0.0.1:{listening.getsockname()[1]}", callers
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


@contextmanager
def _asking(*urls: str, ca_file: Path | None = None) -> Iterator[Callable[[], str]]:
    patience = Patience(each=20.0, together=40.0)
    nodes = Nodes(urls, "kt_live_x", allow_plain_http=False, patience=patience, ca_file=ca_file)
    try:
        yield lambda: nodes.ask("/v1/verify", {}, lambda answer: str(answer["who"]))
    finally:
        nodes.close()


@pytest.mark.parametrize(
    "early",
    [
        (_EARLY,),
        (_EARLY.replace(b"103", b"102"),),
        (_EARLY.replace(b"\r\n\r\n", b"\r\nConnection: close\r\nContent-Length: 5\r\n\r\n"),),
        (_EARLY.replace(b"103", b"199"), _EARLY, b"HTTP/1.1 100 Continue\r\n\r\n", _EARLY),
    ],
    ids=["103", "102", "with fields of an answer", "several"],
)
@pytest.mark.parametrize("at_once", [False, True])
def test_what_is_said_before_an_answer_is_none(early: tuple[bytes, ...], at_once: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """RFC 9110, section 15.2: and the line is as good as before."""
    says = [(*early, _answer(who)) for who in ("1", "2", "3")]
    with _node(*([(b"".join(parts),) for parts in says] if at_once else says)) as (url, callers), _asking(url) as ask:
        assert [ask(), ask(), ask()] == ["1", "2", "3"]
        assert callers == [1]


def test_an_answer_in_another_protocol_is_passed_over() -> None:
    said = b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + _answer("1")
    with (
        Loopback(lambda _: Reply(body={"who": "2"})) as other,
        _node((said,)) as (url, _),
        _asking(url, other.url) as ask,
    ):
        assert ask() == "2"


def test_what_is_said_before_an_answer_comes_to_an_end() -> None:
    with (
        Loopback(lambda _: Reply(body={"who": "2"})) as other,
        _node((_EARLY * 100_000, _answer("1"))) as (url, _),
        _asking(url, other.url) as ask,
    ):
        assert ask() == "2"


_MORE: Final = _answer("another's")
_WHOLE: Final = _answer("right", length=io.DEFAULT_BUFFER_SIZE)


@pytest.mark.parametrize(
    "said",
    [
        _answer("right") + _MORE,
        _answer("right") + b"x",
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{"who": "right"}\r\n0\r\n\r\n' + _MORE,
        _WHOLE + _MORE,
        _WHOLE + _answer("another's", length=8_000),
    ],
    ids=["another answer", "a longer body", "in chunks", "past what is read at once", "more of it"],
)
@pytest.mark.parametrize("over_tls", [False, True])
def test_whatever_goes_on_after_an_answer_is_nobodys(tmp_path: Path, said: bytes, over_tls: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """A line on which it came is not asked again; in TLS it may have come with the answer, and be decrypted already."""
    certificate = self_signed(tmp_path) if over_tls else None
    context = certificate.server_context() if certificate else None
    trusted = certificate.certificate if certificate else None
    says = ((said,), (_answer("right"),))
    with _node(*says, context=context) as (url, callers), _asking(url, ca_file=trusted) as ask:
        assert [ask(), ask(), ask()] == ["right"] * 3
        assert callers == [1, 2, 3]


def _reset(line: socket.socket) -> None:
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    line.close()


@pytest.mark.parametrize(
    "comes",
    [
        lambda line: line.sendall(_MORE),
        lambda line: line.sendall(b"H"),
        lambda line: line.shutdown(socket.SHUT_WR),
        _reset,
    ],
    ids=["another answer", "a part of one", "its end", "a reset"],
)
def test_what_comes_while_a_line_is_idle_is_nobodys(comes: Callable[[socket.socket], None]) -> None:
    """Nor is the end of the line the next question's: that is asked on another one from the start."""
    lines: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            for _ in range(2):
                lines.append(listening.accept()[0])
                _hear(lines[-1])
                lines[-1].sendall(_answer("right"))

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        nodes = Nodes(url, "kt_live_x", allow_plain_http=False)
        assert nodes.ask("/v1/verify", {}, lambda answer: answer["who"]) == "right"
        assert nodes._idle is not None
        (line,) = nodes._idle[url]
        assert line.is_idle
        comes(lines[0])
        wait_until(lambda: not line.is_idle)
        assert nodes.ask("/v1/verify", {}, lambda answer: answer["who"]) == "right"
        thread.join()
        assert len(lines) == 2
        nodes.close()
        for one in lines:
            one.close()


@contextmanager
def _hinting(port: int) -> Iterator[str]:
    """A proxy that sends early hints before every answer of the server behind it."""
    threads: list[threading.Thread] = []

    def pump(source: socket.socket, target: socket.socket, *, early: bool) -> None:
        with suppress(OSError):
            while part := source.recv(65_536):
                if early and part.startswith(b"HTTP/1.1"):
                    target.sendall(_EARLY)
                target.sendall(part)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def pass_on(near: socket.socket) -> None:
        with near, socket.create_connection(("127.0.0.1", port)) as far:
            asking = threading.Thread(target=pump, args=(near, far), kwargs={"early": False}, daemon=True)
            asking.start()
            pump(far, near, early=True)
            asking.join()

    def accept(listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listening.accept()
                near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threads.append(threading.Thread(target=pass_on, args=(near,), daemon=True))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=accept, args=(listening,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
            for one in threads:
                one.join()


def test_f0_behind_a_proxy_that_sends_early_hints_a_key_that_is_stopped_stays_stopped(
    server: Serving, credential: str
) -> None:
    good, stopped = server.create(), server.create()
    assert server.call(f"/v1/keys/{stopped['id']}/revoke", {}).status == 200
    port = urlsplit(server.url).port
    assert port is not None
    with _hinting(port) as url, Verifier(url, credential) as verifier:
        assert verifier.wait_until_leased(LONG)
        for _ in range(2):
            assert verifier.verify(good["secret"])
            assert verifier.verify(stopped["secret"]).code == "revoked"
