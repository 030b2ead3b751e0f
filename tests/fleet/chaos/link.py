"""A line between two programs, through which the test can do what networks do: stall, lag, cut, refuse.

A link listens on the loopback and passes each connection on to its target.  All links of a test run in one thread;
each order has taken effect when it returns, so that "stalled" means that not one more byte gets through.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from enum import Enum
from typing import Any, Final, Self, TypeVar

T = TypeVar("T")
_PIECE: Final = 65_536


class Way(Enum):
    """Towards whom."""

    THERE = "there"
    """To the target: what was connected asks."""
    BACK = "back"
    """From the target."""


BOTH: Final = (Way.THERE, Way.BACK)


class Flow:
    """One direction of one connection."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, may: Callable[[], bool], link: "Link"
    ) -> None:
        self.held = bytearray()
        """What has come and was not passed on."""
        self.beginning = b""
        """The first bytes, passed on or not: they say what the connection is for."""
        self.free = False
        """Whether it passes on although the way is stalled."""
        self._reader = reader
        self._writer = writer
        self._may = may
        self._link = link
        self._over = False
        self._news = asyncio.Event()

    def wake(self) -> None:
        """What may pass has changed."""
        self._news.set()

    def pass_now(self, size: int) -> None:
        """Pass on so many of the bytes that are held."""
        self._writer.write(bytes(self.held[:size]))
        del self.held[:size]

    async def take(self) -> None:
        """Hold what comes."""
        while piece := await self._reader.read(_PIECE):
            self.held += piece
            self.beginning = (self.beginning + piece)[:4096]
            self._news.set()
        self._over = True
        self._news.set()

    async def pass_on(self) -> None:
        """Pass on what may pass."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self.held and (self.free or self._may()):
                if self._link.lag:
                    await asyncio.sleep(self._link.lag)
                    if not (self.free or self._may()):
                        break  # stalled meanwhile
                self.pass_now(len(self.held))
                await self._writer.drain()
            if self._over and not self.held:
                if self._writer.can_write_eof():
                    self._writer.write_eof()
                return


class Connection:
    """One connection through a link, both ways."""

    def __init__(self, link: "Link", near: Any, far: Any) -> None:
        self.there = Flow(near[0], far[1], self._may_ask, link)
        self.back = Flow(far[0], near[1], lambda: Way.BACK not in link.stalled, link)
        self._link = link
        self._writers = (near[1], far[1])
        works = [one() for flow in (self.there, self.back) for one in (flow.take, flow.pass_on)]
        self._works = [asyncio.ensure_future(one) for one in works]

    def _may_ask(self) -> bool:
        begins = bool(self._link.greeting) and self._link.greeting not in self.back.beginning
        return begins or Way.THERE not in self._link.stalled

    async def run(self) -> None:
        """Until both sides have ended, or one breaks."""
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await asyncio.gather(*self._works)
        self.cut()

    def cut(self) -> None:
        """End it as a reset does, without delivering what is under way."""
        for work in self._works:
            work.cancel()
        for writer in self._writers:
            writer.transport.abort()


class Links:
    """The thread in which links work; `with` starts and ends it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="links", daemon=True)
        self._links: list[Link] = []

    def to(self, port: int) -> "Link":
        """A new link to that port of this machine."""
        link = Link(self, port)
        self.do(link.open())
        self._links.append(link)
        return link

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Have it done in the links' thread, and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for link in self._links:
            self.do(link.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Link:
    """One line.  Its methods are for the test's threads, `open` and `close` for the links' own."""

    def __init__(self, links: Links, target: int) -> None:
        self.port = 0
        self.target = target
        """Where new connections go; the program at the other end may start again elsewhere."""
        self.stalled: frozenset[Way] = frozenset()
        self.greeting = b""
        """Until the target has said this to it, a new connection is stalled on the way back alone."""
        self.lag = 0.0
        """Seconds that each piece takes longer."""
        self._links = links
        self._refuses = False
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()
        self._running: set[asyncio.Task[None]] = set()

    def stall(self, *ways: Way) -> None:
        """Let nothing through, on either way or on the one named; connections stay open, new ones are held as well."""
        self._links.do(self._set_stalled(frozenset(ways or BOTH)))

    def resume(self) -> None:
        """Let through what was held, and all that comes."""
        self._links.do(self._set_stalled(frozenset()))

    def delay(self, seconds: float) -> None:
        """Take that much longer for each piece; 0 for no longer."""
        self.lag = seconds

    def cut(self, *, refuse: bool = False) -> None:
        """Reset every connection; with `refuse`, new ones as well, until `mend`."""
        self._links.do(self._cut(refuse=refuse))

    def mend(self) -> None:
        """Take new connections again."""
        self._refuses = False

    def connections(self, holding: bytes) -> list[Connection]:
        """Those that began with these bytes, such as the path of a request."""
        return [one for one in tuple(self._connections) if holding in one.there.beginning]

    def let(self, flow: Flow, size: int | None = None) -> None:
        """Let that many of the held bytes of a stalled flow pass, or all, and all that come."""
        self._links.do(self._let(flow, size))

    async def open(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
        await self._cut(refuse=True)
        if self._running:
            await asyncio.wait(self._running)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            writer.transport.abort()
            return
        try:
            far = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        connection = Connection(self, (reader, writer), far)
        self._connections.add(connection)
        running = asyncio.ensure_future(connection.run())
        self._running.add(running)
        running.add_done_callback(lambda _: self._connections.discard(connection))
        running.add_done_callback(self._running.discard)

    async def _set_stalled(self, ways: frozenset[Way]) -> None:
        self.stalled = ways
        for connection in self._connections:
            connection.there.wake()
            connection.back.wake()

    async def _cut(self, *, refuse: bool) -> None:
        self._refuses = refuse
        for connection in self._connections:
            connection.cut()

    async def _let(self, flow: Flow, size: int | None) -> None:
        if size is None:
            flow.free = True
            flow.wake()
        else:
            flow.pass_now(size)
