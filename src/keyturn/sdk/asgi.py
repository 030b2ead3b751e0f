"""ASGI middleware: only requests whose key is accepted reach the application, in `scope["keyturn"]` whose it is.

    app = KeyturnMiddleware(app, verifier, needs="orders")

HTTP and WebSockets are decided on when they begin, and a WebSocket again while it is open.  The event loop is
asyncio's.
"""

from collections.abc import Iterable
from functools import cached_property, partial
from typing import Final

from keyturn.sdk.admission import AcceptedKey, Problem, Question, Request, is_reserved
from keyturn.sdk.asking import Asking
from keyturn.sdk.middleware import Middleware
from keyturn.sdk.needs import OPEN
from keyturn.sdk.websocket import POLICY, App, OpenWebSocket, Receive, Scope, Send

__all__ = ["OPEN", "AcceptedKey", "KeyturnMiddleware"]

_CAN_REFUSE: Final = "websocket.http.response"


class KeyturnMiddleware(Middleware[App]):
    """Stands before an application; the arguments are those of `Admission`."""

    @cached_property
    def _asking(self) -> Asking:
        return Asking(self._admission)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        question = self._admission.read(read(scope))
        answer = await self._asking.answer(question) if isinstance(question, Question) else question
        if isinstance(answer, Problem):
            await refuse(answer, scope, send)
            return
        key = answer if isinstance(answer, AcceptedKey) else None
        told = {**scope, "headers": cleaned(scope["headers"]), "keyturn": key}
        if scope["type"] == "websocket" and isinstance(question, Question):
            socket = OpenWebSocket(receive, send)
            socket.keep(partial(self._asking.again, question))
            await socket.run(self._app, told)
        else:
            await self._app(told, receive, send)


def read(scope: Scope) -> Request:
    """The request of a scope.  A WebSocket carries both ways, so it reads and writes.  Raises KeyError for others."""
    headers: dict[bytes, list[bytes]] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.lower(), []).append(value)

    def texts(name: bytes) -> list[str]:
        return [value.decode("latin-1") for value in headers.get(name, ())]

    return Request(
        method="WEBSOCKET" if scope["type"] == "websocket" else scope["method"],
        path=scope["path"],
        query=scope["query_string"].decode("latin-1"),
        peer=(scope.get("client") or ("",))[0],
        authorization=texts(b"authorization"),
        api_key=texts(b"x-api-key"),
        forwarded=headers.get(b"x-forwarded-for", []),
        user_agent=(texts(b"user-agent") or [""])[0],
    )


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
