"""ASGI middleware: only requests whose key is accepted reach the application, in `scope["keyturn"]` whose it is.

    app = KeyturnMiddleware(app, verifier, needs="orders")

HTTP and WebSockets are decided on when they begin, and a WebSocket again while it is open.  The event loop is
asyncio's.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cached_property, partial
from typing import Any, Final
from urllib.parse import unquote

from keyturn.sdk.admission import AcceptedKey, Problem, Question, Request, is_reserved
from keyturn.sdk.asking import Asking
from keyturn.sdk.middleware import Middleware
from keyturn.sdk.needs import OPEN
from keyturn.sdk.readings import OVERRIDES, Otherwise, overridden, within
from keyturn.sdk.websocket import POLICY, App, OpenWebSocket, Receive, Scope, Send

__all__ = ["OPEN", "AcceptedKey", "KeyturnMiddleware"]

_OVERRIDES: Final = frozenset(name.encode() for name in OVERRIDES)
_SLASH: Final = re.compile("%2f", re.IGNORECASE)
_DEEPEST: Final = 64
_CAN_REFUSE: Final = "websocket.http.response"


class KeyturnMiddleware(Middleware[App]):
    """Stands before an application; the arguments are those of `Admission`."""

    @cached_property
    def _asking(self) -> Asking:
        return Asking(self._admission)

    @cached_property
    def _root(self) -> str:
        """The prefix that FastAPI puts into the scope itself, behind this.  Others call a folder so."""
        return next((one.root_path for one in inwards(self._app) if hasattr(one, "root_path_in_servers")), "")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        # Its own list, once: servers add trailers to theirs while the body comes, and after this has decided.
        headers = list(scope["headers"])
        question = self._admission.read(read(scope, headers, root=self._root or scope.get("root_path", "")))
        answer = await self._asking.answer(question) if isinstance(question, Question) else question
        if isinstance(answer, Problem):
            await refuse(answer, scope, send)
            return
        key = answer if isinstance(answer, AcceptedKey) else None
        told = {**scope, "headers": cleaned(headers), "keyturn": key}
        if scope["type"] == "websocket" and isinstance(question, Question):
            socket = OpenWebSocket(receive, send)
            socket.keep(partial(self._asking.again, question))
            await socket.run(self._app, told)
        else:
            await self._app(told, receive, send)


def inwards(app: Any) -> Iterator[Any]:  # noqa: ANN401  # whatever somebody has written
    """The application and what it stands before, as far as each says so: the middleware of most calls it `app`."""
    for _ in range(_DEEPEST):
        yield app
        app = getattr(app, "app", None)


def read(scope: Scope, lines: Iterable[tuple[bytes, bytes]], *, root: str = "") -> Request:
    """The request of a scope with these headers.  A WebSocket carries both ways, so it reads and writes.

    Raises KeyError for others.
    """
    headers: dict[bytes, list[bytes]] = {}
    for name, value in lines:
        headers.setdefault(name.lower(), []).append(value)

    def texts(name: bytes) -> list[str]:
        return [value.decode("latin-1") for value in headers.get(name, ())]

    path, otherwise = scope["path"], None
    raw = scope.get("raw_path") or b""
    if root or b"%" in raw or not headers.keys().isdisjoint(_OVERRIDES):
        path, otherwise = _otherwise(root, path, raw, [one for name in _OVERRIDES for one in texts(name)])
    return Request(
        method="WEBSOCKET" if scope["type"] == "websocket" else scope["method"],
        path=path,
        query=scope["query_string"].decode("latin-1"),
        peer=(scope.get("client") or ("",))[0],
        authorization=texts(b"authorization"),
        api_key=texts(b"x-api-key"),
        forwarded=headers.get(b"x-forwarded-for", []),
        user_agent=(texts(b"user-agent") or [""])[0],
        otherwise=otherwise,
        has_trailers=b"transfer-encoding" in headers,
    )


def _otherwise(root: str, path: str, raw: bytes, methods: Iterable[str]) -> tuple[str, Otherwise]:
    routed, other = within(root, path) if root else (path, Otherwise())
    paths = other.paths
    if b"%2f" in raw.lower():
        undivided = unquote(_SLASH.sub("\N{REPLACEMENT CHARACTER}", raw.decode("latin-1")))
        paths = *paths, within(root, undivided)[0] if root else undivided
    return routed, other._replace(methods=overridden(methods), paths=paths)


def cleaned(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Without what only keyturn may say."""
    return [one for one in headers if one[0][:1] not in b"xX" or not is_reserved(one[0].decode("latin-1"))]


async def refuse(problem: Problem, scope: Scope, send: Send) -> None:
    """Answer with the problem.  A WebSocket that begins is answered so where its server can, else with 403."""
    websocket = scope["type"] == "websocket"
    if websocket and _CAN_REFUSE not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": POLICY})  # before it is accepted: the server answers 403
        return
    kind = _CAN_REFUSE if websocket else "http.response"
    headers = [(name.encode(), value.encode()) for name, value in problem.headers]
    body = b"" if scope.get("method") == "HEAD" else problem.body
    await send({"type": f"{kind}.start", "status": problem.status, "headers": headers})
    await send({"type": f"{kind}.body", "body": body})
