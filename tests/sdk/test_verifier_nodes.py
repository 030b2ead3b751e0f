"""A verifier whose nodes come and go."""

from pathlib import Path

import pytest

from keyturn.core.lease import LAPSED, Denial
from keyturn.sdk import NodeUnavailable, Verifier
from keyturn.verify.message import write
from tests.dripping import dripping
from tests.ports import free_port
from tests.sdk.verifying import LONG, reset, until
from tests.serving import Serving


def test_of_several_nodes_a_dead_one_is_passed_over(server: Serving, credential: str) -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    secret = server.create()["secret"]
    for urls in ([dead, server.url], [server.url, dead]):
        with Verifier(urls, credential) as verifier:
            assert verifier.verify(secret)
            assert verifier.wait_until_leased(LONG)
            assert verifier.node == server.url
            assert verifier.verify(secret)


@pytest.mark.parametrize(
    "first",
    [b"HTTP/1.1 200 OK\r\nX-A: ", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffff\r\n{"],
    ids=["a head", "a message"],
)
def test_of_several_nodes_one_that_drips_is_passed_over(server: Serving, credential: str, first: bytes) -> None:
    with dripping(first, most=2_000) as port, Verifier([f"http://127.0.0.1:{port}", server.url], credential) as one:
        assert one.wait_until_leased(LONG)
        assert one.node == server.url


@pytest.mark.parametrize(
    "line", [b'{"kind":' * 20_000, b'{"kind":"deny","nonce":1e999,"reason":"lapsed"}'], ids=["deep", "wide"]
)
def test_of_several_nodes_one_whose_messages_are_broken_is_passed_over(
    server: Serving, credential: str, line: bytes
) -> None:
    message = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\n\r\n" % (len(line) + 1, line)
    with dripping(message, most=2_000) as port, Verifier([f"http://127.0.0.1:{port}", server.url], credential) as one:
        assert one.wait_until_leased(LONG)
        assert one.node == server.url
        assert one.verify(server.create()["secret"])


def test_of_several_nodes_one_that_grants_no_lease_is_left(server: Serving, credential: str) -> None:
    """As one that is cut off from its database while another is not."""
    line = write(Denial(nonce=1, reason=LAPSED))
    denial = b"%x\r\n%s\r\n" % (len(line), line)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with (
        dripping(head, drop=denial, most=4_000) as port,
        Verifier([f"http://127.0.0.1:{port}", server.url], credential) as one,
    ):
        assert one.wait_until_leased(LONG)
        assert one.node == server.url


def test_with_no_node_there_is_no_answer_until_one_comes(server: Serving, credential: str) -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    secret = server.create()["secret"]
    with Verifier(dead, credential) as verifier:
        assert not verifier.wait_until_leased(0)
        with pytest.raises(NodeUnavailable):
            verifier.verify(secret)
        assert (verifier.node, verifier.refused) == ("", "")


def test_a_node_that_is_killed_is_missed_when_the_lease_ends_and_found_again(tmp_path: Path) -> None:
    port = str(free_port())
    server = Serving(folder=tmp_path / "data", flags=("--port", port)).start()
    try:
        made = server.create()
        credential = server.create(permissions=["keyturn.attach"])["secret"]
        with Verifier(server.url, credential) as verifier:
            assert verifier.wait_until_leased(LONG)
            assert verifier.verify(made["secret"])
            server.kill()
            assert verifier.verify(made["secret"])
            assert verifier.lease > 0

            def lapsed() -> bool:
                try:
                    verifier.verify(made["secret"])
                except NodeUnavailable:
                    return True
                return False

            until(lapsed)
            assert verifier.lease == 0
            server.start()
            until(lambda: verifier.lease > 0)
            assert verifier.verify(made["secret"])
            done = reset(server, made["id"])
            assert done["receipt"]["confirmed"] is True
            assert verifier.verify(made["secret"]).code == "replaced"
            assert verifier.verify(done["secret"])
    finally:
        server.kill()


def test_a_connection_that_the_node_has_closed_is_opened_again(tmp_path: Path) -> None:
    server = Serving(folder=tmp_path / "data", flags=("--port", str(free_port()))).start()
    try:
        first, second = (server.create()["secret"] for _ in range(2))
        credential = server.create(permissions=["keyturn.attach"])["secret"]
        with Verifier(server.url, credential) as verifier:
            assert verifier.verify(first)
            server.kill()
            server.start()
            assert verifier.verify(second)
    finally:
        server.kill()
