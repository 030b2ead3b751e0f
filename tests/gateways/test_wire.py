"""What a caller writes on the connection itself goes past no gateway: trailers, HTTP/2, tunnels, upgrades.

Each would put headers of the caller's own beside keyturn's words, or speak to the API with nobody in between.
"""

import threading
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import ServerConnection, serve

from tests.gateways.conftest import Site, here
from tests.gateways.program import CADDY, HAPROXY, Gateway, Kind
from tests.gateways.wire import PATIENCE, AgreeingApi, await_http2, connected, head, http2, said

FORGED = ("x-keyturn-key-id", "x-keyturn-permissions", "x-forwarded-for")


@pytest.fixture
def api() -> Iterator[AgreeingApi]:
    with AgreeingApi() as api:
        yield api


@pytest.fixture
def before(site: Site, kind: Kind, api: AgreeingApi, tmp_path: Path) -> Iterator[Gateway]:
    """Each gateway, before that API."""
    with site.behind(kind, tmp_path / kind.name, api=api.port) as gateway:
        yield gateway


@pytest.mark.parametrize("announced", [False, True])
def test_trailers_do_not_reach_the_api(site: Site, before: Gateway, api: AgreeingApi, *, announced: bool) -> None:
    key = site.secret(permissions=["api:write"])
    told = {"Trailer": ", ".join(FORGED), "TE": "trailers"} if announced else {}
    start = head(before, "POST /orders HTTP/1.1", key=key, Connection="close", Transfer_Encoding="chunked", **told)
    trailers = "".join(f"{name}: forged\r\n" for name in FORGED)
    answer = said(before, start + b"3\r\nabc\r\n0\r\n" + trailers.encode() + b"\r\n")
    assert b"forged" not in b"".join(api.heard)
    if before.kind is HAPROXY:  # which cannot leave them out
        assert answer.startswith(b"HTTP/1.1 411 ")
        assert not api.heard
    else:
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"abc" in b"".join(api.heard)


def test_http_2_brings_no_trailers_either(site: Site, before: Gateway, api: AgreeingApi) -> None:
    key = site.secret(permissions=["api:read"])
    with connected(before) as connection:
        connection.sendall(http2(key=key, trailer=("x-keyturn-key-id", "forged")))
        await_http2(connection)
    assert b"forged" not in b"".join(api.heard)


def _another(gateway: Gateway) -> bytes:
    """A request of somebody who has no key, and writes as they like; whoever answers it closes the connection."""
    return head(gateway, "DELETE /orders/7 HTTP/1.1", X_Keyturn_Key_Id="forged", Connection="close")


def test_connect_opens_no_way_past_the_gateway(site: Site, before: Gateway, api: AgreeingApi) -> None:
    key = site.secret(permissions=["api:write"])
    for asked in (f"CONNECT 127.0.0.1:{before.port} HTTP/1.1", "CONNECT /orders HTTP/1.1"):
        said(before, head(before, asked, key=key), _another(before))
        assert b"forged" not in b"".join(api.heard)


@pytest.mark.parametrize("story", ["h2c", "h2c, websocket", "websocket, h2c", "both lines"])
def test_a_connection_becomes_no_other_protocol(site: Site, before: Gateway, api: AgreeingApi, story: str) -> None:
    """Over HTTP/2 the API would hear the caller alone, in headers of the caller's own."""
    key = site.secret(permissions=["api:write"])
    upgrade = "h2c\r\nUpgrade: websocket" if story == "both lines" else story
    asked = head(before, "GET /orders HTTP/1.1", key=key, Connection="Upgrade", Upgrade=upgrade)
    said(before, asked, _another(before))
    assert b"h2c" not in b"".join(api.heard)


def test_who_offers_another_protocol_in_vain_is_served(site: Site, before: Gateway, api: AgreeingApi) -> None:
    """As some clients do with each request; it needs no more than the same request without."""
    key = site.secret(permissions=["api:read"])
    offer = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2_Settings": "AAMAAABkAAQAoAAAAAIAAAAA"}
    asked = head(before, "GET /orders HTTP/1.1", key=key, **offer)
    assert said(before, asked, _another(before)).startswith(b"HTTP/1.1 200 ")
    assert b"forged" not in b"".join(api.heard)


def _echo(connection: ServerConnection) -> None:
    assert connection.request is not None
    for message in connection:
        connection.send(f"{connection.request.headers['X-Keyturn-Key-Id']} said {message!r}")


@pytest.fixture(params=[CADDY, HAPROXY], ids=lambda kind: kind.name)
def socketed(request: pytest.FixtureRequest, site: Site, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway that passes WebSockets on, before an API that has one."""
    kind = here(request.param)
    with serve(_echo, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.socket.getsockname()[1]
        with site.behind(kind, tmp_path / kind.name, api=port) as gateway:
            yield gateway


def _dial(gateway: Gateway, key: str) -> ClientConnection:
    url = f"ws://127.0.0.1:{gateway.port}/orders"
    shown = {"Authorization": f"Bearer {key}"}
    return connect(url, additional_headers=shown, proxy=None, open_timeout=PATIENCE, close_timeout=PATIENCE)


def test_a_websocket_reads_and_writes(site: Site, socketed: Gateway) -> None:
    made = site.keyturn.create(permissions=["api:write"])
    with _dial(socketed, made["secret"]) as connection:
        for message in ("one", "two"):
            connection.send(message)
            assert connection.recv(timeout=PATIENCE) == f"{made['id']} said {message!r}"


def test_a_websocket_does_not_open_with_a_key_that_only_reads(site: Site, socketed: Gateway) -> None:
    with pytest.raises(InvalidStatus) as refused:
        _dial(socketed, site.secret(permissions=["api:read"]))
    answer = refused.value.response
    assert (answer.status_code, answer.headers["X-Keyturn-Code"]) == (HTTPStatus.FORBIDDEN, "permission_missing")
