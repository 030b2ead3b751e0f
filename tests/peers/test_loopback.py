"""The server on the loopback answers as it is told, in plain HTTP and over TLS."""

import http.client
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.certificate import self_signed
from tests.loopback import Gate, Loopback, Reply, Request


def _echo(request: Request) -> Reply:
    return Reply(body={"method": request.method, "path": request.path, "query": dict(request.query)} | request.form)


def _ask(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310  # the address is this test's
        body: bytes = answer.read()
        return body


def test_every_request_is_kept_and_answered() -> None:
    with Loopback(_echo) as server:
        assert _ask(f"{server.url}/a?b=c%20d&e=") == b'{"method": "GET", "path": "/a", "query": {"b": "c d", "e": ""}}'
        request = urllib.request.Request(server.url, data=b"x=%C3%A4", headers={"X-Name": "v"})  # noqa: S310  # the same
        urllib.request.urlopen(request, timeout=20).close()  # noqa: S310  # the same
        kept = server.await_requests(2)[1]
    assert (kept.method, kept.body, kept.form, kept.headers["x-name"]) == ("POST", b"x=%C3%A4", {"x": "ä"}, "v")


def test_it_answers_what_comes_then() -> None:
    with Loopback(_echo) as server:
        server.then(Reply(status=503))
        with pytest.raises(urllib.error.HTTPError, match="503") as refused:
            _ask(server.url)
        refused.value.close()
        assert b"GET" in _ask(server.url)


def test_a_gate_holds_an_answer_back() -> None:
    gate, came = Gate(), list[bytes]()
    with Loopback(_echo) as server:
        server.then(gate)
        asking = threading.Thread(target=lambda: came.append(_ask(server.url)))
        asking.start()
        gate.await_arrival()
        assert (len(server.heard), came) == (1, [])
        gate.let_go()
        asking.join()
    assert len(came) == 1


def test_it_is_down_and_comes_back_on_its_port() -> None:
    server = Loopback(_echo).start()
    waiting = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    waiting.connect()
    server.stop()
    waiting.close()
    with pytest.raises(urllib.error.URLError, match="refused"):
        _ask(server.url)
    with server:
        assert _ask(server.url)


def test_over_tls_only_whoever_trusts_the_certificate_comes(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path)
    with Loopback(_echo, tls=certificate) as server:
        with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
            _ask(server.url)
        context = certificate.client_context()
        urllib.request.urlopen(server.at("localhost"), timeout=20, context=context).close()  # noqa: S310  # the same
        assert len(server.heard) == 1
