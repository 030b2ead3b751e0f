"""FastAPI: what a route needs, as a dependency that answers whose key it was.

    keys = Keyturn(verifier)
    keys.install(app)

    @app.get("/orders")
    def list_orders(key: Annotated[AcceptedKey, Depends(keys.needs("orders"))]) -> list[Order]: ...

For all routes at once: `app.add_middleware(KeyturnMiddleware, verifier=verifier, needs="orders")`.
"""

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Annotated, Final

from fastapi import FastAPI, HTTPException, Security
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.requests import HTTPConnection
from starlette.requests import Request as StarletteRequest
from starlette.responses import Response
from starlette.websockets import WebSocket

from keyturn.sdk.admission import AcceptedKey, Admission, Problem, Question
from keyturn.sdk.asgi import KeyturnMiddleware, cleaned, read, refuse
from keyturn.sdk.asking import Asking
from keyturn.sdk.needs import Named, kept, named
from keyturn.sdk.verifier import Verifier
from keyturn.sdk.websocket import App, OpenWebSocket, Receive, Scope, Send

__all__ = ["AcceptedKey", "Keyturn", "KeyturnMiddleware", "Refused"]

# They decide nothing: they name in the API's description where the key goes.
_BEARER: Final = HTTPBearer(auto_error=False, description="An API key.")
_API_KEY: Final = APIKeyHeader(name="X-API-Key", auto_error=False, description="The same.")


_OPEN: Final = "keyturn.websocket"
"""In the scope of a WebSocket."""


class Refused(HTTPException):
    """A request that goes no further; `install` answers it with its problem, FastAPI itself with the status alone."""

    def __init__(self, problem: Problem) -> None:
        kept = {name: value for name, value in problem.headers if not name.startswith("content-")}
        super().__init__(problem.status, headers=kept)
        self.problem = problem


class Keyturn:
    """Makes dependencies; the arguments are those of `Admission`."""

    def __init__(
        self, verifier: Verifier, *, proxies: Iterable[str] = (), realm: str = "api", problems: str = ""
    ) -> None:
        self._admission = Admission(verifier, needs=(), proxies=proxies, realm=realm, problems=problems)
        self._asking = Asking(self._admission)

    def install(self, app: FastAPI) -> None:
        """Answer refusals as problems (RFC 9457), and end open WebSockets whose key is accepted no longer."""
        app.add_exception_handler(Refused, _answer)  # type: ignore[arg-type]  # the types know handlers for one of both
        app.add_middleware(_WebSockets)

    def needs(self, need: Named = ()) -> Callable[..., Awaitable[AcceptedKey]]:
        """A dependency: `orders` by the method of each request, `orders:admin`, or without a word any key.

        Raises ValueError for what is none.
        """
        held = kept(need)

        async def key(
            connection: HTTPConnection,
            _bearer: Annotated[object, Security(_BEARER)] = None,
            _api_key: Annotated[object, Security(_API_KEY)] = None,
        ) -> AcceptedKey:
            scope = connection.scope
            request = read(scope, scope["headers"])
            question = self._admission.read_for(named(held, request.method), request)
            answer = await self._asking.answer(question) if isinstance(question, Question) else question
            if isinstance(answer, Problem):
                raise Refused(answer)
            if scope["type"] == "websocket" and isinstance(question, Question):
                _open(scope).keep(partial(self._asking.again, question))
            # In place: whoever has looked at the headers before, as _BEARER has, holds the same list.  It is no longer
            # the server's, which adds trailers to its own.
            scope["headers"][:] = cleaned(scope["headers"])
            return answer

        return key


class _WebSockets:
    """Gives each WebSocket what its dependencies keep it open by."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        socket = OpenWebSocket(receive, send)
        await socket.run(self._app, {**scope, _OPEN: socket})


def _open(scope: Scope) -> OpenWebSocket:
    if _OPEN not in scope:
        raise RuntimeError("a WebSocket needs `install`, without which it would stay open whatever becomes of its key")
    socket: OpenWebSocket = scope[_OPEN]
    return socket


async def _answer(asked: StarletteRequest | WebSocket, refused: Exception) -> Response | None:
    problem = refused.problem if isinstance(refused, Refused) else None
    if problem is None:
        raise refused
    if isinstance(asked, WebSocket):
        await refuse(problem, asked.scope, asked.send)
        return None
    return Response(problem.body, problem.status, dict(problem.headers))
