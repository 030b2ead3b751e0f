"""A peer that sends one byte after another for ever: each comes in time, so that only a limit on the whole ends it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_MOST: Final = 200


@contextmanager
def dripping(first: bytes, *, drop: bytes = b"x", most: int = _MOST) -> Iterator[int]:
    """The port of one that begins with these bytes, for one caller."""
    ended = threading.Event()
    cut_off: list[bool] = []

    def drip(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            try:
                connection.sendall(first)
                for _ in range(most):
                    connection.sendall(drop)
                    ended.wait(0.02)
            except OSError:
                cut_off.append(True)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=drip, args=(listening,))
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            ended.set()
            thread.join()
    assert cut_off, "it could say all it wanted to"
