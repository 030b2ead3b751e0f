"""The runner: uvicorn with our protocol, a certificate that is read again when it changes, and a clean end.

SIGTERM and SIGINT stop accepting, let requests under way finish, and end the process with status 0.
"""

import contextlib
import logging
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Final

import uvicorn
from anyio import to_thread

from keyturn.edge.places import OTHERS
from keyturn.settings import Settings

BACKLOG: Final = 2048
KEEP_ALIVE_SECONDS: Final = 75
_CERTIFICATE_EVERY: Final = 10  # ticks of a tenth of a second
log = logging.getLogger("keyturn")


class CannotListen(Exception):  # noqa: N818  # the world is in the way; not an error of ours
    """The address is taken, not ours, or not allowed."""


class Certificate:
    """A TLS context whose certificate follows its files; a broken new one is not taken."""

    def __init__(self, cert: Path, key: Path) -> None:
        self._cert, self._key = cert, key
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._stamp = self._stamps()
        self.context.load_cert_chain(cert, key)

    def follow(self) -> None:
        """Read the files again where they have changed; new connections get the new certificate."""
        try:
            stamp = self._stamps()
            if stamp == self._stamp:
                return
            # Tried on a context of its own first: a half-written pair must not reach the one in use.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self._cert, self._key)
            self.context.load_cert_chain(self._cert, self._key)
        except OSError as error:
            log.warning("the new certificate is not usable, the old one stays: %s", type(error).__name__)
            return
        self._stamp = stamp
        log.info("the certificate was read again")

    def _stamps(self) -> tuple[tuple[int, int], ...]:
        return tuple((one.stat().st_mtime_ns, one.stat().st_ino) for one in (self._cert, self._key))


class Server(uvicorn.Server):
    """uvicorn's server with our threads, signals, certificate and farewell."""

    def __init__(self, config: uvicorn.Config, certificate: Certificate | None, farewell: Callable[[], None]) -> None:
        super().__init__(config)
        self._certificate = certificate
        self._farewell = farewell

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Bound the threads of whatever has no place of its own (`edge.places`)."""
        to_thread.current_default_thread_limiter().total_tokens = OTHERS
        await super().startup(sockets)

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second; the certificate is looked at once a second."""
        if self._certificate is not None and counter % _CERTIFICATE_EVERY == 0:
            self._certificate.follow()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End what would go on for ever before waiting for what is under way."""
        self._farewell()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Like uvicorn's, except that the signal is not raised once more at the end: a drained server exits 0."""
        before = {one: signal.signal(one, self._leave) for one in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)

    def _leave(self, _signal: int, _frame: FrameType | None) -> None:
        self.force_exit = self.should_exit  # a second signal does not wait
        self.should_exit = True


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.  Raises CannotListen with a sentence for a person."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        msg = f"cannot listen on {host} port {port}: {reason}"
        raise CannotListen(msg) from None


def load_certificate(settings: Settings) -> Certificate | None:
    """The certificate the settings name, or None for plain HTTP.  Raises CannotListen."""
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    try:
        return Certificate(settings.tls_cert, settings.tls_key)
    except OSError as error:
        msg = f"the certificate in {settings.tls_cert} and {settings.tls_key} cannot be used: {error.strerror or error}"
        raise CannotListen(msg) from None


def run(
    app: Any,  # noqa: ANN401  # an ASGI application
    *,
    listener: socket.socket,
    certificate: Certificate | None,
    protocol: Callable[..., Any],
    drain_seconds: int,
    farewell: Callable[[], None],
) -> None:
    """Serve until a signal; returns once every request under way has been answered, or `drain_seconds` are over.

    `farewell` is called first: it ends what would go on by itself.
    """
    config = uvicorn.Config(
        app,
        http=protocol,  # type: ignore[arg-type]  # a factory of protocols does as well as their class
        loop="uvloop",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=drain_seconds,
        ssl_context_factory=None if certificate is None else lambda _config, _default: certificate.context,
    )
    Server(config, certificate, farewell).run(sockets=[listener])
