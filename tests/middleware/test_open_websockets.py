"""What becomes of an open WebSocket when its key is accepted no longer: it ends, whatever client and application do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import pytest
from fastapi import FastAPI, WebSocket
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from keyturn.sdk import Verifier
from keyturn.sdk import websocket as watched
from keyturn.sdk.admission import Admission, Problem, Question, Request
from keyturn.sdk.asking import Asking
from keyturn.sdk.fastapi import Keyturn
from keyturn.sdk.websocket import OpenWebSocket
from tests.middleware.conftest import Site, made
from tests.middleware.program import Application, running
from tests.middleware.test_websockets import LONG, dial, say

POLICY: Final = 1008
LATER: Final = 1013
Messages = list[dict[str, Any]]


def _change(site: Site, key_id: str, method: str = "PATCH", at: str = "", **wish: Any) -> None:
    done = site.keyturn.call(f"/v1/keys/{key_id}{at}", wish, method=method)
    assert done.status < HTTPStatus.BAD_REQUEST, done.text


def _soon() -> str:
    return (datetime.now(UTC) + timedelta(seconds=5)).isoformat().replace("+00:00", "Z")


CHANGES: Final[Mapping[str, tuple[Callable[[Site, str], None], str]]] = {
    "reset": (lambda site, key: _change(site, key, "POST", "/resets", reason="leaked"), "replaced"),
    "revoked": (lambda site, key: _change(site, key, "POST", "/revoke"), "revoked"),
    "suspended": (lambda site, key: _change(site, key, "POST", "/suspend"), "suspended"),
    "may only read": (lambda site, key: _change(site, key, permissions=["orders:read"]), "permission_missing"),
    "from elsewhere only": (lambda site, key: _change(site, key, allowlist=["192.0.2.0/24"]), "ip_not_allowed"),
    "runs out": (lambda site, key: _change(site, key, expires_at=_soon()), "expired"),
}


@pytest.fixture(scope="module", params=["asgi", "fastapi"])
def application(request: pytest.FixtureRequest, site: Site) -> Iterator[Application]:
    """The examples that have WebSockets."""
    with running(request.param, keyturn=[site.keyturn.url], credential=site.credential) as started:
        yield started


def end_of(socket: ClientConnection) -> tuple[int, str]:
    """Code and reason of its end, which comes without a word from either side."""
    with pytest.raises(ConnectionClosed) as caught:
        socket.recv(timeout=LONG)
    assert caught.value.rcvd is not None
    return caught.value.rcvd.code, caught.value.rcvd.reason


@pytest.mark.parametrize("story", CHANGES)
def test_it_ends_when_its_key_is_accepted_no_longer_and_others_stay(
    site: Site, application: Application, story: str
) -> None:
    change, code = CHANGES[story]
    made, other = (site.keyturn.create(permissions=["orders:write"]) for _ in range(2))
    with dial(application, key=made["secret"]) as socket, dial(application, key=other["secret"]) as stays:
        assert say(socket, "one")["key_id"] == made["id"]
        change(site, made["id"])
        assert end_of(socket) == (POLICY, code)
        with pytest.raises(InvalidStatus):
            dial(application, key=made["secret"])
        assert say(stays, "two")["key_id"] == other["id"]


def test_f0_of_a_reset_with_grace_the_old_secret_s_ends_when_the_grace_does(
    site: Site, application: Application
) -> None:
    made = site.keyturn.create(permissions=["orders:write"])
    with dial(application, key=made["secret"]) as old, dial(application, key=made["secret"]) as other:
        reset = site.keyturn.call(f"/v1/keys/{made['id']}/resets", {"reason": "routine", "grace": "1h"}).body
        with dial(application, key=reset["secret"]) as new:
            _wait_a_turn(site, application)
            assert say(old, "in grace")["key_id"] == made["id"]
            assert say(other, "in grace")["key_id"] == made["id"]
            done = site.keyturn.call(f"/v1/resets/{reset['id']}/finish", {})
            assert done.status == HTTPStatus.OK, done.text
            assert end_of(old) == end_of(other) == (POLICY, "replaced")
            _wait_a_turn(site, application)
            assert say(new, "after")["key_id"] == made["id"]


def test_asking_again_is_no_request_of_the_limit(site: Site, application: Application) -> None:
    key = site.secret(permissions=["orders:write"], limit="2/1h")
    with dial(application, key=key) as socket:
        for _ in range(3):
            _wait_a_turn(site, application)
        assert application.call(key=key).status == HTTPStatus.OK
        assert application.call(key=key).status == HTTPStatus.TOO_MANY_REQUESTS
        _wait_a_turn(site, application)
        assert say(socket, "beyond its limit")["heard"] == "beyond its limit"


def _wait_a_turn(site: Site, application: Application) -> None:
    """Until every WebSocket that is open has been asked about: one that came later has ended by it."""
    made = site.keyturn.create(permissions=["orders:write"])
    with dial(application, key=made["secret"]) as socket:
        _change(site, made["id"], "POST", "/revoke")
        assert end_of(socket) == (POLICY, "revoked")


def test_f3_without_a_node_it_ends_with_the_lease(tmp_path: Path) -> None:
    one = made(tmp_path)
    try:
        key = one.secret(permissions=["orders:write"])
        with (
            running("asgi", keyturn=[one.keyturn.url], credential=one.credential) as asgi,
            running("fastapi", keyturn=[one.keyturn.url], credential=one.credential) as fastapi,
            dial(asgi, key=key) as first,
            dial(fastapi, key=key) as second,
        ):
            for socket in (first, second):
                assert say(socket, "before")["heard"] == "before"
            one.keyturn.kill()
            assert end_of(first) == end_of(second) == (LATER, "lease_lapsed")
    finally:
        one.keyturn.kill()


# -- whatever client and application do

REPLACED: Final = Problem(401, (), b"", "replaced")


class Talk:
    """A WebSocket as a server has it: what comes, what was sent."""

    def __init__(self) -> None:
        self.comes: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sent: Messages = []
        self.closing = asyncio.Event()
        self.closed = asyncio.Event()
        self.writable = asyncio.Event()
        self.writable.set()

    async def send(self, message: Any) -> None:
        if message.get("text") == "slow":
            await self.closed.wait()
        if message["type"] == "websocket.close":
            self.closing.set()
            await self.writable.wait()
        if self.closed.is_set():
            raise RuntimeError("after its end")
        self.sent.append(message)
        if message["type"] == "websocket.close":
            self.closed.set()


@asynccontextmanager
async def opened(
    app: Callable[[Any, Any, Any], Awaitable[None]], again: Callable[[], Awaitable[Problem | None]]
) -> AsyncIterator[Talk]:
    """An application that talks."""
    talk = Talk()
    socket = OpenWebSocket(talk.comes.get, talk.send)
    socket.keep(again)
    task = asyncio.create_task(socket.run(app, {}))
    yield talk
    await task


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "_EVERY_SECONDS", 0.001)


async def _replaced() -> Problem | None:
    return REPLACED


def test_what_a_client_says_after_its_end_does_not_reach_the_application() -> None:
    heard: Messages = []

    async def app(_: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        while True:
            heard.append(await receive())

    async def both() -> None:
        async with opened(app, _replaced) as talk:
            await talk.closed.wait()
            talk.comes.put_nowait({"type": "websocket.receive", "text": "late"})
        assert talk.sent[1:] == [{"type": "websocket.close", "code": POLICY, "reason": "replaced"}]

    asyncio.run(both())
    assert heard == [{"type": "websocket.disconnect", "code": POLICY, "reason": "replaced"}], "and then it ends too"


def test_an_application_that_only_sends_is_ended_by_its_next_word() -> None:
    async def app(_: Any, __: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        while True:
            await send({"type": "websocket.send", "text": "price"})
            await asyncio.sleep(0)

    async def both() -> None:
        async with opened(app, _replaced) as talk:
            pass
        assert [one["type"] for one in talk.sent].index("websocket.close") == len(talk.sent) - 1

    asyncio.run(both())


def test_nothing_passes_while_a_slow_client_is_yet_to_be_told() -> None:
    talk = Talk()
    talk.writable.clear()

    async def app(_: Any, __: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await talk.closing.wait()
        try:
            await send({"type": "websocket.send", "text": "price"})
        finally:
            talk.writable.set()
            await talk.closed.wait()

    async def both() -> None:
        socket = OpenWebSocket(talk.comes.get, talk.send)
        socket.keep(_replaced)
        await socket.run(app, {})
        assert [one["type"] for one in talk.sent] == ["websocket.accept", "websocket.close"]

    asyncio.run(both())


def test_a_word_that_has_waited_for_a_slow_client_is_late() -> None:
    async def app(_: Any, __: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "slow"})

    async def both() -> None:
        async with opened(app, _replaced) as talk:
            await talk.closed.wait()
        assert [one["type"] for one in talk.sent] == ["websocket.accept", "websocket.close"]

    asyncio.run(both())


def test_an_endpoint_of_fastapi_that_only_sends_ends_without_an_error() -> None:
    api = FastAPI()
    Keyturn(Verifier("http://127.0.0.1:1", "kt_x")).install(api)

    @api.websocket("/prices")
    async def prices(websocket: WebSocket) -> None:
        await websocket.accept()
        websocket.scope["keyturn.websocket"].keep(_replaced)
        while True:
            await websocket.send_text("price")
            await asyncio.sleep(0)

    async def both() -> None:
        talk = Talk()
        talk.comes.put_nowait({"type": "websocket.connect"})
        scope = {"type": "websocket", "path": "/prices", "query_string": b"", "headers": []}
        await api(scope, talk.comes.get, talk.send)
        assert talk.sent[-1]["code"] == POLICY

    asyncio.run(both())


def test_what_has_ended_by_itself_is_not_ended_once_more() -> None:
    for last in ("websocket.close", "websocket.http.response.start"):
        asyncio.run(_ended_by(last, comes="websocket.receive"))
    asyncio.run(_ended_by("websocket.accept", comes="websocket.disconnect"))


async def _ended_by(last: str, *, comes: str) -> None:
    asked = asyncio.Event()

    async def app(_: Any, receive: Any, send: Any) -> None:
        await send({"type": last})
        await receive()
        await asked.wait()
        await asyncio.sleep(0)

    async def again() -> Problem | None:
        asked.set()
        return REPLACED

    async with opened(app, again) as talk:
        talk.comes.put_nowait({"type": comes})
    assert [one["type"] for one in talk.sent] == [last]


def test_an_error_of_the_application_stays_its_own() -> None:
    async def app(*_: Any) -> None:
        raise ConnectionError("its own")

    async def both() -> None:
        async with opened(app, _replaced):
            pass

    with pytest.raises(ConnectionError, match="its own"):
        asyncio.run(both())


async def _breaks() -> Problem | None:
    raise RuntimeError("a bug")


async def _never() -> Problem | None:
    await asyncio.Event().wait()
    return None


@pytest.mark.parametrize("again", [_breaks, _never])
def test_where_asking_does_not_work_it_ends(
    again: Callable[[], Awaitable[Problem | None]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And a bug is told of, without what it says."""
    monkeypatch.setattr(watched, "ASK_SECONDS", 0.01)

    async def app(_: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        assert (await receive())["code"] == LATER

    async def both() -> None:
        async with opened(app, again) as talk:
            await talk.closed.wait()
            talk.comes.put_nowait({"type": "websocket.receive"})
        assert talk.sent[-1] == {"type": "websocket.close", "code": LATER, "reason": "lease_lapsed"}

    asyncio.run(both())
    told = [one.getMessage().rpartition(": ")[2] for one in caplog.records if one.name == "keyturn.sdk"]
    assert told == (["RuntimeError"] if again is _breaks else [])


def test_nobody_asks_any_more_once_it_has_ended() -> None:
    async def app(*_: Any) -> None:
        """Nothing to say."""

    async def both() -> None:
        async with opened(app, _replaced):
            pass
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(both())


def test_of_a_key_that_memory_does_not_hold_a_node_is_asked_and_its_limit_is_no_reason(site: Site) -> None:
    key = site.secret(permissions=["orders:write"], limit="1/1h")

    async def ask(verifier: Verifier) -> list[Problem | None]:
        asking = Asking(Admission(verifier, needs="orders"))
        request = Request("WEBSOCKET", "/orders", "", "127.0.0.1", [f"Bearer {key}"], [], [], "")
        question = asking._admission.read(request)
        assert isinstance(question, Question)
        return [await asking.again(question) for _ in range(3)]

    with Verifier(site.keyturn.url, credential_file=site.credential) as verifier:
        assert verifier.wait_until_leased(LONG)
        assert site.keyturn.verdict(key, permissions=["orders:write"]) == "valid"
        assert site.keyturn.verdict(key, permissions=["orders:write"]) == "rate_limited"
        assert verifier.verify_warm(key, permission="orders:write", again=True) is None
        assert asyncio.run(ask(verifier)) == [None] * 3
