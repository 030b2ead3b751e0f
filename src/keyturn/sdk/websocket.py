"""An open WebSocket, which ends once its key is accepted no longer: asked about again every second.

It ends with 1008 and the code of the problem, or with 1013 where nothing is known of its key any more.  From then on
no message passes, whatever the client does.  The event loop is asyncio's.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final

from keyturn.sdk.admission import Problem
from keyturn.sdk.nodes import ASK_SECONDS

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Again = Callable[[], Awaitable[Problem | None]]
"""Asks whether the key is accepted still: None, or why not."""

POLICY: Final = 1008
"""Of a WebSocket's end: what was asked for is against the rules (RFC 6455)."""
_LATER: Final = 1013
"""The same: try again later (IANA's registry)."""
_EVERY_SECONDS: Final = 1.0
_NOTHING_KNOWN: Final = _LATER, "lease_lapsed"
log = logging.getLogger("keyturn.sdk")


class _Ended(ConnectionError):  # noqa: N818  # says what has become of it
    """The application goes on talking on a WebSocket that has ended here."""


class OpenWebSocket:
    """Stands between the server and the application for as long as one WebSocket is open."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._over = False
        self._end: tuple[int, str] | None = None
        """Code and reason, where it was ended here."""
        self._told = False
        self._asking: set[asyncio.Task[None]] = set()

    def keep(self, again: Again) -> None:
        """From now on ask this every second, beside what is asked already."""
        self._asking.add(asyncio.create_task(self._watch(again)))

    async def run(self, app: App, scope: Scope) -> None:
        """Let the application talk until either side has enough, or the key is accepted no longer."""
        try:
            await app(scope, self._receive_while_open, self._send_while_open)
        except Exception as error:
            if not isinstance(error, _Ended) and not isinstance(error.__context__, _Ended):  # as Starlette raises it
                raise
        finally:
            for one in self._asking:
                one.cancel()

    async def _receive_while_open(self) -> Message:
        if self._told:
            raise _Ended
        message = await self._receive() if self._end is None else {}
        if self._end is not None:  # perhaps meanwhile: what has come since is the application's no more
            self._told = True
            code, reason = self._end
            return {"type": "websocket.disconnect", "code": code, "reason": reason}
        self._over = self._over or message["type"] == "websocket.disconnect"
        return message

    async def _send_while_open(self, message: Message) -> None:
        if self._end is not None:
            raise _Ended
        self._over = self._over or message["type"] in ("websocket.close", "websocket.http.response.start")
        try:
            await self._send(message)
        except Exception:
            if self._end is not None:  # it has waited for a slow client, and is late
                raise _Ended from None
            raise

    async def _watch(self, again: Again) -> None:
        end: tuple[int, str] | None = None
        while end is None:
            await asyncio.sleep(_EVERY_SECONDS)
            end = await _why_not(again)
        if self._over or self._end is not None:
            return
        self._end = code, reason = end
        with suppress(OSError):  # the client has just gone
            await self._send({"type": "websocket.close", "code": code, "reason": reason})


async def _why_not(again: Again) -> tuple[int, str] | None:
    """Code and reason for the end of a WebSocket; None where its key is accepted still."""
    try:
        async with asyncio.timeout(ASK_SECONDS):
            problem = await again()
    except TimeoutError:
        return _NOTHING_KNOWN
    except Exception as error:  # noqa: BLE001  # whatever it is, nothing is known of the key
        # Not what it says: that may hold what was sent.
        log.error("a WebSocket ends, unasked about: %s", type(error).__qualname__)  # noqa: TRY400  # as said above
        return _NOTHING_KNOWN
    if problem is None:
        return None
    return (_LATER if problem.status == HTTPStatus.SERVICE_UNAVAILABLE else POLICY), problem.code
