"""Asking nodes that freeze, drip, hang up or say too much: another one answers, in a time that is known beforehand."""

import http.client
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import pytest

from keyturn.sdk import Client
from keyturn.sdk.clock import boot_micros
from keyturn.sdk.line import Line
from keyturn.sdk.nodes import Nodes, NodeUnavailable, NotAllowed, Patience
from tests.certificate import Certificate, self_signed
from tests.dripping import dripping
from tests.loopback import Gate, Loopback, Reply, Request
from tests.ports import free_port
from tests.sdk.verifying import until as wait_until

SHORT: Final = Patience(each=2.0, together=20.0)
_AT_ONCE: Final = 4
_MUCH: Final = 50_000_000


def _said(who: str) -> Callable[[Request], Reply]:
    return lambda _: Reply(body={"who": who})


@contextmanager
def _asking(*urls: str, patience: Patience = SHORT, ca_file: Path | None = None) -> Iterator[Nodes]:
    nodes = Nodes(urls, "kt_live_x", allow_plain_http=False, patience=patience, ca_file=ca_file)
    try:
        yield nodes
    finally:
        nodes.close()


def _ask(nodes: Nodes) -> Any:
    return nodes.ask("/v1/verify", {"x": 1}, lambda answer: answer["who"])


@contextmanager
def _frozen() -> Iterator[tuple[Loopback, Gate]]:
    """A node that keeps connections, and a gate that is opened in the end."""
    gate = Gate()
    with Loopback(_said("first"), keeps=True) as node:
        try:
            yield node, gate
        finally:
            gate.let_go()


@contextmanager
def _peer(*says: bytes) -> Iterator[str]:
    """A node that says this to one caller after the other, and hangs up."""

    def answer(listening: socket.socket) -> None:
        for said in says:
            caller, _ = listening.accept()
            with caller, suppress(OSError):
                caller.recv(65_536)
                caller.sendall(said)
                caller.shutdown(socket.SHUT_WR)
                while caller.recv(65_536):
                    pass

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=answer, args=(listening,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread.join()


def test_a_frozen_node_is_waited_for_once_however_many_lines_are_kept_to_it() -> None:
    """Who does not answer on one line answers on no other; nor is it asked first the next time."""
    with _frozen() as (frozen, gate), Loopback(_said("second")) as other, _asking(frozen.url, other.url) as nodes:
        together = Gate()
        frozen.then(*[together] * _AT_ONCE)
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            asked = [threads.submit(_ask, nodes) for _ in range(_AT_ONCE)]
            frozen.await_requests(_AT_ONCE)
            together.let_go()
            assert {one.result() for one in asked} == {"first"}
        frozen.then(*[gate] * 100)
        assert _ask(nodes) == "second"
        assert len(frozen.heard) == _AT_ONCE + 1
        assert not nodes._kept(frozen.url)
        nodes.ask_first(frozen.url)  # as its stream does, which may not have noticed yet
        assert _ask(nodes) == "second"
        assert len(frozen.heard) == _AT_ONCE + 1


def test_a_node_that_was_frozen_is_asked_again_when_no_other_answers() -> None:
    with _frozen() as (frozen, gate), Loopback(_said("second")) as other, _asking(frozen.url, other.url) as nodes:
        frozen.then(gate)
        assert _ask(nodes) == "second"
        other.stop()
        assert _ask(nodes) == "first"


def test_all_nodes_together_have_one_time() -> None:
    gate = Gate()
    with Loopback(_said("1")) as one, Loopback(_said("2")) as two, Loopback(_said("3")) as three:
        for node in (one, two):
            node.then(gate)
        try:
            with _asking(one.url, two.url, three.url, patience=Patience(each=0.5, together=0.6)) as nodes:
                with pytest.raises(NodeUnavailable):
                    _ask(nodes)
                assert not three.heard
        finally:
            gate.let_go()


@pytest.mark.parametrize("over_tls", [False, True])
def test_a_line_that_was_closed_while_idle_is_opened_again(tmp_path: Path, over_tls: bool) -> None:  # noqa: FBT001  # a parameter of the test
    certificate: Certificate | None = self_signed(tmp_path) if over_tls else None
    trusted = None if certificate is None else certificate.certificate
    with Loopback(_said("first"), keeps=True, tls=certificate) as node, _asking(node.url, ca_file=trusted) as nodes:
        assert _ask(nodes) == "first"
        assert len(nodes._idle[node.url]) == 1  # type: ignore[index]  # it is open
        node.stop()
        node.start()
        assert _ask(nodes) == "first"


def test_a_line_that_breaks_within_an_answer_is_no_line_that_was_idle() -> None:
    """The node has taken the question up: it is not asked the same once more."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        until = boot_micros() + 20_000_000
        connection = http.client.HTTPConnection("127.0.0.1", listening.getsockname()[1])
        line = Line(connection, None, until=until)
        caller, _ = listening.accept()
        with ThreadPoolExecutor(1) as thread:
            asked = thread.submit(line.ask, "/v1/verify", b"{}", {}, until=until)
            caller.sendall(b"HTTP/")
            wait_until(lambda: line._socket.heard)
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            caller.close()
            with pytest.raises(ConnectionResetError):
                asked.result()
        line.close()


def test_a_node_that_is_not_there_is_passed_over() -> None:
    with Loopback(_said("second")) as other, _asking(f"http://127.0.0.1:{free_port()}", other.url) as nodes:
        assert _ask(nodes) == "second"


def test_a_node_that_cannot_answer_is_passed_over_and_one_that_refuses_is_not() -> None:
    with Loopback(_said("first")) as node, Loopback(_said("second")) as other, _asking(node.url, other.url) as nodes:
        node.then(Reply(status=503, body={"code": "store_unavailable"}))
        assert _ask(nodes) == "second"
        nodes.ask_first(node.url)
        node.then(Reply(status=403, body={"code": "permission_missing"}))
        with pytest.raises(NotAllowed) as raised:
            _ask(nodes)
        assert raised.value.code == "permission_missing"
        assert len(other.heard) == 1


@pytest.mark.parametrize(
    "first",
    [b"HTTP/1.1 200 OK\r\nX-A: ", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{", b""],
    ids=["a head", "a body", "nothing"],
)
def test_what_drips_is_cut_off_as_a_whole(first: bytes) -> None:
    with (
        Loopback(_said("second")) as other,
        dripping(first) as port,
        _asking(f"http://127.0.0.1:{port}", other.url) as nodes,
    ):
        assert _ask(nodes) == "second"


@pytest.mark.parametrize(
    ("first", "block"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", b"x"),
    ],
    ids=["a body", "heads", "a chunk of no length"],
)
def test_what_does_not_end_is_cut_off_before_it_fills_the_memory(first: bytes, block: bytes) -> None:
    whole = block * (_MUCH // len(block))
    cut_off: list[bool] = []

    def answer(listening: socket.socket) -> None:
        caller, _ = listening.accept()
        with caller:
            caller.recv(65_536)
            try:
                caller.sendall(first + whole)
            except OSError:
                cut_off.append(True)

    with socket.create_server(("127.0.0.1", 0)) as listening, Loopback(_said("second")) as other:
        thread = threading.Thread(target=answer, args=(listening,), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with _asking(url, other.url, patience=Patience(each=20.0, together=40.0)) as nodes:
            assert _ask(nodes) == "second"
        thread.join()
    assert cut_off


def test_a_handshake_that_drips_is_cut_off() -> None:
    with (
        Loopback(_said("second")) as other,
        dripping(b"\x16\x03\x03\x40\x00") as port,  # the head of a long record
        _asking(f"https://127.0.0.1:{port}", other.url) as nodes,
    ):
        assert _ask(nodes) == "second"


_CHUNKED: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
_ENDLESS: Final = b"x" * 3_000_000
_ANSWER: Final = b'{"who": "first"}'


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000000\r\n\r\n" + _ANSWER,
        b"HTTP/1.1 200 OK\r\n\r\n" + _ENDLESS,
        b"HTTP/1.1 200 OK\r\n" + b"X-A: x\r\n" * 500_000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 100_000,
        _CHUNKED + b"7fffffffffffffff\r\n" + _ENDLESS,
        _CHUNKED + b"-1\r\n" + _ENDLESS,
        _CHUNKED + b"100000\r\n" + b" " * 0x100000 + b"\r\n100000\r\n" + _ENDLESS,
        b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n" + _ANSWER,
        _CHUNKED + b"10\r\n" + _ANSWER,
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n" + _ANSWER,
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 100_000,
        b"HTTP/1.1 200 OK\r\n\r\n\xff",
        b"",
    ],
    ids=lambda said: said[:60].decode("latin-1").encode("unicode_escape").decode(),
)
def test_what_is_no_answer_is_passed_over(said: bytes) -> None:
    """Too long, cut short, nested without an end, of another protocol."""
    with Loopback(_said("second")) as other, _peer(said) as url, _asking(url, other.url) as nodes:
        assert _ask(nodes) == "second"


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\n\r\n" + _ANSWER,
        b"HTTP/1.0 200 OK\r\n\r\n" + _ANSWER,
        b"HTTP/1.1 200 OK\r\nContent-Length: 16\r\nConnection: close\r\n\r\n" + _ANSWER,
        b"HTTP/1.1 100 Continue\r\n\r\n" + _CHUNKED + b'4\r\n{"wh\r\nc;x=y\r\no": "first"}\r\n0\r\nX-A: x\r\n\r\n',
        b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 1_000_000 + _ANSWER,
    ],
    ids=["to the end", "1.0", "that closes", "in chunks", "long"],
)
def test_an_answer_is_read_however_it_is_framed(said: bytes) -> None:
    """And where the node hangs up after it, the line is not kept."""
    with _peer(said, said) as url, _asking(url) as nodes:
        assert [_ask(nodes), _ask(nodes)] == ["first", "first"]


def test_a_deployment_may_be_below_a_path_of_its_address() -> None:
    """A proxy serves it there; whatever knows it by this address keeps the path."""
    with Loopback(_said("first"), keeps=True) as node:
        url = f"{node.url}/my keys/é/"
        with _asking(url) as nodes:
            assert _ask(nodes) == "first"
            with pytest.raises(ValueError, match="an answer that has an end"):
                nodes.open(nodes.urls[0])
        with Client(url) as client:
            client.ready()
        paths = [one.path for one in node.heard]
        assert paths == [f"/my%20keys/%C3%A9{path}" for path in ("/v1/verify", "/v1/feed", "/readyz")]


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/#part", "http://127.0.0.1:1/?", "http://127.0.0.1:1?x=y"])
def test_an_address_has_nothing_beyond_its_path(url: str) -> None:
    with pytest.raises(ValueError, match="address"):
        Nodes(url, "kt_live_x", allow_plain_http=False)
    with pytest.raises(ValueError, match="address"):
        Client(url)


def test_a_node_may_have_an_ipv6_address() -> None:
    heard: list[bytes] = []

    def answer(listening: socket.socket) -> None:
        caller, _ = listening.accept()
        with caller:
            heard.append(caller.recv(65_536))
            caller.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + _ANSWER)
            caller.shutdown(socket.SHUT_WR)
            while caller.recv(65_536):
                pass  # what is left unread would reset the line

    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listening:
        thread = threading.Thread(target=answer, args=(listening,), daemon=True)
        thread.start()
        port = listening.getsockname()[1]
        with _asking(f"http://[::1]:{port}") as nodes:
            assert _ask(nodes) == "first"
        thread.join()
    assert f"Host: [::1]:{port}".encode() in heard[0]
