"""Headers behind the body, which uvicorn with httptools adds to the others: they decide nothing, and tell nobody.

Pitfall 12: behind what the last proxy has said of a client's address, a client could say another.
"""

import json
import socket
from http import HTTPStatus

import pytest

from tests.middleware.conftest import Site
from tests.middleware.program import Application, running

LONG = 60.0
AWAY = "198.51.100.7"
PROXY = "X-Forwarded-For: 203.0.113.9\r\n"
TRAILER = f"X-Forwarded-For: {AWAY}\r\n"


def head(key: str, path: str, *lines: str) -> bytes:
    shown = "".join(lines)
    return f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n{shown}\r\n".encode()


def opened(application: Application) -> socket.socket:
    return socket.create_connection(("127.0.0.1", application.port), timeout=LONG)


def status(application: Application, request: bytes) -> int:
    """Of the answer to what is sent in one piece."""
    with opened(application) as connection:
        connection.sendall(request)
        return int(connection.makefile("rb").readline().split()[1])


CHUNKED = "Transfer-Encoding: chunked\r\n"


@pytest.mark.parametrize("name", ["asgi", "fastapi", "django on asgi"])
def test_pitfall_12_no_trailer_says_whose_address_it_is(site: Site, name: str) -> None:
    key = site.secret(permissions=["orders:write"], allowlist=[AWAY])
    free = site.secret(permissions=["orders:write"])
    nodes = [site.keyturn.url]
    with running(name, keyturn=nodes, credential=site.credential, proxies="127.0.0.0/8") as application:
        chunks = b"2\r\n{}\r\n0\r\n"
        plain = head(key, "/orders", TRAILER, CHUNKED) + chunks + b"\r\n"
        assert status(application, plain) == HTTPStatus.OK, "the proxy has seen it there"
        hops = head(key, "/orders", TRAILER.replace(": ", ": 203.0.113.1, "), CHUNKED) + chunks + b"\r\n"
        assert status(application, hops) == HTTPStatus.OK, "one line is one proxy's"
        claimed = head(key, "/orders", PROXY, CHUNKED) + chunks + TRAILER.encode() + b"\r\n"
        assert status(application, claimed) in (HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN)
        several = head(free, "/orders", PROXY, TRAILER, CHUNKED) + chunks + b"\r\n"
        assert status(application, several) == HTTPStatus.BAD_REQUEST
        whole = head(key, "/orders", PROXY, TRAILER, "Content-Length: 2\r\n") + b"{}"
        assert status(application, whole) == HTTPStatus.OK, "of headers the last one is the last proxy's"
    with running(name, keyturn=nodes, credential=site.credential) as application:
        assert status(application, several) == HTTPStatus.OK, "nobody is believed"


@pytest.mark.parametrize("name", ["told by asgi", "told by fastapi"])
def test_what_comes_behind_the_body_does_not_reach_the_application(site: Site, name: str) -> None:
    """It is sent once the application waits for the body, so the middleware has decided."""
    key = site.secret()
    with (
        running(name, keyturn=[site.keyturn.url], credential=site.credential) as application,
        opened(application) as connection,
    ):
        connection.sendall(head(key, "/told", "X-Own: 1\r\n", CHUNKED, "Expect: 100-continue\r\n"))
        answer = connection.makefile("rb")
        assert b"100 Continue" in answer.readline()
        assert answer.readline() == b"\r\n"
        connection.sendall(b"2\r\n{}\r\n0\r\nX-Keyturn-Key-Id: forged\r\nX-Late: 1\r\n\r\n")
        assert int(answer.readline().split()[1]) == HTTPStatus.OK
        length = 0
        while (line := answer.readline()) != b"\r\n":
            field, _, value = line.partition(b":")
            length = int(value) if field.lower() == b"content-length" else length
        told = json.loads(answer.read(length))
    assert "x-own" in told
    assert not {"x-late", "x-keyturn-key-id"} & set(told)
