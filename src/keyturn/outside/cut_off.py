"""An end to a conversation, however slowly the other side speaks: each byte that comes resets every other limit."""

import socket
import threading
from contextlib import suppress
from typing import Self


class CutOff:
    """Shuts the line down once all of its time is over, whatever TLS was laid over it meanwhile."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._line: socket.socket | None = None
        self._timer: threading.Timer | None = None

    def watch(self, line: socket.socket) -> None:
        """From now on the time counts."""
        self._line = line.dup()
        self._timer = threading.Timer(self._seconds, self._cut)
        self._timer.daemon = True
        self._timer.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._line is not None:
            self._line.close()

    def _cut(self) -> None:
        if self._line is not None:
            with suppress(OSError):
                self._line.shutdown(socket.SHUT_RDWR)
