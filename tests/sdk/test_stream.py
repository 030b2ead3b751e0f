"""A stream both ways over one HTTP/1.1 request, in the clear and over TLS, and what is no such answer."""

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from keyturn.sdk.stream import Refused, Stream, Wake
from tests.certificate import self_signed
from tests.dripping import dripping

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@contextmanager
def server(answer: Callable[[socket.socket], None], context: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server of one connection; it has read the request's head before it answers."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        peer, _ = listener.accept()
        peer.settimeout(20)
        if context is not None:
            peer = context.wrap_socket(peer, server_side=True)
        with peer:
            head = b""
            while b"\r\n\r\n" not in head:
                head += peer.recv(65_536)
            answer(peer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        thread.join(20)
        listener.close()


def opened(port: int, context: ssl.SSLContext | None = None) -> Stream:
    connection = (
        http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        if context is None
        else http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=context)
    )
    return Stream(connection, "/v1/feed", {"Authorization": "Bearer x"})


def all_lines(stream: Stream) -> list[bytes]:
    """Until the other side ends it."""
    found: list[bytes] = []
    with closing(Wake()) as wake:
        while (part := stream.lines(20, wake)) is not None:
            found += part
    return found


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


@pytest.mark.parametrize("step", [1, 2, 7, 10_000])
def test_lines_come_whole_however_they_are_cut(step: int) -> None:
    """In chunks that end inside lines, in parts that end inside chunks, with an extension on one."""
    wire = HEAD + chunk(b"one\ntw") + chunk(b"o\n") + b"6;x=y\r\nthree\n\r\n" + chunk(b"four") + b"0\r\n\r\n"

    def answer(peer: socket.socket) -> None:
        for at in range(0, len(wire), step):
            peer.sendall(wire[at : at + step])

    with server(answer) as port:
        stream = opened(port)
        assert all_lines(stream) == [b"one", b"two", b"three"]
        stream.close()


@pytest.mark.parametrize("over_tls", [False, True])
def test_both_sides_speak_at_once(tmp_path: Path, over_tls: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """More than any buffer holds, both ways, by one thread on this side."""
    listening = trusting = None
    if over_tls:
        certificate = self_signed(tmp_path)
        listening, trusting = certificate.server_context(), certificate.client_context()
        trusting.check_hostname = False
    line = b"x" * 50_000 + b"\n"
    heard: list[int] = []

    def answer(peer: socket.socket) -> None:
        def hear() -> None:
            count = 0
            while count < 40 * len(chunk(line)):
                count += len(peer.recv(65_536))
            heard.append(count)

        if over_tls:  # one thread here too
            peer.sendall(HEAD)
            for _ in range(40):
                peer.sendall(chunk(line))
            hear()
        else:
            hearing = threading.Thread(target=hear)
            hearing.start()
            peer.sendall(HEAD)
            for _ in range(40):
                peer.sendall(chunk(line))
            hearing.join()
        peer.sendall(b"0\r\n\r\n")

    with server(answer, listening) as port:
        stream = opened(port, trusting)
        wake = Wake()
        got: list[bytes] = []
        while len(got) < 40:
            got += stream.lines(20, wake) or []
        for _ in range(40):
            stream.send(line)
        assert all_lines(stream) == []
        assert set(got) == {line[:-1]}
        assert heard == [40 * len(chunk(line))]
        stream.close()
        wake.close()


@pytest.mark.parametrize("status", [100, 102, 103, 199])
def test_what_is_said_before_the_answer_is_none(status: int) -> None:
    """RFC 9110, section 15.2: such as the early hints of a proxy."""
    early = b"HTTP/1.1 %d Early\r\nLink: </x>\r\n\r\n" % status
    with server(lambda peer: peer.sendall(early * 2 + HEAD + chunk(b"one\n") + b"0\r\n\r\n")) as port:
        stream = opened(port)
        assert all_lines(stream) == [b"one"]
        stream.close()


def test_another_protocol_is_a_refusal() -> None:
    with (
        server(lambda peer: peer.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + HEAD)) as port,
        pytest.raises(Refused) as refused,
    ):
        opened(port)
    assert refused.value.code == "101"


def test_what_is_said_before_the_answer_comes_to_an_end() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\n\r\n" * 10_000

    def answer(peer: socket.socket) -> None:
        with suppress(OSError):
            peer.sendall(early + HEAD)

    with server(answer) as port, pytest.raises(ValueError, match="a head that does not end"):
        opened(port)


def test_a_wait_is_ended_from_another_thread() -> None:
    gone = threading.Event()

    def answer(peer: socket.socket) -> None:
        peer.sendall(HEAD)
        gone.wait(20)

    with server(answer) as port:
        stream, wake = opened(port), Wake()
        threading.Timer(0.05, wake).start()
        began = time.monotonic()
        assert stream.lines(20, wake) == []
        assert time.monotonic() - began < 15
        wake()
        wake.clear()
        assert stream.lines(0.0, wake) == []
        gone.set()
        stream.close()
        wake.close()
        wake()  # of one that is gone nothing comes


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b'HTTP/1.1 403 Forbidden\r\nContent-Length: 29\r\n\r\n{"code":"permission_missing"}', "permission_missing"),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 6\r\n\r\n<html>", "502"),
        (b"HTTP/1.1 503 x\r\nContent-Length: 9\r\n\r\n[1, 2, 3]", "503"),
        (b"HTTP/1.1 404 x\r\n\r\n", "404"),
        (b'HTTP/1.1 403 x\r\nContent-Length: 99\r\n\r\n{"code"', "403"),
    ],
)
def test_a_refusal_is_told_by_its_code(said: bytes, code: str) -> None:
    with server(lambda peer: peer.sendall(said)) as port, pytest.raises(Refused) as refused:
        opened(port)
    assert refused.value.code == code


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 OK\r\n\r\n",
        b"x" * 70_000,
        b"",
        HEAD + b"zz\r\n",
        HEAD + b"-2\r\nxx\r\n",
        HEAD + b"1" * 2000,
    ],
)
def test_what_is_no_stream_is_an_error(said: bytes) -> None:
    wrong = pytest.raises((ValueError, OSError))
    with server(lambda peer: peer.sendall(said)) as port, wrong, closing(opened(port)) as stream:
        all_lines(stream)


def test_a_head_that_drips_is_cut_off() -> None:
    with dripping(b"HTTP/1.1 200 OK\r\nX-A: ") as port, pytest.raises(TimeoutError):
        Stream(http.client.HTTPConnection("127.0.0.1", port, timeout=0.5), "/v1/feed", {})


def test_a_refusal_that_drips_is_told_by_its_status() -> None:
    with dripping(b"HTTP/1.1 403 x\r\nContent-Length: 9000\r\n\r\n{") as port, pytest.raises(Refused) as refused:
        Stream(http.client.HTTPConnection("127.0.0.1", port, timeout=0.5), "/v1/feed", {})
    assert refused.value.code == "403"


def test_a_flood_is_taken_in_parts_and_cut_off() -> None:
    """Whoever reads looks up in between; and a line has a length that it cannot have."""
    cut_off: list[bool] = []
    block = b"x" * 1_000_000

    def answer(peer: socket.socket) -> None:
        peer.sendall(HEAD + b"%x\r\n" % (1 << 40))
        try:
            for _ in range(100):
                peer.sendall(block)
        except OSError:
            cut_off.append(True)

    with server(answer) as port:
        stream = opened(port)
        with closing(Wake()) as wake:
            assert stream.lines(20, wake) == []
            assert len(stream._chunks.text) <= len(block)
            with pytest.raises(ValueError, match="does not end"):
                all_lines(stream)
        stream.close()
    assert cut_off


def test_whoever_takes_a_line_by_drops_is_given_up() -> None:
    ended = threading.Event()

    def answer(peer: socket.socket) -> None:
        peer.sendall(HEAD)
        while not ended.wait(0.05) and peer.recv(200_000):
            pass

    with server(answer) as port:
        stream = opened(port)
        with pytest.raises(TimeoutError):
            stream.send(b"x" * 40_000_000)
        ended.set()
        stream.close()


@pytest.mark.parametrize(
    ("host", "named"),
    [
        ("::1", "[::1]"),
        ("fe80::1%eth0", "[fe80::1]"),
        ("localhost", "localhost"),
        ("keys.example.com", "keys.example.com"),
        ("schlüssel.example.com", "xn--schlssel-95a.example.com"),
    ],
)
def test_the_host_is_named_as_requests_name_it(host: str, named: str) -> None:
    """RFC 9112, section 3.2: nginx refuses an IPv6 address without its brackets."""
    heard: list[bytes] = []
    near, far = socket.socketpair()
    connection = http.client.HTTPConnection(host, 8787, timeout=20)
    connection.connect = lambda: setattr(connection, "sock", near)  # type: ignore[method-assign]  # as if it were there
    far.sendall(HEAD)
    stream = Stream(connection, "/v1/feed", {})
    heard.append(far.recv(65_536))
    assert f"\r\nHost: {named}:8787\r\n".encode() in heard[0]
    stream.close()
    far.close()
